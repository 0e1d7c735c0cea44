"""How times and messages are written for the wire, and how times are counted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from chatstore.codec import quoted

__all__ = [
    "Entry",
    "entries_text",
    "from_micros",
    "micros_of",
    "plain_entry",
    "rfc3339",
    "stamp",
    "to_micros",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(4096)
def from_micros(micros: int) -> datetime:
    """The UTC time `micros` microseconds after 1970, exactly."""
    # The messages of a turn share their time, and the newest are read again and again.
    return _EPOCH + timedelta(0, 0, micros)


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 of an aware `time`, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def micros_of(length: timedelta) -> int:
    """How many microseconds a `length` of time has, exactly."""
    return length // _MICROSECOND


def rfc3339(time: datetime) -> str:
    """The aware `time` as RFC 3339 text in UTC, always with six decimals, so that texts sort as times do."""
    return stamp(to_micros(time))


def stamp(micros: int) -> str:
    """The time `micros` microseconds after 1970 as RFC 3339 text in UTC, always with six decimals."""
    seconds, rest = divmod(micros, 1_000_000)
    return f"{_whole_second(seconds)}.{str(1_000_000 + rest)[1:]}Z"


@lru_cache(4096)
def _whole_second(seconds: int) -> str:
    # The messages of a page often share their second, and to write one takes longer than all the rest.
    return (_EPOCH + timedelta(0, seconds)).isoformat()[:-6]


Entry: TypeAlias = tuple[
    str, str | None, str | None, int | None, int | None, str | None, str | None, str | None
]
"""A message's text, id, position, times of creation and expiry, ETag, key, and metadata as JSON text.

Times are in microseconds since 1970. Whoever makes one sees to it that the texts are one JSON object each:
what stands around anything else could be read as a part of it, or it as a part of that.
"""


def entries_text(entries: Iterable[Entry]) -> str:
    """Messages on the wire, as `Message.to_entry` has them, with commas between.

    Their texts go in as they are.
    """
    # Written out, as this is done for every message that is read.
    return ",".join(
        [
            f'{{"id":{"null" if id is None else quoted(id)},'
            f'"position":{"null" if position is None else quoted(position)},'
            f'"created_at":{_stamped(created)},"expires_at":{_stamped(expires)},'
            f'"etag":{"null" if etag is None else quoted(etag)},'
            f'"key":{"null" if key is None else quoted(key)},'
            f'"metadata":{metadata or "{}"},"message":{text}}}'
            for text, id, position, created, expires, etag, key, metadata in entries
        ]
    )


def plain_entry(text: str, id: str, position: str, created: int, etag: str) -> str:
    """The wire's text of one message that has no expiry, no key and no metadata, as most are.

    `created` is in microseconds since 1970.
    """
    return (
        f'{{"id":{quoted(id)},"position":{quoted(position)},"created_at":{_stamped(created)},'
        f'"expires_at":null,"etag":{quoted(etag)},"key":null,"metadata":{{}},"message":{text}}}'
    )


@lru_cache(4096)
def _stamped(micros: int | None) -> str:
    return "null" if micros is None else f'"{stamp(micros)}"'
