"""The server that the tests of Redis share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tests.redis.servers import absence, program, redis_server


@pytest.fixture(scope="session")
def redis_url(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """A Redis without a disk."""
    if program() is None:
        absent(*absence())
    with redis_server() as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def newer_url(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The same of a newer release."""
    if program("8.2") is None:
        absent(*absence("8.2"))
    with redis_server(release="8.2") as port:
        yield f"redis://127.0.0.1:{port}/0"
