from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

import chatstore
from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.http.serving import serving

LIMITS = Settings(max_body_bytes=100_000, max_messages=50, max_answer_bytes=20_000)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with serving(create_app(chatstore.aconnect("memory://"), LIMITS)) as base:
        yield base


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address) as client:
        yield client


@pytest.fixture
def thread(http: httpx.Client) -> str:
    """The path of a thread of the test's own."""
    return str(http.post("/v1/threads").json()["href"])
