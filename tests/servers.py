"""Servers of the tests: programs that listen on a free port of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

__all__ = ["ROOT", "free_port", "running", "table_for"]

ROOT = Path(__file__).parents[1]
_SECONDS = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[object],
    end: signal.Signals = signal.SIGKILL,
    cwd: Path = ROOT,
    serves: Callable[[int], bool] = lambda _: True,
    listens: int | None = None,
) -> Iterator[int]:
    """The port that the program listens on, which is where its command says ``{port}``, or is `listens`.

    Where listening is not enough, `serves` says whether what listens there serves yet. The program gets the
    signal `end` when it is no longer needed. One that does not come to serve fails the test with all that it
    has printed.
    """
    port = listens or free_port()
    parts = [str(part).replace("{port}", str(port)) for part in command]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(parts, stdout=log, stderr=subprocess.STDOUT, cwd=cwd) as server,
    ):
        try:
            until = time.monotonic() + _SECONDS
            while not (_answers(port) and serves(port)):
                assert server.poll() is None, f"{parts} ended by itself: {_printed(log)}"
                assert time.monotonic() < until, f"{parts} does not answer: {_printed(log)}"
                time.sleep(0.05)
            yield port
        finally:
            server.send_signal(end)


def table_for(name: object) -> str:
    """A table's name of its own for anything."""
    return "t" + hashlib.sha256(str(name).encode()).hexdigest()[:30]


def _printed(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def _answers(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
