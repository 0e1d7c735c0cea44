"""What the clients of Azure Communication Services do and are told, unmodified, over TLS."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acs.sdk import Sdk, Speaker

FORBIDDEN = 403, "Forbidden"


def texts(found: list[dict[str, Any]]) -> list[str | None]:
    """What was said, the newest first."""
    return [one.get("text") for one in found if one["type"] in ("text", "html")]


def error_of(sdk: Sdk, status: int) -> str:
    """What this client raises for a status."""
    if sdk.kind == "javascript":
        return "RestError"
    return {401: "ClientAuthenticationError", 404: "ResourceNotFoundError"}.get(status, "HttpResponseError")


def is_refused(sdk: Sdk, do: str, thread: str | None = None, status: Any = 403, **args: Any) -> bool:
    code = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}[status]
    return sdk.fails(do, thread, **args) == (error_of(sdk, status), status, code)


def test_a_conversation_of_three(everywhere: Sdk) -> None:
    ada, bob, cleo, dan = (everywhere.of(f"8:acs:{name}") for name in ("ada", "bob", "cleo", "dan"))
    made = ada(
        "create",
        topic="plans",
        participants=[{"id": bob.user, "name": "Bob"}, {"id": ada.user, "name": "Ada"}],
    )
    assert (made["topic"], made["creator"], made["errors"]) == ("plans", ada.user, [])
    thread = made["id"]
    assert ada("properties", thread) == {name: value for name, value in made.items() if name != "errors"}

    first = ada("send", thread, text="hello, \u00e9 \U0001f642", name="Ada", metadata={"a": "b"})
    second = bob("send", thread, text="<b>hi</b>", type="html")
    found = bob("messages", thread)
    assert [one["type"] for one in found] == ["html", "text", "topicUpdated", "participantAdded"]
    assert [one["id"] for one in found[:2]] == [second, first]
    numbers = [int(one["sequence"]) for one in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4
    assert (found[0]["text"], found[0]["sender"]) == ("<b>hi</b>", bob.user)
    assert (found[1]["text"], found[1]["sender"], found[1]["name"], found[1]["metadata"]) == (
        "hello, \u00e9 \U0001f642", ada.user, "Ada", {"a": "b"},
    )  # fmt: skip
    assert (found[2]["topic"], found[2]["initiator"]) == ("plans", ada.user)
    assert (found[3]["participants"], found[3]["initiator"]) == ([ada.user, bob.user], ada.user)
    assert [one["id"] for one in bob("messages", thread, size=1)] == [one["id"] for one in found]
    assert bob("get", thread, id=first) == found[1]

    ada("edit", thread, id=first, text="hello", metadata={"c": "d"})
    edited = bob("get", thread, id=first)
    assert (edited["text"], edited["metadata"]) == ("hello", {"a": "b", "c": "d"})
    assert edited["edited"] >= edited["created"]
    assert edited["sequence"] == found[1]["sequence"]
    assert edited["version"] != found[1]["version"]
    for do in ("edit", "delete"):
        assert is_refused(bob, do, thread, id=first, **({"text": "x"} if do == "edit" else {}))
        assert is_refused(bob, do, thread, id=found[2]["id"], **({"text": "x"} if do == "edit" else {}))
    bob("delete", thread, id=second)
    bob("delete", thread, id=second)
    deleted = ada("get", thread, id=second)
    assert deleted["deleted"] is not None
    assert deleted.get("text") is None
    assert is_refused(bob, "edit", thread, 404, id=second, text="back")
    assert is_refused(bob, "get", thread, 404, id=str(uuid.uuid4()))

    ada("topic", thread, topic="new plans")
    assert bob("properties", thread)["topic"] == "new plans"
    assert ada("messages", thread)[0]["topic"] == "new plans"

    before = datetime.fromisoformat(ada("messages", thread)[0]["created"]) + timedelta(milliseconds=2)
    shared = {"id": cleo.user, "name": "Cleo", "since": before.isoformat()}
    long = f"8:acs:{'x' * 300}"
    assert bob("add", thread, participants=[shared, {"id": ada.user, "name": "not Ada"}, {"id": long}]) == [
        long
    ]
    people = ada("participants", thread)
    assert [(one["id"], one["name"]) for one in people] == [
        (ada.user, "Ada"), (bob.user, "Bob"), (cleo.user, "Cleo"),
    ]  # fmt: skip
    assert datetime.fromisoformat(people[2]["since"]) == before.replace(
        microsecond=before.microsecond if cleo.kind != "javascript" else before.microsecond // 1000 * 1000
    )
    assert [one["id"] for one in ada("participants", thread, size=1)] == [one["id"] for one in people]
    third = ada("send", thread, text="welcome")
    seen = cleo("messages", thread)
    assert [one["type"] for one in seen] == ["text", "participantAdded"]
    assert seen[1]["participants"] == [cleo.user]
    assert is_refused(cleo, "get", thread, 404, id=first)
    assert is_refused(cleo, "receipt", thread, 404, id=first)

    ada("receipt", thread, id=first)
    for id in (first, third):
        bob("receipt", thread, id=id)
    assert [(one["sender"], one["message"]) for one in ada("receipts", thread)] == [
        (ada.user, first), (bob.user, third),
    ]  # fmt: skip
    assert [one["sender"] for one in ada("receipts", thread, size=1)] == [ada.user, bob.user]
    assert [one["sender"] for one in cleo("receipts", thread)] == [bob.user]
    bob("typing", thread)
    bob("typing", thread, name="Bob")

    assert thread in [one["id"] for one in cleo("threads")]
    ada("remove", thread, id=cleo.user)
    assert ada("messages", thread)[0]["participants"] == [cleo.user]
    ada("remove", thread, id=cleo.user)
    bob("remove", thread, id=bob.user)
    for somebody in (bob, cleo, dan):
        assert thread not in [one["id"] for one in somebody("threads")]
        assert is_refused(somebody, "properties", thread)
    for do, args in METHODS.items():
        assert is_refused(bob, do, thread, **args), do
        assert is_refused(bob, do, "never-there", **args), do
    assert [one["sender"] for one in ada("receipts", thread)] == [ada.user]
    ada("delete_thread", thread)
    assert is_refused(ada, "properties", thread)
    assert thread not in [one["id"] for one in ada("threads")]


METHODS: dict[str, dict[str, Any]] = {
    "properties": {}, "topic": {"topic": "x"}, "send": {"text": "x"}, "get": {"id": "x"}, "messages": {},
    "edit": {"id": "x", "text": "x"}, "delete": {"id": "x"}, "add": {"participants": [{"id": "dan"}]},
    "remove": {"id": "ada"}, "participants": {}, "receipt": {"id": "x"}, "receipts": {}, "typing": {},
    "delete_thread": {},
}  # fmt: skip


def test_lists_of_threads_and_messages_go_back_to_a_time(sdk: Sdk) -> None:
    ada = sdk.of(f"ada-{sdk.kind}")
    made = [ada("create", topic=str(number))["id"] for number in range(3)]
    assert [one["id"] for one in ada("threads", size=1)] == made[::-1]
    found = ada("threads")
    assert [(one["id"], one["topic"]) for one in found] == [(made[2], "2"), (made[1], "1"), (made[0], "0")]
    sent = [ada("send", made[0], text=str(number)) for number in range(5)]
    third = datetime.fromisoformat(ada("get", made[0], id=sent[2])["created"])
    since = third.replace(microsecond=third.microsecond // 1000 * 1000)
    assert [one["id"] for one in ada("threads", since=since.isoformat())] == [made[0]]
    late = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert ada("threads", since=late) == ada("messages", made[0], since=late) == []
    newer = ada("messages", made[0], since=since.isoformat(), size=2)
    assert sent[2:][::-1] == [one["id"] for one in newer][:3]
    assert len(newer) <= 4


def test_a_creation_is_repeated_by_its_token_alone(sdk: Sdk) -> None:
    ada = sdk.of(f"ada-{sdk.kind}-once")
    token = str(uuid.uuid4())
    first, again = (ada("create", topic="t", token=token, participants=[{"id": "bob"}]) for _ in range(2))
    assert first == again
    assert len(ada("threads")) == 1
    assert is_refused(ada, "create", status=400, topic="another", token=token)
    assert ada.of(f"{ada.user}-too")("create", topic="t", token=token)["id"] != first["id"]
    ada("delete_thread", first["id"])
    assert ada("create", topic="t", token=token, participants=[{"id": "bob"}]) == first
    assert is_refused(ada, "properties", first["id"])


def test_a_request_is_repeated_by_its_name(sdk: Sdk) -> None:
    ada, bob = sdk.of(f"ada-{sdk.kind}-named"), sdk.of(f"bob-{sdk.kind}-named")
    thread = ada("create", topic="t", participants=[{"id": bob.user}])["id"]
    one = ada("send", thread, request="name", text="a")
    assert ada("send", thread, request="name", text="a") == one
    assert ada("send", thread, request="name", text="b") != one
    assert bob("send", thread, request="name", text="a") != one
    ada("edit", thread, request="first", id=one, text="first")
    ada("edit", thread, request="second", id=one, text="second")
    ada("edit", thread, request="first", id=one, text="first")
    assert ada("get", thread, id=one)["text"] == "second"
    for _ in range(2):
        ada("topic", thread, request="topic", topic="new")
        ada("delete", thread, request="delete", id=one)
        ada("add", thread, request="add", participants=[{"id": "cleo"}])
    assert len(ada("messages", thread)) == 7
    for _ in range(2):
        bob("remove", thread, request="leave", id=bob.user)
    ada("add", thread, participants=[{"id": bob.user}])
    bob("remove", thread, request="leave", id=bob.user)
    assert thread in [each["id"] for each in bob("threads")]
    for _ in range(2):
        ada("delete_thread", thread, request="gone")
    assert is_refused(ada, "delete_thread", thread)


def test_what_cannot_be_is_refused(sdk: Sdk) -> None:
    thread = sdk("create", topic="t")["id"]
    reader, writer = sdk._replace(scope="read"), sdk._replace(scope="write")
    assert reader("properties", thread)["id"] == thread
    assert is_refused(reader, "send", thread, text="x")
    assert is_refused(writer, "messages", thread)
    assert sdk.of(sdk.user)._replace(scope="chat")("send", thread, text="x" * 100_000)
    assert is_refused(sdk, "send", thread, 400, text="x", metadata={"acs": "x"})
    assert is_refused(sdk, "topic", thread, 400, topic="")
    assert is_refused(sdk, "messages", thread, 400, size=0)
    assert is_refused(sdk, "create", status=400, topic="t" * 5000)


def test_what_only_the_newer_api_has(javascript: Speaker, served: Callable[[str], str]) -> None:
    sdk = Sdk(javascript, "javascript", served("sqlite"))
    keep = {"kind": "threadCreationDate", "deleteThreadAfterDays": 30}
    made = sdk(
        "create", topic="t", metadata={"a": "b"}, retention=keep,
        participants=[{"id": "bob", "metadata": {"role": "guest"}}],
    )  # fmt: skip
    thread = made["id"]
    assert (made["metadata"], made["retention"]) == ({"a": "b"}, keep)
    assert sdk("participants", thread)[1]["metadata"] == {"role": "guest"}
    sdk("update", thread, metadata={"c": "d"})
    assert sdk("properties", thread)["metadata"] == {"a": "b", "c": "d"}
    sdk("update", thread, retention={"kind": "none"})
    found = sdk("properties", thread)
    assert (found["retention"], found["metadata"]) == ({"kind": "none"}, {"a": "b", "c": "d"})
    assert is_refused(sdk, "update", thread, 400, retention={**keep, "deleteThreadAfterDays": 0})
