"""Token windows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chatstore.codec import Json
from chatstore.contract import Span, ThreadKey
from chatstore.errors import InvalidArgument
from chatstore.models import Message, Page
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say

__all__ = ["Window"]


def sized(name: str, tokens: int, role: str = "user", **fields: Json) -> dict[str, Json]:
    """A message that says how many tokens it takes."""
    return {"role": role, "content": name, "tokens": tokens, **fields}


def call(*ids: str) -> dict[str, Json]:
    """An assistant's message that calls tools; takes ten tokens."""
    return sized("call " + " ".join(ids), 10, "assistant", tool_calls=[{"id": id} for id in ids])


def result(id: str) -> dict[str, Json]:
    """The answer to one call; takes ten tokens."""
    return sized(f"result {id}", 10, "tool", tool_call_id=id)


class Window:
    """`ChatStore.window`."""

    def test_the_newest_that_fit_oldest_first(self, store: ChatStore) -> None:
        store.append("t", *[sized(str(number), 10) for number in range(9)])
        for budget in range(0, 100, 5):
            window = store.window("t", max_tokens=budget)
            count = min(budget // 10, 9)
            assert contents(window) == [str(number) for number in range(9 - count, 9)]
            assert (window.tokens, window.counter) == (count * 10, "messages")

    def test_an_unknown_thread_is_an_empty_window(self, store: ChatStore) -> None:
        window = store.window("t", max_tokens=100)
        assert (window.items, window.tokens, window.end, window.etag) == ((), 0, None, None)

    def test_names_the_log_as_it_was_read(self, store: ChatStore) -> None:
        appended = store.append("t", *[sized(str(number), 10) for number in range(60)])
        window = store.window("t", max_tokens=500)
        assert window.etag == appended.etag
        store.append("t", say("later"))
        assert contents(store.read("t", after=window.end)) == ["later"]

    def test_leading_instructions_are_pinned_and_counted(self, store: ChatStore) -> None:
        store.append("t", sized("s", 10, "system"), sized("d", 10, "developer"), sized("u", 10))
        store.append("t", *[sized(str(number), 10) for number in range(90)], sized("late", 10, "system"))
        window = store.window("t", max_tokens=45)
        assert contents(window) == ["s", "d", "89", "late"]
        assert window.tokens == 40
        assert contents(store.window("t", max_tokens=45, keep=())) == ["87", "88", "89", "late"]
        assert contents(store.window("t", max_tokens=45, keep=["system"])) == ["s", "88", "89", "late"]
        assert contents(store.window("t", max_tokens=45, keep=["user"])) == ["87", "88", "89", "late"]

    def test_a_pin_that_is_also_among_the_newest_comes_once(self, store: ChatStore) -> None:
        store.append("t", sized("s", 10, "system"), sized("u", 10))
        assert contents(store.window("t", max_tokens=100)) == ["s", "u"]
        store.append("v", *[sized(str(number), 10, "system") for number in range(5)])
        assert contents(store.window("v", max_tokens=100)) == ["0", "1", "2", "3", "4"]

    def test_twenty_are_pinned_at_most(self, store: ChatStore) -> None:
        store.append("t", *[sized(str(number), 1, "system") for number in range(30)])
        store.append("t", *[sized(f"u{number}", 1) for number in range(100)])
        window = contents(store.window("t", max_tokens=25))
        assert window == [*map(str, range(20)), "u95", "u96", "u97", "u98", "u99"]

    def test_pins_that_do_not_fit_break_no_budget(self, store: ChatStore) -> None:
        store.append("t", sized("s", 10, "system"), sized("d", 50, "system"), sized("u", 10))
        window = store.window("t", max_tokens=25)
        assert contents(window) == ["s", "u"]
        assert store.window("t", max_tokens=5).items == ()

    def test_a_result_is_not_cut_off_from_its_call(self, store: ChatStore) -> None:
        store.append(
            "t", sized("q", 10), call("a", "b"), result("a"), result("b"), sized("end", 10, "assistant")
        )
        expected = {
            10: ["end"],
            20: ["end"],
            30: ["end"],
            40: ["call a b", "result a", "result b", "end"],
            50: ["q", "call a b", "result a", "result b", "end"],
        }
        for budget, names in expected.items():
            window = store.window("t", max_tokens=budget)
            assert contents(window) == names
            assert window.tokens == len(names) * 10

    @pytest.mark.parametrize(
        ("calling", "answering"),
        [
            (
                {"content": [{"type": "tool_use", "id": "x"}]},
                {"content": [{"type": "tool_result", "tool_use_id": "x"}]},
            ),
            ({"type": "function_call", "call_id": "x"}, {"type": "function_call_output", "call_id": "x"}),
            ({"tool_calls": [{"id": "x"}, None, 3]}, {"tool_call_id": "x"}),
            (
                {"content": [{"toolUse": {"toolUseId": "x"}}]},
                {"content": [{"toolResult": {"toolUseId": "x"}}]},
            ),
            ({"parts": [{"functionCall": {"name": "f"}}]}, {"parts": [{"functionResponse": {"name": "f"}}]}),
            (
                {"blocks": [{"block_type": "tool_call", "tool_call_id": "x"}]},
                {"role": "tool", "additional_kwargs": {"tool_call_id": "x"}},
            ),
            ({"function_call": {"name": "f"}}, {"role": "function", "name": "f"}),
        ],
    )
    def test_calls_are_known_in_the_common_forms(
        self, store: ChatStore, calling: dict[str, Json], answering: dict[str, Json]
    ) -> None:
        store.append(
            "t", {"role": "assistant", "tokens": 10, **calling}, {"role": "user", "tokens": 10, **answering}
        )
        store.append("t", sized("end", 10))
        assert [len(store.window("t", max_tokens=budget)) for budget in (10, 20, 30)] == [1, 1, 3]

    def test_a_left_out_call_takes_later_results_along(self, store: ChatStore) -> None:
        chained = {**result("a"), "content": "both", "tool_calls": [{"id": "b"}]}
        store.append("t", call("a"), chained, result("b"), sized("end", 10))
        assert contents(store.window("t", max_tokens=30)) == ["end"]
        assert contents(store.window("t", max_tokens=40)) == ["call a", "both", "result b", "end"]

    def test_counts_by_the_messages_own_figures_or_says_that_it_estimates(self, store: ChatStore) -> None:
        store.append(
            "t", sized("one", 7), {"role": "assistant", "usage": {"output_tokens": 5, "input_tokens": 999}}
        )
        store.append("t", {"role": "assistant", "usage": {"completion_tokens": 3}})
        window = store.window("t", max_tokens=1000)
        assert (window.tokens, window.counter) == (15, "messages")
        [estimated] = store.append("t", say("\u5b57" * 20)).messages
        window = store.window("t", max_tokens=1000)
        assert window.tokens == 15 + -(-len(estimated.text.encode()) // 4)
        assert window.counter == "estimate"
        assert contents(store.window("t", max_tokens=0)) == []

    def test_a_caller_may_count(self, store: ChatStore) -> None:
        store.append("t", *[say("x" * number) for number in range(1, 9)])
        window = store.window("t", max_tokens=14, counter=lambda message: len(message.content))
        assert contents(window) == ["x" * 8]
        assert (window.tokens, window.counter) == (8, "caller")

    def test_reads_back_only_as_far_as_it_needs(
        self, store: ChatStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.append(
            "t", *[sized(str(number), 10, "system" if number == 0 else "user") for number in range(900)]
        )
        read, pages = store.backend.read, []

        async def counted(key: ThreadKey, span: Span) -> Page[Message]:
            page = await read(key, span)
            pages.append(len(page))
            return page

        monkeypatch.setattr(store.backend, "read", counted)
        assert len(store.window("t", max_tokens=50, keep=())) == 5
        assert len(pages) == 1
        assert pages[0] <= 20
        assert len(store.window("t", max_tokens=50)) == 5
        assert len(pages) == 3
        assert len(store.window("t", max_tokens=1000, keep=())) == 100
        assert sum(pages[3:]) <= 300

    def test_a_budget_is_a_number_of_tokens(self, store: ChatStore) -> None:
        for budget in (-1, 1.5, True, "10", None):
            with pytest.raises(InvalidArgument):
                store.window("t", max_tokens=budget)  # type: ignore[arg-type]

    def test_never_over_the_budget_and_never_a_result_alone(self, store: ChatStore) -> None:
        turns: Sequence[dict[str, Json]] = (
            sized("s", 3, "system"),
            sized("q", 4),
            call("a"),
            result("a"),
            sized("x", 6),
            call("b", "c"),
            result("c"),
            sized("y", 1),
            result("b"),
            call("d"),
            result("d"),
            sized("z", 9),
        )
        store.append("t", *turns)
        for budget in range(100):
            window = store.window("t", max_tokens=budget)
            data = [message.to_dict() for message in window]
            assert sum(message["tokens"] for message in data) == window.tokens <= budget
            called = {one["id"] for message in data for one in message.get("tool_calls", ())}
            assert {message["tool_call_id"] for message in data if "tool_call_id" in message} <= called
