"""Judges lists: they have the threads that were there all the while, and at the end no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from chatstore.contract import UNSET, ThreadKey
from chatstore.models import Thread
from tests.simulation.acting import Op
from tests.simulation.world import MINUTE

_BEGINS = ("append", "replace_all", "create", "born")
_ACTIVE = (*_BEGINS, "insert", "cut")


def complete(
    lists: Iterable[tuple[str, str | None, Sequence[Thread]]],
    living: dict[ThreadKey, Thread],
    tolerance: int | None,
    wrong: Callable[[str, str], Exception],
    tried: Callable[[ThreadKey, datetime, timedelta], bool],
    *,
    exact: bool,
) -> None:
    """Hold lists against the threads that are there; no others are in them if they are `exact`.

    With a `tolerance` they tell when each was active, too: or when somebody `tried` to write to it, in vain.
    """
    for tenant, owner, found in lists:
        expected = sorted(
            key.id for key, thread in living.items() if key.tenant == tenant and owner in (None, thread.owner)
        )
        whose = f"the list of {owner or 'tenant ' + tenant}"
        shown = sorted(one.id for one in found)
        if shown != expected and (exact or len(set(shown)) < len(shown) or not set(shown) >= set(expected)):
            raise wrong("lists", f"{whose} has {[one.id for one in found]} and not {expected}")
        if tolerance is None:
            continue
        near = timedelta(microseconds=MINUTE + tolerance)
        for one, other in pairwise(found):
            if one.active_at + near < other.active_at:
                raise wrong("activity", f"{whose} is not in order: {one.id} is before {other.id}")
        for one in found:
            if ThreadKey(tenant, one.id) not in living:
                continue
            key = ThreadKey(tenant, one.id)
            apart = one.active_at - living[key].active_at
            if apart < -near or (apart > near and not tried(key, one.active_at, near)):
                raise wrong("activity", f"{whose} has {one.id} active {apart} from what the thread says")


def during(ops: Sequence[Op], tolerance: int, wrong: Callable[[str, str], Exception]) -> None:
    """Hold each list against what was done before it and at the same time."""
    for op in ops:
        if op.kind != "list" or not op.ok or op.number >= 900:
            continue
        found = {thread.id for thread in op.result}
        for key, owner in _there_throughout(ops, op, tolerance):
            if op.key.owner in (None, owner) and key.id not in found:
                raise wrong(
                    "lists", f"{key.id} was there all the while and not in #{op.number} {sorted(found)}"
                )


def _there_throughout(
    ops: Sequence[Op], during: Op, tolerance: int
) -> Iterable[tuple[ThreadKey, str | None]]:
    keys = {
        op.key._replace(owner=None) for op in ops if op.kind in _BEGINS and op.key.tenant == during.key.tenant
    }
    for key in keys:
        own = [op for op in ops if op.key._replace(owner=None) == key]
        shown = [op for op in own if op.kind == "get" and op.ok and op.end < during.start]
        if not shown:
            continue
        last = max(shown, key=lambda op: op.start)
        thread: Thread = last.result
        if _may_end(ops, own, key, thread, last, during, tolerance):
            continue
        # Who becomes active while a list is read, page after page, is on a page that was read before.
        if any(op.kind in _ACTIVE for op in own if op.start <= during.end and op.end >= during.start):
            continue
        yield key, thread.owner


def _may_end(
    ops: Sequence[Op], own: Sequence[Op], key: ThreadKey, thread: Thread, last: Op, during: Op, tolerance: int
) -> bool:
    if thread.expires_at is not None:
        return True
    for op in ops:
        if op.start > during.end or op.end < last.start:
            continue
        if op.kind == "erase" and op.key.tenant == key.tenant and op.key.owner == thread.owner:
            return True
    return any(
        op.kind == "delete" or getattr(op.given.get("patch"), "ttl", None) not in (UNSET, None)
        for op in own
        if op.start <= during.end and op.end >= last.start
    )
