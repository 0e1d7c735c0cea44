"""What cannot be used is refused before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from chatstore.errors import InvalidArgument
from chatstore.models import Message, Participant
from chatstore.store import ChatStore
from chatstore.testing.samples import nested, say, state
from chatstore.testing.suite.mutations import MUTATIONS, prepare

__all__ = ["Arguments"]

PROPERTIES: tuple[dict[str, Any], ...] = (
    {"topic": "x" * 4097},
    {"topic": "\ud800"},
    {"topic": 7},
    {"metadata": {"a": float("nan")}},
    {"metadata": {1: "a"}},
    {"metadata": {"a": b"x"}},
    {"metadata": {"a": "\ud800"}},
    {"metadata": nested(65)},
    {"metadata": {"a": "x" * 65536}},
    {"metadata": [1]},
    {"metadata": "x"},
    {"participants": [{"id": "a"}, {"id": "a"}]},
    {"participants": [{"name": "no id"}]},
    {"participants": [{"id": "a", "unknown": 1}]},
    {"participants": [{"id": 7}]},
    {"participants": ["ada"]},
    {"participants": [Participant("a", metadata={"a": float("inf")})]},
    {"participants": [Participant(str(number)) for number in range(1001)]},
    {"ttl": -1},
    {"ttl": "60"},
)

MESSAGES: tuple[Any, ...] = (
    {},
    {"content": "no role"},
    {"role": ""},
    {"role": None},
    {"role": ["user"]},
    {"role": "\ud800"},
    {"role": "user", "content": float("-inf")},
    {"role": "user", "content": b"x"},
    {"role": "user", "content": {1: 2}},
    {"role": "user", "content": object()},
    {"role": "user", "content": nested(64)},
    "hello",
    ["role", "user"],
    None,
    7,
    Message("{not json"),
    Message("[1]"),
    Message('{"content": "no role"}'),
)


def refused(method: Callable[..., object], *args: object, **kwargs: object) -> None:
    """The call raises InvalidArgument."""
    with pytest.raises(InvalidArgument):
        raise AssertionError(f"{args!a} {kwargs!a} was taken, and gave {method(*args, **kwargs)!a}")


class Arguments:
    """Errors of the caller: InvalidArgument, and no trace of the call."""

    def test_properties_that_cannot_be(self, store: ChatStore) -> None:
        store.create_thread("t", topic="x", metadata={"a": 1})
        before = state(store, "t")
        for given in PROPERTIES:
            refused(store.create_thread, "new", **given)
            refused(store.update_thread, "t", **given)
        assert state(store, "t") == before
        assert state(store, "new") == (None, None, ())

    def test_messages_that_cannot_be(self, store: ChatStore) -> None:
        id = store.append("t", say("a")).messages[0].id
        before = state(store, "t")
        for message in MESSAGES:
            refused(store.append, "t", say("good"), message)
            refused(store.append, "new", message)
            refused(store.insert, "t", message, before=id)
            refused(store.replace_message, "t", id, message)
            refused(store.replace_all, "t", [say("good"), message])
            refused(store.replace_all, "new", [message], create=True)
        assert state(store, "t") == before
        assert state(store, "new") == (None, None, ())

    def test_owners_that_cannot_be(self, store: ChatStore) -> None:
        for owner in ("", "x" * 257, "\u00e9" * 129, "\ud800", 7):
            refused(store.create_thread, "t", owner=owner)
            refused(store.append, "t", say("a"), owner=owner)
            refused(store.list_threads, owner=owner)
        assert state(store, "t") == (None, None, ())

    def test_limits_that_cannot_be(self, store: ChatStore) -> None:
        for limit in (0, -1, 1001, 1.0, True, "1"):
            refused(store.list_threads, limit=limit)
            refused(store.read, "t", limit=limit)
            refused(store.read, "t", last=limit)
        for size in (0, -1, 1.5, True, "1"):
            refused(store.read, "t", max_bytes=size)

    def test_times_that_cannot_be(self, store: ChatStore) -> None:
        for since in (datetime(2026, 1, 1), "2026-01-01", 7):  # noqa: DTZ001 - refused for that
            refused(store.list_threads, active_since=since)

    def test_message_ids_that_cannot_be(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        before = state(store, "t")
        for id in ("x" * 1025, "\ud800", 7, b"x"):
            refused(store.get_message, "t", id)
            refused(store.replace_message, "t", id, say("b"))
            refused(store.delete_message, "t", id)
            refused(store.insert, "t", say("b"), before=id)
            refused(store.insert, "t", say("b"), after=id)
            refused(store.fork, "t", "new", through=id)
        assert state(store, "t") == before
        assert state(store, "new") == (None, None, ())

    def test_conditions_that_cannot_be(self, store: ChatStore) -> None:
        ids = prepare(store)
        before = state(store, "t")
        for mutation in MUTATIONS:
            for etag in (7, b"x", ("*",)):
                refused(mutation.call, store, ids, if_match=etag)
        assert state(store, "t") == before

    def test_thread_ids_that_cannot_be(self, store: ChatStore) -> None:
        for id in ("x" * 1025, "\u00e9" * 513, "\ud800", "a\udc80b", 7, b"x", ("t",)):
            refused(store.append, id, say("a"))
            refused(store.create_thread, id)
            refused(store.create_thread, id, request_id="r")
            refused(store.fork, "t", id)
            for method in (store.read, store.get_thread, store.delete_thread, store.clear, store.pop):
                refused(method, id)
            refused(store.window, id, max_tokens=1)
            refused(lambda id: list(store.iter_messages(id)), id)

    def test_tenants_that_cannot_be(self, store: ChatStore) -> None:
        for tenant in ("", "x" * 129, "\u00e9" * 65, "\ud800", 7, None, b"x"):
            refused(store.for_tenant, tenant)
