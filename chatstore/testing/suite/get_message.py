"""Reading one message."""

from __future__ import annotations

import pytest

from chatstore.errors import MessageNotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.samples import say

__all__ = ["GetMessage"]


class GetMessage:
    """`ChatStore.get_message`."""

    def test_gives_what_the_append_gave(self, store: ChatStore) -> None:
        for message in store.append("t", say("one"), say("two"), say("three")).messages:
            assert store.get_message("t", message.id or "") == message

    def test_an_unknown_message_is_not_found(self, store: ChatStore) -> None:
        id = store.append("t", say("one")).messages[0].id
        store.append("u", say("two"))
        for name in ("", "x", "'", "\0", f"{id}x", str(id)[:-1], str(id).upper() + " ", "x" * 1024):
            with pytest.raises(MessageNotFound) as missing:
                store.get_message("t", name)
            assert (missing.value.thread_id, missing.value.message) == ("t", name)
        with pytest.raises(MessageNotFound):
            store.get_message("u", id or "")

    def test_an_unknown_thread_has_no_message_to_get(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.get_message("t", "x")

    def test_ids_outlive_what_is_appended_and_are_never_used_again(self, store: ChatStore) -> None:
        seen: set[str | None] = set()
        for _ in range(3):
            messages = store.append("t", say("same"), say("same")).messages
            seen.update(message.id for message in messages)
            store.clear("t")
        assert len(seen) == 6
        for id in seen:
            with pytest.raises(MessageNotFound):
                store.get_message("t", id or "")
