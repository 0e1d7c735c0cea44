from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.azure_tables.azurite import ACCOUNT
from tests.conftest import SOAK
from tests.dynamodb.servers import url_for
from tests.http.serving import serving
from tests.openai.sdk import KINDS, SETTINGS, Sdk, Speaker, clients, secret
from tests.servers import table_for


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


@pytest.fixture(scope="session")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Gives the address of the service over a storage of the session."""
    addresses: dict[str, str] = {}
    folder = tmp_path_factory.mktemp("openai")
    urls = {
        "sqlite": lambda: f"sqlite:///{folder}/chat.db?synchronous=NORMAL",
        "dynamodb": lambda: url_for(request.getfixturevalue("moto"), folder, timeout="60"),
        "azure": lambda: (
            f"aztables://{ACCOUNT}/{table_for(folder)}?endpoint={request.getfixturevalue('azurite')}"
        ),
    }
    with ExitStack() as stack:

        def address(place: str) -> str:
            if place not in addresses:
                app = create_app(settings=Settings(url=urls[place](), **SETTINGS))
                addresses[place] = stack.enter_context(serving(app))
            return addresses[place]

        yield address


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
