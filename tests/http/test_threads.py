from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from chatstore import uuid7


def test_a_created_thread_is_where_the_answer_says(http: httpx.Client) -> None:
    new = {
        "id": uuid7(),
        "topic": "Holidays",
        "owner": "ann",
        "metadata": {"deep": {"n": 1.0}, "flag": True},
        "participants": [{"id": "ann", "display_name": "Ann", "metadata": {"k": 1}}, {"id": ""}],
        "ttl": 60,
    }
    created = http.post("/v1/threads", json=new)
    thread = created.json()
    assert created.status_code == 201
    assert created.headers["location"] == thread["href"] == f"/v1/threads/{new['id']}"
    assert created.headers["etag"] == f'"{thread["etag"]}"'
    assert http.get(thread["href"]).json() == thread
    assert list(thread) == [
        "id", "href", "owner", "topic", "metadata", "participants", "created_at", "active_at", "expires_at",
        "kind", "sliding", "forked_from", "etag",
    ]  # fmt: skip
    assert {name: thread[name] for name in ("id", "topic", "owner", "metadata")} == {
        name: new[name] for name in ("id", "topic", "owner", "metadata")
    }
    assert thread["participants"][1] == {"id": "", "display_name": None, "metadata": {}}
    assert thread["created_at"] < thread["expires_at"]


def test_a_thread_needs_no_body(http: httpx.Client) -> None:
    created = http.post("/v1/threads")
    assert created.status_code == 201
    assert http.get(created.headers["location"]).json()["owner"] is None


def test_a_second_thread_of_an_id_is_refused(http: httpx.Client, thread: str) -> None:
    again = http.post("/v1/threads", json={"id": thread.rpartition("/")[2]})
    assert (again.status_code, again.json()["code"]) == (409, "thread-exists")


def test_a_patch_merges_metadata_and_removes_what_is_null(http: httpx.Client) -> None:
    thread = http.post(
        "/v1/threads", json={"topic": "a", "metadata": {"x": 1, "y": {"z": 2, "w": 3}}, "ttl": 9}
    ).json()
    patch = {
        "metadata": {"x": None, "y": {"z": 4}},
        "topic": None,
        "ttl": None,
        "participants": [{"id": "bob"}],
    }
    changed = http.request(
        "PATCH", thread["href"], json=patch, headers={"Content-Type": "application/merge-patch+json"}
    ).json()
    assert changed["metadata"] == {"y": {"z": 4, "w": 3}}
    assert (changed["topic"], changed["expires_at"]) == (None, None)
    assert [one["id"] for one in changed["participants"]] == ["bob"]
    unchanged = http.patch(thread["href"], json={}).json()
    assert {**unchanged, "etag": ""} == {**changed, "etag": ""}
    assert http.patch(thread["href"], json={"metadata": None, "participants": None}).json()["metadata"] == {}


def test_the_owner_of_a_thread_stays(http: httpx.Client, thread: str) -> None:
    refused = http.patch(thread, json={"owner": "bob"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert "owner" in refused.json()["detail"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_thread_is_changed_only_as_it_was_read(http: httpx.Client, thread: str, method: str) -> None:
    body: Mapping[str, Any] = {"json": {"topic": "mine"}} if method == "PATCH" else {}
    stale = http.get(thread).headers["etag"]
    current = http.patch(thread, json={"topic": "theirs"}).headers["etag"]
    refused = http.request(method, thread, headers={"If-Match": stale}, **body)
    assert (refused.status_code, refused.json()["code"]) == (412, "conflict")
    assert refused.headers["etag"] == current == f'"{refused.json()["current"]}"'
    assert http.get(thread).json()["topic"] == "theirs"
    assert http.request(method, thread, headers={"If-Match": current}, **body).status_code == 200


def test_any_etag_is_met_by_a_star_if_there_is_something(http: httpx.Client, thread: str) -> None:
    assert http.patch(thread, json={"topic": "x"}, headers={"If-Match": "*"}).status_code == 200
    absent = http.delete(f"/v1/threads/{uuid7()}", headers={"If-Match": "*"})
    assert (absent.status_code, absent.json()["current"]) == (412, None)
    assert "etag" not in absent.headers


@pytest.mark.parametrize("form", ["{0}", '"{0}"', '"x", "{0}"', '"{0}","x"', "x, {0}", 'W/"x", "{0}"'])
def test_one_etag_of_a_list_has_to_hold_in_quotes_or_not(http: httpx.Client, thread: str, form: str) -> None:
    etag = http.get(thread).json()["etag"]
    changed = http.patch(thread, json={"topic": "new"}, headers={"If-Match": form.format(etag)})
    assert changed.status_code == 200
    refused = http.patch(thread, json={"topic": "x"}, headers={"If-Match": form.format(etag)})
    assert (refused.status_code, refused.json()["current"]) == (412, changed.json()["etag"])


@pytest.mark.parametrize("form", ['W/"{0}"', 'W/"{0}", "x"', '"x", "y"', "W/{0}", "{0}x"])
def test_a_weak_etag_or_another_never_holds(http: httpx.Client, thread: str, form: str) -> None:
    etag = http.get(thread).json()["etag"]
    refused = http.delete(thread, headers={"If-Match": form.format(etag)})
    assert (refused.status_code, refused.json()["current"]) == (412, etag)
    assert http.get(thread).status_code == 200


@pytest.mark.parametrize("condition", ['"a', "", "a b", '"a" "b"', ",", '""'])
def test_what_is_no_etag_is_malformed(http: httpx.Client, thread: str, condition: str) -> None:
    refused = http.delete(thread, headers={"If-Match": condition})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
    assert "If-Match" in refused.json()["detail"]
    assert http.get(thread).status_code == 200


def test_a_write_that_asks_for_nothing_to_be_there(http: httpx.Client, thread: str) -> None:
    absent = {"If-None-Match": "*"}
    for method, body in (("PATCH", {"topic": "x"}), ("DELETE", None)):
        refused = http.request(method, thread, json=body, headers=absent)
        assert (refused.status_code, refused.json()["code"]) == (412, "conflict")
    assert http.delete(f"/v1/threads/{uuid7()}", headers=absent).json()["existed"] is False
    both = http.delete(f"/v1/threads/{uuid7()}", headers={**absent, "If-Match": "*"})
    assert both.status_code == 412
    etag = http.get(thread).headers["etag"]
    refused = http.patch(thread, json={"topic": "x"}, headers={"If-None-Match": etag})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
    assert "takes only * as If-None-Match" in refused.json()["detail"]


@pytest.mark.parametrize("form", ["{}", 'W/{}, "other"', '"other", {}'])
def test_a_thread_that_is_held_is_not_sent_again(http: httpx.Client, thread: str, form: str) -> None:
    etag = http.get(thread).headers["etag"]
    same = http.get(thread, headers={"If-None-Match": form.format(etag)})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    http.patch(thread, json={"topic": "new"})
    assert http.get(thread, headers={"If-None-Match": form.format(etag)}).json()["topic"] == "new"


def test_a_deleted_thread_is_gone_with_its_messages(http: httpx.Client, thread: str) -> None:
    http.post(f"{thread}/messages", json={"role": "user"})
    assert http.delete(thread).json() == {"existed": True, "etag": None}
    assert http.delete(thread).json() == {"existed": False, "etag": None}
    gone = http.get(thread)
    assert (gone.status_code, gone.json()["code"]) == (404, "thread-not-found")
    assert http.get(f"{thread}/messages").json()["items"] == []


def test_a_listing_is_filtered_and_paged_by_its_links(http: httpx.Client) -> None:
    owner = f"owner-{uuid7()}"
    hrefs = [
        http.post("/v1/threads", json={"owner": owner, "metadata": {"kind": "a&b", "n": n}}).json()["href"]
        for n in range(5)
    ]
    http.post("/v1/threads", json={"owner": owner, "metadata": {"kind": "c"}})
    found = []
    page = http.get("/v1/threads", params={"owner": owner, "metadata[kind]": "a&b", "limit": 2})
    while True:
        assert len(page.json()["items"]) <= 2
        found += [one["href"] for one in page.json()["items"]]
        assert ("next" in page.links) == (page.json()["next"] is not None)
        if "next" not in page.links:
            break
        assert page.links["next"]["url"].startswith("/v1/threads?")
        page = http.get(page.links["next"]["url"])
    assert found == hrefs[::-1]


def test_a_listing_that_would_be_too_long_is_shorter_pages(http: httpx.Client) -> None:
    owner = f"owner-{uuid7()}"
    sizes = [9_000, 9_000, 9_000, 30_000, 100, 100, 9_000]  # an answer holds 20,000
    hrefs = [
        http.post("/v1/threads", json={"owner": owner, "metadata": {"x": "é" * (size // 2)}}).json()["href"]
        for size in sizes
    ]
    pages = [http.get("/v1/threads", params={"owner": owner, "limit": 7})]
    while "next" in pages[-1].links:
        pages.append(http.get(pages[-1].links["next"]["url"]))
    assert [one["href"] for page in pages for one in page.json()["items"]] == hrefs[::-1]
    assert [len(page.json()["items"]) for page in pages] == [3, 1, 2, 1]


def test_metadata_is_compared_as_text(http: httpx.Client) -> None:
    owner = f"owner-{uuid7()}"
    http.post("/v1/threads", json={"owner": owner, "metadata": {"n": 1}})
    text = http.post("/v1/threads", json={"owner": owner, "metadata": {"n": "1"}}).json()["id"]
    items = http.get("/v1/threads", params={"owner": owner, "metadata[n]": "1"}).json()["items"]
    assert [one["id"] for one in items] == [text]


def test_a_listing_begins_at_a_time(http: httpx.Client) -> None:
    owner = f"owner-{uuid7()}"
    created = http.post("/v1/threads", json={"owner": owner}).json()["created_at"]

    def count(since: str) -> int:
        return len(http.get("/v1/threads", params={"owner": owner, "active_since": since}).json()["items"])

    assert count(created) == count("0000-01-01T00:00:00Z") == count("1985-04-12T23:20:50.52-07:00") == 1
    assert count("9999-12-31T23:59:60+00:00") == 0


@pytest.mark.parametrize("time", ["2026-01-31", "2026-01-31T12:00:00", "1700000000", "2026-13-31T12:00:00Z"])
def test_a_time_has_its_zone(http: httpx.Client, time: str) -> None:
    refused = http.get("/v1/threads", params={"active_since": time})
    assert (refused.status_code, refused.json()["errors"][0]["in"]) == (422, "query.active_since")


def test_a_fork_has_the_messages_up_to_one(http: httpx.Client, thread: str) -> None:
    http.patch(thread, json={"topic": "origin"})
    entries = http.post(f"{thread}/messages", json=[{"role": "user", "n": n} for n in range(3)]).json()[
        "items"
    ]
    forked = http.post(f"{thread}/fork", json={"through": entries[1]["id"]})
    assert (forked.status_code, forked.headers["location"]) == (201, forked.json()["href"])
    copies = http.get(f"{forked.json()['href']}/messages").json()["items"]
    assert [one["message"] for one in copies] == [one["message"] for one in entries[:2]]
    assert not {one["id"] for one in copies} & {one["id"] for one in entries}
    assert http.get(forked.headers["location"]).json()["topic"] == "origin"
    everything = http.post(f"{thread}/fork")
    assert len(http.get(f"{everything.headers['location']}/messages").json()["items"]) == 3
    taken = http.post(f"{thread}/fork", json={"id": forked.json()["id"]})
    assert taken.status_code == 409
    assert http.post(f"{thread}/fork", json={"through": "none"}).json()["code"] == "message-not-found"


def test_repetitions_of_a_creation_get_the_first_thread(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid7()}
    first, second = (http.post("/v1/threads", json={"topic": "one"}, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    other = http.post("/v1/threads", json={"topic": "two"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "request-mismatch")
