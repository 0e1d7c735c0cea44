"""Replacing a whole history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidMessage, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["ReplaceAll"]


class ReplaceAll:
    """`ChatStore.replace_all`."""

    def test_another_history(self, store: ChatStore) -> None:
        old = store.append("t", say("a"), say("b"), say("c"))
        replaced = store.replace_all("t", [say("x"), say("b")])
        assert (contents(replaced.messages), replaced.kept) == (["x", "b"], 0)
        assert list(replaced.messages) == whole(store, "t")
        assert replaced.etag == store.read("t").etag != old.etag
        assert not {message.id for message in old.messages} & {message.id for message in replaced.messages}

    @pytest.mark.parametrize(
        "history", [["a"], ["a", "b"], ["b", "a", "c"], ["a", "b", "d"], ["a", "B", "c", "d"], []]
    )
    def test_any_history_may_follow(self, store: ChatStore, history: list[str]) -> None:
        store.append("t", say("a"), say("b"), say("c"))
        store.replace_all("t", [say(content) for content in history])
        assert contents(whole(store, "t")) == history

    def test_a_history_that_grew_keeps_what_is_there(self, store: ChatStore) -> None:
        old = store.append("t", say("a"), say("b")).messages
        grown = store.replace_all("t", [say("a"), say("b"), say("c"), say("d")])
        assert (contents(grown.messages), grown.kept) == (["c", "d"], 2)
        assert whole(store, "t") == [*old, *grown.messages]

    def test_the_same_history_writes_nothing(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("a"), say("b"))
        before = state(store, "t")
        clock.advance(timedelta(hours=1))
        same = store.replace_all("t", [say("a"), say("b")])
        assert (same.messages, same.kept, same.etag) == ((), 2, store.read("t").etag)
        assert state(store, "t") == before

    def test_what_is_beside_a_message_is_compared_where_it_is_given(self, store: ChatStore) -> None:
        history = [say("a"), say("b")]
        store.append("t", *history, metadata=[{"a": 1, "b": [2]}, None], key=["k", None])
        for same in ({}, {"metadata": {"b": [2], "a": 1}}, {"key": "k"}):
            beside: dict[str, Any] = {name: [value, None] for name, value in same.items()}
            assert store.replace_all("t", history, **beside).kept == 2
        for given in ({"metadata": [{"a": 2}, None]}, {"key": ["l", None]}, {"metadata": [None, {"a": 1}]}):
            before = [message.id for message in store.iter_messages("t")]
            other: dict[str, Any] = dict(given)
            assert len(store.replace_all("t", history, **other).messages) > 0
            after = list(store.iter_messages("t"))
            assert [message.id for message in after] != before
            for name, [first, second] in other.items():
                assert [getattr(one, name) or None for one in after] == [first, second]

    def test_sameness_is_of_the_json_text(self, store: ChatStore) -> None:
        for old, new in (
            (say(1), say(1.0)),
            (say(1), say(True)),
            (say("a"), {"content": "a", "role": "user"}),
        ):
            store.replace_all("t", [old], create=True)
            assert store.replace_all("t", [new]).kept == 0
            assert [message.to_dict() for message in whole(store, "t")] == [new]

    @needs(Capability.EDIT)
    def test_compares_with_what_edits_have_left(self, store: ChatStore) -> None:
        a, b, c = store.append("t", say("a"), say("b"), say("c")).messages
        store.delete_message("t", b.id)
        changed = store.replace_message("t", c.id or "", say("C"))
        grown = store.replace_all("t", [say("a"), say("C"), say("d")])
        assert grown.kept == 2
        assert whole(store, "t") == [a, changed, *grown.messages]

    def test_properties_stay(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("t", topic="x", owner="ada", metadata={"a": 1})
        clock.advance(timedelta(hours=1))
        store.replace_all("t", [say("a")], create=True, owner="bob")
        thread = store.get_thread("t")
        assert (thread.topic, thread.owner, thread.metadata) == ("x", "ada", {"a": 1})

    def test_an_unknown_thread_is_made_only_if_told(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.replace_all("t", [say("a")])
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
        store.replace_all("t", [say("a")], create=True, owner="ada")
        assert contents(whole(store, "t")) == ["a"]
        assert store.get_thread("t").owner == "ada"
        store.replace_all("empty", [], create=True)
        assert whole(store, "empty") == []
        assert store.get_thread("empty").id == "empty"

    def test_histories_of_any_length(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        for length in (3000, 1, 2500):
            store.replace_all("t", [say([length, number]) for number in range(length)])
            assert contents(store.iter_messages("t")) == [[length, number] for number in range(length)]

    def test_one_bad_message_leaves_the_old_history(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        before = state(store, "t")
        with pytest.raises(InvalidMessage):
            store.replace_all("t", [say("x"), {"content": "no role"}])
        assert state(store, "t") == before
