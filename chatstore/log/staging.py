"""Rows that are written before the slot that brings them to light: histories, and large texts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import cast

from chatstore import position
from chatstore.batching import batches
from chatstore.contract import Draft
from chatstore.log import keys
from chatstore.log.port import Key, Row, Table
from chatstore.log.records import Blob, Entry, Slot, Totals

__all__ = ["are_inline", "arranged", "is_row", "keep_apart", "packed", "stage"]

MOST_INLINE = 200_000
"""Bytes of text that a row takes; what is longer is kept apart, the largest first."""

MOST_STORED = 380_000
"""Bytes of a row as it is stored: messages that are small take room as well, and so do properties."""

PIECE = 350_000
"""Bytes of a large text that one row of it holds."""

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


def are_inline(entries: Iterable[Entry]) -> bool:
    """Whether a row takes the entries with their texts."""
    return sum(len(entry.text.encode()) for entry in entries) <= MOST_INLINE


def is_row(slot: Slot, pk: str) -> bool:
    """Whether all of a slot fits into a row."""
    return len(cast("bytes", slot.dump(pk)["b"])) <= MOST_STORED


async def keep_apart(
    table: Table, pk: str, entries: Iterable[Entry], now: int, *, most: int = MOST_INLINE
) -> tuple[Entry, ...]:
    """The entries as a row takes them, with the texts that are too large put into rows of their own."""
    kept = list(entries)
    sizes = {index: len(entry.text.encode()) for index, entry in enumerate(kept)}
    for index in sorted(sizes, key=lambda index: -sizes[index]):
        if sum(sizes.values()) <= most:
            break
        kept[index] = await _apart(table, pk, kept[index], now)
        sizes[index] = 0
    return tuple(kept)


async def stage(table: Table, pk: str, slots: Iterable[Slot]) -> tuple[Key, ...]:
    """Write slots that nobody sees yet, and name their rows."""
    rows = []
    for slot in slots:
        kept = slot._replace(entries=await keep_apart(table, pk, slot.entries, slot.at))
        rows.append(kept.dump(pk))
    if rows:
        await table.write(rows)
    return tuple(Key(pk, str(row["sk"])) for row in rows)


async def _apart(table: Table, pk: str, entry: Entry, now: int) -> Entry:
    ref = f"{now // 1000:012x}{secrets.token_hex(4)}"
    body = entry.text.encode()
    low, _ = keys.blob_rows(ref)
    pieces: list[Row] = [
        {"pk": pk, "sk": f"{low}{index:04d}", "b": body[start : start + PIECE]}
        for index, start in enumerate(range(0, len(body), PIECE))
    ]
    await table.write(pieces)
    return entry._replace(text="", blob=Blob(ref, len(body)))


def _length(draft: Draft) -> int:
    return len(draft.text.encode())
