"""A visit to a thread: what is dead of it is found, and what is to be done, in one reading of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, cast

from chatstore.engines.log import cuts, layout
from chatstore.engines.log.head import Head, look
from chatstore.engines.log.lists import Pointer
from chatstore.engines.log.port import Key, Row, Rows, Table
from chatstore.engines.log.records import Blob, Entry, Header, Slot
from chatstore.wire import micros_of

__all__ = ["KEPT", "Remains", "all_rows", "read_whole", "slot_of", "survey"]

_PAGE = 1000

KEPT = micros_of(timedelta(hours=25))
"""How long a sealed epoch stays: it is the memory of its requests, and keeps late writers out."""


@dataclass(slots=True)
class _Epoch:
    """The slots of one epoch: what goes with them, and when they can go."""

    until: int
    rows: list[Row] = field(default_factory=list)
    ends: list[Row] = field(default_factory=list)
    messages: int = 0
    requests: int = 0
    texts: set[Blob] = field(default_factory=set)
    owners: set[str | None] = field(default_factory=set)
    pointers: list[Pointer] = field(default_factory=list)


class Faded(NamedTuple):
    """The next version of a row, without what is dead of it, and how many messages that is."""

    row: Slot
    messages: int = 0


@dataclass(slots=True)
class Remains:
    """What is dead of a thread: rows to be deleted, how much that is, and pointers that lead nowhere.

    `rows` have names that no other row will ever have; `shared` have not, and go while they are what was
    read, the header last. `ends` are those that name where the thread was listed, by `pointers`: they go when
    it no longer is. `owners` are those whom other rows name, which stay. `tokens` mark the slots that go:
    what lists the thread and bears one of them was written for it, and not for one that came after it.
    `ended` says that nothing is left but where a new thread of that id would begin.
    `faded` are rows of the living history without what is dead of them, `worn` rows of which only some
    texts are in use. `dead` are the times at which
    what was met had died, and `next` is when there is more to do, None for never.
    """

    rows: list[Key] = field(default_factory=list)
    shared: list[Row] = field(default_factory=list)
    ends: list[Row] = field(default_factory=list)
    ended: bool = False
    messages: int = 0
    requests: int = 0
    pointers: list[Pointer] = field(default_factory=list)
    owners: set[str | None] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    faded: list[Faded] = field(default_factory=list)
    worn: dict[Key, list[Blob]] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    next: int | None = None

    def meet(self, now: int, *until: int) -> bool:
        """Whether any of what lives until then is dead; notes when it died, or when it will."""
        for time in until:
            if time <= now:
                self.dead.add(time)
            elif self.next is None or time < self.next:
                self.next = time
        return any(time <= now for time in until)


def all_rows(table: Table, pk: str) -> AsyncIterator[Row]:
    """All rows of a thread but its header."""
    return table.all(pk, "B", "E~")


def slot_of(row: Row) -> Slot | None:
    """The slot of a row; None for a text that is kept apart, and for a claim."""
    return None if layout.epoch_of(str(row["sk"])) is None else Slot.load(row)


async def read_whole(table: Table, pk: str) -> tuple[Head, AsyncIterator[Row]]:
    """A thread's state, and behind it all its rows but the header; one trip for most, the newest rows first.

    The header is on top and read before the slots, as a look reads them. So an epoch that is not the state's
    was left before its rows were read, and the rows show its seal. Where these rows do not tell the state by
    themselves, the state is looked for first, and the rows are read after it.
    """
    found = await table.query(pk, "B", layout.HEADER, limit=_PAGE, newest=True)
    head = _on_top(pk, found)
    if head is None:
        return await look(table, pk), all_rows(table, pk)
    return head, _behind_header(table, pk, found)


def _on_top(pk: str, found: Rows) -> Head | None:
    """The state that the header and the rows below it tell; None where it takes more than those."""
    if not found.rows or found.rows[0]["sk"] != layout.HEADER:
        return None
    header = Header.load(found.rows[0])
    low, high = layout.in_epoch(header.epoch)
    own = next((row for row in found.rows if low <= str(row["sk"]) <= high), None)
    if own is None:
        if found.more and str(found.rows[-1]["sk"]) > high:
            return None
        return Head(pk, header.epoch, header.base, header, header.version, None, attempt=header.attempt)
    newest = Slot.load(own)
    decided = header.version if newest.header is None else newest.header.version
    if max(newest.totals.version, decided) > header.version:
        return None
    return Head(pk, header.epoch, newest.totals, header, header.version, newest, attempt=header.attempt)


async def _behind_header(table: Table, pk: str, found: Rows) -> AsyncIterator[Row]:
    while True:
        for row in found.rows:
            if row["sk"] != layout.HEADER:
                yield row
        if not found.more or not found.rows:
            return
        after = str(found.rows[-1]["sk"])
        found = await table.query(pk, "B", "E~", limit=_PAGE, newest=True, after=after)


async def survey(rows: AsyncIterator[Row], head: Head, now: int) -> Remains:
    """Go over all rows of a thread, whose state is `head`."""
    found = _Survey(head, now)
    async for row in rows:
        found.meet(row)
    return found.remains()


class _Survey:
    """What one reading of a thread's rows finds, row by row; `remains` draws it together."""

    def __init__(self, head: Head, now: int) -> None:
        self._head = head
        self._now = now
        self._living = head.header is not None and head.header.living
        self._remains = Remains()
        self._epochs: dict[str, _Epoch] = {}
        self._pieces: dict[str, list[Key]] = {}
        self._sizes: Counter[str] = Counter()
        self._used: set[Blob] = set()
        self._cut: list[tuple[Slot, Row]] = []
        self._taken: dict[int, int] = {}
        self._claims: list[tuple[str, Row]] = []
        self._keys: set[str] = set()

    def meet(self, row: Row) -> None:
        """Note one row: a text kept apart, a claim, a slot of the living history or of another epoch."""
        at = Key(self._head.pk, str(row["sk"]))
        ref = layout.text_of(at.sk)
        if ref is not None:
            self._pieces.setdefault(ref, []).append(at)
            self._sizes[ref] += len(cast("bytes", row["b"])) - int(row.get("z", 0))
            return
        history = layout.claim_of(at.sk)
        if history is not None:
            self._claims.append((history, row))
            return
        slot = Slot.load(row)
        if self._living and slot.epoch == self._head.epoch:
            self._remains.owners |= _owners(slot)
            self._taken[slot.number] = max(slot.at, self._taken.get(slot.number, 0))
            left = cuts.shown(self._head.totals.cuts, slot)
            if left is slot:
                self._meet_living(slot)
            else:
                self._cut.append((slot, row))
        else:
            self._meet_other(slot, row)

    def remains(self) -> Remains:
        """What is to be done, once every row was met."""
        self._cut_rows()
        waiting = self._dead_epochs() + self._void_claims()
        self._unused_texts()
        remains, head = self._remains, self._head
        if not self._living and not waiting:
            remains.ended = head.newest is not None or head.epoch != layout.ZERO
            if head.stored is not None and head.header is not None and not remains.ended:
                remains.shared.append({**head.header.dump(head.pk), "b": b""})
        return remains

    def _cut_rows(self) -> None:
        """Plan the removal of what was cut long ago: nobody aims at its slots, or asks for its requests."""
        remains, ranges = self._remains, self._head.totals.cuts
        for slot, row in self._cut:
            if not cuts.is_cut(ranges, slot.position):
                self._meet_living(slot)
            elif not remains.meet(self._now, *self._cut_until(slot.position)):
                self._used |= _blobs(slot)
            else:
                remains.messages += len(slot.present)
                remains.requests += slot.request is not None
                if slot.epoch == layout.ZERO:
                    remains.shared.append({**row, "b": b""})
                else:
                    remains.rows.append(Key(self._head.pk, str(row["sk"])))

    def _meet_living(self, slot: Slot) -> None:
        # What an effect carries was applied, and is kept for repetitions alone.
        remains, now = self._remains, self._now
        if slot.effect is not None and remains.meet(now, slot.at + KEPT):
            remains.faded.append(Faded(slot.bare()))
            return
        self._used |= _blobs(slot)
        dead = [place for place, entry in enumerate(slot.messages) if self._is_dead(entry)]
        living = (entry.key for place, entry in enumerate(slot.messages) if place not in dead)
        self._keys.update(layout.digest(key) for key in living if key is not None)
        if not dead:
            return
        remains.faded.append(Faded(slot.fade(dead), len(dead)))
        if any(slot.entries[place].blob is not None for place in dead):
            # Its text goes once nothing refers to it.
            remains.meet(now, now + layout.HOUR)

    def _is_dead(self, entry: Entry) -> bool:
        if entry.faded:
            return False
        until = [] if entry.expires_at is None else [entry.expires_at]
        return self._remains.meet(self._now, *until, *self._cut_until(entry.position))

    def _cut_until(self, place: str) -> list[int]:
        """Until when a position stays that was cut; nothing for one that was not."""
        by = [one.slot for one in self._head.totals.cuts if one.holds(place)]
        return [max(self._taken.get(one, self._now) for one in by) + KEPT] if by else []

    def _meet_other(self, slot: Slot, row: Row) -> None:
        epoch = self._epochs.setdefault(slot.epoch, _Epoch(layout.made_at(slot.epoch) + KEPT))
        # What was staged for nothing has only the time that its epoch tells; others, that of their last slot.
        # What closes is no request's memory, but keeps out who may still be about to write.
        if not slot.staged:
            epoch.until = max(epoch.until, slot.at + (layout.HOUR if slot.closes else KEPT))
        (epoch.rows if slot.pointer is None else epoch.ends).append({**row, "b": b""})
        epoch.messages += len(slot.present)
        epoch.requests += slot.request is not None
        epoch.texts |= _blobs(slot)
        epoch.owners |= _owners(slot)
        if slot.pointer is not None:
            epoch.pointers.append(Pointer(*slot.pointer))

    def _dead_epochs(self) -> int:
        """Plan the removal of epochs that are over for long enough; how many are not yet."""
        remains, waiting = self._remains, 0
        for name, epoch in self._epochs.items():
            dead = remains.meet(self._now, epoch.until)
            # What is in the present epoch keeps its places: whoever writes to it goes by them.
            if not dead or name == self._head.epoch:
                waiting += not dead
                self._used |= epoch.texts
                remains.owners |= epoch.owners
                continue
            remains.tokens |= {str(row["s"]) for row in (*epoch.rows, *epoch.ends)}
            if name == layout.ZERO:
                remains.shared += epoch.rows
            else:
                remains.rows += sorted(Key(self._head.pk, str(row["sk"])) for row in epoch.rows)
            remains.ends += epoch.ends
            remains.messages += epoch.messages
            remains.requests += epoch.requests
            remains.pointers += epoch.pointers
        return waiting

    def _void_claims(self) -> int:
        """Plan the removal of claims that lead to no message; how many of other histories are too young.

        In the living history, one that names a later slot than this reading knows may be about to be true.
        """
        remains, head, waiting = self._remains, self._head, 0
        for history, row in self._claims:
            if self._living and history == head.public_epoch:
                key = str(row["sk"]).rpartition("#")[2]
                if int(row["v"]) <= head.tail and key not in self._keys:
                    remains.shared.append(row)
            elif remains.meet(self._now, layout.made_at(str(row["s"])) + KEPT):
                remains.rows.append(Key(head.pk, str(row["sk"])))
            else:
                waiting += 1
        return waiting

    def _unused_texts(self) -> None:
        """Plan the removal of texts that nothing refers to, and of what is unused in shared ones."""
        remains = self._remains
        shared: dict[str, list[Blob]] = {}
        for blob in self._used:
            shared.setdefault(blob.ref, []).append(blob)
        for ref, rows in self._pieces.items():
            blobs = shared.get(ref, [])
            if sum(blob.size for blob in blobs) >= self._sizes[ref]:
                continue
            if remains.meet(self._now, layout.made_at(ref) + KEPT):
                if blobs:
                    remains.worn[min(rows)] = blobs
                else:
                    remains.rows += rows


def _owners(slot: Slot) -> set[str | None]:
    """Whose thread a slot says that there is, or was."""
    thread = None if slot.header is None else slot.header.thread
    named = set() if thread is None else {thread.owner}
    return named if slot.pointer is None else {*named, slot.pointer[2]}


def _blobs(slot: Slot) -> set[Blob]:
    return {entry.blob for entry in slot.entries if entry.blob is not None}
