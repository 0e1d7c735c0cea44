"""Every error of the table, met by a request over a storage that has just it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from starlette.requests import ClientDisconnect

from chatstore import AsyncChatStore, Cost, errors
from chatstore.backends.memory import MemoryBackend
from chatstore.contract import Span, ThreadKey
from chatstore.http import routes
from chatstore.http.app import create_app
from chatstore.http.problems import PROBLEMS, Refusal
from chatstore.models import Message, Page
from chatstore.settings import Settings
from tests.http.serving import serving

SECRET = "password=hunter2"  # pragma: allowlist secret
FAILURES: dict[str, Exception] = {
    "invalid-argument": errors.InvalidArgument("no"),
    "invalid-message": errors.InvalidMessage("no"),
    "invalid-cursor": errors.InvalidCursor("no"),
    "message-too-large": errors.MessageTooLarge("no"),
    "request-expired": errors.RequestExpired("no"),
    "request-mismatch": errors.RequestMismatch("id"),
    "thread-not-found": errors.ThreadNotFound("id"),
    "message-not-found": errors.MessageNotFound("id", "m"),
    "thread-exists": errors.ThreadExists("id"),
    "message-exists": errors.MessageExists("id", "k", "m"),
    "conflict": errors.Conflict("e.1"),
    "cursor-expired": errors.CursorExpired(),
    "unsupported": errors.Unsupported("not here"),
    "unavailable": errors.Unavailable(SECRET),
    "misconfigured": errors.ConfigurationError(SECRET),
    "storage-error": errors.CorruptData(SECRET),
    "internal-error": RuntimeError(SECRET),
    "cut-off": ClientDisconnect(SECRET),
}


class Failing(MemoryBackend):
    """Fails as the thread's id says."""

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        if key.id in FAILURES:
            raise FAILURES[key.id]
        return replace(await super().read(key, span), cost=Cost("toy", {"wru": 1, "rru": 0.5}, 1))

    async def ping(self) -> None:
        raise errors.Unavailable(SECRET)


@pytest.fixture(scope="module")
def failing() -> Iterator[httpx.Client]:
    app = create_app(AsyncChatStore(Failing()), Settings(max_body_bytes=20 * 1024 * 1024))
    with serving(app) as base, httpx.Client(base_url=base) as client:
        yield client


def test_500_is_a_defect_and_nothing_else() -> None:
    # A setting that is wrong and a storage that is away are 503: whoever runs the service can mend them.
    of_500 = {problem.code for problem in PROBLEMS.values() if problem.status == 500}
    assert of_500 == {"storage-error", "answer-too-long", "internal-error"}


@pytest.mark.parametrize("code", FAILURES)
def test_an_error_of_the_store_is_its_problem(
    failing: httpx.Client, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = failing.get(f"/v1/threads/{code}/messages")
    problem = answer.json()
    [expected] = [one for one in PROBLEMS.values() if one.code == code]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == problem["status"] == expected.status
    assert (problem["code"], problem["title"], problem["type"]) == (code, expected.title, f"/docs#{code}")
    assert problem["detail"]
    assert "hunter2" not in answer.text
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    assert ("hunter2" in caplog.text) == (answer.status_code in {500, 503})


def test_the_table_is_met_whole() -> None:
    """What the store raises is above; what is refused before it is in the other tests of requests."""
    assert {one.code for kind, one in PROBLEMS.items() if not issubclass(kind, Refusal)} == set(FAILURES)


def test_every_error_of_the_library_has_a_place() -> None:
    kinds = {getattr(errors, name) for name in errors.__all__} - {errors.ChatStoreError}
    homeless = [
        kind for kind in kinds if not set(kind.__mro__[:-3]) & set(PROBLEMS) and not kind.__subclasses__()
    ]
    assert homeless == []


def test_a_service_without_its_storage_is_alive_but_not_ready(failing: httpx.Client) -> None:
    assert failing.get("/healthz").json() == {"status": "ok"}
    unready = failing.get("/readyz")
    assert (unready.status_code, unready.json()["code"]) == (503, "unavailable")


def test_a_storage_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemoryBackend):
        async def ping(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(routes, "PING_SECONDS", 0.05)
    with serving(create_app(AsyncChatStore(Hanging()))) as base:
        assert httpx.get(f"{base}/readyz").status_code == 503


def test_a_ready_service(http: httpx.Client) -> None:
    assert http.get("/readyz").json() == {"status": "ok"}


def test_what_the_storage_bills_is_in_the_answer(failing: httpx.Client) -> None:
    answer = failing.get("/v1/threads/fine/messages")
    assert answer.headers["chatstore-cost"] == "toy; wru=1; rru=0.5"


def test_a_message_beyond_the_librarys_limit(failing: httpx.Client) -> None:
    message = {"role": "user", "content": "x" * (16 * 1024 * 1024)}
    refused = failing.post("/v1/threads/large/messages", json=message)
    assert (refused.status_code, refused.json()["code"]) == (413, "message-too-large")
