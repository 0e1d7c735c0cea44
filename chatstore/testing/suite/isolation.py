"""Tenants never meet, and neither do threads."""

from __future__ import annotations

import pytest

from chatstore.contract import Capability
from chatstore.errors import CursorExpired, MessageNotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.backend_tests import Sample
from chatstore.testing.capabilities import needs
from chatstore.testing.samples import THREAD_IDS, contents, say, state, whole

__all__ = ["Isolation"]

TENANTS = (
    *(
        "default",
        "Default",
        "acme",
        "acme ",
        "acme/",
        "acme#",
        "a",
        "a/b",
        "a|b",
        "a\0",
        "\0",
        "'",
        "%",
        "%2F",
        "*",
        "..",
    ),
    *("\u00e9", "e\u0301", "\u0645", "x" * 128, "x" * 127, "\u00e9" * 64),
)


class Isolation:
    """What is written to one thread of one tenant is read there and nowhere else."""

    def test_each_thread_id_names_its_own_thread(self, store: ChatStore) -> None:
        for number, id in enumerate(THREAD_IDS):
            store.append(id, say(number))
        for number, id in enumerate(THREAD_IDS):
            store.append(id, say(-number), create=False)
        for number, id in enumerate(THREAD_IDS):
            assert (id, contents(whole(store, id))) == (id, [number, -number])
            assert store.get_thread(id).id == id

    def test_threads_of_every_id_can_be_changed_and_deleted(self, store: ChatStore, sample: Sample) -> None:
        some = sample.of(THREAD_IDS, 0)
        for id in some:
            store.create_thread(id)
            store.update_thread(id, topic=id)
            store.replace_all(id, [say("a"), say(id)])
        # Each is there until it is its turn: what was deleted before took nothing else with it.
        for id in some:
            assert store.get_thread(id).topic == id
            assert contents(whole(store, id)) == ["a", id]
            assert store.delete_thread(id).existed
            assert whole(store, id) == []

    def test_each_tenant_has_threads_of_its_own(self, store: ChatStore) -> None:
        scoped = {tenant: store.for_tenant(tenant) for tenant in TENANTS}
        for tenant, own in scoped.items():
            assert own.tenant == tenant
            assert whole(own, "t") == []
            own.append("t", say(tenant), owner="ada")
            own.create_thread(f"of {tenant}")
        for tenant, own in scoped.items():
            assert contents(whole(own, "t")) == [tenant]
            assert own.get_thread(f"of {tenant}").id == f"of {tenant}"

    def test_tenant_and_thread_are_told_apart(self, store: ChatStore) -> None:
        pairs = [
            ("a", "b/c"),
            ("a/b", "c"),
            ("a", "b#c"),
            ("a#b", "c"),
            ("a\0b", "c"),
            ("a", "b\0c"),
            ("a|b", "c"),
            ("a", "b|c"),
            ("ab", "c"),
            ("a", "bc"),
            ("a%2Fb", "c"),
            ("a", "b%2Fc"),
            ("a:b", "c"),
            ("a", "b:c"),
        ]
        for tenant, thread in pairs:
            store.for_tenant(tenant).append(thread, say([tenant, thread]))
        for tenant, thread in pairs:
            assert contents(whole(store.for_tenant(tenant), thread)) == [[tenant, thread]]

    def test_nothing_of_another_tenant_can_be_named(self, store: ChatStore) -> None:
        acme, other = store.for_tenant("acme"), store.for_tenant("other")
        added = acme.append("t", say("secret"), say("too"), key=["k", None], metadata={"secret": True})
        id = added.messages[0].id or ""
        cursor = acme.read("t", limit=1).next
        for call in (
            lambda: other.get_thread("t"),
            lambda: other.get_message("t", id),
            lambda: other.get_message("t", "key:k"),
            lambda: other.update_thread("t"),
            lambda: other.truncate("t", after=id),
            lambda: other.append("t", say("mine"), after="key:k"),
            lambda: other.read("t", after=id),
        ):
            with pytest.raises(ThreadNotFound):
                call()
        other.append("t", say("own"))
        for name in (
            lambda: other.get_message("t", id),
            lambda: other.get_message("t", "key:k"),
            lambda: other.truncate("t", from_=id),
            lambda: other.append("t", say("mine"), after="key:k"),
            lambda: other.read("t", before="key:k"),
        ):
            with pytest.raises(MessageNotFound):
                name()
        with pytest.raises(CursorExpired):
            other.read("t", after=cursor)

    def test_what_one_tenant_removes_stays_with_the_others(self, store: ChatStore) -> None:
        acme, other = store.for_tenant("acme"), store.for_tenant("other")
        other.append("t", say("own"), say("too"), key=["k", None], metadata={"a": 1})
        before = state(other, "t")
        for change in (
            lambda: acme.append("t", say("a"), say("b"), key=["k", None]),
            lambda: acme.append("t", say("c"), patch={"topic": "mine"}),
            lambda: acme.append("t", say("d"), after="key:k", key="l"),
            lambda: acme.truncate("t", after="key:k"),
            lambda: acme.replace_all("t", [say("b")]),
            lambda: acme.clear("t"),
            lambda: acme.update_thread("t", topic="x"),
            lambda: acme.delete_thread("t"),
        ):
            change()
            assert state(other, "t") == before

    @needs(Capability.LIST)
    def test_a_listing_holds_the_tenants_own(self, store: ChatStore) -> None:
        for tenant in TENANTS:
            for number in range(2):
                store.for_tenant(tenant).create_thread(f"{tenant} {number}", owner="ada", metadata={"a": 1})
        for tenant in TENANTS:
            own = store.for_tenant(tenant)
            expected = {f"{tenant} {number}" for number in range(2)}
            for filters in ({}, {"owner": "ada"}, {"metadata": {"a": 1}}):
                assert {thread.id for thread in own.iter_threads(**filters)} == expected
        cursor = store.for_tenant("a").list_threads(limit=1).next
        assert {thread.id for thread in store.for_tenant("acme").list_threads(cursor=cursor)} <= {
            "acme 0",
            "acme 1",
        }

    @needs(Capability.FORK)
    def test_a_fork_stays_with_its_tenant(self, store: ChatStore) -> None:
        acme, other = store.for_tenant("acme"), store.for_tenant("other")
        acme.append("t", say("a"))
        with pytest.raises(ThreadNotFound):
            other.fork("t", "copy")
        acme.fork("t", "copy")
        assert whole(other, "copy") == []
