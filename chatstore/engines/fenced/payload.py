"""Bodies of any size: properties of a row, and rows of their own beyond what a row should hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.port import Entity, Op, Properties
from chatstore.errors import CorruptData

__all__ = ["COMPRESSED", "INLINE", "Bare", "Packed", "alone", "pack", "pieces", "plain", "unpack"]

PROPERTY = 64 * 1024
"""What a binary property holds at most."""

INLINE = 4 * PROPERTY
"""What a row of messages holds itself: a page of such rows stays small enough to be read at once."""

CHUNK = 15 * PROPERTY
"""What a piece holds: a row of at most 1 MiB, with its names and keys."""

COMPRESSED = b"\0"
"""How a body begins whose rest is compressed."""

_WORTH_COMPRESSING = 1024
_FIRST = "b00"


class Packed(NamedTuple):
    """Properties of a row, and the pieces to be written before it."""

    properties: dict[str, str | bytes]
    chunks: Sequence[Op] = ()


class Bare(Sequence[Entity]):
    """Rows of messages, newest first, each of which is its body and nothing else, as most are.

    To make entities of them takes longer than to read them. Whoever needs the `bodies` alone has them here,
    with the names of the `first` and the `last` row.
    """

    __slots__ = ("_entities", "_names", "_partition", "bodies", "first", "last")

    def __init__(
        self,
        partition: str,
        first: str,
        last: str,
        bodies: Sequence[bytes],
        names: Callable[[], Sequence[str]],
    ) -> None:
        self.first, self.last = first, last
        self.bodies = bodies
        self._partition = partition
        self._names = names
        self._entities: Sequence[Entity] | None = None

    def __len__(self) -> int:
        return len(self.bodies)

    @overload
    def __getitem__(self, place: int) -> Entity: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Entity]: ...

    def __getitem__(self, place: int | slice) -> Entity | Sequence[Entity]:
        if self._entities is None:
            self._entities = [
                Entity(self._partition, row, {_FIRST: body}, "")
                for row, body in zip(self._names(), self.bodies, strict=True)
            ]
        return self._entities[place]


def pack(row: str, attempt: str, text: str, inline: int = INLINE) -> Packed:
    """`text` for `row`; what is larger than `inline` goes into pieces that `attempt` names."""
    data = text.encode()
    if len(data) >= _WORTH_COMPRESSING:
        data = min(data, COMPRESSED + zlib.compress(data, 1), key=len)
    if len(data) <= inline:
        return Packed(_split(data))
    chunks = [
        Op("upsert", layout.chunk_row(row, attempt, number), _split(data[start : start + CHUNK]))
        for number, start in enumerate(range(0, len(data), CHUNK))
    ]
    return Packed({"n": f"{attempt}|{len(chunks)}"}, chunks)


def pieces(row: str, properties: Properties) -> list[str]:
    """The rows that hold the pieces of `row`; none if it holds its body itself."""
    named = properties.get("n")
    if not isinstance(named, str):
        return []
    attempt, _, count = named.partition("|")
    return [layout.chunk_row(row, attempt, number) for number in range(int(count))]


def unpack(parts: Sequence[Properties]) -> str:
    """The text of a row's own properties, or of its pieces'."""
    data = b"".join(
        value for part in parts for name, value in sorted(part.items()) if isinstance(value, bytes)
    )
    return plain(data)


def alone(properties: Properties) -> bytes | None:
    """The body of a row that is one property and nothing else, as most are; None for any other."""
    body = properties.get(_FIRST)
    return body if type(body) is bytes and len(properties) == 1 else None


def plain(data: bytes) -> str:
    """The text of a body. Raises CorruptData."""
    try:
        return (zlib.decompress(data[1:]) if data[:1] == COMPRESSED else data).decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise CorruptData("a stored body cannot be read") from error


def _split(data: bytes) -> dict[str, str | bytes]:
    if 0 < len(data) <= PROPERTY:
        return {_FIRST: data}
    # Two digits, so that their order as text is their order.
    return {
        f"b{number:02d}": data[start : start + PROPERTY]
        for number, start in enumerate(range(0, len(data), PROPERTY))
    }
