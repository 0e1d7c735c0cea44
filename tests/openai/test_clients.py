"""OpenAI's clients, unmodified but for address and key, on every storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.paths import segment
from tests.openai import scenarios
from tests.openai.scenarios import said, text_of
from tests.openai.sdk import Sdk, secret

NOBODY = "conv_" + "0" * 32


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda one: one.__name__)
def test_everywhere(everywhere: Sdk, scenario: Callable[[Sdk], None]) -> None:
    scenario(everywhere)


def bad(code: str, param: str) -> tuple[str, int, str, str | None]:
    return "BadRequestError", 400, code, param


def missing(code: str) -> tuple[str, int, str, str | None]:
    return "NotFoundError", 404, code, None


AN_ITEM = "msg_01a222d1-10ac-7fb0-9ad5-584f0d6b3eb7"
REFUSED: dict[str, tuple[str, dict[str, Any], tuple[str, int, str, str | None]]] = {
    "limit too large": ("items.list", {"limit": 101}, bad("integer_above_max_value", "limit")),
    "limit too small": ("items.list", {"limit": 0}, bad("integer_below_min_value", "limit")),
    "order": ("items.list", {"order": "up"}, bad("invalid_value", "order")),
    "no item's id": ("items.list", {"after": "msg_x"}, missing("item_not_found")),
    "no such item": ("items.retrieve", {"item_id": AN_ITEM}, missing("item_not_found")),
    "no such conversation": (
        "items.create", {"conversation_id": NOBODY, "items": [said("x")]}, missing("conversation_not_found"),
    ),
    "no items": ("items.create", {"items": []}, bad("empty_array", "items")),
    "21 items": ("items.create", {"items": [said("x")] * 21}, bad("array_above_max_length", "items")),
    "no content": (
        "items.create", {"items": [said("x"), {"role": "user"}]},
        bad("missing_required_parameter", "items[1].content"),
    ),
    "a reference": (
        "items.create", {"items": [{"type": "item_reference", "id": "msg_1"}]},
        bad("invalid_value", "items[0]"),
    ),
    "17 pairs": (
        "update", {"metadata": {str(n): "" for n in range(17)}},
        bad("object_above_max_properties", "metadata"),
    ),
    "a long key": ("update", {"metadata": {"k" * 65: ""}}, bad("string_above_max_length", "metadata")),
    "a long value": ("update", {"metadata": {"k": "v" * 513}}, bad("string_above_max_length", "metadata.k")),
    "a number": ("update", {"metadata": {"k": 1}}, bad("invalid_type", "metadata.k")),
}  # fmt: skip


def test_errors_are_the_clients_own(sdk: Sdk) -> None:
    name = sdk.call("create")["id"]
    for what, (method, args, expected) in REFUSED.items():
        error = sdk.fails(method, **{"conversation_id": name, **args})
        assert (error["error"], error["status_code"], error["code"], error["param"]) == expected, what
        assert error["type"] == "invalid_request_error"
        assert error["request_id"], what
    most = {"k" * 64 if n == 0 else str(n): "\u00e9" * 512 for n in range(16)}
    assert sdk.call("update", conversation_id=name, metadata=most)["metadata"] == most
    assert sdk.call("update", conversation_id=name, metadata=None)["metadata"] == {}


def test_whoever_may_not_is_told(sdk: Sdk) -> None:
    name = sdk.call("create")["id"]
    stranger = sdk._replace(key=f"cs_{'n' * 16}_{'n' * 43}").fails("retrieve", conversation_id=name)
    assert (stranger["error"], stranger["status_code"], stranger["code"]) == (
        "AuthenticationError", 401, "invalid_api_key",
    )  # fmt: skip
    assert stranger["request_id"]
    for who, method, args in (
        ("reader", "create", {}),
        ("reader", "items.create", {"conversation_id": name, "items": [said("x")]}),
        ("writer", "items.list", {"conversation_id": name}),
        ("writer", "update", {"conversation_id": name, "metadata": {}}),
    ):
        refused = sdk.of(who).fails(method, **args)
        assert (refused["error"], refused["status_code"]) == ("PermissionDeniedError", 403), (who, method)
        assert refused["code"] == "insufficient_permissions"


def test_every_type_of_item_is_kept_as_it_was_sent(sdk: Sdk, python: Any) -> None:
    samples = python.ask({"do": "samples", "kind": "sync"})
    assert len(samples) >= 29 * 3
    name = sdk.call("create")["id"]
    for start in range(0, len(samples), 20):
        some = samples[start : start + 20]
        sdk.call("items.create", conversation_id=name, items=[item for _, item in some])
    found = sdk.call("items.list", conversation_id=name, order="asc", limit=100, collect=True)
    for (model, sent), got in zip(samples, found, strict=True):
        told = got.pop("@type", model)
        assert told == model
        assert got.pop("id") != sent["id"]
        assert got == {key: value for key, value in sent.items() if key != "id"}
    kept = sdk.raw("get", f"/threads/{name}/messages", limit=100)["items"]
    for (_, sent), entry in zip(samples, kept, strict=True):
        message = entry["message"]
        assert (message["chatstore"]["item"] if "chatstore" in message else message) == sent


def test_messages_of_the_native_face_are_items(sdk: Sdk) -> None:
    messages = [
        said("a question"),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "narrator", "content": {"any": [1]}},
        {"role": "assistant", "content": [{"type": "output_text", "text": "an answer"}], "tokens": 3},
    ]
    name = segment(f"a/{sdk.kind}")
    told = sdk.job(do="call", method="post", path=f"/threads/{name}/messages", body=messages)
    assert "ok" in told, told
    found = sdk.call("items.list", conversation_id=name, order="asc", collect=True)
    assert [one["role"] for one in found] == ["user", "assistant", "tool", "unknown", "assistant"]
    assert [text_of(one) for one in found] == ["a question", "", "42", '{"any":[1]}', "an answer"]
    assert (found[1]["tool_calls"], found[2]["tool_call_id"], found[4]["tokens"]) == (
        messages[1]["tool_calls"], "c", 3,
    )  # fmt: skip
    assert found[4]["content"][0]["annotations"] == []
    assert sdk.call("retrieve", conversation_id=name)["id"] == name


def test_a_key_makes_anything_safe_to_repeat(sdk: Sdk) -> None:
    headers = {"headers": {"Idempotency-Key": f"key-{sdk.kind}"}}
    twice = [sdk.call("create", items=[said("x")], metadata={"a": "b"}, more=headers) for _ in range(2)]
    assert twice[0] == twice[1]
    name = twice[0]["id"]
    headers = {"headers": {"Idempotency-Key": f"another-{sdk.kind}"}}
    for _ in range(2):
        sdk.call("items.create", conversation_id=name, items=[said("again")], more=headers)
    assert len(sdk.call("items.list", conversation_id=name, collect=True)) == 2
    told = sdk.outcome("items.create", {"conversation_id": name, "items": [said("other")]}, **headers)
    assert (told["error"], told["code"]) == ("BadRequestError", "request_mismatch")


def test_a_session_of_the_agents_sdk(python: Any, served: Callable[[str], str]) -> None:
    sdk = Sdk(python, "async", served("sqlite"), secret("ada"))
    told = sdk.job(do="agents")
    assert told["answers"] == ["It rains in Paris.", "Take an umbrella."]
    assert told["called"] == ["Paris"]
    kinds = [one["type"] for one in told["items"]]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message", "message"]
    assert told["seen"] == [*kinds[:4], "message"] or told["seen"] == [*kinds[:4], "user"]
    assert told["newest"] == told["items"][-2:]
    assert (told["popped"], told["left"]) == (told["items"][-1], 5)
    assert told["many"] == [f"many {n}" for n in range(45)]
    assert sdk.fails("retrieve", conversation_id=told["conversation"])["error"] == "NotFoundError"
