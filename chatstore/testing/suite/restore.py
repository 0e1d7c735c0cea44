"""Threads taken back as they were, and the tenants that there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import Conflict, InvalidArgument, MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.models import Appended, Message, Participant, Thread
from chatstore.store import ChatStore
from chatstore.testing.backend_tests import Sample
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import AWKWARD_MESSAGES, contents, say, state, whole

__all__ = ["Restore", "Tenants"]


def old_thread(clock: ManualClock, id: str = "t", days: int = 90, **fields: object) -> Thread:
    """A thread of some days ago."""
    at = clock.now - timedelta(days=days)
    thread = Thread(id, None, None, {}, (), at, at + timedelta(hours=1, microseconds=7), None, "old")
    return replace(thread, **fields)  # type: ignore[arg-type]  # whatever a test names


def old_messages(clock: ManualClock, count: int, size: int = 1) -> list[Message]:
    """Messages of different days, with ids that no storage of ours gives."""
    return [
        Message(
            Message.from_dict(say(f"{number}".ljust(size))).text,
            f"old-{number}",
            created_at=clock.now - timedelta(days=80, seconds=-number),
        )
        for number in range(count)
    ]


def bring_back(
    store: ChatStore, thread: Thread, messages: list[Message], if_match: str | None = None
) -> Appended:
    """Restore all of a thread."""
    done = store.restore(thread, messages, if_match=if_match)
    while len(done.messages) < len(messages):
        messages = messages[len(done.messages) :]
        done = store.restore(thread, messages, if_match=done.etag)
    return done


def plain(messages: list[Message]) -> list[tuple[object, ...]]:
    """What is kept of messages."""
    return [(one.id, one.text, one.created_at, one.expires_at, one.metadata, one.key) for one in messages]


@needs(Capability.RESTORE)
class Restore:
    """`ChatStore.restore`."""

    def test_a_thread_reads_as_it_did(self, store: ChatStore, clock: ManualClock) -> None:
        thread = old_thread(
            clock,
            owner="ada",
            topic="of old",
            metadata={"a": [1, 1.0, None]},
            participants=(Participant("bob", "Bob", {"x": 1}), Participant("eve")),
            expires_at=clock.now + timedelta(days=1),
        )
        messages = [
            Message(
                Message.from_dict(message).text,
                f"0000000001-{number}" if number % 2 else f"01890a5d-ac96-774b-bcce-b302099a{number:04x}",
                created_at=clock.now - timedelta(days=50, seconds=-number),
                expires_at=clock.now + timedelta(hours=number) if number % 3 == 1 else None,
                metadata={"number": number} if number % 2 else {},
                key=f"k{number}" if number % 5 == 1 else None,
            )
            for number, message in enumerate(AWKWARD_MESSAGES)
        ]
        bring_back(store, thread, messages)
        kept = store.get_thread("t")
        assert replace(kept, etag="old") == thread
        assert [replace(one, etag="old") for one in store.list_threads(owner="ada")] == [thread]
        assert plain(whole(store, "t")) == plain(messages)
        for message in messages:
            assert plain([store.get_message("t", message.id or "")]) == plain([message])
        assert [one.id for one in store.read("t", last=3)] == [one.id for one in messages[-3:]]
        assert store.for_owner("bob").read("t").items == ()

    def test_threads_are_listed_as_they_were_active(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("now")
        for days in (3, 90, 1, 4, 5):
            bring_back(store, old_thread(clock, f"t{days}", days, owner="ada"), [])
        with_now = ["now", "t1", "t3", "t4", "t5", "t90"]
        assert [one.id for one in store.iter_threads()] == with_now
        assert [one.id for one in store.list_threads(owner="ada")] == with_now[1:]
        since = clock.now - timedelta(days=4, minutes=1)
        assert [one.id for one in store.list_threads(active_since=since)] == with_now[:4]

    def test_only_what_is_missing_is_taken(self, store: ChatStore, clock: ManualClock) -> None:
        thread, messages = old_thread(clock), old_messages(clock, 60)
        first = bring_back(store, thread, messages[:20])
        before = state(store, "t")
        with pytest.raises(ThreadExists):
            store.restore(thread, messages[:20])
        with pytest.raises(Conflict):
            store.restore(thread, messages[20:], if_match="another.1.0")
        with pytest.raises(Conflict):
            store.restore(replace(thread, id="no such thread"), messages, if_match=first.etag)
        assert state(store, "t") == before
        bring_back(store, thread, messages[20:], first.etag)
        with pytest.raises(Conflict):
            store.restore(thread, messages[20:], if_match=first.etag)
        assert plain(whole(store, "t")) == plain(messages)

    def test_nothing_new_changes_nothing(self, store: ChatStore, clock: ManualClock) -> None:
        thread, messages = old_thread(clock, owner="ada", metadata={"a": {"b": 1.0}}), old_messages(clock, 3)
        etag = bring_back(store, thread, messages).etag
        bring_back(store, old_thread(clock, "u"), [])
        before = state(store, "t"), state(store, "u")
        assert store.restore(thread, if_match=etag) == Appended((), etag)
        store.restore(replace(thread, active_at=thread.created_at), if_match=etag)
        store.restore(old_thread(clock, "u"), if_match=store.read("u").etag)
        assert (state(store, "t"), state(store, "u")) == before
        with pytest.raises(Conflict):
            store.restore(thread, if_match="another.1.0")

    def test_what_had_expired_is_not_there(self, store: ChatStore, clock: ManualClock) -> None:
        messages = old_messages(clock, 4)
        messages[1] = replace(messages[1], expires_at=clock.now - timedelta(seconds=1))
        messages[2] = replace(messages[2], expires_at=clock.now + timedelta(hours=1))
        bring_back(store, old_thread(clock), messages)
        assert [one.id for one in whole(store, "t")] == ["old-0", "old-2", "old-3"]
        with pytest.raises(MessageNotFound):
            store.get_message("t", "old-1")
        clock.advance(timedelta(hours=1))
        assert [one.id for one in whole(store, "t")] == ["old-0", "old-3"]

    def test_a_thread_expires_when_it_would_have(self, store: ChatStore, clock: ManualClock) -> None:
        thread = old_thread(clock, expires_at=clock.now + timedelta(minutes=1))
        bring_back(store, thread, old_messages(clock, 2))
        clock.advance(timedelta(minutes=1))
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
        assert list(store.iter_threads()) == []
        fresh = old_thread(clock, topic="another")
        bring_back(store, fresh, old_messages(clock, 1))
        assert (store.get_thread("t").topic, len(whole(store, "t"))) == ("another", 1)

    def test_properties_become_those_of_the_thread(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("a"), owner="ada")
        clock.advance(timedelta(hours=2))
        store.create_thread("u", owner="ada")
        clock.advance(timedelta(hours=2))
        active = clock.now - timedelta(minutes=30, microseconds=5)
        thread = old_thread(clock, owner="ada", topic="new", metadata={"b": 2}, active_at=active)
        store.restore(thread, if_match=store.read("t").etag)
        older = replace(thread, topic="newest", active_at=active - timedelta(hours=3))
        store.restore(older, if_match=store.read("t").etag)
        assert replace(store.get_thread("t"), etag="old") == replace(older, active_at=active)
        assert contents(whole(store, "t")) == ["a"]
        assert [one.id for one in store.list_threads(owner="ada")] == ["t", "u"]
        assert [one.id for one in store.iter_threads()] == ["t", "u"]
        with pytest.raises(InvalidArgument):
            store.restore(replace(thread, owner="bob"), if_match=store.read("t").etag)

    @needs(Capability.EDIT, Capability.INDEX, Capability.INSERT)
    def test_it_is_a_thread_like_any_other(self, store: ChatStore, clock: ManualClock) -> None:
        bring_back(store, old_thread(clock), old_messages(clock, 40))
        store.append("t", say("new"))
        store.insert("t", say("between"), before="old-20")
        store.insert("t", say("behind"), after="old-20")
        store.replace_message("t", "old-0", say("other"))
        store.delete_message("t", "old-39")
        store.delete_message("t", index=1)
        said = contents(whole(store, "t"))
        assert said[:2] + said[18:22] == ["other", "2", "19", "between", "20", "behind"]
        assert said[-2:] == ["38", "new"]
        assert store.get_message("t", "old-0").content == "other"
        assert contents([message for message in [store.pop("t")] if message]) == ["new"]
        store.replace_all("t", [say("x")])
        assert contents(whole(store, "t")) == ["x"]
        with pytest.raises(MessageNotFound):
            store.get_message("t", "old-3")

    @needs(Capability.FORK)
    def test_it_can_be_forked(self, store: ChatStore, clock: ManualClock) -> None:
        bring_back(store, old_thread(clock), old_messages(clock, 20))
        store.fork("t", "copy", through="old-10")
        assert contents(whole(store, "copy")) == contents(whole(store, "t"))[:11]

    @pytest.mark.parametrize(("count", "size"), [(150, 10), (3, 700_000), (20, 30_000)])
    def test_of_any_size(self, store: ChatStore, clock: ManualClock, count: int, size: int) -> None:
        messages = old_messages(clock, count, size)
        bring_back(store, old_thread(clock), messages)
        assert plain(whole(store, "t")) == plain(messages)
        bring_back(store, replace(old_thread(clock, "u"), owner="ada"), messages[:1])
        assert plain(whole(store, "u")) == plain(messages[:1])

    def test_arguments(self, store: ChatStore, clock: ManualClock) -> None:
        thread, [message] = old_thread(clock), old_messages(clock, 1)
        for wrong in (
            replace(message, id=None), replace(message, id=""), replace(message, created_at=None),
            replace(message, text="{}"), replace(message, text="no JSON"),
        ):  # fmt: skip
            with pytest.raises(InvalidArgument):
                store.restore(thread, [wrong])
        with pytest.raises(InvalidArgument):
            store.restore(replace(thread, id="t" * 1025), [message])
        with pytest.raises(InvalidArgument):
            store.for_owner("ada").restore(thread, [message])
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
        store.restore(thread)  # which a backend without the capability refuses


@needs(Capability.TENANTS)
class Tenants:
    """`ChatStore.iter_tenants`."""

    def test_each_is_named_once(self, store: ChatStore, sample: Sample) -> None:
        assert list(store.iter_tenants()) == []
        named = {"default", "chatstore:keys", "!", "a", "a#b", "é/ü", "x" * 128}
        named.update(f"t{number}" for number in sample.of(range(120), 0))
        for number, tenant in enumerate(sorted(named)):
            scoped = store.for_tenant(tenant)
            scoped.append("t", say(number)) if number % 2 else scoped.create_thread("t")
            scoped.create_thread("u", owner="ada")
        assert sorted(store.iter_tenants()) == sorted(named)

    def test_an_owner_knows_none(self, store: ChatStore) -> None:
        with pytest.raises(InvalidArgument):
            list(store.for_owner("ada").iter_tenants())
        list(store.iter_tenants())
