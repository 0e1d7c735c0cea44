"""Servers of the tests: programs that listen on a free port of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["ROOT", "free_port", "running", "table_for"]

ROOT = Path(__file__).parents[1]
_SECONDS = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[object], cwd: Path = ROOT) -> Iterator[int]:
    """The port that the program listens on, which is where its command says ``{port}``."""
    port = free_port()
    parts = [str(part).replace("{port}", str(port)) for part in command]
    with subprocess.Popen(parts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd) as server:
        try:
            until = time.monotonic() + _SECONDS
            while not _answers(port):
                assert server.poll() is None, f"{parts[0]} ended by itself"
                assert time.monotonic() < until, f"{parts[0]} does not answer"
                time.sleep(0.05)
            yield port
        finally:
            server.kill()


def table_for(name: object) -> str:
    """A table's name of its own for anything."""
    return "t" + hashlib.sha256(str(name).encode()).hexdigest()[:30]


def _answers(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
