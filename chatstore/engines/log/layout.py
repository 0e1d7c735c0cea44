"""How rows are named. Within a thread's partition they sort as they are read: the header on top.

::

    T#tenant#thread   ~            the header
                      E…#…         slots: an epoch, a position in it
                      C#…#…        claims: a history, the digest of a key in it
                      B#…#…        texts for which a slot has no room, in pieces
    L#tenant#owner    #thread      when an owner's thread was last active, and the hours that it has left
    A#tenant          hour         hours in which threads of the tenant were active
                      !            the hour up to which all that were over were looked through
    A#tenant#hour     …            those threads
    N                 …            the tenants
    W                 …            writers that wait, by digests of their threads
    X                 hour         hours at which threads are to be visited
    X#hour            …            those threads, to be cleared of what is dead by then
"""

from __future__ import annotations

import hashlib
import re

from chatstore import position
from chatstore.contract import ThreadKey
from chatstore.engines.log.port import Key

__all__ = [
    "CLOSED",
    "FIRST_HOUR",
    "HEADER",
    "HOUR",
    "LAST",
    "TENANTS",
    "VISITS",
    "WAITING",
    "ZERO",
    "active_bucket",
    "active_hours",
    "active_place",
    "attempt",
    "below",
    "blob_row",
    "claim_of",
    "claim_place",
    "digest",
    "epoch_after",
    "epoch_of",
    "first_slot",
    "hour_name",
    "in_epoch",
    "made_at",
    "owner_partition",
    "owner_place",
    "slot_row",
    "tenant_of",
    "text_of",
    "thread_of",
    "thread_partition",
    "visit_bucket",
    "waiting",
]

HEADER = "~"
VISITS = "X"
TENANTS = "N"
WAITING = "W"
CLOSED = "!"
FIRST_HOUR = "0"
LAST = "\U0010ffff"
"""Behind every name of a row."""

ZERO = "0" * 24
"""The epoch of a thread that nobody has written to; the only one that can be taken again."""

HOUR = 3_600_000_000
"""An hour in microseconds."""

_SLOT = re.compile(r"E([0-9a-f]{24})#(.+)", re.DOTALL)
_MOST_BYTES = 1000


def thread_partition(key: ThreadKey) -> str:
    """Where a thread is kept, whoever owns it."""
    return f"T#{_part(key.tenant)}#{key.id}"


def owner_partition(tenant: str, owner: str | None) -> str:
    """Where the threads of an owner are listed; those of nobody for None."""
    return f"L#{_part(tenant)}#{owner or ''}"


def owner_place(tenant: str, thread_id: str, owner: str | None) -> Key:
    """The row of a thread in its owner's list."""
    named = f"#{thread_id}"
    named = named if len(named.encode()) <= _MOST_BYTES else f"~{digest(thread_id)}"
    return Key(owner_partition(tenant, owner), named)


def active_hours(tenant: str) -> str:
    """Where the hours are listed in which a tenant's threads were active."""
    return f"A#{_part(tenant)}"


def active_bucket(tenant: str, hour: int) -> str:
    """Where the threads are listed that were active in an hour."""
    return f"A#{_part(tenant)}#{hour_name(hour)}"


def active_place(tenant: str, hour: int, thread_id: str, owner: str | None) -> Key:
    """The row of an owner's thread in an hour's list."""
    named = digest(f"{'' if owner is None else '+' + owner}\0{thread_id}")
    return Key(active_bucket(tenant, hour), named)


def hour_name(hour: int) -> str:
    """An hour, counted from 1970, so that names sort as hours do."""
    return f"{hour:08d}"


def visit_bucket(hour: str) -> str:
    """Where the threads are listed that are to be visited at an hour."""
    return f"{VISITS}#{hour}"


def waiting(pk: str, who: str) -> Key:
    """The row that says that a writer waits for the thread of that partition."""
    return Key(WAITING, f"{digest(pk)}#{who}")


def slot_row(epoch: str, position: str) -> str:
    """The row of a slot."""
    return f"E{epoch}#{position}"


def first_slot(epoch: str) -> str:
    """The row of an epoch's first slot."""
    return slot_row(epoch, position.nth(1))


def in_epoch(epoch: str) -> tuple[str, str]:
    """The lowest and the highest row of an epoch's slots."""
    return f"E{epoch}#", f"E{epoch}#~"


def below(epoch: str) -> str:
    """The highest row under all slots of an epoch."""
    return f"E{epoch}"


def epoch_of(sk: str) -> tuple[str, str] | None:
    """The epoch and the position of a slot's row; None for any other row."""
    found = _SLOT.fullmatch(sk)
    return None if found is None else (found[1], found[2])


def epoch_after(epoch: str, now: int, token: str) -> str:
    """An epoch above another, of this attempt alone: the time in milliseconds and random digits."""
    return f"{max(int(epoch[:12], 16) + 1, now // 1000):012x}{token[:12]:0>12}"


def attempt(now: int, token: str) -> str:
    """What no other attempt writes: the time in milliseconds and its token."""
    return f"{now // 1000:012x}{token}"


def made_at(name: str) -> int:
    """When an epoch was made, a text was put apart or an attempt was named, in microseconds."""
    return int(name[:12], 16) * 1000


def blob_row(ref: str, index: int) -> str:
    """The row of a piece of a text, or of several."""
    return f"B#{ref}#{index:04d}"


def text_of(sk: str) -> str | None:
    """The name of the text that a row is a piece of; None for a row that is none."""
    return sk.split("#")[1] if sk.startswith("B#") else None


def claim_place(pk: str, history: str, key: str) -> Key:
    """The row that says where a key is in a history, which is named as cursors name it."""
    return Key(pk, f"C#{history}#{digest(key)}")


def claim_of(sk: str) -> str | None:
    """The history that a claim's row is of; None for any other row. Its epoch comes first."""
    return sk.split("#")[1] if sk.startswith("C#") else None


def digest(text: str) -> str:
    """A name of fixed length for a text of any."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def tenant_of(pk: str) -> str:
    """The tenant whose thread's partition `pk` is."""
    return pk.split("#", 2)[1].replace("%23", "#").replace("%25", "%")


def thread_of(pk: str) -> str:
    """The id of the thread whose partition `pk` is."""
    return pk.split("#", 2)[2]


def _part(text: str) -> str:
    return text.replace("%", "%25").replace("#", "%23")
