from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore import uuid7

JSON = {"Content-Type": "application/json"}
EXACT = [
    '{"role":"user","n":1}',
    '{"role":"user","n":1.0}',
    '{"role":"user","n":true}',
    '{"z":1,"role":"user","a":{"c":1,"b":[null,false]}}',
    '{"role":"user","content":"Grüße 👋 \\u0000\\n\\"quoted\\""}',
    '{"role":"user","n":123456789012345678901234567890,"m":-0.0}',
    '{"role":"user","id":"mine","position":7,"etag":null}',
    '{"role":"user","messages":[{"role":"x"}],"create":false}',
    '{"role":"user","deep":' + "[" * 16 + "]" * 16 + "}",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sent(http: httpx.Client, path: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    answer = http.post(f"{path}/messages", json=list(messages))
    assert answer.status_code == 201, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.mark.parametrize("text", EXACT)
@pytest.mark.parametrize("form", ["{}", "[{}]", '{{"messages":[{}]}}'])
def test_a_message_comes_back_as_it_was_sent(http: httpx.Client, thread: str, text: str, form: str) -> None:
    body = form.format(text)
    answer = http.post(f"{thread}/messages", content=body.encode(), headers=JSON)
    assert answer.status_code == 201
    message = written(json.loads(text))
    assert f'"message":{message}}}' in answer.text
    assert f'"message":{message}}}' in http.get(f"{thread}/messages").text


@given(st.dictionaries(texts, values, max_size=4), texts.filter(bool))
@settings(max_examples=100, deadline=None)
def test_any_json_object_with_a_role_is_kept(http: httpx.Client, fields: dict[str, Any], role: str) -> None:
    message = {**fields, "role": role}
    path = f"/v1/threads/{uuid7()}/messages"
    stored = http.post(path, content=written(message).encode(), headers=JSON).json()["items"][0]
    assert f'"message":{written(message)}}}' in http.get(f"{path}/{stored['id']}").text


def test_an_entry_keeps_the_message_and_the_stores_fields_apart(http: httpx.Client, thread: str) -> None:
    [entry] = sent(http, thread, {"role": "user", "content": "hello"})
    assert list(entry) == [
        "id", "position", "created_at", "expires_at", "etag", "key", "metadata", "message",
    ]  # fmt: skip
    got = http.get(f"{thread}/messages/{entry['id']}")
    assert (got.json(), got.headers["etag"]) == (entry, f'"{entry["etag"]}"')
    same = http.get(f"{thread}/messages/{entry['id']}", headers={"If-None-Match": got.headers["etag"]})
    assert same.status_code == 304


def test_a_message_creates_its_thread_unless_told_not_to(http: httpx.Client) -> None:
    href = f"/v1/threads/{uuid7()}"
    body: dict[str, Any] = {"messages": [{"role": "user"}], "owner": "ann", "ttl": 60, "expires_in": 30.5}
    refused = http.post(f"{href}/messages", json={**body, "create": False})
    assert (refused.status_code, refused.json()["code"]) == (404, "thread-not-found")
    answer = http.post(f"{href}/messages", json=body)
    assert (answer.status_code, answer.json()["href"]) == (201, f"{href}/messages")
    assert http.get(href).json()["owner"] == "ann"
    assert http.get(href).json()["expires_at"] is not None


def test_each_message_of_a_turn_may_have_its_own_time(http: httpx.Client) -> None:
    path = f"/v1/threads/{uuid7()}/messages"
    body = {"messages": [{"role": "user"}] * 3, "expires_in": [60, None, 120.5], "create": True}
    for method in ("POST", "PUT"):
        items = http.request(method, path, json=body).json()["items"] or http.get(path).json()["items"]
        assert [one["expires_at"] is None for one in items] == [False, True, False]
    refused: list[Any] = [[60], [60] * 4, [60, None, 0], [60, None, "60"], [[60], None, None], "60", {}]
    for wrong in refused:
        answer = http.post(path, json={**body, "expires_in": wrong})
        assert answer.status_code in (400, 422)
        assert "expires_in" in answer.text
    assert len(http.get(path).json()["items"]) == 3


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", '"text"', "7", "null", '{"role":""}', '{"role":1}', '[{"role":"user"},{"content":"x"}]',
     '{"messages":[]}', '{"messages":[{"role":"user"}],"extra":1}',
     '{"messages":[{"role":"user"}],"create":"yes"}',
     '{"messages":[{"role":"user"}],"ttl":"60"}', '{"messages":[{"role":"user"}],"ttl":true}',
     '{"messages":[{"role":"user"}],"ttl":0}', '{"messages":[{"role":"user"}],"owner":""}'],
)  # fmt: skip
def test_what_is_no_message_changes_nothing(http: httpx.Client, body: str) -> None:
    path = f"/v1/threads/{uuid7()}"
    refused = http.post(f"{path}/messages", content=body, headers=JSON)
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid-request"
    assert refused.json()["errors"]
    assert http.get(path).status_code == 404


def test_pages_follow_their_links_both_ways(http: httpx.Client, thread: str) -> None:
    for n in range(7):
        sent(http, thread, {"role": "user", "n": n})

    def walk(first: str, parameter: str) -> list[list[int]]:
        page = http.get(f"{thread}/messages{first}")
        pages = []
        while True:
            pages.append([one["message"]["n"] for one in page.json()["items"]])
            if "next" not in page.links:
                assert page.json()["next"] is None
                return pages
            url = page.links["next"]["url"]
            assert url.startswith(f"{thread}/messages?")
            assert httpx.URL(url).params[parameter] == page.json()["next"]
            page = http.get(url)

    assert walk("?limit=3", "after") == [[0, 1, 2], [3, 4, 5], [6]]
    assert walk("?last=3", "before") == [[4, 5, 6], [1, 2, 3], [0]]
    middle = http.get(f"{thread}/messages?limit=5").json()["end"]
    assert walk(f"?before={middle}&limit=3", "before") == [[1, 2, 3], [0]]
    assert walk(f"?after={middle}", "after") == [[5, 6]]
    start = http.get(f"{thread}/messages?limit=1").json()["end"]
    assert walk(f"?after={start}&before={middle}&limit=2", "after") == [[1, 2], [3]]


def test_the_end_of_a_page_finds_what_comes_later(http: httpx.Client, thread: str) -> None:
    sent(http, thread, {"role": "user", "n": 1})
    end = http.get(f"{thread}/messages?last=1").json()["end"]
    assert http.get(f"{thread}/messages", params={"after": end}).json()["items"] == []
    sent(http, thread, {"role": "user", "n": 2})
    later = http.get(f"{thread}/messages", params={"after": end}).json()["items"]
    assert [one["message"]["n"] for one in later] == [2]


def test_an_unknown_thread_has_no_messages(http: httpx.Client) -> None:
    path = f"/v1/threads/{uuid7()}/messages"
    page = http.get(path)
    assert page.json() == {"items": [], "next": None, "end": None, "etag": None, "href": path}
    assert "etag" not in page.headers
    assert http.delete(path).json() == {"existed": False, "etag": None}


def test_a_cursor_ends_with_its_history(http: httpx.Client, thread: str) -> None:
    sent(http, thread, {"role": "user", "n": 1}, {"role": "user", "n": 2})
    cursor = http.get(f"{thread}/messages?limit=1").json()["next"]
    assert http.put(f"{thread}/messages", json=[{"role": "user", "n": 3}]).json()["kept"] == 0
    expired = http.get(f"{thread}/messages", params={"after": cursor})
    assert (expired.status_code, expired.json()["code"]) == (410, "cursor-expired")


def test_a_long_answer_is_a_shorter_page(http: httpx.Client, thread: str) -> None:
    for n in range(10):
        sent(http, thread, {"role": "user", "content": "x" * 6000, "n": n})
    found: list[int] = []
    url = f"{thread}/messages?limit=10"
    while url:
        page = http.get(url)
        assert 0 < len(page.json()["items"]) <= 3
        found += [one["message"]["n"] for one in page.json()["items"]]
        url = page.links["next"]["url"] if "next" in page.links else ""
    assert found == list(range(10))
    window = http.get(f"{thread}/messages?max_tokens=1000000").json()
    assert [one["message"]["n"] for one in window["items"]] == [7, 8, 9]


def test_a_window_says_how_large_it_is(http: httpx.Client, thread: str) -> None:
    roles = ["system", "user", "assistant", "user"]
    sent(http, thread, *({"role": role, "tokens": 10} for role in roles))
    window = http.get(f"{thread}/messages?max_tokens=20").json()
    assert [one["message"]["role"] for one in window["items"]] == ["system", "user"]
    assert window["tokens"] == {"total": 20, "counter": "messages"}
    unpinned = http.get(f"{thread}/messages?max_tokens=20&keep=").json()
    assert [one["message"]["role"] for one in unpinned["items"]] == ["assistant", "user"]
    pinned = http.get(f"{thread}/messages?max_tokens=30&keep=system,user").json()
    assert [one["message"]["role"] for one in pinned["items"]] == ["system", "user", "user"]
    sent(http, thread, {"role": "user"})
    assert http.get(f"{thread}/messages?max_tokens=90").json()["tokens"]["counter"] == "estimate"


@pytest.mark.parametrize(
    "query", ["last=1&limit=1", "last=1&after=0", "max_tokens=1&last=1", "max_tokens=1&limit=1", "keep=user"]
)
def test_ways_to_read_that_exclude_one_another(http: httpx.Client, thread: str, query: str) -> None:
    refused = http.get(f"{thread}/messages?{query}")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-argument")


def test_a_history_that_only_grew_keeps_its_messages(http: httpx.Client, thread: str) -> None:
    one, two = {"role": "user", "n": 1}, {"role": "user", "n": 2}
    [entry] = sent(http, thread, one)
    grown = http.put(f"{thread}/messages", json={"messages": [one, two]})
    assert (grown.status_code, grown.json()["kept"]) == (200, 1)
    assert [item["message"] for item in grown.json()["items"]] == [two]
    assert http.get(f"{thread}/messages").json()["items"][0] == entry
    assert http.put(f"{thread}/messages", json=[]).json()["items"] == []
    assert http.get(f"{thread}/messages").json()["items"] == []


def test_a_replacement_creates_a_thread_only_if_told_to(http: httpx.Client) -> None:
    path = f"/v1/threads/{uuid7()}/messages"
    assert http.put(path, json=[{"role": "user"}]).status_code == 404
    assert http.put(path, json={"messages": [{"role": "user"}], "create": True}).status_code == 200
    assert http.put(path, json={"role": "user"}).status_code == 422


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_log_is_written_only_as_it_was_read(http: httpx.Client, thread: str, method: str) -> None:
    body: dict[str, Any] = {} if method == "DELETE" else {"json": [{"role": "user", "n": 9}]}
    stale = http.post(f"{thread}/messages", json={"role": "user"}).headers["etag"]
    current = http.post(f"{thread}/messages", json={"role": "user"}).headers["etag"]
    refused = http.request(method, f"{thread}/messages", headers={"If-Match": stale}, **body)
    assert (refused.status_code, refused.headers["etag"]) == (412, current)
    assert http.get(f"{thread}/messages").headers["etag"] == current
    done = http.request(method, f"{thread}/messages", headers={"If-Match": current}, **body)
    assert done.status_code in {200, 201}
    assert done.headers["etag"] == http.get(f"{thread}/messages").headers["etag"] != current


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_history_can_be_asked_to_be_the_first(http: httpx.Client, thread: str, method: str) -> None:
    said, absent = {"role": "user", "content": "first"}, {"If-None-Match": "*"}
    path = f"/v1/threads/{uuid7()}/messages"
    key = {"Idempotency-Key": str(uuid7())}
    made = http.request(method, path, json=[said], headers={**absent, **key})
    assert made.is_success
    assert http.request(method, path, json=[said], headers={**absent, **key}).json() == made.json()
    for there in (path, f"{thread}/messages"):
        before = http.get(there)
        for form in ([said], {"messages": [said], "create": False}):
            refused = http.request(method, there, json=form, headers=absent)
            assert (refused.status_code, refused.json()["code"]) == (412, "conflict")
            assert refused.headers["etag"] == before.headers["etag"]
        assert http.get(there).content == before.content


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_no_message_is_changed_that_was_not_to_be_there(http: httpx.Client, thread: str, method: str) -> None:
    [entry] = sent(http, thread, {"role": "user", "content": "a"})
    body: dict[str, Any] = {} if method == "DELETE" else {"json": {"role": "user", "content": "c"}}
    path = f"{thread}/messages/{entry['id']}"
    assert http.request(method, path, headers={"If-None-Match": "*"}, **body).status_code == 412
    assert http.get(path).json() == entry


@pytest.mark.parametrize("query", ["", "?last=1", "?limit=1", "?max_tokens=100"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_messages_that_are_held_are_not_sent_again(
    http: httpx.Client, thread: str, query: str, form: str
) -> None:
    sent(http, thread, {"role": "user", "n": 1}, {"role": "user", "n": 2})
    path = f"{thread}/messages{query}"
    held = {"If-None-Match": form.format(http.get(path).headers["etag"])}
    same = http.get(path, headers=held)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == http.get(path).headers["etag"]
    assert http.get(f"/v1/threads/{uuid7()}/messages", headers=held).status_code == 200
    if form != "*":
        sent(http, thread, {"role": "user", "n": 3})
        assert http.get(path, headers=held).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_message_is_changed_only_as_it_was_read(http: httpx.Client, thread: str, method: str) -> None:
    [entry] = sent(http, thread, {"role": "user", "content": "a"})
    path, stale = f"{thread}/messages/{entry['id']}", f'"{entry["etag"]}"'
    replaced = http.put(path, json={"role": "user", "content": "b"}, headers={"If-Match": stale})
    assert {**replaced.json(), "etag": "", "message": {}} == {**entry, "etag": "", "message": {}}
    body: dict[str, Any] = {} if method == "DELETE" else {"json": {"role": "user", "content": "c"}}
    refused = http.request(method, path, headers={"If-Match": stale}, **body)
    assert (refused.status_code, refused.headers["etag"]) == (412, replaced.headers["etag"])
    assert http.get(path).json()["message"]["content"] == "b"
    assert (
        http.request(method, path, headers={"If-Match": replaced.headers["etag"]}, **body).status_code == 200
    )


def test_a_deleted_message_is_handed_back(http: httpx.Client, thread: str) -> None:
    first, second = sent(http, thread, {"role": "user", "n": 1}, {"role": "user", "n": 2})
    assert http.delete(f"{thread}/messages/{first['id']}").json() == first
    assert http.get(f"{thread}/messages").json()["items"] == [second]
    gone = http.get(f"{thread}/messages/{first['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "message-not-found")


def test_every_write_can_be_repeated(http: httpx.Client, thread: str) -> None:
    entries = sent(http, thread, *({"role": "user", "n": n} for n in range(4)))
    message = f"{thread}/messages/{entries[0]['id']}"
    writes: list[tuple[str, str, Any]] = [
        ("POST", f"{thread}/messages", {"role": "user", "n": 5}),
        ("PUT", message, {"role": "user", "n": 6}),
        ("DELETE", f"{thread}/messages/{entries[1]['id']}", None),
        ("PATCH", thread, {"topic": "x"}),
        ("POST", f"{thread}/fork", {}),
        ("PUT", f"{thread}/messages", [{"role": "user", "n": 7}]),
        ("DELETE", f"{thread}/messages", None),
        ("DELETE", thread, None),
    ]
    for method, path, body in writes:
        headers = {"Idempotency-Key": f'"{uuid7()}"'}
        first, second = (http.request(method, path, json=body, headers=headers) for _ in range(2))
        assert first.is_success, first.text
        assert (second.status_code, second.content) == (first.status_code, first.content)


def test_a_repeated_turn_is_stored_once(http: httpx.Client, thread: str) -> None:
    now = format_datetime(datetime.now(UTC), usegmt=True)
    for headers in (
        {"Idempotency-Key": "opaque"},
        {"Repeatability-Request-ID": "other", "Repeatability-First-Sent": now},
    ):
        for _ in range(3):
            assert http.post(f"{thread}/messages", json={"role": "user"}, headers=headers).status_code == 201
    assert len(http.get(f"{thread}/messages").json()["items"]) == 2


@pytest.mark.parametrize("age", [timedelta(days=2), timedelta(minutes=-10)])
def test_a_request_from_outside_its_window_is_refused(
    http: httpx.Client, thread: str, age: timedelta
) -> None:
    sent_at = datetime.now(UTC) - age
    for headers in (
        {
            "Repeatability-Request-ID": "r",
            "Repeatability-First-Sent": format_datetime(sent_at, usegmt=True),
        },
        {"Idempotency-Key": uuid7(int(sent_at.timestamp() * 1000))},
    ):
        refused = http.post(f"{thread}/messages", json={"role": "user"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "request-expired")
    assert http.get(f"{thread}/messages").json()["items"] == []


@pytest.mark.parametrize(
    "headers",
    [{"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Repeatability-First-Sent": "yesterday"}],
)
def test_a_request_id_is_written_plainly(http: httpx.Client, thread: str, headers: dict[str, str]) -> None:
    refused = http.post(f"{thread}/messages", json={"role": "user"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
