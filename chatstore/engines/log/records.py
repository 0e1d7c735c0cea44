"""What the rows of a thread hold, and how it is written: headers, slots and the messages in them.

`chatstore.engines.log.forms` says how a row's body is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

from chatstore.conditions import log_etag
from chatstore.contract import Backend, Draft
from chatstore.engines.log import cuts, entries, forms, layout
from chatstore.engines.log.cuts import Range
from chatstore.engines.log.entries import Blob, Entry
from chatstore.engines.log.port import Row
from chatstore.errors import CorruptData
from chatstore.models import Thread, to_micros
from chatstore.records import FOREVER

__all__ = ["EMPTY", "Blob", "Effect", "Entry", "Header", "Slot", "Totals", "chained"]

_WINDOW = Backend.request_window // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Totals:
    """What has happened up to a slot: each slot carries the sum, so that the newest one tells all.

    `count` messages were appended to this history and `edits` made to it; `places` of its slots
    hold nothing to read, `gone` messages were taken out. `chain` digests the appended texts;
    `expiring` says that some have an expiry. `seen` is no less than the time of any request
    so far, `active_at` is when messages were added, to the minute, and never goes back. `version` is the
    header's, and `life` tells apart the threads that bore one id after another. `left` are hours that the
    thread has left and in whose lists it may still be. `cuts` are what was cut out of the
    epoch; where it is not known how many messages that left, it counts as `expiring`.
    """

    life: str = ""
    version: int = 0
    count: int = 0
    edits: int = 0
    places: int = 0
    gone: int = 0
    chain: str = ""
    expiring: bool = False
    seen: int = 0
    active_at: int = 0
    left: tuple[int, ...] = ()
    cuts: tuple[Range, ...] = ()

    def etag(self, epoch: str) -> str:
        """Names the log as it was then."""
        return log_etag(public_epoch(epoch, self.life), self.count, self.edits)


EMPTY: Final = Totals()


def public_epoch(epoch: str, life: str) -> str:
    """The epoch as cursors and etags carry it."""
    return epoch + life


class Header(NamedTuple):
    """A thread's properties and where its history is; `living` is false for one that was deleted.

    `base` are the totals that its epoch began with. `scattered` says that messages may be elsewhere
    than their ids tell, `claimed` that every key in the history has a claim. `version` counts the changes of
    the row. `over` is the last epoch of the threads that bore the id before, and when they expired, or were
    to.
    """

    version: int
    epoch: str
    base: Totals
    thread: Thread | None = None
    scattered: bool = False
    claimed: bool = False
    over: tuple[str, int] | None = None

    @property
    def living(self) -> bool:
        """Whether there is a thread; it may have expired."""
        return self.thread is not None

    def dump(self, pk: str) -> Row:
        """The row of this header."""
        body = forms.packed(self._form(), [])
        return {"pk": pk, "sk": layout.HEADER, "v": self.version, "s": self.attempt, "b": body}

    def ended(self, epoch: str, now: int) -> tuple[str, int] | None:
        """What `over` becomes where this thread ends: the earliest expiry of which results may be kept."""
        if self.thread is None:
            return self.over
        expires = FOREVER if self.thread.expires_at is None else to_micros(self.thread.expires_at)
        if self.over is not None and self.over[1] + _WINDOW > now:
            expires = min(expires, self.over[1])
        return epoch, expires

    def shown_until(self, slot: Slot) -> int | None:
        """When what the request showed that wrote `slot` expires; None where that is not known."""
        # A seal that begins a thread is in an epoch of what was there before.
        epoch = slot.epoch if slot.header is None else slot.header.epoch
        if self.over is not None and epoch <= self.over[0]:
            return self.over[1]
        if self.thread is None:
            return None
        return FOREVER if self.thread.expires_at is None else to_micros(self.thread.expires_at)

    @property
    def attempt(self) -> str:
        """What is the same, beside the version, in no other header that says something else."""
        return public_epoch(self.epoch, self.base.life)

    @classmethod
    def load(cls, row: Row) -> Header:
        """The header that a row holds."""
        return cls._of(forms.unpacked(row)[0])

    def _form(self) -> dict[str, Any]:
        form: dict[str, Any] = {"v": self.version, "e": self.epoch, "z": _totals(self.base)}
        if self.scattered:
            form["x"] = 1
        if self.claimed:
            form["k"] = 1
        if self.over is not None:
            form["o"] = self.over
        if self.thread is not None:
            form["t"] = forms.thread(self.thread)
        return form

    @classmethod
    def _of(cls, form: dict[str, Any]) -> Header:
        thread = form.get("t")
        return cls(
            form["v"],
            form["e"],
            _totals_of(form["z"]),
            None if thread is None else forms.thread_of(thread),
            "x" in form,
            "k" in form,
            (str(form["o"][0]), int(form["o"][1])) if "o" in form else None,
        )


class Effect(NamedTuple):
    """What a slot decides to be done to a row of messages: it brings that row, from one edition, to the next.

    `place` counts into the row's messages: the entry there is replaced by the slot's own, taken
    out (`take`), or pushed back by it (`add`). A row that is not there yet has edition None.
    """

    position: str
    edition: int | None
    verb: str
    place: int


class Slot(NamedTuple):
    """A row of the log. It holds messages that were appended, or what was decided and is then applied.

    `header` is what the header is to become, `effect` what is to happen to an earlier row; `seals` says that
    nothing follows in this epoch. `request` is the id and the digest of the request that wrote the slot.
    `result` is its answer, where that is not plain from the rest. `token` is random. `staged` rows were put
    before the slot that brings them to light was taken; all carry the last's totals. `pointer` is where a
    thread that ends here was listed: its activity, its id, its owner, the hours it left. `told` is the etag
    of the properties that an append was answered. `version` counts the changes of the row. `fades` of those
    only took out what was dead. `brought` is the position of a message with a key that it put between others,
    once what it decided is forgotten. `edited` is how many edits the thread had counted when the last of the
    slot's own was decided. So whoever looked before knows of that edit.
    """

    epoch: str
    position: str
    token: str
    at: int
    totals: Totals
    entries: tuple[Entry, ...] = ()
    version: int = 0
    request: tuple[str, str] | None = None
    result: str | None = None
    kept: int = 0
    header: Header | None = None
    effect: Effect | None = None
    seals: bool = False
    staged: bool = False
    pointer: tuple[int, str, str | None, tuple[int, ...]] | None = None
    told: str | None = None
    fades: int = 0
    brought: str | None = None
    edited: int = 0

    @property
    def edition(self) -> int:
        """How many effects brought the row to where it is: a sweep beside them does not count."""
        return self.version - self.fades

    @property
    def number(self) -> int:
        """Its number in its epoch; that of the slot before it for a row put between two."""
        return int(self.position[:10])

    @property
    def closes(self) -> bool:
        """Whether it leads back to where all threads begin; all that is there is younger."""
        return self.seals and self.header is not None and self.header.epoch == layout.ZERO

    def dump(self, pk: str) -> Row:
        """The row of this slot."""
        form: dict[str, Any] = {"t": self.at, "z": _totals(self.totals)}
        form["m"] = entries.dumped(self.entries, self.position, self.token, self.at)
        beside = {
            "r": self.request,
            "o": self.result,
            "k": self.kept or None,
            "h": None if self.header is None else self.header._form(),
            "f": self.effect,
            "c": 1 if self.seals else None,
            "g": 1 if self.staged else None,
            "p": self.pointer,
            "w": self.told,
            "d": self.fades or None,
            "i": self.brought,
            "e": self.edited or None,
        }
        form.update((name, value) for name, value in beside.items() if value is not None)
        overhead = len(pk.encode()) + 80
        body = forms.packed(form, [entry.text for entry in self.entries], overhead)
        at = layout.slot_row(self.epoch, self.position)
        return {"pk": pk, "sk": at, "v": self.version, "s": self.token, "b": body}

    @property
    def messages(self) -> tuple[Entry, ...]:
        """The messages that are read here; what an effect or a seal carries is read where it is applied."""
        return () if self.seals or self.effect is not None else self.entries

    @property
    def present(self) -> tuple[Entry, ...]:
        """The messages of which anything is left here, expired ones too."""
        return tuple(entry for entry in self.messages if not entry.faded)

    @property
    def refs(self) -> set[str]:
        """The texts kept apart that it refers to."""
        return {entry.blob.ref for entry in self.entries if entry.blob is not None}

    @classmethod
    def load(cls, row: Row) -> Slot:
        """The slot that a row holds. Raises CorruptData where it is no slot's row."""
        found = layout.epoch_of(str(row["sk"]))
        if found is None:
            raise CorruptData(f"{row['sk']!r} is not the row of a slot")
        epoch, at_position = found
        form, texts = forms.unpacked(row)
        request, effect, header = form.get("r"), form.get("f"), form.get("h")
        slot = cls(
            epoch=epoch,
            position=at_position,
            token=str(row["s"]),
            at=form["t"],
            totals=_totals_of(form["z"]),
            version=int(row["v"]),
            request=None if request is None else (request[0], request[1]),
            result=form.get("o"),
            kept=form.get("k", 0),
            header=None if header is None else Header._of(header),
            effect=None if effect is None else Effect(*effect),
            seals="c" in form,
            staged="g" in form,
            pointer=_pointer_of(form["p"]) if "p" in form else None,
            told=form.get("w"),
            fades=form.get("d", 0),
            brought=form.get("i"),
            edited=form.get("e", 0),
        )
        return slot._replace(entries=entries.loaded(form["m"], texts, slot.position, slot.token, slot.at))

    def arranged(self, drafts: Sequence[Draft]) -> tuple[Entry, ...]:
        """The entries that appending `drafts` here makes."""
        return entries.of_drafts(drafts, self.position, self.token, self.at)

    def apply(self, effect: Effect, by: Slot) -> Slot:
        """This row as `effect` leaves it, which the slot `by` decided."""
        left = list(self.entries)
        if effect.verb == "take":
            del left[effect.place]
        elif effect.verb == "add":
            left.insert(effect.place, by.entries[0])
        elif not left[effect.place].faded:
            left[effect.place] = by.entries[0]
        return self._replace(entries=tuple(left), version=self.version + 1, edited=by.totals.edits)

    def bare(self) -> Slot:
        """This row without what it did to another and has answered."""
        keyed = self.effect is not None and self.effect.verb == "add" and self.entries[0].key is not None
        return self._replace(
            entries=(), effect=None, request=None, result=None, version=self.version + 1,
            brought=self.entries[0].position if keyed else None,
        )  # fmt: skip

    @property
    def put_between(self) -> str | None:
        """The position of a message that it put between others, if it knows of one; or that it changed."""
        return self.brought if self.effect is None else self.entries[0].position

    def fade(self, places: Collection[int]) -> Slot:
        """This row without what was in some places; the others stay in theirs, where an effect looks."""
        left = [
            entry.fade(self.token, self.at) if place in places else entry
            for place, entry in enumerate(self.entries)
        ]
        return self._replace(entries=tuple(left), version=self.version + 1, fades=self.fades + 1)


def chained(chain: str, texts: Sequence[str]) -> str:
    """The digest of a history, of which `chain` is that of its beginning."""
    for text in texts:
        chain = hashlib.sha256(chain.encode() + hashlib.sha256(text.encode()).digest()).hexdigest()[:24]
    return chain


_TOTALS = tuple(Totals.__dataclass_fields__)


def _totals(totals: Totals) -> list[Any]:
    fields = [
        int(value) if isinstance(value, bool) else value for value in (getattr(totals, n) for n in _TOTALS)
    ]
    if totals.cuts:
        return [*fields[:-1], cuts.dumped(totals.cuts)]
    return fields[:-1] if totals.left else fields[:-2]


def _totals_of(form: list[Any]) -> Totals:
    fixed = len(_TOTALS) - 2
    if len(form) == fixed:
        return Totals(*form)
    left, ranges, *_ = [*form[fixed:], ()]
    return Totals(*[*form[:fixed], tuple(left), cuts.loaded(ranges)])


def _pointer_of(form: list[Any]) -> tuple[int, str, str | None, tuple[int, ...]]:
    active_at, thread_id, owner, *left = form
    return active_at, thread_id, owner, tuple(left[0]) if left else ()
