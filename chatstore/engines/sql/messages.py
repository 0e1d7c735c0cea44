"""The table of messages, within one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from chatstore import position
from chatstore.codec import encode
from chatstore.conditions import expiry, require_new_ids
from chatstore.contract import Draft, Span, ThreadKey
from chatstore.engines.sql.finding import MANY, STEP_BYTES, Finding
from chatstore.engines.sql.message_rows import (
    fitting,
    message_of,
)
from chatstore.engines.sql.rows import LIVING, Log
from chatstore.engines.sql.steps import Place, Step
from chatstore.errors import MessageExists
from chatstore.ids import uuid7
from chatstore.models import Appended, Message, to_micros

__all__ = ["Messages"]

_INSERT = (
    "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision, metadata, key) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Messages(Finding):
    """Finds, adds and changes rows of messages; one that has expired is not there."""

    # Adding

    async def add(
        self, log: Log, drafts: Sequence[Draft], kept: int = 0, *, thread_etag: str | None = None
    ) -> Appended:
        """Store `drafts` at the last places of `log`, which were taken for them."""
        slots = range(log.tail - len(drafts) + 1, log.tail + 1)
        messages = await self._store(log, drafts, [position.nth(slot) for slot in slots])
        return Appended(messages, log.etag, kept, thread_etag)

    async def put_before(self, log: Log, draft: Draft, following: str) -> Message:
        """Store `draft` right in front of the position `following`."""
        previous = await self._tx.one(
            "SELECT position FROM messages WHERE thread = ? AND position < ? ORDER BY position DESC LIMIT 1",
            log.key,
            following,
        )
        # What was cut is no neighbour: its positions are not used again, though its rows may be gone.
        behind = [cut.high for cut in log.cuts if cut.low < following]
        between = position.between(max([previous[0] if previous else position.START, *behind]), following)
        [message] = await self._store(log, [draft], [between])
        return message

    async def copy(self, origin: Log, place: Place, end: str | None) -> tuple[Place, bool]:
        """Copy on to `place` from `origin`, up to the position `end`, for one step; whether more is left."""
        step = Step()
        while True:
            span = Span(MANY, place.after, end, max_bytes=STEP_BYTES)
            rows, more = fitting(await self._rows(origin, span), span)
            slots = range(place.messages + 1, place.messages + len(rows) + 1)
            await self._tx.many(
                _INSERT,
                [
                    (
                        place.key,
                        position.nth(slot),
                        uuid7(created // 1000),
                        text,
                        created,
                        expires,
                        0,
                        *beside,
                    )
                    for slot, (text, _, _, created, _, expires, *beside) in zip(slots, rows, strict=True)
                ],
            )
            if rows:
                place = place._replace(messages=place.messages + len(rows), after=rows[-1][2])
            if not more or not step.goes_on():
                return place, more

    async def holds(self, log: Log, place: str | None) -> bool:
        """Whether there is still a message at a position; at None there always is."""
        if place is None:
            return True
        there = "SELECT 1 FROM messages WHERE thread = ? AND position = ?"
        return not log.is_cut(place) and await self._tx.one(there, log.key, place) is not None

    async def restore(self, key: ThreadKey, log: Log, messages: Sequence[Message]) -> Appended:
        """Store messages with their own ids and times at the last places of `log`, taken for them."""
        for message in messages:
            there = "SELECT position FROM messages WHERE thread = ? AND id = ?"
            row = await self._tx.one(there, log.key, message.id)
            present = row is not None and not await self._is_left(log, row[0])
            require_new_ids([message], [message.id] if present else [])
        await self.require_new_keys(key, log, messages)
        rows = [
            (
                message.text,
                message.id,
                position.nth(slot),
                to_micros(cast("datetime", message.created_at)),
                0,
                None if message.expires_at is None else to_micros(message.expires_at),
                encode(dict(message.metadata)) if message.metadata else None,
                message.key,
            )
            for slot, message in enumerate(messages, log.tail - len(messages) + 1)
        ]
        await self._tx.many(
            _INSERT,
            [
                (log.key, place, id, text, created, expires, revision, *beside)
                for text, id, place, created, revision, expires, *beside in rows
            ],
        )
        return Appended(tuple(map(message_of, rows)), log.etag)

    async def require_new_keys(
        self, key: ThreadKey, log: Log, drafts: Sequence[Draft] | Sequence[Message]
    ) -> None:
        """Raise MessageExists where a message has the key of one of `drafts`; one that is gone leaves it."""
        for draft in drafts:
            if draft.key is None:
                continue
            row = await self._tx.one(
                f"SELECT position, id, {LIVING} FROM messages WHERE thread = ? AND key = ?",
                self._clock(),
                log.key,
                draft.key,
            )
            if row is None:
                continue
            place, message_id, living = row
            if living and not await self._is_left(log, place):
                raise MessageExists(key.id, draft.key, message_id)
            if not living:
                await self._delete(log, place)

    async def _is_left(self, log: Log, place: str) -> bool:
        """Whether what stands at a position was cut away; its row is removed."""
        if log.is_cut(place):
            await self._delete(log, place)
            return True
        return False

    async def _delete(self, log: Log, place: str | None) -> None:
        await self._tx.remove("DELETE FROM messages WHERE thread = ? AND position = ?", log.key, place)

    async def _store(self, log: Log, drafts: Sequence[Draft], places: Sequence[str]) -> tuple[Message, ...]:
        if not drafts:
            return ()
        now = self._clock()
        rows = [
            (
                log.key,
                place,
                uuid7(now // 1000),
                draft.text,
                now,
                expiry(now, draft.ttl),
                0,
                draft.metadata,
                draft.key,
            )
            for draft, place in zip(drafts, places, strict=True)
        ]
        await self._tx.many(_INSERT, rows)
        return tuple(
            [
                message_of((text, id, place, now, 0, until, metadata, key))
                for _, place, id, text, _, until, _, metadata, key in rows
            ]
        )

    # Changing

    async def replace(self, log: Log, message: Message, draft: Draft | None, metadata: str | None) -> None:
        """Give a message another text, unless `draft` is None, that `metadata` and another revision."""
        given = "" if draft is None else "text = ?, "
        await self._tx.remove(
            f"UPDATE messages SET {given}metadata = ?, revision = revision + 1 "
            "WHERE thread = ? AND position = ?",
            *(() if draft is None else (draft.text,)),
            metadata,
            log.key,
            message.position,
        )

    async def remove(self, log: Log, message: Message) -> None:
        """Remove one message."""
        await self._delete(log, message.position)

    async def remove_expired(self, step: Step, most: int) -> tuple[int, bool]:
        """Remove messages that have expired, in any thread: how many, and whether some may be left."""

        async def some(count: int) -> int:
            return await self._tx.remove_some(
                "messages", "thread, position", "expires_at <= ?", self._clock(), limit=count
            )

        return await step.repeat(some, most)

    async def number_anew(self, log: Log) -> int:
        """Give every message of a thread a plain position again, above all present ones; how many."""
        where, parameters = self._seen(log)
        rows = await self._tx.all(f"SELECT id FROM messages WHERE {where} ORDER BY position", *parameters)
        places = [(position.nth(log.tail + count), log.key, *row) for count, row in enumerate(rows, 1)]
        await self._tx.many("UPDATE messages SET position = ? WHERE thread = ? AND id = ?", places)
        return len(places)
