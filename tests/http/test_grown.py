"""What goes with an append, cuts, metadata and keys of messages, lists, searches and changes, on the wire."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from chatstore.paths import segment


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def texts(http: httpx.Client, thread: str) -> list[str]:
    return [one["message"]["content"] for one in http.get(f"{thread}/messages").json()["items"]]


def append(http: httpx.Client, thread: str, *said: str, **envelope: object) -> httpx.Response:
    return http.post(f"{thread}/messages", json={"messages": [say(one) for one in said], **envelope})


def test_a_turn_is_cut_in_and_the_thread_patched_in_one_step(http: httpx.Client, thread: str) -> None:
    first, *_ = append(http, thread, "a", "b", "c").json()["items"]
    etag = http.get(thread).json()["etag"]
    patch = {"topic": "again", "metadata": {"n": 1}}
    stale = append(http, thread, "x", after=first["id"], patch=patch, if_thread='"stale"')
    assert (stale.status_code, stale.json()["current"]) == (412, etag)
    assert texts(http, thread) == ["a", "b", "c"]
    added = append(http, thread, "d", after=first["id"], patch=patch, if_thread=f'"{etag}"')
    assert added.status_code == 201
    found = http.get(thread).json()
    assert (found["topic"], found["metadata"], found["etag"]) == (
        "again",
        {"n": 1},
        added.json()["thread_etag"],
    )
    assert texts(http, thread) == ["a", "d"]


def test_an_append_makes_the_thread_with_all_that_it_is_to_have(http: httpx.Client) -> None:
    thread = "/v1/threads/made-whole"
    created = append(
        http, thread, "a", topic="T", thread_metadata={"n": 1}, participants=[{"id": "p"}], kind="state",
        ttl=60, sliding=True,
    )  # fmt: skip
    found = http.get(thread).json()
    assert created.status_code == 201
    assert (found["topic"], found["metadata"], found["kind"], found["sliding"]) == (
        "T",
        {"n": 1},
        "state",
        60,
    )
    assert [one["id"] for one in found["participants"]] == ["p"]


def test_a_history_is_cut_and_what_stays_is_what_it_was(http: httpx.Client, thread: str) -> None:
    items = append(http, thread, "a", "b", "c", key=["k", None, "ü/&"]).json()["items"]
    page = http.get(f"{thread}/messages").json()
    cut = http.delete(f"{thread}/messages", params={"from": "key:ü/&"}, headers={"If-Match": page["etag"]})
    assert (cut.status_code, cut.json()["items"], cut.json()["kept"]) == (200, [], 0)
    assert cut.headers["etag"] == f'"{cut.json()["etag"]}"' != f'"{page["etag"]}"'
    assert http.get(f"{thread}/messages").json()["items"] == items[:2]
    assert http.get(f"{thread}/messages", params={"after": page["end"]}).json()["items"] == []
    stale = http.delete(f"{thread}/messages?after={items[0]['id']}", headers={"If-Match": page["etag"]})
    assert stale.status_code == 412
    assert http.delete(f"{thread}/messages?after=key:k").status_code == 200
    assert texts(http, thread) == ["a"]
    gone = http.delete(f"{thread}/messages?after={items[1]['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "message-not-found")
    both = http.delete(f"{thread}/messages?after=key:k&from=key:k")
    assert (both.status_code, both.json()["code"]) == (422, "invalid-argument")
    assert http.delete(f"{thread}/messages").json()["existed"]
    assert texts(http, thread) == []


def test_a_key_is_taken_once_and_names_its_message(http: httpx.Client, thread: str) -> None:
    key = "Zürich/1 & 2"
    [first] = append(http, thread, "a", key=key).json()["items"]
    again = append(http, thread, "b", key=key)
    assert (again.status_code, again.json()["code"]) == (409, "message-exists")
    assert (again.json()["message_id"], again.json()["key"]) == (first["id"], key)
    assert first["key"] == key
    named = f"{thread}/messages/{segment(f'key:{key}')}"
    assert http.get(named).json() == first
    plain = append(http, thread, "c", key="ä b").json()["items"][0]
    assert http.get(f"{thread}/messages/key:{quote('ä b')}").json() == plain
    for name in (f"key:{key}", first["id"]):
        page = http.get(f"{thread}/messages", params={"after": name, "limit": 1})
        assert page.json()["items"] == [plain]
    assert http.get(f"{thread}/messages", params={"before": "key:ä b"}).json()["items"] == [first]
    assert http.put(named, json=say("new")).json()["message"] == say("new")
    assert http.delete(named).json()["key"] == key
    assert http.get(named).status_code == 404


def test_a_link_from_a_key_leads_to_the_next_page(http: httpx.Client, thread: str) -> None:
    append(http, thread, "a", "b", "c", "d", key=["x&y=ü", None, None, "end #"])
    page = http.get(f"{thread}/messages", params={"after": "key:x&y=ü", "before": "key:end #", "limit": 1})
    assert [one["message"]["content"] for one in page.json()["items"]] == ["b"]
    following = http.get(page.links["next"]["url"])
    assert [one["message"]["content"] for one in following.json()["items"]] == ["c"]


def test_metadata_changes_beside_what_was_sent(http: httpx.Client, thread: str) -> None:
    sent = b'{"messages":[{"role":"user","n":1.0}],"metadata":{"state":"partial","big":1e400}}'
    refused = http.post(f"{thread}/messages", content=sent, headers={"Content-Type": "application/json"})
    assert refused.status_code == 400
    [one] = append(http, thread, "a", metadata={"state": "partial"}).json()["items"]
    path = f"{thread}/messages/{one['id']}"
    assert (one["metadata"], one["key"]) == ({"state": "partial"}, None)
    rated = http.patch(path, json={"metadata": {"rating": 5}}).json()
    assert rated["metadata"] == {"state": "partial", "rating": 5}
    assert (rated["message"], rated["position"]) == (one["message"], one["position"])
    grown = http.patch(path, json={"message": say("ab"), "metadata": {"state": None}}).json()
    assert (grown["message"], grown["metadata"]) == (say("ab"), {"rating": 5})
    whole = http.patch(
        path, json={"metadata": {"x": None}, "merge": False}, headers={"If-Match": grown["etag"]}
    )
    assert whole.json()["metadata"] == {"x": None}
    assert http.patch(path, json={"metadata": {}}, headers={"If-Match": grown["etag"]}).status_code == 412
    assert http.patch(path, json={"metadata": None}).json()["metadata"] == {}
    assert http.patch(path, json={"merge": False}).status_code == 422
    assert http.patch(path, json={"metadata": {"x": "x" * 16_384}}).status_code == 422


def test_metadata_of_a_thread_is_merged_or_replaced(http: httpx.Client) -> None:
    path = http.post("/v1/threads", json={"metadata": {"a": 1, "b": 2}}).json()["href"]
    assert http.patch(path, json={"metadata": {"a": None}}).json()["metadata"] == {"b": 2}
    assert http.patch(path, json={"metadata": {"c": None}, "merge": False}).json()["metadata"] == {"c": None}
    slid = http.patch(path, json={"ttl": 3600, "sliding": True}).json()
    assert slid["sliding"] == 3600
    assert http.patch(path, json={"sliding": True}).status_code == 422


def test_a_fork_says_where_it_came_from(http: httpx.Client) -> None:
    path = http.post("/v1/threads", json={"owner": "forker", "topic": "T", "metadata": {"a": 1}}).json()[
        "href"
    ]
    append(http, path, "a", "b", "c", key=["1", "2", "3"])
    first = http.get(f"{path}/messages/key:1").json()
    fork = http.post(
        f"{path}/fork",
        json={"before": "key:2", "topic": "other", "metadata": {"b": 2}, "merge": False, "owner": None},
    ).json()
    source = http.get(path).json()["id"]
    assert fork["forked_from"] == {"thread": source, "message": first["id"]}
    assert (fork["topic"], fork["metadata"], fork["owner"]) == ("other", {"b": 2}, None)
    assert texts(http, fork["href"]) == ["a"]
    listed = http.get("/v1/threads", params={"forked_from": source}).json()["items"]
    assert [one["id"] for one in listed] == [fork["id"]]


def test_lists_show_what_is_looked_for(http: httpx.Client) -> None:
    for topic in ("Lisbon", "Lima", "Oslo"):
        thread = http.post("/v1/threads", json={"owner": "lister", "topic": topic}).json()["href"]
        append(http, thread, "first", f"  about\n{topic}  ")
    hidden = http.post("/v1/threads", json={"owner": "lister", "kind": "state"}).json()

    def topics(**query: str) -> list[str | None]:
        found = http.get("/v1/threads", params={"owner": "lister", **query}).json()["items"]
        return [one["topic"] for one in found]

    assert topics(topic_prefix="Li") == ["Lima", "Lisbon"]
    assert topics(order="oldest") == ["Lisbon", "Lima", "Oslo"]
    assert (topics(kind="state"), len(topics(kind="*"))) == ([None], 4)
    assert topics(created_since=hidden["created_at"]) == []
    assert topics(active_before=hidden["created_at"]) == ["Oslo", "Lima", "Lisbon"]
    page = http.get("/v1/threads?owner=lister&preview=true&order=oldest&limit=2")
    assert [(one["message_count"], one["preview"]) for one in page.json()["items"]] == [
        (2, "about Lisbon"), (2, "about Lima"),
    ]  # fmt: skip
    following = http.get(page.links["next"]["url"]).json()["items"]
    assert [(one["topic"], one["preview"]) for one in following] == [("Oslo", "about Oslo")]
    assert "preview" not in http.get("/v1/threads?owner=lister").json()["items"][0]
    assert http.get("/v1/count?owner=lister").json() == {"threads": 3}
    assert http.get("/v1/count?owner=lister&kind=*").json() == {"threads": 4}
    assert http.put("/v1/threads/count/messages", json={"messages": [], "create": True}).status_code == 200
    assert http.get("/v1/threads/count").json()["id"] == "count"


def test_a_search_finds_page_after_page(http: httpx.Client) -> None:
    thread = http.post("/v1/threads", json={"owner": "searcher"}).json()
    for said in ("a Zeppelin", "no", "zeppelin two", "another ZÉPPELIN", "zeppelin " + "x" * 9000):
        append(http, thread["href"], said)
    page = http.get("/v1/search", params={"text": "zeppelin", "owner": "searcher", "limit": 2})
    [newest, second] = page.json()["items"]
    assert (newest["thread_id"], newest["href"]) == (thread["id"], thread["href"])
    assert newest["snippet"].startswith("zeppelin xxx")
    assert second["entry"]["message"] == say("another ZÉPPELIN")
    following = http.get(page.links["next"]["url"]).json()
    assert [one["entry"]["message"]["content"] for one in following["items"]] == [
        "zeppelin two",
        "a Zeppelin",
    ]
    assert http.get("/v1/search?text=%20").status_code == 422
    assert http.get("/v1/search").status_code == 422
    assert http.get("/v1/search?text=zeppelin&order=worst").status_code == 422


def test_a_search_and_a_list_are_no_longer_than_an_answer_may_be(http: httpx.Client) -> None:
    thread = http.post("/v1/threads", json={"owner": "talker"}).json()["href"]
    for n in range(5):
        append(http, thread, f"chatter {n} " + "x" * 9000)
    found, address = [], "/v1/search?text=chatter&owner=talker"
    while True:
        page = http.get(address)
        assert len(page.content) <= 22_000
        found += [one["entry"]["message"]["content"].split()[1] for one in page.json()["items"]]
        if "next" not in page.links:
            break
        address = page.links["next"]["url"]
    assert found == ["4", "3", "2", "1", "0"]


def test_what_changed_is_told_and_of_late_again(http: httpx.Client) -> None:
    made = [http.post("/v1/threads", json={"kind": "told"}).json()["id"] for _ in range(3)]
    page = http.get("/v1/changes?kind=told").json()
    assert [one["id"] for one in page["items"]] == made
    again = http.get("/v1/changes", params={"kind": "told", "cursor": page["next"]}).json()
    assert again["items"] == page["items"]
    assert len(http.get("/v1/changes?kind=told&limit=2").json()["items"]) == 2
    assert http.get("/v1/changes?cursor=none").status_code == 422


@pytest.mark.parametrize("path", ["/v1/search", "/v1/changes", "/v1/count", "/v1/threads/{id}/messages"])
def test_each_new_operation_has_an_example(http: httpx.Client, path: str) -> None:
    operations = http.get("/openapi.json").json()["paths"][path].values()
    assert any("Example: `" in one["description"] for one in operations)
