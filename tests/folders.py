"""Where tests make their files: in memory, where that has room for them."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

__all__ = ["use_memory"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
_OURS = re.compile(r"t(\d+)-\w{8}")
"""The name of a folder, with the process that made it."""
_ROOM = 4 << 30
"""Bytes, several times what all tests together leave until they end."""


def use_memory() -> None:
    """Have this process, and what it starts, make temporary files in memory; they are gone when it ends.

    To take away what the tests leave, a disk may need longer than some of them run. With TMPDIR set, files
    are made there, and stay as pytest keeps them.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    there = os.statvfs(_MEMORY)
    if there.f_flag & os.ST_NOEXEC or there.f_bavail * there.f_frsize < _ROOM:
        return
    for left in _MEMORY.iterdir():
        # Of tests that were killed.
        if (made := _OURS.fullmatch(left.name)) is not None and not Path("/proc", made[1]).exists():
            _remove(str(left), os.getpid())
    folder = tempfile.mkdtemp(prefix=f"t{os.getpid()}-", dir=_MEMORY)
    Path(folder).chmod(0o755)  # some servers run as other users
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
