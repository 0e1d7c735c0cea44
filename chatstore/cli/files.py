"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from chatstore.cli.output import for_json
from chatstore.errors import InvalidArgument

__all__ = ["refuse_empty", "replacing"]

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What a process is told to end by: by somebody, or because its terminal was closed."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all went well, readable by its owner alone.

    What was written of one that failed is removed, when the process is told to end as well.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield for_json(device)
        return
    with _ending_by_exception():
        # It is named before it is made: the signal may come at any moment.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def refuse_empty(path: Path, *, allowed: bool) -> None:
    """Raise InvalidArgument where nothing would take the place of something, unless that is `allowed`."""
    if not allowed and path.is_file() and path.stat().st_size:
        raise InvalidArgument(
            f"the store has no threads to write, so {path} was left as it is: check the URL and the tenant, "
            "or pass --allow-empty"
        )


@contextmanager
def _ending_by_exception() -> Iterator[None]:
    """While it lasts, being told to end raises SystemExit, so that what is open is closed and removed.

    Whoever was to outlive its terminal, as by nohup, still does.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in _ENDING}
    try:
        for one in _ENDING:
            if before[one] is not signal.SIG_IGN:
                signal.signal(one, end)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
