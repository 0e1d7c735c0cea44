"""Rows that are written before the slot that brings them to light: histories, and large texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from chatstore import position
from chatstore.batching import batches
from chatstore.contract import Draft
from chatstore.engines.log.planning import Turn
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Entry, Slot, Totals
from chatstore.engines.log.texts import put_apart

__all__ = ["are_inline", "arranged", "is_row", "keep_apart", "packed", "stage"]

MOST_INLINE = 200_000
"""Bytes of text that a row takes; what is longer is kept apart, the largest first."""

MOST_STORED = 380_000
"""Bytes of a row as it is stored: messages that are small take room as well, and so do properties."""

_MOST_ENTRIES, _MOST_BYTES = 16, 16_384


def packed(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """`drafts` in the groups that one row each takes: the same groups for the same drafts, always."""
    return list(batches(drafts, _length, most=_MOST_ENTRIES, size_most=_MOST_BYTES))


def arranged(epoch: str, drafts: Sequence[Draft], token: str, at: int, totals: Totals) -> list[Slot]:
    """The slots of a new history in an epoch of its own, to be staged."""
    slots = []
    for number, group in enumerate(packed(drafts), 1):
        slot = Slot(epoch, position.nth(number), token, at, totals, staged=True)
        slots.append(slot._replace(entries=slot.arranged(group)))
    return slots


def are_inline(messages: Iterable[Entry | Draft]) -> bool:
    """Whether a row takes the messages with their texts."""
    return sum(len(message.text.encode()) for message in messages) <= MOST_INLINE


def is_row(slot: Slot, pk: str) -> bool:
    """Whether all of a slot fits into a row."""
    return len(cast("bytes", slot.dump(pk)["b"])) <= MOST_STORED


async def keep_apart(
    table: Table, turn: Turn, entries: Iterable[Entry], *, most: int = MOST_INLINE
) -> tuple[Entry, ...]:
    """The entries as a row takes them, with the texts for which it has no room put into others."""
    kept = list(entries)
    sizes = [len(entry.text.encode()) for entry in kept]
    inline, apart = sum(sizes), []
    for index in sorted(range(len(kept)), key=lambda index: -sizes[index]):
        if inline <= most:
            break
        inline -= sizes[index]
        apart.append(index)
    apart.sort()
    if apart:
        blobs = await put_apart(table, turn, [kept[index].text for index in apart])
        for index, blob in zip(apart, blobs, strict=True):
            kept[index] = kept[index]._replace(text="", blob=blob)
    return tuple(kept)


async def stage(table: Table, turn: Turn, slots: Iterable[Slot], claims: Sequence[Row] = ()) -> None:
    """Write slots that nobody sees yet, and the claims of their keys."""
    rows = list(claims)
    for slot in slots:
        kept = slot._replace(entries=await keep_apart(table, turn, slot.entries))
        rows.append(kept.dump(turn.head.pk))
    if rows:
        turn.staged.extend(Key(turn.head.pk, str(row["sk"])) for row in rows)
        await table.write(rows)


def _length(draft: Draft) -> int:
    return len(draft.text.encode())
