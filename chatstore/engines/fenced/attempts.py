"""One try of a change: the group that makes it, and the pieces of large bodies that go before the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chatstore import records
from chatstore.contract import Draft, Request, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, Plan, View
from chatstore.engines.fenced.header import State, heading
from chatstore.engines.fenced.payload import INLINE, pack
from chatstore.engines.fenced.port import Op
from chatstore.engines.fenced.segments import Segment, expiry_text
from chatstore.engines.fenced.table import Table
from chatstore.errors import Unavailable

__all__ = ["Attempt", "Call", "packed_rows", "recorded"]

R = TypeVar("R", bound=records.Result)

_INLINE_PROPERTIES = 128 * 1024
_SMALL = 8 * 1024
"""What a row of messages holds itself where a group would be too large."""


@dataclass(slots=True)
class Attempt:
    """One try of a change, by a name of its own.

    Every row that belongs to the thread is written in the group, with the header. Only pieces are written
    before it. They carry the name of the try, so no other try counts on them: whoever is refused writes
    new ones.
    """

    table: Table
    view: View
    name: str
    ops: list[Op] = field(default_factory=list)
    pieces: list[Op] = field(default_factory=list)
    _header: dict[str, str | bytes] = field(default_factory=dict)
    _whole: bool = False

    def record(
        self,
        request: Request,
        result: records.Result,
        drafts: Sequence[Draft],
        listing: str,
        until: int,
        expires: int | None,
        epoch: str,
    ) -> None:
        """Remember until then the first result of a request about a thread that `expires`, if it does."""
        life = epoch if records.shows(result, drafts) else None
        text = records.dump(result, drafts, expires, life)
        op, pieces = recorded(self.view, self.name, request, text, listing, until)
        self.pieces += pieces
        self.ops.append(op)

    def change(self, change: Change[Any]) -> None:
        """Write what a change makes of the thread's rows and properties, in pieces where it is large."""
        self.ops += [Op("delete", row, {}) for row in change.drop]
        self.ops += change.claims
        self.pieces += change.ahead
        if change.properties is not None:
            packed = pack(layout.HEADER, self.name, change.properties, _INLINE_PROPERTIES)
            self._header, self._whole = packed.properties, True
            self.pieces += packed.chunks
        room = Op("merge", layout.HEADER, self._header | {"s": "s" * 2000})
        rows, pieces = packed_rows(self.table, self.name, change.put, [room, *self.ops])
        self.ops += rows
        self.pieces += pieces

    async def commit(self, state: State) -> str | None:
        """Apply the group, if the header is still the one that is known. Raises Overtaken."""
        header = heading(state, self.view.known.etag, self._header, whole=self._whole)
        return (await self.table.submit(self.view.partition, [header, *self.ops]))[0]

    def last_row(self, change: Change[Any], state: State) -> Op | None:
        """The row of messages that this process wrote last, if it is as it was under the new `state`."""
        if change.put:
            named = change.put[-1].row
            return next(op for op in self.ops if op.row == named)
        before = self.view.known
        return before.row if before.state is not None and before.state.same_history(state) else None

    def took_place(self, now: State | None, *, lost: bool) -> bool:
        """Whether this try was applied, by a header read after it was refused.

        Raises Unavailable where an answer was `lost`, and too much was written since to tell.
        """
        if now is not None and self.name in now.writes:
            return True
        if lost and (now is None or not now.remembers_since(self.view.known.state)):
            raise Unavailable(
                "an answer was lost, and others have written so much since that the outcome is unknown"
            )
        return False


@dataclass
class Call(Generic[R]):
    """An operation under way: `told` are listings that were told what no header bears out yet.

    `tried` is the last try and its result, if it may have taken place; `lost`, if its answer was. `refused`
    says which tries had written pieces, by name, and the history that each was planned for.
    """

    key: ThreadKey
    partition: str
    request: Request | None
    drafts: Sequence[Draft]
    plan: Plan[R]
    told: list[str] = field(default_factory=list)
    tried: tuple[Attempt, R] | None = None
    lost: bool = False
    refused: dict[str, str | None] = field(default_factory=dict)

    def done_before(self, state: State | None) -> tuple[R] | None:
        """The result of the last try, if the header that was read since says that it took place."""
        tried, self.tried = self.tried, None
        return (tried[1],) if tried is not None and tried[0].took_place(state, lost=self.lost) else None


def recorded(
    view: View, name: str, request: Request, result: str, listing: str, until: int
) -> tuple[Op, Sequence[Op]]:
    """The row that remembers the first result of a request until then, and its pieces."""
    row = layout.record_row(view.key.owner, request.id)
    packed = pack(row, name, result)
    named = {"d": request.digest, "o": listing, **expiry_text(until)}
    return Op("insert", row, packed.properties | named), packed.chunks


def packed_rows(
    table: Table, name: str, segments: Sequence[Segment], beside: Sequence[Op]
) -> tuple[list[Op], list[Op]]:
    """Rows of messages, small enough for one group with what is `beside` them, and their pieces."""
    if not segments:
        return [], []
    rows: list[Op] = []
    pieces: list[Op] = []
    for inline in (INLINE, _SMALL):
        # Each is packed as soon as it is text: a long history is not in memory as text twice.
        packed = [pack(segment.row, name, segment.dump(), inline) for segment in segments]
        pieces = [piece for one in packed for piece in one.chunks]
        rows = [
            Op(
                "replace" if segment.is_stored else "upsert",
                segment.row,
                one.properties | expiry_text(segment.expires),
            )
            for segment, one in zip(segments, packed, strict=True)
        ]
        if table.fits([*beside, *rows]):
            break
    return rows, pieces
