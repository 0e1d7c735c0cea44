"""Bodies, queries and headers as they come, before the store sees any of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx
import pytest

from chatstore import uuid7
from chatstore.http.forms import filled
from chatstore.http.parameters import NoHeaders, NoPath
from chatstore.http.problems import Invalid
from chatstore.http.queries import MessagesQuery, ThreadsQuery
from tests.http.conftest import LIMITS

Q = TypeVar("Q", bound=tuple[Any, ...])
JSON = {"Content-Type": "application/json"}


def padded(size: int) -> bytes:
    """A message of `size` bytes."""
    frame = json.dumps({"role": "user", "content": ""}, separators=(",", ":"))
    return frame.replace('""', f'"{"x" * (size - len(frame))}"').encode()


def chunks(body: bytes) -> Iterator[bytes]:
    yield from (body[start : start + 1000] for start in range(0, len(body), 1000))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_is_read_up_to_the_limit(http: httpx.Client, thread: str, streamed: bool) -> None:
    def post(body: bytes) -> httpx.Response:
        return http.post(f"{thread}/messages", content=chunks(body) if streamed else body, headers=JSON)

    assert post(padded(LIMITS.max_body_bytes)).status_code == 201
    refused = post(padded(LIMITS.max_body_bytes + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "too-large")
    assert "100,000 bytes" in refused.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_takes_so_many_messages(http: httpx.Client, thread: str, method: str) -> None:
    messages = [{"role": "user"}] * (LIMITS.max_messages + 1)
    refused = http.request(method, f"{thread}/messages", json=messages)
    assert (refused.status_code, refused.json()["code"]) == (413, "too-large")
    assert http.request(method, f"{thread}/messages", json=messages[1:]).is_success


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"role":"user"}x', b'{"role":"user","role":"user"}', b'{"role":"user","n":NaN}',
     b'{"role":"user","n":1e999}', b'{"role":"\xff"}', b'{"role":"user","s":"\\ud800"}',
     b'{"role":"user","deep":' + b"[" * 70 + b"]" * 70 + b"}", b"[" * 50_000],
)  # fmt: skip
def test_what_is_not_exact_json_is_malformed(http: httpx.Client, body: bytes) -> None:
    path = f"/v1/threads/{uuid7()}"
    refused = http.post(f"{path}/messages", content=body, headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
    assert http.get(path).status_code == 404


@pytest.mark.parametrize("number", ["-0", "1e-400", "10000000000000000.1", "9007199254740993.0", "5e-325"])
def test_numbers_pass_as_they_are_written(http: httpx.Client, number: str) -> None:
    path = f"/v1/threads/{uuid7()}/messages"
    message = b'{"role":"user","n":[%b]}' % number.encode()
    sent = http.post(path, content=message, headers=JSON)
    one = f"{path}/{sent.json()['items'][0]['id']}"
    replaced = http.put(one, content=message, headers=JSON)
    read = [http.get(path), http.get(f"{path}?last=1"), http.get(f"{path}?max_tokens=99"), http.get(one)]
    for answer in (sent, replaced, *read, http.delete(one)):
        assert answer.is_success
        assert b'"message":' + message in answer.content
    thread = b'{"metadata":{"n":%b}}' % number.encode()
    refused = http.post("/v1/threads", content=thread, headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-message")


@pytest.mark.parametrize("levels", [16, 64])
def test_a_message_nests_as_deep_as_the_library_takes_it(
    http: httpx.Client, thread: str, levels: int
) -> None:
    message = b'{"role":"user","deep":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    for body in (message, b"[%s]" % message, b'{"messages":[%s]}' % message):
        assert http.post(f"{thread}/messages", content=body, headers=JSON).status_code == 201
    deeper = message.replace(b"[]", b"[[]]")
    refused = http.post(f"{thread}/messages", content=deeper, headers=JSON)
    assert refused.status_code == (201 if levels == 16 else 422)


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/x-www-form-urlencoded", "application/json;charset=latin-1"]
)
def test_a_body_says_that_it_is_json(http: httpx.Client, thread: str, media: str) -> None:
    headers = {"Content-Type": media} if media else {}
    refused = http.post(f"{thread}/messages", content=b'{"role":"user"}', headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported-media-type")


def test_a_patch_is_a_merge_patch_and_nothing_else_is(http: httpx.Client, thread: str) -> None:
    for media in ("application/merge-patch+json", "application/json", "Application/JSON; charset=UTF-8"):
        assert http.patch(thread, content=b"{}", headers={"Content-Type": media}).status_code == 200
    refused = http.post(
        "/v1/threads", content=b"{}", headers={"Content-Type": "application/merge-patch+json"}
    )
    assert refused.status_code == 415


@pytest.mark.parametrize(
    ("query", "place"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=1.0", "limit"), ("limit=+1", "limit"),
     ("limit=", "limit"), ("unknown=1", "unknown"), ("metadata=x", "metadata"), ("limit[x]=1", "limit"),
     ("owner=", "owner"),
     ("metadata[]=x", "metadata[]"), ("metadata[a][b]=x", "metadata[a][b]")],
)  # fmt: skip
def test_a_query_is_checked(http: httpx.Client, query: str, place: str) -> None:
    refused = http.get(f"/v1/threads?{query}")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert refused.json()["errors"][0]["in"] == f"query.{place}"


@pytest.mark.parametrize(
    "query", ["limit=1&limit=2", "metadata[a]=1&metadata[a]=1", "metadata=1&metadata[a]=1"]
)
def test_a_parameter_is_named_once(http: httpx.Client, query: str) -> None:
    assert http.get(f"/v1/threads?{query}").status_code == 400


def test_an_unknown_parameter_of_a_write_is_refused(http: httpx.Client, thread: str) -> None:
    assert http.delete(f"{thread}?force=1").status_code == 422
    assert http.get(thread).status_code == 200


def test_a_cursor_is_one_that_was_given(http: httpx.Client) -> None:
    refused = http.get("/v1/threads?cursor=bm8")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-cursor")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/threads", {"GET", "HEAD", "POST"}),
     ("POST", "/v1/threads/x", {"GET", "HEAD", "PATCH", "DELETE"}),
     ("GET", "/v1/threads/x/fork", {"POST"}), ("TRACE", "/healthz", {"GET", "HEAD"})],
)  # fmt: skip
def test_a_path_says_which_methods_it_takes(
    http: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    refused = http.request(method, path)
    assert (refused.status_code, refused.json()["code"]) == (405, "method-not-allowed")
    assert set(refused.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/threads/", "/v1/threads/a/b", "/v1/threads//messages"])
def test_a_path_that_names_nothing(http: httpx.Client, path: str) -> None:
    absent = http.get(path)
    assert (absent.status_code, absent.json()["code"]) == (404, "not-found")
    assert absent.headers["content-type"] == "application/problem+json"


def test_head_is_get_without_the_body(http: httpx.Client, thread: str) -> None:
    head, get = http.head(thread), http.get(thread)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", get.headers["etag"])


def test_every_answer_says_how_long_it_took(http: httpx.Client) -> None:
    for path in ("/healthz", "/v1/threads", "/nothing"):
        headers = http.get(path).headers
        assert re.fullmatch(r"total;dur=\d+\.\d{3}", headers["server-timing"])
        assert headers["cache-control"] == "private, no-cache"
        assert headers["x-content-type-options"] == "nosniff"
        assert "chatstore-cost" not in headers


@pytest.mark.parametrize("query", ["metadata[a]=b&limit=5", "metadata%5Ba%5D=b&limit=5"])
def test_what_a_query_says_is_its_requests_own(query: str) -> None:
    def asked(form: type[Q], text: str) -> Q:
        scope = {"query_string": text.encode(), "raw_path": b"/", "headers": []}
        return filled(NoPath, form, NoHeaders, {}, scope)[1]

    one, other = asked(ThreadsQuery, query), asked(ThreadsQuery, query)
    assert one == other
    assert one.metadata == {"a": "b"}
    assert one.metadata is not other.metadata
    assert (asked(ThreadsQuery, "limit=5").limit, asked(MessagesQuery, "limit=5").limit) == (5, 5)
    assert type(asked(MessagesQuery, "limit=5")) is MessagesQuery
    for _ in range(2):
        with pytest.raises(Invalid, match="limit"):
            asked(MessagesQuery, "limit=0")
