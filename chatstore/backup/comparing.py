"""Compares threads as they were with threads as a store has them, and sums both sides up in a digest.

What expires meanwhile is left out on both sides. Etags and positions are a storage's own, and not compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

from chatstore.backup.reading import Gone, Kept, all_threads, over
from chatstore.codec import Json
from chatstore.errors import CursorExpired, ThreadNotFound
from chatstore.exporting import history, json_line
from chatstore.models import Message, Thread, rfc3339
from chatstore.store import ChatStore
from chatstore.thread_form import thread_form

__all__ = ["Compared", "compare", "pairs", "properties", "same"]

Pair: TypeAlias = tuple[Message | None, Message | None]

_TRIES = 5


@dataclass(slots=True)
class Compared:
    """What was compared: how much, the digest of either side, and which threads are not the same.

    Those `unlisted` are the same, but not among the threads that the store lists: restoring them again helps.
    """

    threads: int = 0
    messages: int = 0
    source: int = 0
    target: int = 0
    differing: list[tuple[str, str]] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same."""
        return self.source == self.target and not self.differing and not self.unlisted

    @property
    def digests(self) -> tuple[str, str]:
        """Both digests as text; the order of threads makes no difference."""
        return f"{self.source % 2**256:064x}", f"{self.target % 2**256:064x}"


def compare(store: ChatStore, kept: Iterable[Kept]) -> Compared:
    """Read each thread on both sides, and see whether the store lists it.

    One that is gone from the source meanwhile is left out. The ids of all threads are kept in memory.
    """
    compared = Compared()
    same_there: dict[str, set[str]] = {}
    for one in kept:
        try:
            source, target, messages = _digests(store.for_tenant(one.tenant), one)
        except Gone:
            continue
        compared.threads += 1
        compared.messages += messages
        compared.source += source
        compared.target += target
        if source != target:
            compared.differing.append((one.tenant, one.thread.id))
        else:
            same_there.setdefault(one.tenant, set()).add(one.thread.id)
    for tenant, ids in same_there.items():
        compared.unlisted += [(tenant, id) for id in sorted(_unlisted(store.for_tenant(tenant), ids))]
    return compared


def properties(thread: Thread) -> dict[str, Json]:
    """What is kept of a thread's properties."""
    return thread_form(thread)


def same(one: Message, other: Message) -> bool:
    """Whether two messages are the same in all that is kept of them."""
    return _kept(one) == _kept(other)


def pairs(store: ChatStore, source: Iterator[Message], target: Iterator[Message]) -> Iterator[Pair]:
    """The messages of both sides beside each other, None where a side has none there.

    One that is missing on the other side, and expires while both are read, is passed over.
    """
    mine, there = next(source, None), next(target, None)
    while mine is not None or there is not None:
        if mine is None or there is None or not same(mine, there):
            if mine is not None and over(mine.expires_at, store):
                mine = next(source, None)
                continue
            if there is not None and over(there.expires_at, store):
                there = next(target, None)
                continue
        yield mine, there
        if mine is None or there is None or not same(mine, there):
            return
        mine, there = next(source, None), next(target, None)


def _unlisted(store: ChatStore, ids: set[str]) -> set[str]:
    """Those of the threads that are there and that no list has."""
    missing = ids.difference(thread.id for thread in all_threads(store))
    return {id for id in missing if _is_there(store, id)}


def _is_there(store: ChatStore, id: str) -> bool:
    try:
        store.get_thread(id)
    except ThreadNotFound:
        return False
    return True


def _digests(store: ChatStore, kept: Kept) -> tuple[int, int, int]:
    """The digests of both sides, and how many messages they have in common."""
    for tried in range(1, _TRIES + 1):
        if over(kept.thread.expires_at, store):
            raise Gone
        try:
            return _once(store, kept)
        except CursorExpired:
            if tried == _TRIES:
                raise
    raise AssertionError("unreachable")


def _once(store: ChatStore, kept: Kept) -> tuple[int, int, int]:
    source, target = (hashlib.sha256(kept.tenant.encode()) for _ in range(2))
    source.update(json_line(properties(kept.thread)))
    try:
        target.update(json_line(properties(store.get_thread(kept.thread.id))))
    except ThreadNotFound:
        target.update(b"none")
    there = chain.from_iterable(history(store, kept.thread.id))
    messages = 0
    for mine, other in pairs(store, kept.messages(), there):
        for digest, message in ((source, mine), (target, other)):
            digest.update(b"none" if message is None else json_line(_kept(message)))
        messages += mine is not None and other is not None
    return int.from_bytes(source.digest()), int.from_bytes(target.digest()), messages


def _kept(message: Message) -> list[Json]:
    times = (message.created_at, message.expires_at)
    said = [message.id, message.text, *(None if time is None else rfc3339(time) for time in times)]
    # A digest of messages that have nothing beside them is what it was before there was such a thing.
    return [*said, message.key, dict(message.metadata)] if message.key or message.metadata else said
