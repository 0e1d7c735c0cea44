"""New, empty stores on every backend that the integrations are held against."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.backends.memory import MemoryBackend
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from tests.azure_tables import azurite
from tests.dynamodb.servers import url_for
from tests.http.serving import serving
from tests.postgres.servers import Emptied
from tests.redis.conftest import redis_url
from tests.redis.servers import prefixed
from tests.servers import table_for
from tests.upstash.conftest import proxied

__all__ = ["fresh", "proxied", "redis_url", "services", "shared"]

Fresh = Callable[[], str]
"""Gives the URL of a new, empty store each time."""


class _Services:
    """One server, and under each first part of a path a service of its own over memory."""

    def __init__(self) -> None:
        self._apps: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = "/" + scope["path"].split("/", 2)[1]
        if prefix not in self._apps:
            self._apps[prefix] = create_app(AsyncChatStore(MemoryBackend()), Settings())
        await self._apps[prefix]({**scope, "root_path": prefix}, receive, send)


@pytest.fixture(scope="session")
def services() -> Iterator[str]:
    with serving(_Services()) as address:
        yield address


def _memory(request: pytest.FixtureRequest) -> Fresh:
    return lambda: "memory://"


def _sqlite(request: pytest.FixtureRequest) -> Fresh:
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("stores")
    numbers = itertools.count()
    return lambda: f"sqlite:///{folder}/{next(numbers)}.db?synchronous=NORMAL"


def _service(request: pytest.FixtureRequest) -> Fresh:
    address, numbers = request.getfixturevalue("services"), itertools.count()
    return lambda: f"{address}/{id(numbers)}-{next(numbers)}"


def _dynamodb(request: pytest.FixtureRequest) -> Fresh:
    endpoint, numbers = request.getfixturevalue("dynalite"), itertools.count()
    return lambda: url_for(endpoint, f"{id(numbers)}-{next(numbers)}", transactions="off")


def _aztables(request: pytest.FixtureRequest) -> Fresh:
    endpoint, numbers = request.getfixturevalue("azurite"), itertools.count()
    return lambda: (
        f"aztables://{azurite.ACCOUNT}/{table_for(f'{id(numbers)}-{next(numbers)}')}?endpoint={endpoint}"
    )


def _postgresql(request: pytest.FixtureRequest) -> Fresh:
    server, numbers = request.getfixturevalue("postgres"), itertools.count()
    # A new one every other time, as a test may have two at once.
    several = itertools.cycle([Emptied(server), Emptied(server, "postgres")])
    return lambda: next(several).url(Path(f"{id(numbers)}-{next(numbers)}"))


def _redis(request: pytest.FixtureRequest) -> Fresh:
    url, numbers = request.getfixturevalue("redis_url"), itertools.count()
    return lambda: prefixed(url, f"{id(numbers)}-{next(numbers)}")


def _upstash(request: pytest.FixtureRequest) -> Fresh:
    (_, port), numbers = request.getfixturevalue("proxied"), itertools.count()
    return lambda: prefixed(f"upstash://127.0.0.1:{port}", f"{id(numbers)}-{next(numbers)}")


BACKENDS = {
    "memory": _memory,
    "sqlite": _sqlite,
    "service": _service,
    "dynamodb": _dynamodb,
    "aztables": _aztables,
    "postgresql": _postgresql,
    "redis": _redis,
    "upstash": _upstash,
}
"""What every test that asks for `fresh` runs on: a line each."""


@pytest.fixture(scope="module", params=BACKENDS)
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """On each backend in turn."""
    return BACKENDS[request.param](request)


@pytest.fixture(scope="module", params=[name for name in BACKENDS if name != "memory"])
def shared(request: pytest.FixtureRequest) -> Fresh:
    """On each backend that several openings of one URL share."""
    return BACKENDS[request.param](request)
