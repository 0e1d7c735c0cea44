"""What a copy will be billed, about, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from chatstore.backup.reading import Chosen, Gone, kept_threads
from chatstore.codec import Json
from chatstore.store import ChatStore

__all__ = ["Estimate", "estimate"]

_SAMPLED = 100
_MOST_OF_A_THREAD = 10_000
_KIB = 1024
_PER_ROW = 16
"""Messages that a row of DynamoDB or of a table takes, unless they are large."""

_ROWS_TOGETHER = 20
"""Rows of messages that one transaction of a table takes, or about so many."""


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
    """List what is chosen and read a sample of it: some threads, whole if they are not very long."""
    threads = sampled = messages = size = 0
    for kept in kept_threads(source, chosen):
        threads += 1
        if sampled == _SAMPLED:
            continue
        sampled += 1
        try:
            for message in islice(kept.messages(), _MOST_OF_A_THREAD):
                messages += 1
                size += len(message.text.encode())
        except Gone:
            continue
    share = threads / sampled if sampled else 0
    whole = threads, round(messages * share), round(size * share)
    return Estimate(*whole, _reading(source.backend.name, *whole), _writing(target.backend.name, *whole))


def _reading(backend: str, threads: int, messages: int, size: int) -> dict[str, int]:
    if backend == "dynamodb":
        # A list's two rows and a header for each thread, then its rows: half a unit for each 4 KiB.
        return {"rru": threads * 4 + size // (8 * _KIB)}
    if backend in {"azure-tables", "cosmos-table"}:
        return {"transactions": threads * 2 + messages // 1000}
    return {}


def _writing(backend: str, threads: int, messages: int, size: int) -> dict[str, int]:
    rows = threads + messages // _PER_ROW
    if backend == "dynamodb":
        # Five rows that make a thread known; a row of messages takes a unit for each KiB begun.
        return {"wru": threads * 5 + rows + size // _KIB}
    if backend in {"azure-tables", "cosmos-table"}:
        return {"transactions": threads * 4 + rows // _ROWS_TOGETHER}
    return {}


def _units(units: dict[str, int]) -> str:
    return ", ".join(f"about {number:,} {name}" for name, number in units.items()) or "nothing"
