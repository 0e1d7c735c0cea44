"""Every mutation as a call on one prepared thread, for the promises that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from chatstore.contract import Capability
from chatstore.store import ChatStore
from chatstore.testing.samples import say

__all__ = [
    "MUTATIONS",
    "Call",
    "Mutation",
    "doing",
    "every_mutation",
    "prepare",
    "second",
    "third",
    "whatever_it_names",
]

Call = Callable[..., Any]


class Mutation(NamedTuple):
    """One way to change thread "t", which `prepare` made with three messages, of these `ids`.

    `call(store, ids, **options)` does it, and `other` does it with another payload. `names` says what
    its `if_match` is of: the "thread", the "log", the log's "tail" or a "message".
    """

    name: str
    names: str
    call: Call
    other: Call | None
    needs: tuple[Capability, ...] = ()


def prepare(store: ChatStore) -> list[str]:
    """Thread "t" with three messages; their ids."""
    store.create_thread("t", topic="x", metadata={"a": 1})
    return [message.id or "" for message in store.append("t", say("a"), say("b"), say("c")).messages]


def whatever_it_names(store: ChatStore, ids: list[str], mutation: Mutation) -> str | None:
    """The etag that the mutation's `if_match` is compared with."""
    if mutation.names == "thread":
        return store.get_thread("t").etag
    return store.get_message("t", ids[1]).etag if mutation.names == "message" else store.read("t").etag


def doing(method: str, *args: object, **given: object) -> Call:
    """A call of `method`, in which a function stands for what it makes of the messages' ids."""

    def call(store: ChatStore, ids: list[str], **options: object) -> object:
        filled: Mapping[str, Any] = {name: of(ids) if callable(of) else of for name, of in given.items()}
        return getattr(store, method)(*[of(ids) if callable(of) else of for of in args], **filled, **options)

    return call


def second(ids: list[str]) -> str:
    """The message in the middle."""
    return ids[1]


def third(ids: list[str]) -> str:
    """The last message."""
    return ids[2]


_NEW, _OTHER = say("new"), say("other")

MUTATIONS = (
    Mutation(
        "update_thread",
        "thread",
        doing("update_thread", "t", topic="y"),
        doing("update_thread", "t", topic="z"),
    ),
    Mutation("delete_thread", "thread", doing("delete_thread", "t"), None),
    Mutation("append", "tail", doing("append", "t", _NEW, _OTHER), doing("append", "t", _NEW)),
    Mutation(
        "insert",
        "log",
        doing("insert", "t", _NEW, before=second),
        doing("insert", "t", _NEW, before=third),
        (Capability.INSERT,),
    ),
    Mutation(
        "insert at the end",
        "log",
        doing("insert", "t", _NEW, after=third),
        doing("insert", "t", _OTHER, after=third),
        (Capability.INSERT,),
    ),
    Mutation(
        "insert by index",
        "log",
        doing("insert", "t", _NEW, index=0),
        doing("insert", "t", _NEW, index=1),
        (Capability.INSERT, Capability.INDEX),
    ),
    Mutation(
        "replace_message",
        "message",
        doing("replace_message", "t", second, _NEW),
        doing("replace_message", "t", second, _OTHER),
        (Capability.EDIT,),
    ),
    Mutation(
        "delete_message",
        "message",
        doing("delete_message", "t", second),
        doing("delete_message", "t", third),
        (Capability.EDIT,),
    ),
    Mutation(
        "delete_message by index",
        "log",
        doing("delete_message", "t", index=0),
        doing("delete_message", "t", index=1),
        (Capability.INDEX,),
    ),
    Mutation("pop", "log", doing("pop", "t"), None, (Capability.INDEX,)),
    Mutation("clear", "log", doing("clear", "t"), None),
    Mutation("replace_all", "log", doing("replace_all", "t", [_NEW]), doing("replace_all", "t", [_OTHER])),
    Mutation(
        "replace_all by a grown one",
        "log",
        doing("replace_all", "t", [say("a"), say("b"), say("c"), _NEW]),
        doing("replace_all", "t", [say("a"), say("b"), say("c"), _OTHER]),
    ),
    Mutation(
        "fork",
        "log",
        doing("fork", "t", "copy"),
        doing("fork", "t", "copy", through=second),
        (Capability.FORK,),
    ),
)
"""All mutations of a thread that is there, and of each the variants that a backend may do differently."""

every_mutation = pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-")
)
"""Runs a test once for each."""
