"""The server that the tests of Redis share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tests.redis.servers import NEWEST, VALKEY, absence, program, redis_server


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
    if program(NEWEST) is None:
        absent(*absence(NEWEST))
    with redis_server(release=NEWEST) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def valkey_url(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The same of Valkey."""
    if program(VALKEY) is None:
        absent(*absence(VALKEY))
    with redis_server(release=VALKEY) as port:
        yield f"redis://127.0.0.1:{port}/0"
