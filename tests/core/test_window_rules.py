"""Windows over conversations of any shape: the rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore.codec import Json
from chatstore.contract import system_clock
from chatstore.models import Message
from chatstore.store import ChatStore
from chatstore.urls import open_backend
from chatstore.window import PINNED_AT_MOST, count_tokens

IDS = st.sampled_from(["a", "b", "c"])
TOKENS = st.integers(0, 9)
MESSAGES: st.SearchStrategy[dict[str, Json]] = st.one_of(
    st.builds(
        lambda role, tokens: {"role": role, "tokens": tokens},
        st.sampled_from(["system", "user", "x"]),
        TOKENS,
    ),
    st.builds(
        lambda ids, tokens: {"role": "assistant", "tokens": tokens, "tool_calls": [{"id": id} for id in ids]},
        st.lists(IDS, max_size=2),
        TOKENS,
    ),
    st.builds(lambda id, tokens: {"role": "tool", "tokens": tokens, "tool_call_id": id}, IDS, TOKENS),
    st.builds(
        lambda id, other, tokens: {
            "role": "user",
            "tokens": tokens,
            "content": [{"type": "tool_result", "tool_use_id": id}, {"type": "tool_use", "id": other}],
        },
        IDS,
        IDS,
        TOKENS,
    ),
)


def answered(message: Message) -> set[str]:
    data = message.to_dict()
    blocks = data.get("content") or []
    return (
        {data["tool_call_id"]}
        if "tool_call_id" in data
        else {b["tool_use_id"] for b in blocks if "tool_use_id" in b}
    )


def called(message: Message) -> set[str]:
    data = message.to_dict()
    blocks = data.get("content") or []
    return {call["id"] for call in data.get("tool_calls", ())} | {
        b["id"] for b in blocks if b["type"] == "tool_use"
    }


@given(
    st.lists(MESSAGES, min_size=1, max_size=60),
    st.integers(0, 200),
    st.sampled_from([(), ("system",), ("assistant",)]),
)
def test_windows_of_any_conversation(
    turns: list[dict[str, Json]], budget: int, keep: tuple[str, ...]
) -> None:
    store = ChatStore(open_backend("memory://", blocking=True, clock=system_clock))
    stored = list(store.append("t", *turns).messages)
    window = list(store.window("t", max_tokens=budget, keep=keep))

    assert sum(count_tokens(message)[0] for message in window) <= budget
    places = [stored.index(message) for message in window]
    assert places == sorted(set(places)), "in the thread's order, each once"

    pinned = 0
    while (
        pinned < min(len(window), PINNED_AT_MOST) and places[pinned] == pinned and window[pinned].role in keep
    ):
        pinned += 1
    if len(window) == len(stored):
        return
    # Beyond the pins, a cut window is the newest messages without results whose calls are cut off.
    known: set[str] = set()
    for message in window[pinned:]:
        known |= called(message)
        assert answered(message) <= known
    if places[pinned:]:
        between = set(range(places[pinned], len(stored))) - set(places)
        assert all(answered(stored[place]) for place in between)


@given(st.lists(MESSAGES, max_size=60))
def test_a_budget_for_all_gives_all(turns: list[dict[str, Json]]) -> None:
    store = ChatStore(open_backend("memory://", blocking=True, clock=system_clock))
    stored = store.append("t", {"role": "user", "tokens": 1}, *turns).messages
    assert store.window("t", max_tokens=10**6).items == stored


Form = Callable[[str, str], dict[str, Json]]


def blocks(key: str, block: Callable[[str, str], Json], role: str = "assistant") -> Form:
    return lambda id, name: {"role": role, key: [{"type": "text", "text": "so:"}, block(id, name)]}


# How a call with this id of this tool is written, and its result.
FORMS: dict[str, tuple[Form, Form]] = {
    "OpenAI": (
        lambda id, name: {"role": "assistant", "tool_calls": [{"id": id, "function": {"name": name}}]},
        lambda id, _: {"role": "tool", "tool_call_id": id},
    ),
    "OpenAI, formerly": (
        lambda _, name: {"role": "assistant", "function_call": {"name": name, "arguments": "{}"}},
        lambda _, name: {"role": "function", "name": name, "content": "1"},
    ),
    "Responses": (
        lambda id, name: {"role": "assistant", "type": "function_call", "id": "fc", "call_id": id, "n": name},
        lambda id, _: {"role": "user", "type": "function_call_output", "id": "x", "call_id": id},
    ),
    "Responses, another tool": (
        lambda id, _: {"role": "assistant", "type": "computer_call", "call_id": id},
        lambda id, _: {"role": "user", "type": "computer_call_output", "call_id": id},
    ),
    "Anthropic": (
        blocks("content", lambda id, name: {"type": "tool_use", "id": id, "name": name}),
        blocks("content", lambda id, _: {"type": "tool_result", "tool_use_id": id}, "user"),
    ),
    "Bedrock": (
        blocks("content", lambda id, name: {"toolUse": {"toolUseId": id, "name": name}}),
        blocks("content", lambda id, _: {"toolResult": {"toolUseId": id, "content": []}}, "user"),
    ),
    "Gemini": (
        blocks("parts", lambda _, name: {"functionCall": {"name": name, "args": {}}}, "model"),
        blocks("parts", lambda _, name: {"functionResponse": {"name": name, "response": {}}}, "user"),
    ),
    "Gemini with ids": (
        blocks("parts", lambda id, name: {"function_call": {"id": id, "name": name}}, "model"),
        blocks("parts", lambda id, name: {"function_response": {"id": id, "name": name}}, "user"),
    ),
    "Ollama": (
        lambda _, name: {"role": "assistant", "tool_calls": [{"function": {"name": name}}]},
        lambda _, name: {"role": "tool", "tool_name": name},
    ),
    "Ollama without names": (
        lambda _, name: {"role": "assistant", "tool_calls": [{"function": {"name": name}}]},
        lambda *_: {"role": "tool", "content": "1"},
    ),
    "AG-UI": (
        lambda id, name: {"role": "assistant", "toolCalls": [{"id": id, "function": {"name": name}}]},
        lambda id, _: {"role": "tool", "toolCallId": id, "content": "1"},
    ),
    "Cohere": (
        lambda _, name: {"role": "CHATBOT", "tool_calls": [{"name": name, "parameters": {}}]},
        lambda _, name: {"role": "TOOL", "tool_results": [{"call": {"name": name}, "outputs": []}]},
    ),
    "Anthropic, its own tools": (
        blocks("content", lambda id, name: {"type": "server_tool_use", "id": id, "name": name}),
        blocks("content", lambda id, _: {"type": "web_search_tool_result", "tool_use_id": id}, "user"),
    ),
    "Vercel": (
        blocks("content", lambda id, name: {"type": "tool-call", "toolCallId": id, "toolName": name}),
        blocks("content", lambda id, _: {"type": "tool-result", "toolCallId": id}, "tool"),
    ),
    "LlamaIndex": (
        blocks("blocks", lambda id, name: {"block_type": "tool_call", "tool_call_id": id, "tool_name": name}),
        lambda id, name: {"role": "tool", "additional_kwargs": {"tool_call_id": id, "name": name}},
    ),
    "LlamaIndex, formerly": (
        lambda id, name: {
            "role": "assistant",
            "blocks": [],
            "additional_kwargs": {"tool_calls": [{"id": id, "function": {"name": name}}]},
        },
        lambda id, _: {"role": "tool", "blocks": [], "additional_kwargs": {"tool_call_id": id}},
    ),
    "LlamaIndex, still earlier": (
        lambda _, name: {"role": "assistant", "additional_kwargs": {"function_call": {"name": name}}},
        lambda _, name: {"role": "function", "additional_kwargs": {"name": name}},
    ),
    "Pydantic AI": (
        blocks("parts", lambda id, name: {"part_kind": "tool-call", "tool_call_id": id, "tool_name": name}),
        blocks("parts", lambda id, _: {"part_kind": "tool-return", "tool_call_id": id}, "user"),
    ),
    "Pydantic AI, retried": (
        blocks("parts", lambda id, name: {"part_kind": "tool-call", "tool_call_id": id, "tool_name": name}),
        blocks("parts", lambda id, _: {"part_kind": "retry-prompt", "tool_call_id": id}, "user"),
    ),
}  # fmt: skip
STEPS = st.lists(st.tuples(st.booleans(), TOKENS, TOKENS, st.sampled_from("fg")), min_size=1, max_size=12)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20)
@given(STEPS, st.sampled_from([(), ("assistant",), ("tool",), ("user", "model")]))
def test_no_result_without_its_call_at_any_budget(
    form: str, steps: list[tuple[bool, int, int, str]], keep: tuple[str, ...]
) -> None:
    call, result = FORMS[form]
    turns: list[dict[str, Json]] = []
    for number, (calls, first, second, name) in enumerate(steps):
        if calls:
            turns.append({**call(f"c{number}", name), "tokens": first, "makes": number})
            turns.append({**result(f"c{number}", name), "tokens": second, "answers": number})
        else:
            turns.append({"role": "user", "content": "hm", "tokens": first})
    store = ChatStore(open_backend("memory://", blocking=True, clock=system_clock))
    stored = store.append("t", *turns).messages
    total = sum(message.to_dict()["tokens"] for message in stored)
    for budget in range(total + 1):
        data = [message.to_dict() for message in store.window("t", max_tokens=budget, keep=keep)]
        made = {message["makes"] for message in data if "makes" in message}
        assert {message["answers"] for message in data if "answers" in message} <= made
    assert store.window("t", max_tokens=total).items == stored


def test_two_calls_of_one_name_have_two_results() -> None:
    call, result = FORMS["OpenAI, formerly"]
    store = ChatStore(open_backend("memory://", blocking=True, clock=system_clock))
    turns = [call("", "f"), call("", "f"), result("", "f"), result("", "f"), {"role": "user"}]
    store.append("t", *({**turn, "tokens": 1} for turn in turns))
    assert [len(store.window("t", max_tokens=budget)) for budget in range(6)] == [0, 1, 1, 1, 3, 5]
