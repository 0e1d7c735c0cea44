"""What was sent comes back: as JSON text, with every type and in the order of its keys."""

from __future__ import annotations

import pytest

from chatstore.codec import decode
from chatstore.contract import Capability
from chatstore.errors import InvalidMessage
from chatstore.models import Message
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.samples import AWKWARD_MESSAGES, json_text, say

__all__ = ["Exactness"]

BETWEEN_FLOATS = '{"role":"user","n":[10000000000000000.1,9007199254740993.0,1e-400,-0,0.10000000000000001]}'

SENT = [json_text(message) for message in AWKWARD_MESSAGES]


class Exactness:
    """Every way in and every way out keeps a message as it is."""

    def test_appended_and_read(self, store: ChatStore) -> None:
        appended = store.append("t", *AWKWARD_MESSAGES).messages
        assert [json_text(message.to_dict()) for message in appended] == SENT
        for read in (store.read("t"), store.read("t", last=1000), store.iter_messages("t")):
            assert [json_text(message.to_dict()) for message in read] == SENT
        for message, sent in zip(appended, SENT, strict=True):
            assert message.id is not None
            assert json_text(store.get_message("t", message.id).to_dict()) == sent

    def test_numbers_between_floats_stay_as_they_were_written(self, store: ChatStore) -> None:
        [appended] = store.append("t", Message(BETWEEN_FLOATS)).messages
        assert appended.text == BETWEEN_FLOATS
        store.replace_all("t", [say("other"), Message(BETWEEN_FLOATS)])
        assert [message.text for message in store.read("t")][1:] == [BETWEEN_FLOATS]
        assert [message.text for message in store.iter_messages("t")][1:] == [BETWEEN_FLOATS]
        again = decode(BETWEEN_FLOATS)
        [once_more] = store.append("t", again).messages
        assert once_more.text == BETWEEN_FLOATS

    @pytest.mark.parametrize("number", ["10000000000000000.1", "-0", "1e-400"])
    def test_metadata_refuses_them(self, store: ChatStore, number: str) -> None:
        for metadata in ({"a": decode(number)}, {"a": [{"b": decode(number)}]}):
            with pytest.raises(InvalidMessage):
                store.create_thread("t", metadata=metadata)
            with pytest.raises(InvalidMessage):
                store.create_thread("t", participants=[{"id": "a", "metadata": metadata}])

    def test_replaced_as_a_whole(self, store: ChatStore) -> None:
        store.append("t", say("other"))
        store.replace_all("t", AWKWARD_MESSAGES)
        assert [json_text(message.to_dict()) for message in store.read("t")] == SENT

    @needs(Capability.INSERT, Capability.INDEX)
    def test_inserted(self, store: ChatStore) -> None:
        store.append("t", say("last"))
        for message in reversed(AWKWARD_MESSAGES):
            assert json_text(store.insert("t", message, index=0).to_dict()) == json_text(message)
        assert [json_text(message.to_dict()) for message in store.read("t")][:-1] == SENT

    @needs(Capability.EDIT)
    def test_put_in_anothers_place_and_taken_out(self, store: ChatStore) -> None:
        id = store.append("t", say("hello")).messages[0].id
        assert id is not None
        for message, sent in zip(AWKWARD_MESSAGES, SENT, strict=True):
            assert json_text(store.replace_message("t", id, message).to_dict()) == sent
            assert json_text(store.get_message("t", id).to_dict()) == sent
        assert json_text(store.delete_message("t", id).to_dict()) == SENT[-1]

    @needs(Capability.INDEX)
    def test_popped(self, store: ChatStore) -> None:
        store.append("t", *AWKWARD_MESSAGES)
        popped = [store.pop("t") for _ in AWKWARD_MESSAGES]
        assert [json_text(message and message.to_dict()) for message in reversed(popped)] == SENT

    @needs(Capability.FORK)
    def test_forked(self, store: ChatStore) -> None:
        store.append("t", *AWKWARD_MESSAGES)
        store.fork("t", "copy")
        assert [json_text(message.to_dict()) for message in store.read("copy")] == SENT
