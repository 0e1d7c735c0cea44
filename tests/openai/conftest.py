from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore import AsyncChatStore, aconnect
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.testing import ManualClock
from tests.azure_tables.azurite import ACCOUNT
from tests.conftest import SOAK
from tests.dynamodb.servers import url_for
from tests.http.serving import serving
from tests.openai.sdk import KINDS, SETTINGS, Sdk, Speaker, clients, secret
from tests.redis.conftest import redis_url
from tests.servers import table_for
from tests.tablestore.conftest import service
from tests.upstash.conftest import proxied

__all__ = ["proxied", "redis_url", "service"]  # storages whose costs are measured


@pytest.fixture(scope="session")
def speakers(absent: Callable[[str, str], NoReturn]) -> Iterator[dict[str, Speaker]]:
    """A client of each kind, for the session."""
    with clients(absent) as kinds:
        yield kinds


@pytest.fixture
def python(speakers: dict[str, Speaker]) -> Speaker:
    return speakers["async"]


PLACES = ("sqlite", "dynamodb", "azure")
LEFT_OUT = () if SOAK else (("dynamodb", "sync"), ("azure", "sync"))
"""Python's blocking client sends what the other one sends."""


class Closing:
    """An application that closes its store when it ends."""

    def __init__(self, store: AsyncChatStore, app: ASGIApp) -> None:
        self._store = store
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "lifespan":
            await self._store.close()


@pytest.fixture(scope="session")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Gives the address of the service over a storage of the session."""
    addresses: dict[tuple[str, bool], str] = {}
    folder = tmp_path_factory.mktemp("openai")
    urls = {
        "sqlite": lambda name: f"sqlite:///{folder}/{name}.db?synchronous=NORMAL",
        "dynamodb": lambda name: url_for(request.getfixturevalue("moto"), folder / name, timeout="60"),
        "azure": lambda name: (
            f"aztables://{ACCOUNT}/{table_for(folder / name)}?endpoint={request.getfixturevalue('azurite')}"
        ),
    }
    with ExitStack() as stack:

        def address(place: str, *, standing: bool = False) -> str:
            if (place, standing) not in addresses:
                url = urls[place]("standing" if standing else "chat")
                app: ASGIApp
                if standing:
                    store = aconnect(url, tenant=SETTINGS["tenant"], clock=ManualClock())
                    app = Closing(store, create_app(store, Settings(**SETTINGS, request_seconds=600)))
                else:
                    app = create_app(settings=Settings(url=url, **SETTINGS))
                addresses[place, standing] = stack.enter_context(serving(app))
            return addresses[place, standing]

        yield address


@pytest.fixture
def standing(served: Callable[..., str]) -> Callable[[str], str]:
    """Gives the address of a service whose time stands still, and that waits for its storage.

    So it does not matter how long a busy machine takes.
    """
    return lambda place: served(place, standing=True)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sdk(kind: str, speakers: dict[str, Speaker], served: Callable[[str], str]) -> Sdk:
    """Each kind of client, of somebody without an owner, at the service over SQLite."""
    return Sdk(speakers[kind], kind, served("sqlite"), secret("all"))


EVERYWHERE = [(place, kind) for place in PLACES for kind in KINDS if (place, kind) not in LEFT_OUT]


@pytest.fixture(params=EVERYWHERE, ids="-".join)
def everywhere(
    request: pytest.FixtureRequest, speakers: dict[str, Speaker], served: Callable[[str], str]
) -> Sdk:
    """The same, on every storage."""
    place, kind = request.param
    return Sdk(speakers[kind], kind, served(place), secret("all"))
