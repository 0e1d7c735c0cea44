"""Makes stores by random operations, and says all that can be read of one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from chatstore import AsyncChatStore, ChatStore
from chatstore.api_keys import Keys
from chatstore.blocking import run
from chatstore.errors import MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.models import Message, Thread
from chatstore.testing.manual_clock import ManualClock

TENANTS = ("default", "acme", "b#1")
THREADS = ("t", "ü/ {}", "c" * 40)
OWNERS = ("ada", "bob")
TTLS = st.none() | st.sampled_from([30, 3600, 100_000])


@dataclass(frozen=True)
class Step:
    """One operation."""

    verb: str
    tenant: str
    thread: str
    owner: str | None
    number: int
    ttl: int | None
    other: str


STEPS = st.builds(
    Step,
    st.sampled_from(
        ("append", "append", "append", "insert", "replace", "delete", "fork", "update", "clear",
         "replace_all", "delete_thread", "create", "key", "wait")
    ),
    st.sampled_from(TENANTS), st.sampled_from(THREADS), st.none() | st.sampled_from(OWNERS),
    st.integers(0, 40), TTLS, st.sampled_from(THREADS),
)  # fmt: skip


def make(store: ChatStore, clock: ManualClock, steps: list[Step]) -> None:
    """Do all of the steps that can be done."""
    for step in steps:
        with suppress(ThreadNotFound, MessageNotFound, ThreadExists):
            _do(store, clock, step)


def _do(store: ChatStore, clock: ManualClock, step: Step) -> None:
    scoped = store.for_tenant(step.tenant)
    said = [
        {"role": "user", "content": f"{step.number} é {number}", "n": 1.0} for number in range(step.number)
    ]
    turn = said or [{"role": "tool", "content": None}]
    if step.verb == "append":
        scoped.append(step.thread, *turn, owner=step.owner, expires_in=step.ttl)
    elif step.verb == "insert":
        scoped.insert(step.thread, turn[0], index=step.number, expires_in=step.ttl)
    elif step.verb == "replace":
        scoped.replace_message(step.thread, _some(scoped, step), {"role": "x", "content": [step.number]})
    elif step.verb == "delete":
        scoped.delete_message(step.thread, _some(scoped, step))
    elif step.verb == "fork":
        scoped.fork(step.thread, step.other)
    elif step.verb == "update":
        scoped.update_thread(step.thread, topic=f"{step.number}", metadata={"n": step.number, "s": [None]})
    elif step.verb == "clear":
        scoped.clear(step.thread)
    elif step.verb == "replace_all":
        scoped.replace_all(step.thread, said, expires_in=step.ttl)
    elif step.verb == "delete_thread":
        scoped.delete_thread(step.thread)
    elif step.verb == "create":
        people = [{"id": "p", "display_name": "P", "metadata": {"a": step.number}}]
        scoped.create_thread(step.thread, topic="x", owner=step.owner, participants=people, ttl=step.ttl)
    elif step.verb == "key":
        keys = Keys(AsyncChatStore(store.backend, owns_backend=False))
        ttl = None if step.ttl is None else timedelta(seconds=step.ttl)
        run(keys.create(step.tenant, ["read"], owner=step.owner, ttl=ttl, note=f"{step.number}"))
    else:
        clock.advance(timedelta(seconds=step.number * 40))


def _some(store: ChatStore, step: Step) -> str:
    """The id of a message."""
    messages = list(store.iter_messages(step.thread))
    if not messages:
        raise ThreadNotFound(step.thread)
    return messages[step.number % len(messages)].id or ""


def told(store: ChatStore, tenants: tuple[str, ...]) -> dict[str, Any]:
    """All that can be read of some tenants, but for what is a storage's own."""
    return {tenant: _tenant(store.for_tenant(tenant)) for tenant in tenants}


def _tenant(store: ChatStore) -> list[Any]:
    listed = [plain(thread) for thread in store.iter_threads()]
    by_owner = [[thread.id for thread in store.iter_threads(owner=owner)] for owner in OWNERS]
    return [listed, by_owner, [_thread(store, thread.id) for thread in listed]]


def _thread(store: ChatStore, id: str) -> list[Any]:
    messages = [kept(message) for message in store.iter_messages(id)]
    ids = [message[0] for message in messages]
    named = {0, len(ids) // 2, len(ids) - 1} if ids else set()
    each = [kept(store.get_message(id, ids[place] or "")) for place in sorted(named)]
    last = [message.id for message in store.read(id, last=5)]

    return [plain(store.get_thread(id)), messages, each == [messages[place] for place in sorted(named)],
            last == ids[-5:]]  # fmt: skip


def plain(thread: Thread) -> Thread:
    """A thread without what is a storage's own."""
    return replace(thread, etag="", cost=None)


def kept(message: Message) -> tuple[Any, ...]:
    """What is kept of a message."""
    return message.id, message.text, message.created_at, message.expires_at


__all__ = ["STEPS", "TENANTS", "Step", "kept", "make", "plain", "told"]
