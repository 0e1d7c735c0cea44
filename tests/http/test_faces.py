"""Faces are there where they are named, and tell all that is refused at their paths in their own form."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from chatstore import AsyncChatStore, aconnect, errors
from chatstore.backends.memory import MemoryBackend
from chatstore.contract import ThreadKey
from chatstore.http.app import create_app
from chatstore.http.problems import PROBLEMS
from chatstore.models import Thread
from chatstore.settings import Settings
from tests.http.serving import serving
from tests.http.test_problems import FAILURES

ALL = "/v1/conversations"
AS_JSON = {"content-type": "application/json"}
BOTH = Settings(faces="native,openai", max_body_bytes=50_000)


@pytest.fixture(scope="module")
def both() -> Iterator[httpx.Client]:
    with serving(create_app(aconnect("memory://"), BOTH)) as base, httpx.Client(base_url=base) as client:
        yield client


def told(answer: httpx.Response) -> dict[str, Any]:
    """The error in an answer, in the one form that all have."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def test_a_face_that_is_not_named_is_not_there_and_not_loaded() -> None:
    program = """
import sys, chatstore
from chatstore.http.app import create_app
from chatstore.settings import Settings
create_app(chatstore.aconnect("memory://"), Settings(faces=sys.argv[1]))
print(*(name for name in sys.modules if name.startswith("chatstore.http.openai")), "pydantic" in sys.modules)
"""
    loaded = {
        faces: subprocess.run(
            [sys.executable, "-c", program, faces], capture_output=True, text=True, check=True
        ).stdout.split()
        for faces in ("native", "native,openai")
    }
    assert loaded["native"] == ["False"]
    assert "chatstore.http.openai.routes" in loaded["native,openai"]
    assert loaded["native,openai"][-1] == "False"


def test_without_the_native_face_the_service_is_there_and_no_thread() -> None:
    with (
        serving(create_app(aconnect("memory://"), Settings(faces="openai"))) as base,
        httpx.Client(base_url=base) as client,
    ):
        assert client.get("/healthz").status_code == 200
        assert client.post(ALL).status_code == 200
        for path in ("/v1/threads", "/v1/owners/ada"):
            assert client.delete(path).json()["code"] == "not-found"
        assert set(client.get("/openapi.json").json()["paths"]) >= {ALL, "/healthz"}


REFUSED: dict[str, tuple[tuple[str, str], dict[str, Any], tuple[int, str]]] = {
    "no such path": (("GET", f"{ALL}/a/b/c"), {}, (404, "unknown_url")),
    "no such method": (("PUT", f"{ALL}/a"), {}, (405, "method_not_allowed")),
    "no JSON": (
        ("POST", ALL), {"content": b"{", "headers": AS_JSON},
        (400, "invalid_json"),
    ),
    "a key twice": (
        ("POST", ALL), {"content": b'{"items":[],"items":[]}', "headers": AS_JSON},
        (400, "invalid_json"),
    ),
    "no object": (("POST", ALL), {"json": [1]}, (400, "invalid_type")),
    "unknown": (("POST", ALL), {"json": {"item": []}}, (400, "unknown_parameter")),
    "no metadata": (("POST", f"{ALL}/a"), {"json": {}}, (400, "missing_required_parameter")),
    "a query": (("GET", f"{ALL}?what=1"), {}, (400, "invalid_value")),
    "a cursor": (("GET", f"{ALL}?after=1"), {}, (400, "invalid_cursor")),
    "a ttl": (("POST", ALL), {"json": {"ttl": -1}}, (400, "invalid_value")),
    "sliding alone": (("POST", ALL), {"json": {"sliding": True}}, (400, "missing_required_parameter")),
    "a lone surrogate": (
        ("POST", ALL), {"content": b'{"owner":"\\ud800"}', "headers": AS_JSON},
        (400, "invalid_json"),
    ),
    "a large body": (("POST", ALL), {"json": {"items": ["x" * 60_000]}}, (413, "too_large")),
    "another kind": (
        ("POST", ALL), {"content": b"x", "headers": {"content-type": "text/plain"}},
        (415, "unsupported_media_type"),
    ),
    "another host": (("GET", ALL), {"headers": {"host": "example.org"}}, (421, "misdirected")),
    "another page": (
        ("GET", ALL), {"headers": {"origin": "https://example.org"}}, (403, "insufficient_permissions"),
    ),
    "cut nowhere": (("DELETE", f"{ALL}/a/items"), {}, (400, "missing_required_parameter")),
    "cut behind no item": (("DELETE", f"{ALL}/a/items?after=x"), {}, (404, "item_not_found")),
    "an encoding": (
        ("POST", ALL), {"json": {}, "headers": {"content-encoding": "gzip"}}, (415, "unsupported_media_type"),
    ),
    "a key that is none": (
        ("POST", ALL), {"json": {}, "headers": {"idempotency-key": "a b"}}, (400, "malformed"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_told_in_the_faces_form(both: httpx.Client, what: str) -> None:
    (method, path), given, expected = REFUSED[what]
    answer = both.request(method, path, **given)
    assert (answer.status_code, told(answer)["code"]) == expected, answer.text
    assert answer.headers["x-request-id"]


def test_the_native_face_keeps_its_form(both: httpx.Client) -> None:
    for path in ("/v1/conversation", "/v1/conversationsx", "/v1/threads/none", "/nothing"):
        assert both.get(path).headers["content-type"] == "application/problem+json"


def test_a_request_that_is_framed_wrongly() -> None:
    headers = {"content-length": "2", "transfer-encoding": "chunked"}

    async def asked() -> httpx.Response:
        # `chatstore serve` refuses it before the application does, which other servers leave it to.
        carried = httpx.ASGITransport(create_app(aconnect("memory://"), BOTH))
        async with httpx.AsyncClient(transport=carried, base_url="http://localhost") as client:
            return await client.post(ALL, content=b"{}", headers=headers)

    answer = asyncio.run(asked())
    assert (answer.status_code, told(answer)["type"]) == (400, "invalid_request_error")


class Failing(MemoryBackend):
    """Fails as the thread's id says."""

    async def get_thread(self, key: ThreadKey) -> Thread:
        raise FAILURES.get(key.id, errors.Unavailable("hunter2"))


def test_every_failure_of_the_storage_is_told_and_nothing_of_what_is_inside() -> None:
    with (
        serving(create_app(AsyncChatStore(Failing()), BOTH)) as base,
        httpx.Client(base_url=base) as client,
    ):
        for code in FAILURES:
            answer = client.get(f"{ALL}/{code}")
            [native] = [one.status for one in PROBLEMS.values() if one.code == code]
            assert answer.status_code == (400 if native in (409, 410, 412, 422) else native), code
            assert told(answer)["type"] == ("server_error" if native >= 500 else "invalid_request_error")
            assert "hunter2" not in answer.text
            # Clients repeat what may be otherwise later, and nothing else.
            repeated = answer.status_code in (408, 409, 429) or answer.status_code >= 500
            in_vain = answer.headers.get("x-should-retry") == "false"
            assert (repeated and not in_vain) == (native == 503), code
            assert ("retry-after" in answer.headers) == (native == 503)


def test_too_many_requests() -> None:
    settings = Settings(faces="openai", requests_per_minute=1)
    with serving(create_app(aconnect("memory://"), settings)) as base, httpx.Client(base_url=base) as client:
        assert client.get(ALL).status_code == 200
        refused = client.get(ALL)
        assert (refused.status_code, told(refused)["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) > 0


def test_pages_may_send_what_the_client_sends_from_them() -> None:
    origin = "https://app.example.org"
    asked = {
        "origin": origin, "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-retry-count",
    }  # fmt: skip
    for faces, status in (("native", 400), ("native,openai", 200)):
        app = create_app(aconnect("memory://"), Settings(faces=faces, cors_origins=origin))
        with serving(app) as base:
            assert httpx.options(f"{base}{ALL}", headers=asked).status_code == status


def test_a_mounted_service_has_its_faces_below() -> None:
    app = Starlette(routes=[Mount("/chat", create_app(aconnect("memory://"), BOTH))])
    with serving(app) as base, httpx.Client(base_url=f"{base}/chat") as client:
        made = client.post(ALL, json={"items": [{"role": "user", "content": "hi"}]}).json()
        assert client.get(f"{ALL}/{made['id']}").json() == made
        assert told(client.get(f"{ALL}/none"))["code"] == "conversation_not_found"
        assert client.get(f"/v1/threads/{made['id']}").status_code == 200


@pytest.mark.parametrize("wrong", ["", "openai,other", "OpenAI", "native;openai"])
def test_a_face_that_there_is_not(wrong: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="CHATSTORE_FACES"):
        Settings.from_environment({"CHATSTORE_FACES": wrong})


def test_faces_are_told_in_one_order() -> None:
    assert Settings.from_environment({"CHATSTORE_FACES": " openai, native"}).faces == "native,openai"
