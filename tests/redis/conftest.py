"""The server that the tests of Redis share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tests.redis.servers import HOW_TO_GET_IT, program, redis_server


@pytest.fixture(scope="session")
def redis_url(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """A Redis without a disk."""
    if program() is None:
        absent("Redis", HOW_TO_GET_IT)
    with redis_server() as port:
        yield f"redis://127.0.0.1:{port}/0"
