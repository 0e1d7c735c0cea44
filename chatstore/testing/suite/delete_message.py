"""Taking out one message."""

from __future__ import annotations

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, MessageNotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.samples import contents, say, whole

__all__ = ["DeleteMessage"]


class DeleteMessage:
    """`ChatStore.delete_message`."""

    @needs(Capability.EDIT)
    def test_by_id(self, store: ChatStore) -> None:
        a, b, c = store.append("t", say("a"), say("b"), say("c")).messages
        assert store.delete_message("t", b.id) == b
        assert whole(store, "t") == [a, c]
        with pytest.raises(MessageNotFound):
            store.get_message("t", b.id or "")
        with pytest.raises(MessageNotFound):
            store.delete_message("t", b.id)

    @needs(Capability.INDEX)
    def test_by_an_index_from_either_end(self, store: ChatStore) -> None:
        for index in (0, 1, 3, -1, -2, -4):
            store.replace_all("t", [say("a"), say("b"), say("c"), say("d")], create=True)
            expected = ["a", "b", "c", "d"]
            assert store.delete_message("t", index=index).content == expected.pop(index)
            assert contents(whole(store, "t")) == expected

    @needs(Capability.INDEX)
    def test_an_index_that_is_not_there(self, store: ChatStore) -> None:
        store.append("t", say("a"), say("b"))
        for index in (2, 99, -3, -99, 2**63 - 1, -(2**63)):
            with pytest.raises(MessageNotFound) as missing:
                store.delete_message("t", index=index)
            assert missing.value.message == index
        store.clear("t")
        for index in (0, -1):
            with pytest.raises(MessageNotFound):
                store.delete_message("t", index=index)

    @needs(Capability.INDEX, Capability.REQUESTS)
    def test_an_index_that_a_request_did_not_find_may_be_there_later(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        with pytest.raises(MessageNotFound):
            store.delete_message("t", index=1, request_id="r")
        store.append("t", say("b"))
        for _ in range(2):
            assert store.delete_message("t", index=1, request_id="r").content == "b"
        assert contents(whole(store, "t")) == ["a"]

    @needs(Capability.INDEX, Capability.EDIT)
    def test_indexes_count_what_is_there(self, store: ChatStore) -> None:
        messages = store.append("t", *[say(number) for number in range(6)]).messages
        store.delete_message("t", messages[0].id)
        store.delete_message("t", messages[3].id)
        assert store.delete_message("t", index=2).content == 4
        assert store.delete_message("t", index=-3).content == 1

    @needs(Capability.EDIT)
    def test_the_thread_stays_when_its_last_message_goes(self, store: ChatStore) -> None:
        [message] = store.append("t", say("a")).messages
        store.delete_message("t", message.id)
        assert whole(store, "t") == []
        assert store.get_thread("t").id == "t"
        assert contents(store.append("t", say("b"), create=False).messages) == ["b"]

    @needs(Capability.EDIT)
    def test_a_place_is_not_given_out_again(self, store: ChatStore) -> None:
        _, b = store.append("t", say("a"), say("b")).messages
        store.delete_message("t", b.id)
        [c] = store.append("t", say("c")).messages
        assert (c.position or "") > (b.position or "")
        assert c.id != b.id

    def test_an_unknown_thread_has_no_message_to_delete(self, store: ChatStore) -> None:
        with supported(store, Capability.EDIT), pytest.raises(ThreadNotFound):
            store.delete_message("t", "x")
        with supported(store, Capability.INDEX), pytest.raises(ThreadNotFound):
            store.delete_message("t", index=-1)

    def test_either_an_id_or_an_index_is_given(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        for both in (
            {},
            {"message_id": "x", "index": 0},
            {"index": True},
            {"index": 1.0},
            {"index": -(2**63) - 1},
        ):
            with pytest.raises(InvalidArgument):
                store.delete_message("t", **both)
        assert contents(whole(store, "t")) == ["a"]
