"""Texts that are kept apart from their slots: large ones each by itself, small ones many to a row."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import cast

from chatstore.batching import batches
from chatstore.engines.log import layout
from chatstore.engines.log.planning import Turn
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Blob, Entry

__all__ = ["Texts", "put_apart", "without_others"]

PIECE = 350_000
"""Bytes of text that a row holds."""


async def put_apart(table: Table, turn: Turn, texts: Sequence[str]) -> list[Blob]:
    """Write texts into rows of their own, which the turn's slot is to name; where each is."""
    blobs: list[Blob] = []
    rows: list[Row] = []
    bodies = [text.encode() for text in texts]
    for together in batches(bodies, len, most=len(bodies), size_most=PIECE):
        ref = f"{turn.now // 1000:012x}{secrets.token_hex(4)}"
        start = 0
        for body in together:
            blobs.append(Blob(ref, len(body), start))
            start += len(body)
        whole = b"".join(together)
        rows += [
            {**_piece(turn.head.pk, ref, index)._asdict(), "v": 0, "b": whole[at : at + PIECE]}
            for index, at in enumerate(range(0, len(whole), PIECE))
        ]
    turn.staged.extend(Key(str(row["pk"]), str(row["sk"])) for row in rows)
    await table.write(rows)
    return blobs


def without_others(row: Row, blobs: Iterable[Blob]) -> Row:
    """A row that several texts share as the next version of it, in which only these are left."""
    body = cast("bytes", row["b"])
    left = bytearray(len(body))
    for _, size, start in blobs:
        left[start : start + size] = body[start : start + size]
    return {**row, "v": int(row["v"]) + 1, "b": bytes(left), "z": left.count(0)}


class Texts:
    """Fetches the texts of a thread; a row that several share, one after another, is fetched once."""

    def __init__(self, table: Table, pk: str) -> None:
        self._table = table
        self._pk = pk
        self._held: dict[Key, bytes] = {}

    async def of(self, entries: Sequence[Entry]) -> list[Entry] | None:
        """The entries with their texts, in one trip; None where one is no longer there."""
        wanted = {key: None for entry in entries for key in self._pieces(entry)}
        if not wanted:
            return list(entries)
        held = {key: self._held[key] for key in wanted if key in self._held}
        missing = [key for key in wanted if key not in held]
        for row in await self._table.get(missing) if missing else ():
            if isinstance(body := row["b"], bytes):
                held[Key(str(row["pk"]), str(row["sk"]))] = body
        self._held = held
        whole = []
        for entry in entries:
            text = self._text(entry)
            if text is None:
                return None
            whole.append(entry._replace(text=text))
        return whole

    def _pieces(self, entry: Entry) -> list[Key]:
        """The rows that an entry's text is in."""
        if entry.blob is None:
            return []
        ref, size, start = entry.blob
        return [_piece(self._pk, ref, index) for index in range(start // PIECE, -(-(start + size) // PIECE))]

    def _text(self, entry: Entry) -> str | None:
        if entry.blob is None:
            return entry.text
        at = entry.blob.start % PIECE
        body = b"".join(self._held.get(key, b"") for key in self._pieces(entry))[at : at + entry.blob.size]
        # No message begins with what is left of one that was taken out.
        return body.decode() if len(body) == entry.blob.size and body[:1] != b"\0" else None


def _piece(pk: str, ref: str, index: int) -> Key:
    return Key(pk, layout.blob_row(ref, index))
