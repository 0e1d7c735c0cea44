"""Messages that expire, in threads of their own: they are written and read, and what was shown is judged.

Nothing else happens in these threads, so no order is looked for. What lives is shown, once and in order. What
has expired is not.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from chatstore.contract import NewThread, Span, ThreadKey
from chatstore.models import Message, to_micros
from tests.simulation.acting import NEVER, Op

if TYPE_CHECKING:
    from tests.simulation.clients import Clients
    from tests.simulation.plan import Step
    from tests.simulation.world import Process

__all__ = ["NAME", "act", "fault"]

NAME = "fading-"
_TTLS = (timedelta(seconds=5), timedelta(minutes=30), timedelta(hours=3), timedelta(days=2), None)


async def act(clients: Clients, step: Step, chance: random.Random, process: Process) -> None:
    """Append some messages, of which each lives for a while of its own, or read."""
    key = ThreadKey(step.tenant, f"{NAME}{step.tenant[0]}")
    clients.threads[key] = None
    if chance.random() < 0.4:
        await clients.read(step.number, process, key, Span(limit=1000, newest=chance.random() < 0.5))
        return
    both = [clients.draft(step, place, key) for place in range(chance.randint(1, 4))]
    ttls = tuple(chance.choice(_TTLS) for _ in both)
    drafts = [draft._replace(ttl=ttl) for (draft, _), ttl in zip(both, ttls, strict=True)]
    await clients.once(
        step, chance, process, "append", key,
        lambda backend, request: backend.append(
            key, drafts, create=NewThread(), if_match=None, request=request
        ),
        labels=tuple(label for _, label in both), create=NewThread(), if_match=None, ttls=ttls,
    )  # fmt: skip


def fault(ops: Sequence[Op], tolerance: int) -> str | None:
    """What is wrong with what reads have shown; None if nothing is. Clocks differ by a `tolerance`."""
    appends = [op for op in ops if op.kind == "append" and op.ok]
    for append in appends:
        first = min(op.start for op in ops if op.number == append.number) - tolerance
        for ttl, one in zip(append.given["ttls"], append.result.messages, strict=True):
            if ttl is None:
                continue
            life = ttl // timedelta(microseconds=1)
            if not first + life <= _ends(one) <= append.end + tolerance + life:
                return f"#{append.number} says that {one.id} expires at {one.expires_at}"
    for op in ops:
        if op.kind != "read" or not op.ok:
            continue
        shown: Sequence[Message] = op.result.items
        places = [one.position or "" for one in shown]
        if places != sorted(set(places)):
            return f"#{op.number} shows {places}"
        for one in shown:
            if _ends(one) + tolerance <= op.start:
                return f"#{op.number} shows {one.id}, which expired at {one.expires_at}"
        there = {one.id for one in shown}
        for append in appends:
            for one in append.result.messages:
                if append.end < op.start and _ends(one) - tolerance > op.end and one.id not in there:
                    return f"#{op.number} does not show {one.id} of #{append.number}"
    return None


def _ends(message: Message) -> int:
    return NEVER if message.expires_at is None else to_micros(message.expires_at)
