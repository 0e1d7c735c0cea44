from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest

from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.acs import sdk as sdk_of
from tests.acs import tls
from tests.acs.client import Python
from tests.acs.sdk import KINDS, SETTINGS, Sdk, Speaker
from tests.azure_tables.azurite import ACCOUNT
from tests.conftest import SOAK
from tests.dynamodb.servers import url_for
from tests.redis.conftest import redis_url
from tests.servers import table_for
from tests.tablestore.conftest import service
from tests.upstash.conftest import proxied

__all__ = ["proxied", "redis_url", "service"]  # storages whose costs are measured

PLACES = ("sqlite", "dynamodb", "azure")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tls.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def javascript(
    certificate: Path, absent: Callable[[str, str], NoReturn], served: Callable[[str], str]
) -> Iterator[Speaker]:
    with sdk_of.javascript(certificate, absent) as speaker:
        yield speaker


@pytest.fixture(scope="session")
def applied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Gives the application over a storage of the session."""
    apps: dict[str, Any] = {}
    folder = tmp_path_factory.mktemp("acs")
    urls = {
        "sqlite": lambda: f"sqlite:///{folder}/chat.db?synchronous=NORMAL",
        "dynamodb": lambda: url_for(request.getfixturevalue("moto"), folder),
        "azure": lambda: (
            f"aztables://{ACCOUNT}/{table_for(folder)}?endpoint={request.getfixturevalue('azurite')}"
        ),
    }

    def app(place: str) -> Any:
        if place not in apps:
            apps[place] = create_app(settings=Settings(url=urls[place](), **SETTINGS))
        return apps[place]

    return app


@pytest.fixture(scope="session")
def served(certificate: Path, applied: Callable[[str], Any]) -> Iterator[Callable[[str], str]]:
    """Gives the address of the service over a storage, behind TLS."""
    addresses: dict[str, str] = {}
    with ExitStack() as stack:

        def address(place: str) -> str:
            if place not in addresses:
                addresses[place] = stack.enter_context(tls.serving(applied(place), certificate))
            return addresses[place]

        yield address


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def python(certificate: Path, served: Callable[[str], str]) -> Iterator[Callable[[str], Python]]:
    """Gives the client for Python of a kind; it ends its connections before the service does."""
    made: dict[str, Python] = {}

    def client(kind: str) -> Python:
        if kind not in made:
            made[kind] = Python(kind, str(certificate))
        return made[kind]

    yield client
    for one in made.values():
        one.close()


@pytest.fixture
def sdk(
    kind: str, request: pytest.FixtureRequest, python: Callable[[str], Python], served: Callable[[str], str]
) -> Sdk:
    """Each kind of client at the service over SQLite."""
    if kind == "javascript":
        return Sdk(request.getfixturevalue("javascript"), kind, served("sqlite"))
    return Sdk(python(kind), kind, served("sqlite"))


@pytest.fixture(params=PLACES)
def everywhere(request: pytest.FixtureRequest, sdk: Sdk, served: Callable[[str], str]) -> Sdk:
    """The same, on every storage; without a soak, the clouds' with one of Python's clients each."""
    if not SOAK and (request.param, sdk.kind) in {("dynamodb", "async"), ("azure", "sync")}:
        return sdk
    return sdk._replace(base=served(request.param))
