"""``chatstore serve`` as a process that a test may stop, kill and start again at the same address."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import free_port


def started(url: str, port: int, **settings: str) -> subprocess.Popen[str]:
    """A service that listens already; its log is on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chatstore", "serve", "--port", str(port), "--url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings},
    )
    assert process.stdout is not None
    assert str(port) in process.stdout.readline()
    process.stdout.close()  # what it says besides is for people
    return process


@contextmanager
def served(url: str, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service of a test's own: its address and its process, which is killed at the end if it still runs."""
    port = free_port()
    with started(url, port, **settings) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
