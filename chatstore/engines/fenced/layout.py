"""Keys: fixed, short and made of few characters, whatever tenants, owners and threads are called.

Names become digests, so no name reaches a key or a filter, and none is too long for one. A thread's
partition sorts like this:

``h``
    the header;
``m`` epoch, place
    messages, the newest first: both parts fall as time goes on;
``p`` row, attempt, number
    pieces of a body that is too large for its row;
``q`` digest
    clients' names for messages;
``r`` digest
    first results of requests.
"""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import datetime
from os import urandom

from chatstore.models import CHAT, from_micros

__all__ = [
    "BESIDE",
    "FADING",
    "HEAD",
    "HEADER",
    "KEYS",
    "RECORDS",
    "SLOT_MASK",
    "TENANTS",
    "VISITS",
    "attempt",
    "attempted",
    "begun",
    "chunk_owner",
    "chunk_row",
    "epoch_of",
    "in_epoch",
    "key_row",
    "listing",
    "listings",
    "lists_kind",
    "made_at",
    "message_id",
    "message_row",
    "next_epoch",
    "other_epochs",
    "partition",
    "place_of",
    "record_row",
    "slot_in",
    "slot_of",
    "slots_around",
    "tenant_row",
    "told_by",
    "visit_of",
    "visit_partition",
    "visit_row",
]

HEADER = "h"
HEAD = (HEADER, "n")
"""The rows of a header and the messages behind it: from the first to before the second."""

TENANTS = "N"
"""The partition of the tenants' names."""

BESIDE, KEYS, RECORDS = ("p", "s"), ("q", "r"), ("r", "s")
"""The rows of pieces, names of messages and results of requests; those of names, and of results, alone."""

FADING = ("q", "s")
"""The rows of names of messages and of results of requests: they go when their time has come."""

VISITS = tuple(f"X-{number:02d}" for number in range(16))
"""The partitions of visits."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MIRROR = str.maketrans(_DIGITS, _DIGITS[::-1])
_LAST_SLOT = 9_999_999_999
_SLOT = 10
_TIME_BITS = 48
_SLOT_BITS = 34
_RANDOM_BYTES = (74 - _SLOT_BITS) // 8
SLOT_MASK = (1 << _SLOT_BITS) - 1
"""Of the number in a message's id: its slot."""
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MANY_DIGITS = re.compile(rf"[0-9]{{0,{_SLOT}}}")


@functools.lru_cache(4096)
def partition(tenant: str, thread: str) -> str:
    """The partition of a thread."""
    return f"T-{_digest(tenant, thread)}"


@functools.lru_cache(4096)
def listing(tenant: str, owner: str | None, kind: str = CHAT) -> str:
    """The partition that lists an owner's threads of a kind, or those of nobody."""
    own = f"L-{_digest(tenant)}-{'' if owner is None else _digest(tenant, owner)}"
    return own if kind == CHAT else f"{own}-{_digest(kind)}"


def listings(tenant: str, owner: str | None = None) -> tuple[str, str]:
    """The partitions that list an owner's threads, or a tenant's: from the first to before the second."""
    if owner is None:
        return f"L-{_digest(tenant)}-", f"L-{_digest(tenant)}."
    own = listing(tenant, owner)
    return own, f"{own}."


def lists_kind(partition: str, kind: str) -> bool:
    """Whether a partition lists threads of that kind."""
    return partition.split("-", 3)[3:] == ([] if kind == CHAT else [_digest(kind)])


def tenant_row(tenant: str) -> str:
    """The row of a tenant's name."""
    return _digest(tenant)


def record_row(owner: str | None, request: str) -> str:
    """The row of a request's first result; each owner's are apart."""
    return f"r{_digest(request) if owner is None else _digest(request, owner)}"


def key_row(key: str) -> str:
    """The row of a client's name for a message."""
    return f"q{_digest(key)}"


def next_epoch(previous: str | None, micros: int) -> str:
    """The name of a new history: sorts before every earlier one, and is nobody else's."""
    top = (1 << _TIME_BITS) - 1
    number = micros // 1000
    if previous is not None:
        number = max(number, top - int(previous[:12], 16) + 1)
    return f"{top - number:012x}{urandom(4).hex()}"


def in_epoch(epoch: str, low: int, high: int) -> tuple[str, str]:
    """The rows that begin in the slots `low` to `high`: from the first to before the second."""
    return f"m{epoch}{_LAST_SLOT - high:010d}", f"m{epoch}{_LAST_SLOT - max(low, 0):010d}~~"


def other_epochs(epoch: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The rows of messages of later and of earlier epochs."""
    return ("m", f"m{epoch}"), (f"m{epoch}~", "n")


def message_row(epoch: str, place: str) -> str:
    """The row of messages that begin at a position; a later position sorts before it."""
    slot, fraction = place[:_SLOT], place[_SLOT:]
    return f"m{epoch}{_LAST_SLOT - int(slot):010d}{fraction.translate(_MIRROR)}~"


def epoch_of(row: str) -> str:
    """The epoch that a row of messages belongs to."""
    return row[1:21]


def slot_of(row: str) -> int:
    """The slot in which a row of messages begins."""
    return _LAST_SLOT - int(row[21:31])


def place_of(row: str) -> str:
    """The position at which a row of messages begins."""
    return f"{slot_of(row):010d}{row[31:-1].translate(_MIRROR)}"


def slots_around(place: str) -> tuple[int, int]:
    """A slot at or below a position, and one at or above it; any text may be one."""
    found = _MANY_DIGITS.match(place)
    digits = found[0] if found else ""
    return int(digits.ljust(_SLOT, "0")), int(digits.ljust(_SLOT, "9"))


def message_id(micros: int, place: str) -> str:
    """A new message's id: a UUID of version 7 that carries the slot, so that the id finds the row."""
    random = int.from_bytes(urandom(_RANDOM_BYTES), "big")
    low = (random & (1 << 62 - _SLOT_BITS) - 1) << _SLOT_BITS | int(place[:_SLOT])
    value = (micros // 1000) << 80 | 0x7 << 76 | (random >> 62 - _SLOT_BITS) << 64 | 0b10 << 62 | low
    digits = "%032x" % value  # noqa: UP031 - half the time of a format, for every message
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def slot_in(id: str) -> int | None:
    """The slot that a message's id carries; None for what is no such id."""
    if not _UUID7.fullmatch(id):
        return None
    return int(id.replace("-", "")[-16:], 16) & (1 << _SLOT_BITS) - 1


def told_by(id: str) -> tuple[int, int]:
    """The milliseconds and the slot that are in an id that `message_id` made. Raises ValueError."""
    return int(id[:8] + id[9:13], 16), int(id[-12:], 16) & SLOT_MASK


@functools.lru_cache(4096)
def made_at(begins: str, micros: int) -> datetime:
    """When a message was made, by the first 13 characters of its id and what it is after that millisecond.

    Raises ValueError where they are of no id of ours.
    """
    # The newest messages are read again and again.
    return from_micros(int(begins[:8] + begins[9:], 16) * 1000 + micros)


def chunk_row(row: str, attempt: str, number: int) -> str:
    """A piece of what belongs to `row`, written by one attempt."""
    return f"p{row}-{attempt}-{number:04d}"


def chunk_owner(chunk: str) -> tuple[str, str]:
    """The row that a piece belongs to, and the attempt that wrote it."""
    row, attempt, _ = chunk[1:].rsplit("-", 2)
    return row, attempt


def attempt(micros: int) -> str:
    """The name of one try to write something."""
    return f"{micros // 1000:012x}{urandom(3).hex()}"


def attempted(name: str) -> int:
    """When an attempt began, in microseconds."""
    return int(name[:12], 16) * 1000


def begun(epoch: str) -> int:
    """When an epoch was begun, in microseconds."""
    return ((1 << _TIME_BITS) - 1 - int(epoch[:12], 16)) * 1000


def visit_partition(thread: str) -> str:
    """The partition of the visits to a thread, by its own."""
    return VISITS[int(thread[-2:], 16) % len(VISITS)]


def visit_row(due: int, thread: str, listing: str | None = None) -> str:
    """The row of a visit at `due`, in microseconds, to a thread, or to its row in a listing.

    Two processes may note theirs for the same microsecond, so each listing has a row of its own.
    """
    return f"{due:017d}{thread}" + ("" if listing is None else f"+{listing}")


def visit_of(row: str) -> tuple[int, str]:
    """When a visit is due, and to which thread's partition."""
    return int(row[:17]), row[17:].partition("+")[0]


def _digest(*names: str) -> str:
    # Each with its length, so that no two lists of names are one text.
    text = "".join([f"{len(name)}:{name}" for name in names])
    return hashlib.sha256(text.encode()).hexdigest()[:40]
