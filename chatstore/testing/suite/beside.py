"""What is kept beside a message: metadata, and a name of the client's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import (
    Conflict,
    InvalidArgument,
    MessageExists,
    MessageNotFound,
    ThreadNotFound,
)
from chatstore.ids import uuid7
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, json_text, say, state, whole

__all__ = ["Keys", "MessageMetadata"]


class MessageMetadata:
    """`metadata` of messages, and `ChatStore.update_message`."""

    def test_it_comes_back_beside_what_was_sent(self, store: ChatStore) -> None:
        awkward = {"state": "partial", "n": None, "f": 1.0, "": {"\0": ["\U0001f642", {}]}}
        [one] = store.append("t", say("a"), metadata=awkward).messages
        assert json_text(one.metadata) == json_text(awkward)
        [found] = store.read("t")
        assert found == one == store.get_message("t", one.id or "")
        assert json_text(found.metadata) == json_text(awkward)
        assert found.to_dict() == say("a")
        text = store.read_entries("t").text
        assert text == found.entry_text()

    def test_one_for_all_or_one_for_each(self, store: ChatStore) -> None:
        store.append("t", say("a"), say("b"), metadata={"x": 1})
        store.append("t", say("c"), say("d"), metadata=[None, {"y": 2}])
        store.append("t", say("e"))
        assert [message.metadata for message in whole(store, "t")] == [{"x": 1}, {"x": 1}, {}, {"y": 2}, {}]
        wrong: list[Any] = [[{"a": 1}], "text", {"a": float("nan")}, {"a": "x" * 16_400}, [1, 2]]
        for bad in wrong:
            with pytest.raises(InvalidArgument):
                store.append("t", say("f"), say("g"), metadata=bad)
        assert len(whole(store, "t")) == 5

    @needs(Capability.EDIT)
    def test_it_changes_and_nothing_else_does(self, store: ChatStore, clock: ManualClock) -> None:
        _, one, _ = store.append("t", say("a"), say("b"), say("c"), metadata={"a": 1, "b": {"c": 2}}).messages
        etag = store.read("t").etag
        clock.advance(timedelta(minutes=1))
        changed = store.update_message("t", one.id or "", metadata={"b": {"d": 3}, "a": None})
        assert changed.metadata == {"b": {"c": 2, "d": 3}}
        assert changed == store.get_message("t", one.id or "")
        assert (changed.text, changed.position, changed.created_at) == (
            one.text,
            one.position,
            one.created_at,
        )
        assert changed.etag != one.etag
        assert store.read("t").etag != etag
        whole_new = store.update_message("t", one.id or "", metadata={"n": None}, merge=False)
        assert whole_new.metadata == {"n": None}
        assert store.update_message("t", one.id or "", metadata=None).metadata == {}
        assert [message.metadata for message in whole(store, "t")] == [
            {"a": 1, "b": {"c": 2}},
            {},
            {"a": 1, "b": {"c": 2}},
        ]

    @needs(Capability.EDIT)
    def test_its_condition_is_of_the_message(self, store: ChatStore) -> None:
        first, second = store.append("t", say("a"), say("b")).messages
        old = first.etag
        new = store.update_message("t", first.id or "", metadata={"x": 1}, if_match=old).etag
        before = state(store, "t")
        with pytest.raises(Conflict) as caught:
            store.update_message("t", first.id or "", metadata={"x": 2}, if_match=old)
        assert caught.value.current == new
        with pytest.raises(Conflict):
            store.replace_message("t", first.id or "", say("x"), if_match=old)
        assert state(store, "t") == before
        assert store.get_message("t", second.id or "").etag == second.etag

    @needs(Capability.EDIT)
    def test_it_stays_with_another_text_unless_that_brings_its_own(self, store: ChatStore) -> None:
        [one] = store.append("t", say("a"), metadata={"state": "partial"}).messages
        again = store.replace_message("t", one.id or "", say("ab"))
        assert (again.content, again.metadata) == ("ab", {"state": "partial"})
        done = store.replace_message("t", one.id or "", say("abc"), metadata={"state": "done"})
        assert (done.content, done.metadata) == ("abc", {"state": "done"})
        assert store.get_message("t", one.id or "") == done
        assert store.replace_message("t", one.id or "", say("abcd"), metadata=None).metadata == {}

    @needs(Capability.EDIT)
    def test_what_is_not_there_has_none(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.update_message("t", "x", metadata={"a": 1})
        store.append("t", say("a"))
        with pytest.raises(MessageNotFound):
            store.update_message("t", uuid7(), metadata={"a": 1})

    @needs(Capability.EDIT)
    def test_too_much_of_it_is_refused(self, store: ChatStore) -> None:
        [one] = store.append("t", say("a"), metadata={"a": "x" * 10_000}).messages
        with pytest.raises(InvalidArgument):
            store.update_message("t", one.id or "", metadata={"b": "x" * 10_000})
        assert whole(store, "t") == [one]

    @needs(Capability.EDIT, Capability.REQUESTS)
    def test_a_repetition_changes_it_once(self, store: ChatStore) -> None:
        [one] = store.append("t", say("a"), metadata={"n": 0}).messages
        request = uuid7()
        first = store.update_message("t", one.id or "", metadata={"n": 1}, request_id=request)
        store.update_message("t", one.id or "", metadata={"n": 2})
        assert store.update_message("t", one.id or "", metadata={"n": 1}, request_id=request) == first
        assert store.get_message("t", one.id or "").metadata == {"n": 2}

    def test_copies_and_histories_keep_it(self, store: ChatStore) -> None:
        [one] = store.append("t", say("a"), metadata={"x": 1}, key="k").messages
        kept = store.replace_all("t", [say("a"), say("b")])
        assert kept.kept == 1
        assert whole(store, "t")[0] == one
        replaced = store.replace_all("t", [say("z"), *whole(store, "t")])
        assert [message.metadata for message in replaced.messages] == [{}, {"x": 1}, {}]
        assert [message.key for message in whole(store, "t")] == [None, "k", None]
        with supported(store, Capability.FORK):
            store.fork("t", "copy")
            assert [message.metadata for message in whole(store, "copy")] == [{}, {"x": 1}, {}]
            assert store.get_message("copy", "key:k").content == "a"

    @needs(Capability.INSERT)
    def test_an_inserted_message_has_its_own(self, store: ChatStore) -> None:
        [first] = store.append("t", say("a")).messages
        one = store.insert("t", say("b"), before=first.id, metadata={"x": 1}, key="k")
        assert (one.metadata, one.key) == ({"x": 1}, "k")
        assert whole(store, "t") == [one, first]


class Keys:
    """Names that clients give to messages."""

    def test_a_message_is_read_by_its_key(self, store: ChatStore) -> None:
        first, second, _ = store.append(
            "t", say("a"), say("b"), say("c"), key=["k 1", "\u00e9/\0?#", None]
        ).messages
        assert (first.key, second.key) == ("k 1", "\u00e9/\0?#")
        assert store.get_message("t", "key:k 1") == first
        assert store.get_message("t", "key:\u00e9/\0?#") == second
        assert whole(store, "t")[:2] == [first, second]
        for absent in ("key:", "key:K 1", "key:k", "k 1"):
            with pytest.raises(MessageNotFound):
                store.get_message("t", absent)

    def test_a_key_names_one_message_of_its_thread(self, store: ChatStore) -> None:
        [one] = store.append("t", say("a"), key="k").messages
        store.append("u", say("b"), key="k")
        before = state(store, "t")
        with pytest.raises(MessageExists) as caught:
            store.append("t", say("b"), say("c"), key=[None, "k"])
        assert (caught.value.thread_id, caught.value.key, caught.value.message_id) == ("t", "k", one.id)
        with pytest.raises(InvalidArgument):
            store.append("t", say("b"), say("c"), key=["x", "x"])
        with pytest.raises(InvalidArgument):
            store.append("t", say("b"), say("c"), key="x")
        with pytest.raises(InvalidArgument):
            store.append("t", say("b"), key="x" * 257)
        assert state(store, "t") == before
        with supported(store, Capability.INSERT), pytest.raises(MessageExists):
            store.insert("t", say("b"), before=one.id, key="k")

    @needs(Capability.REQUESTS)
    def test_with_a_request_id_the_repetition_gives_the_first(self, store: ChatStore) -> None:
        request = uuid7()
        first = store.append("t", say("a"), key="k", request_id=request)
        assert store.append("t", say("a"), key="k", request_id=request) == first
        assert len(whole(store, "t")) == 1

    @needs(Capability.EDIT)
    def test_it_names_a_message_wherever_an_id_does(self, store: ChatStore) -> None:
        store.append("t", *map(say, "abcdef"), key=list("123456"))
        assert store.replace_message("t", "key:2", say("B")).key == "2"
        assert store.update_message("t", "key:2", metadata={"x": 1}).content == "B"
        assert contents(store.read("t", after="key:2")) == ["c", "d", "e", "f"]
        assert contents(store.read("t", before="key:3")) == ["a", "B"]
        assert store.delete_message("t", "key:1").content == "a"
        with supported(store, Capability.INSERT):
            store.insert("t", say("+"), after="key:2")
        with supported(store, Capability.FORK):
            store.fork("t", "copy", through="key:3")
            assert contents(whole(store, "copy"))[-1] == "c"
        store.append("t", say("g"), after="key:4")
        assert contents(whole(store, "t"))[-2:] == ["d", "g"]
        store.truncate("t", from_="key:3")
        assert contents(whole(store, "t"))[0] == "B"

    def test_a_key_is_free_when_its_message_is_gone(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("cut"), say("stays"), key=["a", "b"])
        [one] = store.append("t", say("x"), key="c").messages
        store.truncate("t", from_=one.id)
        assert store.append("t", say("again"), key="c").messages[0].key == "c"
        assert store.get_message("t", "key:c").content == "again"
        with supported(store, Capability.EDIT):
            store.delete_message("t", "key:a")
            store.append("t", say("anew"), key="a")
            assert store.get_message("t", "key:a").content == "anew"
        store.replace_all("t", [say("other")])
        with pytest.raises(MessageNotFound):
            store.get_message("t", "key:b")
        store.append("t", say("b"), key="b")
        store.delete_thread("t")
        store.append("t", say("begun again"), key="b")
        assert store.get_message("t", "key:b").content == "begun again"
        with supported(store, Capability.EXPIRY):
            store.append("t", say("short"), key="s", expires_in=60)
            clock.advance(timedelta(minutes=2))
            with pytest.raises(MessageNotFound):
                store.get_message("t", "key:s")
            store.append("t", say("long"), key="s")
            assert store.get_message("t", "key:s").content == "long"

    def test_pages_begin_and_end_at_messages(self, store: ChatStore) -> None:
        ids = [message.id for message in store.append("t", *map(say, range(9))).messages]
        assert contents(store.read("t", after=ids[3])) == [4, 5, 6, 7, 8]
        assert contents(store.read("t", before=ids[3], limit=2)) == [1, 2]
        assert contents(store.read("t", after=ids[1], before=ids[5])) == [2, 3, 4]
        assert contents(store.iter_messages("t", after=ids[6])) == [7, 8]
        with pytest.raises(MessageNotFound):
            store.read("t", after=uuid7())
        with pytest.raises(ThreadNotFound):
            store.read("u", before=ids[0])
