from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.azure_tables.azurite import ACCOUNT
from tests.dynamodb.servers import url_for
from tests.http.serving import serving
from tests.openai.sdk import (
    FOLDER,
    HOW_TO_GET_IT,
    KINDS,
    NODE,
    PYTHON,
    SETTINGS,
    Sdk,
    Speaker,
    secret,
    speaking,
)
from tests.servers import table_for


@pytest.fixture(scope="session")
def python(absent: Callable[[str, str], NoReturn]) -> Iterator[Speaker]:
    if not PYTHON.exists():
        absent("OpenAI's client for Python", HOW_TO_GET_IT)
    with speaking(PYTHON, FOLDER / "client.py") as speaker:
        yield speaker


@pytest.fixture(scope="session")
def javascript(absent: Callable[[str, str], NoReturn]) -> Iterator[Speaker]:
    if not NODE.exists():
        absent("OpenAI's client for JavaScript", HOW_TO_GET_IT)
    with speaking("node", FOLDER / "client.mjs") as speaker:
        yield speaker


PLACES = ("sqlite", "dynamodb", "azure")


@pytest.fixture(scope="session")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Gives the address of the service over a storage of the session."""
    addresses: dict[str, str] = {}
    folder = tmp_path_factory.mktemp("openai")
    urls = {
        "sqlite": lambda: f"sqlite:///{folder}/chat.db?synchronous=NORMAL",
        "dynamodb": lambda: url_for(request.getfixturevalue("moto"), folder),
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
def sdk(kind: str, request: pytest.FixtureRequest, served: Callable[[str], str]) -> Sdk:
    """Each kind of client, of somebody without an owner, at the service over SQLite."""
    speaker = request.getfixturevalue("javascript" if kind == "javascript" else "python")
    return Sdk(speaker, kind, served("sqlite"), secret("all"))


@pytest.fixture(params=PLACES)
def everywhere(request: pytest.FixtureRequest, sdk: Sdk, served: Callable[[str], str]) -> Sdk:
    """The same, on every storage."""
    return sdk._replace(base=served(request.param))
