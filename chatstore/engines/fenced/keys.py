"""Names that clients give to messages: a row each, which says whose the name is.

A row counts for as long as the message that it names is there. So nothing need be written where messages go
in numbers: a row that was left behind is taken by the next message of that name, or removed by a sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

from chatstore import records
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.port import Entity, Op
from chatstore.engines.fenced.reading import Reader
from chatstore.engines.fenced.segments import Stored, expiry_text
from chatstore.engines.fenced.table import Table
from chatstore.errors import InvalidArgument, MessageExists, MessageNotFound
from chatstore.models import NAMED_BY_KEY, Message, to_micros

__all__ = ["MOST_KEYS", "Keys", "released"]

R = TypeVar("R", bound=records.Result)

MOST_KEYS = 16
"""How many names one group takes beside the rows of a long turn."""


class Keys:
    """The names of a thread's messages."""

    def __init__(self, table: Table, reader: Reader) -> None:
        self._table = table
        self._reader = reader

    async def id_of(self, view: View, named: str) -> str:
        """The id that a name leads to, which may be of a message that is gone; an id is its own.

        Raises MessageNotFound where no message was ever called so.
        """
        if not named.startswith(NAMED_BY_KEY):
            return named
        row = await self._table.get(view.partition, layout.key_row(named.removeprefix(NAMED_BY_KEY)))
        if row is None:
            # The thread may be another by now.
            if view.state is not None:
                await self._reader.unchanged(view.partition, view.state)
            raise MessageNotFound(view.key.id, named)
        return str(row.properties["i"])

    async def claimed(
        self, change: Change[R], view: View, messages: Sequence[Message], *, first: str | None = None
    ) -> Change[R]:
        """A change that also gives new messages their names.

        Raises MessageExists, and InvalidArgument for more messages with keys than one call can add.

        The first try writes rows only where there are none, and looks for no one: so it costs no request.
        What is there is looked at by the next. Messages from the position `first` on are about to go.
        """
        state, before = change.state, view.state
        named = [one for one in messages if one.key is not None]
        if not named or state is None:
            return change
        # A history that was numbered anew is still the same one.
        fresh = before is None or (before.epoch != state.epoch and not state.scattered)
        if len(named) > MOST_KEYS:
            if not fresh:
                raise InvalidArgument(
                    f"one call can add {MOST_KEYS} messages with keys to a thread here, not {len(named)}: "
                    "append the rest in further calls"
                )
            return change._replace(ahead=await self._ahead(view, state, named))
        if fresh:
            return change._replace(claims=[_claim("upsert", state, one) for one in named])
        claims = []
        for one in named:
            free = _row(one) in change.drop
            if view.again and not free and before is not None:
                await self._require_free(view, before, one, first)
                free = True
            claims.append(_claim("upsert" if free else "insert", state, one))
        drop = [row for row in change.drop if row not in {claim.row for claim in claims}]
        return change._replace(claims=claims, drop=drop)

    async def _require_free(self, view: View, state: State, one: Message, first: str | None) -> None:
        row = await self._table.get(view.partition, _row(one))
        if row is None:
            return
        id = str(row.properties["i"])
        found = await self._reader.find(view.partition, state, id)
        if found is None:
            return
        holder = found[0].messages[found[1]]
        if holder.lives(view.now) and (first is None or holder.position < first):
            raise MessageExists(view.key.id, one.key or "", id)

    async def _ahead(self, view: View, state: State, named: Sequence[Message]) -> list[Op]:
        """More names than a group takes, for a history that is only being written.

        They are written before it and count for nothing until it is there. Each replaces a row only as it
        was read: a name that another history was given meanwhile is not taken from it.
        """
        present: dict[str, Entity] = {}
        async for entity in self._table.scan(view.partition, layout.KEYS, bodies=False):
            present[entity.row] = entity
        ops = []
        for one in named:
            claim = _claim("insert", state, one)
            found = present.get(claim.row)
            ops.append(claim if found is None else claim._replace(kind="replace", etag=found.etag))
        return ops


def released(messages: Iterable[Stored]) -> list[str]:
    """The rows of names that go with messages; of one that expires, the row may be gone before."""
    return [layout.key_row(one.key) for one in messages if one.key is not None and one.expires is None]


def _row(message: Message) -> str:
    return layout.key_row(message.key or "")


def _claim(kind: Literal["insert", "upsert"], state: State, message: Message) -> Op:
    expires = None if message.expires_at is None else to_micros(message.expires_at)
    place = f"{state.epoch}{message.position}"
    return Op(kind, _row(message), {"i": message.id or "", "a": place, **expiry_text(expires)})
