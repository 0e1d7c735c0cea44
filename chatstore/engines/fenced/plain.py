"""The append that most are: a few messages with nothing beside them, to a thread that this process knows.

It writes what `plans.appended` and `attempts.Attempt` would make of it, without looking for what it has not:
no piece, no listing to be told, no visit, no name. Whatever is not so plain is None here, and goes their way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, cast

from chatstore import position, records
from chatstore.conditions import message_etag, require_window
from chatstore.contract import Clock, Draft, Request, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.attempts import Attempt, recorded
from chatstore.engines.fenced.changing import Plan, View
from chatstore.engines.fenced.header import CUTS, LISTINGS, MINUTE, Known, State, heading
from chatstore.engines.fenced.payload import pack
from chatstore.engines.fenced.port import Op, Overtaken
from chatstore.engines.fenced.reading import Seen
from chatstore.engines.fenced.segments import MOST_BYTES, MOST_MESSAGES, plain_text
from chatstore.engines.fenced.table import Table
from chatstore.engines.fenced.telling import records_listing
from chatstore.engines.fenced.writing import Writer
from chatstore.metering import conflicted
from chatstore.models import Appended, Message, from_micros
from chatstore.wire import micros_of

__all__ = ["Appender", "Plain", "plainly", "remembering"]


class Appender:
    """Appends plainly where that will do, else by a `Writer`."""

    def __init__(self, table: Table, seen: Seen, clock: Clock, writer: Writer, window: timedelta) -> None:
        self._table = table
        self._seen = seen
        self._clock = clock
        self._writer = writer
        self._window = window

    async def append(
        self, key: ThreadKey, request: Request | None, drafts: Sequence[Draft], plan: Plan[Appended]
    ) -> Appended:
        """`Writer.mutate` of `plan`: `plans.appended` of the drafts, on no condition."""
        lost = False
        partition = layout.partition(key.tenant, key.id)
        async with self._table.driver.turn(partition):
            known = self._seen.get(partition)
            view = View(key, partition, known or Known(), self._clock())
            plain = plainly(view, drafts)
            if plain is not None and request is not None:
                require_window(request, view.now, self._window)
                plain = remembering(plain, view, request, self._window)
            if plain is not None:
                try:
                    etags = await self._table.submit(partition, plain.ops)
                except Overtaken as overtaken:
                    self._seen.drop(partition)
                    first = await self._writer.first(request, drafts, view)
                    if first is not None:
                        return cast("Appended", first[0])
                    conflicted()
                    lost = overtaken.perhaps and request is None
                else:
                    self._seen.put(partition, Known(plain.state, etags[0], row=plain.ops[1]))
                    return plain.result
        if plain is None:
            return await self._writer.mutate(key, request, drafts, plan)
        tried = Attempt(self._table, view, plain.name), plain.result
        # Even where no answer was lost: a network may deliver a request twice.
        return await self._writer.mutate(key, request, drafts, plan, warm=False, tried=tried, lost=lost)


class Plain(NamedTuple):
    """A plain append: the write's name, the header and the group as they become, and the result.

    In the group are the header and the row of messages; what is remembered of a request is behind them.
    """

    name: str
    state: State
    ops: Sequence[Op]
    result: Appended


def plainly(view: View, drafts: Sequence[Draft]) -> Plain | None:
    """`drafts` at the end of the thread that is known; None where there is more to do than that."""
    state, now = view.known.state, view.now
    if state is None or not _is_settled(state, now) or view.key.owner not in (None, state.owner):
        return None
    if len(drafts) > MOST_MESSAGES:
        return None
    messages, size, made = [], 0, from_micros(now)
    for slot, (text, ttl, metadata, key) in enumerate(drafts, state.tail + 1):
        if ttl is not None or metadata is not None or key is not None:
            return None
        size += len(text)
        place = position.nth(slot)
        id = layout.message_id(now, place)
        messages.append(Message(text, id, place, made, message_etag(id, 0)))
    if size > MOST_BYTES:
        return None
    name = layout.attempt(now)
    row = layout.message_row(state.epoch, position.nth(state.tail + 1))
    packed = pack(row, name, plain_text(messages, now))
    if packed.chunks:
        return None
    state = state.added(len(messages), name)
    ops = [heading(state, view.known.etag), Op("upsert", row, packed.properties)]
    return Plain(name, state, ops, Appended(tuple(messages), state.etag))


def remembering(plain: Plain, view: View, request: Request, window: timedelta) -> Plain | None:
    """The append and what is remembered of its request; None where a listing or a sweep is to be told too."""
    listing, state = records_listing(view, plain.state), plain.state
    if listing not in state.listings or state.due is None:
        return None
    fields = [[one.id, one.position, view.now, one.etag, None] for one in plain.result.messages]
    text = records.appended(fields, plain.result.etag)
    op, pieces = recorded(view, plain.name, request, text, listing, view.now + micros_of(window))
    return None if pieces else plain._replace(ops=[*plain.ops, op])


def _is_settled(state: State, now: int) -> bool:
    """Whether nothing of a header but its tail changes by an append, and nothing is to be tidied up."""
    return (
        state.deleted is None
        and state.expires is None
        and now // MINUTE == state.active // MINUTE
        and len(state.listings) <= LISTINGS
        and len(state.cuts) < CUTS
    )
