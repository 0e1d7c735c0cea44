"""What OpenAI's clients do with conversations, the same wherever the service runs."""

from __future__ import annotations

from typing import Any

from tests.openai.sdk import Sdk

UNKNOWN = {"type": "quantum_call", "spin": [1, -0.5, None], "note": {"deep": [{"er": "\u2028 \U0001f642"}]}}


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


def text_of(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])


def every_method(sdk: Sdk) -> None:
    made = sdk.call("create", items=[said("hello")], metadata={"topic": "greeting"})
    name = made["id"]
    assert made["object"] == "conversation"
    assert made["metadata"] == {"topic": "greeting"}
    assert sdk.call("retrieve", conversation_id=name) == made
    changed = sdk.call("update", conversation_id=name, metadata={"other": "x"})
    assert changed == {**made, "metadata": {"other": "x"}}

    answer = {"type": "message", "role": "assistant", "content": "hi", "id": "msg_of_mine"}
    added = sdk.call(
        "items.create", conversation_id=name, items=[answer, UNKNOWN], include=["reasoning.encrypted_content"]
    )
    first, second = added["data"]
    assert (added["object"], added["has_more"]) == ("list", False)
    assert (added["first_id"], added["last_id"]) == (first["id"], second["id"])
    assert (first["status"], first["content"][0]["type"], text_of(first)) == (
        "completed",
        "output_text",
        "hi",
    )
    assert first["id"].startswith("msg_")
    assert first["id"] != "msg_of_mine"
    assert {key: second[key] for key in UNKNOWN} == UNKNOWN
    for item in (first, second):
        found = sdk.call(
            "items.retrieve", conversation_id=name, item_id=item["id"], include=["file_search_call.results"]
        )
        assert found["id"] == item["id"]
    listed = sdk.call(
        "items.list",
        conversation_id=name,
        order="asc",
        include=["message.output_text.logprobs"],
        collect=True,
    )
    assert [one["id"] for one in listed[1:]] == [first["id"], second["id"]]
    assert listed[0]["content"] == [{"type": "input_text", "text": "hello"}]

    gone = sdk.call("items.delete", conversation_id=name, item_id=first["id"])
    assert {key: gone[key] for key in changed} == changed
    assert sdk.fails("items.retrieve", conversation_id=name, item_id=first["id"])["status_code"] == 404
    assert sdk.fails("items.list", conversation_id=name, after=first["id"])["error"] == "NotFoundError"
    deleted = sdk.call("delete", conversation_id=name)
    assert (deleted["id"], deleted["object"], deleted["deleted"]) == (name, "conversation.deleted", True)
    assert sdk.fails("retrieve", conversation_id=name)["message"].endswith(
        f"Conversation with id '{name}' not found."
    )
    assert sdk.fails("items.list", conversation_id=name)["error"] == "NotFoundError"


def pages(sdk: Sdk) -> None:
    name = sdk.call("create")["id"]
    assert sdk.call("items.list", conversation_id=name)["first_id"] is None
    for start in (0, 20):
        items = [said(f"{start + n}") for n in range(20 if start == 0 else 5)]
        sdk.call("items.create", conversation_id=name, items=items)
    expected = [str(n) for n in range(25)]
    for order, wanted in (("asc", expected), ("desc", expected[::-1])):
        found = sdk.call("items.list", conversation_id=name, order=order, limit=10, collect=True)
        assert [text_of(one) for one in found] == wanted
    page = sdk.call("items.list", conversation_id=name)
    assert (len(page["data"]), page["has_more"], page["first_id"]) == (20, True, page["data"][0]["id"])
    rest = sdk.call("items.list", conversation_id=name, after=page["last_id"])
    assert ([text_of(one) for one in rest["data"]], rest["has_more"]) == (expected[4::-1], False)


def beyond(sdk: Sdk) -> None:
    """What this service has and OpenAI's has not, and the same conversation at the native face."""
    name = sdk.call(
        "create", items=[said(str(n)) for n in range(5)], more={"body": {"ttl": 3600, "owner": "cy"}}
    )["id"]
    native = sdk.raw("get", f"/threads/{name}/messages")["items"]
    assert [one["message"] for one in native] == [said(str(n)) for n in range(5)]
    thread = sdk.raw("get", f"/threads/{name}")
    assert thread["owner"] == "cy"
    assert thread["expires_at"] is not None
    listed = sdk.call("items.list", conversation_id=name, order="asc", collect=True)
    sdk.raw("delete", f"/conversations/{name}/items", after=listed[3]["id"])
    sdk.raw("delete", f"/conversations/{name}/items", **{"from": listed[2]["id"]})
    left = sdk.call("items.list", conversation_id=name, order="asc", collect=True)
    assert [text_of(one) for one in left] == ["0", "1"]
    others = [sdk.call("create", more={"body": {"owner": "cy"}})["id"] for _ in range(2)]
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = sdk.raw("get", "/conversations", owner="cy", limit=2, **after)
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert sorted(found) == sorted([name, *others])
    for one in found:
        sdk.call("delete", conversation_id=one)


ALL = (every_method, pages, beyond)
