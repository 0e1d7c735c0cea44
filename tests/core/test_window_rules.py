"""Windows over conversations of any shape: the rules that hold for all of them."""

from __future__ import annotations

from hypothesis import given
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
