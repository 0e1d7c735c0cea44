"""Rows that say where a client's key is: one for each in a history, which leads to the message that has it.

A claim is written before the slot that it names is taken. It proves nothing: the message is where it leads,
or the claim is void. So a claim may be left by a writer that was refused or killed, or by a message that was
deleted or cut. What is relied on is the other direction. Whoever has a key has a claim that leads to it:

- The slot that brings a key is taken after its claim names that slot.
- A claim is moved only by who sees that all slots which it names are taken. Who sees less looks again.
- It moves forward only, as its version is the slot's number. A message that the same slot is to cut stays
  named beside that slot, which somebody else may take.

A claim belongs to one history, whose name no other will have: it is void when that ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from chatstore.engines.log import layout
from chatstore.engines.log.port import Key, Row
from chatstore.engines.log.records import Header, Slot

__all__ = ["Claim", "of_slots"]


class Claim(NamedTuple):
    """Where a key may be: positions of rows, the newest last. `attempt` tells attempts apart."""

    places: tuple[str, ...]
    attempt: str

    @property
    def number(self) -> int:
        """The number of the newest slot that it names."""
        return int(self.places[-1][:10])

    def dump(self, at: Key) -> Row:
        """Its row."""
        body = " ".join(self.places).encode()
        return {**at._asdict(), "v": self.number, "s": self.attempt, "b": body}

    @classmethod
    def load(cls, row: Row) -> Claim:
        """The claim that a row holds."""
        return cls(tuple(cast("bytes", row["b"]).decode().split(" ")), str(row["s"]))


def of_slots(pk: str, header: Header, slots: Iterable[Slot]) -> list[Row]:
    """The claims of a history that begins with `slots`, and that nobody has seen yet."""
    places: dict[str, list[str]] = {}
    attempt = ""
    for slot in slots:
        attempt = layout.attempt(slot.at, slot.token)
        for entry in slot.entries:
            if entry.key is not None:
                # One that has expired may be there beside the one that has its key now.
                places.setdefault(entry.key, []).append(slot.position)
    return [
        Claim(tuple(sorted(found)), attempt).dump(layout.claim_place(pk, header.attempt, key))
        for key, found in places.items()
    ]
