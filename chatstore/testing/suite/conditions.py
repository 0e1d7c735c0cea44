"""Compare-and-set: a write happens if what it names is as it was read, and else is a Conflict."""

from __future__ import annotations

import pytest

from chatstore.contract import ABSENT, Capability
from chatstore.errors import Conflict, InvalidArgument, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.backend_tests import Sample
from chatstore.testing.capabilities import supported
from chatstore.testing.samples import contents, say, state, whole
from chatstore.testing.suite.mutations import (
    MUTATIONS,
    Call,
    Mutation,
    doing,
    every_mutation,
    prepare,
    second,
    third,
    whatever_it_names,
)

__all__ = ["Conditions"]

LOG, TAIL, THREAD, MESSAGE = "log", "tail", "thread", "message"


def make_again(store: ChatStore, ids: list[str]) -> None:
    """Delete the thread of these messages, and write the same ones anew."""
    store.delete_thread("t")
    assert prepare(store) != ids


# What changes which etags, and the capabilities that it needs.
CHANGES: dict[str, tuple[Call, set[str], tuple[Capability, ...]]] = {
    "update_thread": (doing("update_thread", "t", topic="changed"), {THREAD}, ()),
    "append": (doing("append", "t", say("changed")), {LOG, TAIL}, ()),
    "insert": (doing("insert", "t", say("changed"), before=third), {LOG}, (Capability.INSERT,)),
    "replace the second": (
        doing("replace_message", "t", second, say("b")),
        {LOG, MESSAGE},
        (Capability.EDIT,),
    ),
    "replace the third": (doing("replace_message", "t", third, say("changed")), {LOG}, (Capability.EDIT,)),
    "delete the third": (doing("delete_message", "t", third), {LOG}, (Capability.EDIT,)),
    "pop": (doing("pop", "t"), {LOG}, (Capability.INDEX,)),
    "clear": (doing("clear", "t"), {LOG, TAIL}, ()),
    "replace_all": (doing("replace_all", "t", [say("changed")]), {LOG, TAIL}, ()),
    "grow": (doing("replace_all", "t", [say("a"), say("b"), say("c"), say("d")]), {LOG, TAIL}, ()),
    "delete and make again": (make_again, {LOG, TAIL, THREAD}, ()),
}

NONSENSE = ("", "x", "1", "a.1.1", ".", '"quoted"', "W/", "\0", "\u00e9", "\ud800", "**", "x" * 2000)


class Conditions:
    """`if_match`, on every mutation."""

    @every_mutation
    def test_what_was_just_read_holds(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs):
            mutation.call(store, ids, if_match=whatever_it_names(store, ids, mutation))

    @every_mutation
    def test_a_star_asks_only_that_it_be_there(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs):
            mutation.call(store, ids, if_match="*")

    @every_mutation
    def test_of_several_one_has_to_hold(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        etag = whatever_it_names(store, ids, mutation)
        with supported(store, *mutation.needs):
            with pytest.raises(Conflict):
                mutation.call(store, ids, if_match="x.1.1,y.1.1")
            mutation.call(store, ids, if_match=f"x.1.1, {etag}")

    @every_mutation
    def test_what_is_there_is_a_conflict_for_who_asks_for_nothing(
        self, store: ChatStore, mutation: Mutation
    ) -> None:
        ids = prepare(store)
        before, current = state(store, "t"), whatever_it_names(store, ids, mutation)
        with supported(store, *mutation.needs):
            with pytest.raises(Conflict) as refused:
                mutation.call(store, ids, if_match=ABSENT)
            assert refused.value.current == current
        assert state(store, "t") == before

    def test_of_all_who_ask_to_be_the_first_one_is(self, store: ChatStore) -> None:
        store.append("t", say("a"), if_none_match="*")
        for write in (doing("append", "t", say("b")), doing("replace_all", "t", [say("b")], create=True)):
            with pytest.raises(Conflict) as refused:
                write(store, [], if_none_match="*")
            assert refused.value.current == store.read("t").etag
        assert contents(whole(store, "t")) == ["a"]
        store.delete_thread("t")
        store.replace_all("t", [say("c")], create=True, if_none_match="*")
        store.create_thread("empty")
        with pytest.raises(Conflict):
            store.append("empty", say("a"), if_none_match="*")
        assert contents(whole(store, "t")) == ["c"]

    def test_to_ask_for_nothing_is_said_in_one_way(self, store: ChatStore) -> None:
        with pytest.raises(InvalidArgument):
            store.append("t", say("a"), if_none_match="x")
        with pytest.raises(InvalidArgument):
            store.append("t", say("a"), if_none_match="*", if_match="*")
        with pytest.raises(InvalidArgument):
            store.append("t", say("a"), create=False, if_none_match="*")
        with pytest.raises(InvalidArgument):
            store.replace_all("t", [say("a")], if_none_match="*")
        assert state(store, "t") == (None, None, ())

    @every_mutation
    def test_any_other_text_is_a_conflict(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        before, current = state(store, "t"), whatever_it_names(store, ids, mutation)
        for etag in NONSENSE:
            with supported(store, *mutation.needs):
                with pytest.raises(Conflict) as refused:
                    mutation.call(store, ids, if_match=etag)
                assert refused.value.current == current
        assert state(store, "t") == before

    @every_mutation
    def test_what_changed_is_a_conflict_and_what_did_not_is_none(
        self, store: ChatStore, mutation: Mutation, sample: Sample
    ) -> None:
        for change, (apply, changes, capabilities) in sample.of(CHANGES.items(), MUTATIONS.index(mutation)):
            fresh = store.for_tenant(change)
            ids = prepare(fresh)
            etag = whatever_it_names(fresh, ids, mutation)
            with supported(store, *capabilities, *mutation.needs):
                apply(fresh, ids)
                if mutation.names in changes:
                    before = state(fresh, "t")
                    with pytest.raises(Conflict) as refused:
                        mutation.call(fresh, ids, if_match=etag)
                    assert refused.value.current == whatever_it_names(fresh, ids, mutation) != etag
                    assert state(fresh, "t") == before
                elif mutation.names != "message" or ids[1] in {message.id for message in whole(fresh, "t")}:
                    mutation.call(fresh, ids, if_match=etag)

    @every_mutation
    def test_nothing_is_there_to_match(self, store: ChatStore, mutation: Mutation) -> None:
        for if_match in ("*", "x"):
            with supported(store, *mutation.needs), pytest.raises((Conflict, ThreadNotFound)) as refused:
                mutation.call(store, ["x", "y", "z"], if_match=if_match)
            if mutation.name in ("append", "clear", "delete_thread"):
                assert isinstance(refused.value, Conflict)
                assert refused.value.current is None
        assert state(store, "t") == (None, None, ())

    def test_the_log_has_one_etag_wherever_it_is_read(self, store: ChatStore) -> None:
        appended = store.append("t", say("a"), say("b"))
        for page in (store.read("t"), store.read("t", last=1), store.window("t", max_tokens=9)):
            assert page.etag == appended.etag
        store.append("t", say("c"), if_match=appended.etag)
        page = store.read("t")
        store.replace_all("t", [say("x")], if_match=page.etag)
        assert contents(whole(store, "t")) == ["x"]

    def test_an_etag_is_of_one_thread(self, store: ChatStore) -> None:
        for id in ("t", "u"):
            store.append(id, say("same"))
        with pytest.raises(Conflict):
            store.append("u", say("x"), if_match=store.read("t").etag)
        with pytest.raises(Conflict):
            store.update_thread("u", topic="x", if_match=store.get_thread("t").etag)

    def test_of_two_who_read_the_same_one_writes(self, store: ChatStore) -> None:
        etag = store.append("t", say("a")).etag
        store.append("t", say("b"), if_match=etag)
        with pytest.raises(Conflict) as refused:
            store.append("t", say("c"), if_match=etag)
        store.append("t", say("c"), if_match=refused.value.current)
        assert contents(whole(store, "t")) == ["a", "b", "c"]
