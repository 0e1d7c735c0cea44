"""Edits: one message inserted, replaced or deleted, by an effect on the row that holds it."""

from __future__ import annotations

from typing import cast

from chatstore import position
from chatstore.conditions import expiry, require, require_log
from chatstore.contract import Draft, InsertAt, MetadataPatch, ThreadKey
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.finding import Found
from chatstore.engines.log.making import answering, beside, edited
from chatstore.engines.log.planning import Answer, Decision, Turn
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Effect, Entry
from chatstore.errors import MessageNotFound
from chatstore.models import Message

__all__ = ["Editor"]


class Editor:
    """Plans edits of one message.

    Each plan finds the message or the gap in the thread as the turn has it. Its effect names the edition of
    the row that was read. Whoever applies it does so to that edition only, and so never twice.
    """

    def __init__(self, reader: Reader, decide: Deciding) -> None:
        self._reader = reader
        self._decide = decide

    async def insert(
        self, turn: Turn, key: ThreadKey, draft: Draft, at: InsertAt, if_match: str | None
    ) -> Decision[Message]:
        """A message between two others; at the end it is an append.

        Raises ThreadNotFound, MessageNotFound, Conflict, and MessageExists for a key that is taken.
        """
        turn.head.existing(key, turn.now)
        require_log(if_match, turn.head.etag)
        gap = await self._reader.gap(key, turn.head, at, turn.now)
        await self._decide.claims.take(turn, [draft])
        if gap.following is None:
            added = await self._decide.add(turn, [draft])
            message = added.result.messages[0]
            return Decision(answering(turn, added.slot, message, [draft]), message, after=added.after)
        between = position.between(gap.low, gap.following.entry.position)
        expires = expiry(turn.now, draft.ttl)
        entry = Entry(
            draft.text,
            f"{between}-{turn.token}",
            between,
            turn.now,
            expires,
            metadata=draft.metadata,
            key=draft.key,
        )
        totals = edited(turn, gone=-1, expiring=expires is not None, active=True)
        row = gap.following.slot if gap.following.place else None
        if row is not None:
            effect = Effect(row.position, row.edition, "add", gap.following.place)
        else:
            effect = Effect(between, None, "add", 0)
        return await self._decide.edit(turn, key, totals, effect, entry, draft, row=row)

    async def replace(
        self,
        turn: Turn,
        key: ThreadKey,
        message_id: str,
        draft: Draft | None,
        metadata: MetadataPatch | None,
        if_match: str | None,
    ) -> Decision[Message]:
        """A message with another text, or without a `draft` with other metadata alone.

        Raises MessageNotFound, Conflict, and InvalidArgument for metadata that grew too large.
        """
        found = await self._reader.named(key, turn.head, message_id, turn.now)
        require(if_match, found.entry.etag)
        entry = found.entry._replace(revision=found.entry.revision + 1)
        if metadata is not None:
            entry = entry._replace(metadata=beside(entry, metadata))
        if draft is None:
            said = Draft((await self._reader.message(turn.head, entry)).text)
        else:
            said, entry = draft, entry._replace(text=draft.text, blob=None)
        effect = Effect(found.slot.position, found.slot.edition, "put", found.place)
        return await self._decide.edit(
            turn, key, edited(turn), effect, entry, said, row=found.slot, was=found.entry
        )

    async def delete(
        self, turn: Turn, key: ThreadKey, message: str | int, if_match: str | None
    ) -> Answer[Message | None] | Decision[Message | None]:
        """A message taken out, by its id or its index; it is the result, None where -1 names none.

        Raises ThreadNotFound, MessageNotFound, and Conflict: by id `if_match` is the message's etag, by index
        the log's.
        """
        turn.head.existing(key, turn.now)
        found: Found | None
        if isinstance(message, str):
            found = await self._reader.named(key, turn.head, message, turn.now)
            require(if_match, found.entry.etag)
        else:
            require_log(if_match, turn.head.etag)
            found = await self._reader.at_index(turn.head, message, turn.now)
            if found is None and message == -1:
                if turn.head.totals.count > turn.head.totals.gone:
                    await self._decide.require_unmoved(turn)
                return await self._decide.unchanged(turn, None)
            if found is None:
                raise MessageNotFound(key.id, message)
        effect = Effect(found.slot.position, found.slot.edition, "take", found.place)
        totals = edited(turn, gone=1, emptied=len(found.slot.present) == 1)
        taken = await self._reader.message(turn.head, found.entry)
        decision = await self._decide.edit(
            turn, key, totals, effect, found.entry, Draft(taken.text), row=found.slot, was=found.entry
        )
        return cast("Decision[Message | None]", decision._replace(result=taken))
