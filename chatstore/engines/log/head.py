"""The state of a thread, from its header and its newest slot.

The newest slot may have decided something that was not applied yet, because its writer is on its
way or was killed. Whoever reads takes it as applied; whoever writes applies it first. So the slots
below the newest are applied, always.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from chatstore.contract import ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.port import Key, Row, Rows, Table
from chatstore.engines.log.records import EMPTY, Header, Slot, Totals, public_epoch
from chatstore.errors import CorruptData, ThreadNotFound, Unavailable
from chatstore.models import Thread, from_micros, to_micros

__all__ = ["Head", "expired", "is_void", "look", "require_awake", "settle", "target_of"]


_LOOKS = 20
_PAUSE_SECONDS = 0.01


class Head(NamedTuple):
    """A thread as it was at one moment.

    `header` is as the newest slot leaves it, `stored` the version that its row has. `newest` is None
    where the epoch has no slot yet. `rows` are the newest slots' rows as they were read, newest
    first, if they were, and `more` says that there may be others. `settled` is true where all is
    known to be applied. `attempt` is that of the header's row.
    """

    pk: str
    epoch: str
    totals: Totals
    header: Header | None
    stored: int | None
    newest: Slot | None
    rows: tuple[Row, ...] | None = None
    more: bool = False
    settled: bool = False
    attempt: str = ""

    @property
    def tail(self) -> int:
        """The number of the newest slot."""
        return 0 if self.newest is None else self.newest.number

    def is_at(self, other: Head) -> bool:
        """Whether nothing was decided between the two."""
        return (self.epoch, self.tail) == (other.epoch, other.tail)

    @property
    def etag(self) -> str:
        """Names the log."""
        return self.totals.etag(self.epoch)

    @property
    def public_epoch(self) -> str:
        """The epoch as cursors carry it."""
        return public_epoch(self.epoch, self.totals.life)

    def thread(self, key: ThreadKey, now: int) -> Thread | None:
        """The thread's properties; None where `key` finds none."""
        thread = None if self.header is None else self.header.thread
        if thread is None or expired(thread, now):
            return None
        if key.owner not in (None, thread.owner):
            return None
        return replace(thread, active_at=from_micros(self.totals.active_at))

    @property
    def listed(self) -> bool:
        """Whether lists have the thread as it is: they look further only where there is no header."""
        return self.header is None or self.stored in (None, self.header.version)

    @property
    def applied(self) -> Head:
        """This head, once what its newest slot decided is applied."""
        header = self.header
        if header is None or header.version == self.stored:
            return self._replace(settled=True)
        stored, attempt = (None, "") if is_void(header) else (header.version, header.attempt)
        return self._replace(settled=True, stored=stored, attempt=attempt)

    def existing(self, key: ThreadKey, now: int) -> Thread:
        """The thread's properties. Raises ThreadNotFound."""
        thread = self.thread(key, now)
        if thread is None:
            raise ThreadNotFound(key.id)
        return thread


def is_void(header: Header) -> bool:
    """Whether a header says what its absence says: there is no thread, and one would begin where all do."""
    return header.thread is None and header.epoch == layout.ZERO


def expired(thread: Thread, now: int) -> bool:
    """Whether a thread's time to live is over."""
    return thread.expires_at is not None and to_micros(thread.expires_at) <= now


async def look(table: Table, pk: str, limit: int = 1, *, stale: bool = False) -> Head:
    """The thread's state and at least its newest `limit` slots; one trip, or two beside staged rows.

    Only the first trip may be `stale`: what another brings has to be there already. Raises CorruptData where
    the header stays older than the messages.
    """
    for attempt in range(_LOOKS):
        if attempt > 1:
            await table.pause(random.uniform(0, _PAUSE_SECONDS * attempt))  # noqa: S311 - guards nothing
        head = await _glance(table, pk, limit, stale and attempt == 0)
        # Rows are read one after another: a slot may tell of a header that is newer than the one read.
        if head.totals.version <= (0 if head.header is None else head.header.version):
            return head
    raise CorruptData(f"the header of thread {layout.thread_of(pk)!r} is missing, or older than its messages")


async def _glance(table: Table, pk: str, limit: int, stale: bool) -> Head:
    found = await table.query(pk, "E", layout.HEADER, limit=limit + 1, newest=True, stale=stale)
    rows = list(found.rows)
    header = Header.load(rows.pop(0)) if rows and rows[0]["sk"] == layout.HEADER else None
    stored, attempt = (None, "") if header is None else (header.version, header.attempt)
    epoch = await _newest_epoch(table, pk, rows) if header is None else header.epoch
    own = _own(Rows(rows, found.more), epoch)
    while True:
        if own is None:
            # Rows of another epoch are on top: staged ones, or of one that the header does not name yet.
            own = await table.query(pk, *layout.in_epoch(epoch), limit=limit, newest=True)
        newest = Slot.load(own.rows[0]) if own.rows else None
        decided = None if newest is None else newest.header
        if decided is not None and (header is None or header.version < decided.version):
            header = decided
        if decided is None or decided.epoch == epoch:
            break
        # A seal: the history goes on in the epoch that it names.
        epoch, own = decided.epoch, None
    totals = newest.totals if newest is not None else EMPTY if header is None else header.base
    return Head(pk, epoch, totals, header, stored, newest, tuple(own.rows), own.more, attempt=attempt)


def require_awake(asleep: int, reason: str) -> None:
    """Raise Unavailable if a thread was looked at more than an hour ago: `asleep` microseconds.

    Who slept for a day may meet another thread's rows under the names that were read. Or they may list a
    thread that is gone, in an hour that nobody looks through any more.
    """
    if asleep > layout.HOUR:
        raise Unavailable(reason)


async def settle(table: Table, head: Head, *, row: Slot | None = None) -> bool:
    """Apply what the newest slot decided, if nobody has; false where the thread moved on meanwhile.

    `row` is the row that it edits, where that was just read.
    """
    header, slot = head.header, head.newest
    if header is not None and header.version != head.stored and not await _bring(table, head, header):
        return False
    if slot is not None and slot.effect is not None:
        at = Key(head.pk, layout.slot_row(slot.epoch, slot.effect.position))
        if row is None and slot.effect.edition is not None:
            row = await _row(table, at)
        edited = target_of(slot, row)
        while edited is not None and not await table.swap(
            edited.dump(head.pk), None if row is None else row.version
        ):
            # Somebody else applied it, or a sweep took out of the row what was dead.
            row = await _row(table, at)
            edited = None if row is None else target_of(slot, row)
    return True


async def _bring(table: Table, head: Head, header: Header) -> bool:
    """Bring the stored header to what was decided; false where somebody else has."""
    if not is_void(header):
        return await table.swap(header.dump(head.pk), head.stored)
    # It says what its absence says, and the slot that decided it stays for an hour.
    row: Row = {"pk": head.pk, "sk": layout.HEADER, "v": head.stored or 0, "s": head.attempt}
    return head.stored is None or await table.remove(row)


async def _row(table: Table, at: Key) -> Slot | None:
    return next((Slot.load(found) for found in await table.get([at])), None)


def target_of(slot: Slot, row: Slot | None) -> Slot | None:
    """The row that the effect of `slot` leaves; None where it was applied before."""
    effect = slot.effect
    if effect is None or (None if row is None else row.edition) != effect.edition:
        return None
    return (row or Slot(slot.epoch, effect.position, slot.token, slot.at, EMPTY, version=-1)).apply(
        effect, slot
    )


def _own(found: Rows, epoch: str) -> Rows | None:
    """The rows of `epoch` if they are on top; None where others hide them, or none was read yet."""
    low, high = layout.in_epoch(epoch)
    if str(found.rows[0]["sk"]) > high if found.rows else found.more:
        return None
    own = [row for row in found.rows if str(row["sk"]) >= low]
    return Rows(own, found.more and len(own) == len(found.rows))


async def _newest_epoch(table: Table, pk: str, rows: list[Row]) -> str:
    """The epoch of the newest slot that was not staged, where there is no header to name it."""
    while rows:
        slot = Slot.load(rows[0])
        if not slot.staged:
            return slot.epoch
        found = await table.query(pk, "E", layout.below(slot.epoch), limit=1, newest=True)
        rows = found.rows
    return layout.ZERO
