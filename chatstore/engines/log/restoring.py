"""A thread taken back as it was: its messages come in slots as those of turns do, with ids from elsewhere.

An id then no longer tells where its message is, which the header says: `scattered`. Messages are packed, so
that a slot is one row of few messages. Each slot is taken as any other. Whoever is killed leaves the
beginning of the thread, and goes on behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from chatstore.batching import batches
from chatstore.codec import encode
from chatstore.conditions import require_log, restored, restores_nothing
from chatstore.contract import Draft, ThreadKey
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.records import Header, Slot, Totals, chained
from chatstore.engines.log.staging import are_inline
from chatstore.engines.log.writing import Writer
from chatstore.errors import Conflict, ThreadExists
from chatstore.models import Appended, Message, Thread, to_micros

__all__ = ["Restorer"]

_MOST_ENTRIES, _MOST_BYTES = 16, 16_384


class Restorer:
    """Restores threads, a slot at a time."""

    def __init__(self, writer: Writer, lists: Lists, decide: Deciding) -> None:
        self._writer = writer
        self._lists = lists
        self._decide = decide

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], if_match: str | None
    ) -> Appended:
        """Take as many of the first messages as a slot takes. Raises ThreadExists, Conflict."""
        first = next(batches(messages, _length, most=_MOST_ENTRIES, size_most=_MOST_BYTES), [])
        token, active = "", thread.active_at

        async def plan(turn: Turn) -> Answer[Appended] | Decision[Appended]:
            nonlocal token, active
            token = turn.token
            present = turn.head.thread(key._replace(owner=None), turn.now)
            if if_match is None:
                if present is not None:
                    raise ThreadExists(key.id)
                return await self._make(turn, replace(thread, etag=turn.token, cost=None), first)
            if present is None:
                raise Conflict(None)
            require_log(if_match, turn.head.etag, appending=True)
            after = restored(present, thread)
            active = after.active_at
            if restores_nothing(present, after, first):
                return Answer(Appended((), turn.head.etag))
            return await self._go_on(turn, present, after, first)

        done = await self._writer.mutate(key, None, plan, no_request)
        if if_match is None or not first:
            # Whoever cleared up an hour of long ago may have taken the rows for those of nothing. Who is
            # killed in front of this does it when called again, with nothing to add.
            await self._lists.point_again(key, thread.owner, to_micros(active), token)
        return done

    async def _make(self, turn: Turn, thread: Thread, messages: Sequence[Message]) -> Decision[Appended]:
        head, active = turn.head, to_micros(thread.active_at)
        left = await self._decide.pointed(turn, thread)
        if head.header is not None and head.header.living:
            # What an expired thread left ends with an epoch of its own.
            decision = await self._decide.next_epoch(
                turn, thread, (), None, life=True, scattered=True, left=left
            )
            return cast("Decision[Appended]", decision)
        version = 1 if head.header is None else head.header.version + 1
        base = Totals(
            life=turn.token[:8], version=version, seen=turn.totals.seen, active_at=active, left=left
        )
        over = None if head.header is None else head.header.over
        header = Header(version, head.epoch, base, thread, scattered=True, claimed=True, over=over)
        taken = messages if are_inline([Draft(one.text) for one in messages]) else ()
        decision = await self._slot(turn, base, taken, header)
        await self._decide.claims.stage(turn, decision.slot)
        return decision

    async def _go_on(
        self, turn: Turn, present: Thread, thread: Thread, messages: Sequence[Message]
    ) -> Decision[Appended]:
        header = cast("Header", turn.head.header)
        changes = replace(present, etag="", cost=None) != replace(thread, etag="", cost=None)
        after: Header | None = None
        if changes or (messages and not header.scattered):
            kept = replace(thread, etag=turn.token if changes else present.etag, cost=None)
            after = header._replace(version=header.version + 1, thread=kept, scattered=True)
        if thread.expires_at is not None and changes:
            await self._lists.visits.schedule(turn.head.pk, to_micros(thread.expires_at))
        active = to_micros(thread.active_at)
        await self._decide.claims.take(turn, [Draft(one.text, key=one.key) for one in messages])
        left = await self._decide.listed(turn, active)
        return await self._slot(turn, replace(turn.totals, active_at=active, left=left), messages, after)

    async def _slot(
        self, turn: Turn, before: Totals, messages: Sequence[Message], header: Header | None
    ) -> Decision[Appended]:
        """The slot that adds `messages`."""
        expiries = [to_micros(one.expires_at) for one in messages if one.expires_at is not None]
        if expiries:
            await self._lists.visits.schedule(turn.head.pk, min(expiries))
        totals = replace(
            before,
            count=before.count + len(messages),
            chain=chained(before.chain, [one.text for one in messages]),
            expiring=before.expiring or bool(expiries),
            places=before.places + (not messages),
        )
        slot: Slot = turn.slot(totals, header=header)
        entries = tuple(
            entry._replace(
                id=cast("str", one.id),
                created_at=to_micros(cast("datetime", one.created_at)),
                expires_at=None if one.expires_at is None else to_micros(one.expires_at),
                metadata=encode(dict(one.metadata)) if one.metadata else None,
                key=one.key,
            )
            for entry, one in zip(slot.arranged([Draft(one.text) for one in messages]), messages, strict=True)
        )
        slot = slot._replace(entries=await self._decide.inline(turn, entries))
        return Decision(
            slot, Appended(tuple(entry.message() for entry in entries), totals.etag(turn.head.epoch))
        )


def _length(message: Message) -> int:
    return len(message.text.encode())
