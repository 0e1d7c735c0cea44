"""What a copy will be billed, about, before it starts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from itertools import islice

from chatstore.backup.reading import Chosen, Gone, kept_threads
from chatstore.batching import batches
from chatstore.codec import Json
from chatstore.store import ChatStore

__all__ = ["Estimate", "estimate"]

_SAMPLED = 100
_MOST_OF_A_THREAD = 10_000
_KIB = 1024
_MESSAGES, _BYTES = 16, 16_384
"""What a row of DynamoDB takes."""

_IN_A_GROUP = 320
"""Messages that one transaction of a table takes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much there is, and what each side bills for it by its vendor's units; nothing where none does."""

    threads: int
    messages: int
    bytes: int
    source: dict[str, int] = field(default_factory=dict)
    target: dict[str, int] = field(default_factory=dict)

    def form(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "threads": self.threads, "messages": self.messages, "bytes": self.bytes,
            "source_units": self.source, "target_units": self.target,
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        there = f"{self.threads:,} threads, about {self.messages:,} messages, {self.bytes / _KIB:,.0f} KiB"
        return f"{there}; billed: source {_units(self.source)}, target {_units(self.target)}"


def estimate(source: ChatStore, target: ChatStore, chosen: Chosen) -> Estimate:
    """List what is chosen, and read a sample of it: some threads, whole if they are not very long."""
    threads = sampled = messages = size = packed = 0
    for kept in kept_threads(source, chosen):
        threads += 1
        if sampled == _SAMPLED:
            continue
        sampled += 1
        texts = (message.text.encode() for message in islice(kept.messages(), _MOST_OF_A_THREAD))
        try:
            for row in batches(texts, len, most=_MESSAGES, size_most=_BYTES):
                messages += len(row)
                size += sum(map(len, row))
                packed += -(-len(zlib.compress(b"".join(row))) // _KIB)
        except Gone:
            continue
    share = threads / sampled if sampled else 0
    messages, size, packed = (round(number * share) for number in (messages, size, packed))
    return Estimate(
        threads, messages, size,
        source=_reading(source.backend.name, threads, messages, packed),
        target=_writing(target.backend.name, threads, messages, packed),
    )  # fmt: skip


def _reading(backend: str, threads: int, messages: int, packed: int) -> dict[str, int]:
    if backend == "dynamodb":
        # The rows that list a thread and its header; then half a unit for each 4 KiB, of turns packed less.
        return {"rru": threads * 4 + messages // 8 + packed // 8}
    if backend == "azure-tables":
        return {"transactions": threads * 2 + messages // 1000}
    return {}


def _writing(backend: str, threads: int, messages: int, packed: int) -> dict[str, int]:
    if backend == "dynamodb":
        # Three rows that make a thread known, and its first row of messages, or none.
        return {"wru": threads * 3 + max(packed, threads)}
    if backend == "azure-tables":
        return {"transactions": threads * 4 + messages // _IN_A_GROUP}
    return {}


def _units(units: dict[str, int]) -> str:
    return ", ".join(f"about {number:,} {name}" for name, number in units.items()) or "nothing"
