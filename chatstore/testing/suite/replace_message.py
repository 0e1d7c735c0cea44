"""Putting another content in a message's place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidMessage, MessageNotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["ReplaceMessage"]


@needs(Capability.EDIT)
class ReplaceMessage:
    """`ChatStore.replace_message`."""

    def test_id_position_and_time_stay(self, store: ChatStore, clock: ManualClock) -> None:
        _, second, _ = store.append("t", say("a"), say("b"), say("c")).messages
        clock.advance(timedelta(seconds=1))
        replaced = store.replace_message("t", second.id or "", say("B", "assistant"))
        assert contents(whole(store, "t")) == ["a", "B", "c"]
        assert replaced == store.get_message("t", second.id or "")
        assert (replaced.id, replaced.position, replaced.created_at) == (
            second.id,
            second.position,
            second.created_at,
        )

    def test_each_replacement_changes_its_etag_and_no_other(self, store: ChatStore) -> None:
        first, second = store.append("t", say("a"), say("b")).messages
        etags = {store.replace_message("t", first.id or "", say("same")).etag for _ in range(3)}
        assert len({*etags, first.etag}) == 4
        assert store.get_message("t", second.id or "") == second

    def test_an_unknown_message_cannot_be_replaced(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.replace_message("t", "x", say("b"))
        id = store.append("t", say("a")).messages[0].id or ""
        store.append("u", say("c"))
        for thread, message in (("t", "x"), ("u", id)):
            with pytest.raises(MessageNotFound):
                store.replace_message(thread, message, say("b"))
        store.delete_message("t", id)
        with pytest.raises(MessageNotFound):
            store.replace_message("t", id, say("b"))

    def test_a_bad_message_changes_nothing(self, store: ChatStore) -> None:
        [message] = store.append("t", say("a")).messages
        store.get_message("t", message.id or "")
        with pytest.raises(InvalidMessage):
            store.replace_message("t", message.id or "", {"content": "no role"})
        assert whole(store, "t") == [message]
        store.replace_message("t", message.id or "", say("b"))
