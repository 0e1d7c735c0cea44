"""What a copy will be billed, about, before it starts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from chatstore.backup.reading import Chosen, Gone, kept_threads
from chatstore.batching import batches
from chatstore.codec import Json
from chatstore.store import ChatStore

__all__ = ["Bill", "Estimate", "Size", "billed", "estimate"]

_SAMPLED = 100
_MOST_OF_A_THREAD = 10_000
_KIB, _PAGE = 1024, 4096
_MESSAGES, _BYTES = 16, 16_384
"""What a row of DynamoDB takes."""

_IN_A_GROUP = 320
"""Messages that one transaction of a table takes."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one side of a copy bills for it by its vendor's units; `told` is that, or why there are none."""

    units: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def told(self) -> str:
        """For people."""
        units = ", ".join(f"about {number:,} {name}" for name, number in self.units.items())
        return "; ".join(filter(None, (units, self.note)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much there is, and what each side bills for it."""

    threads: int
    messages: int
    bytes: int
    source: Bill
    target: Bill

    def form(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "threads": self.threads, "messages": self.messages, "bytes": self.bytes,
            "source_units": self.source.units, "target_units": self.target.units,
            "source_billed": self.source.told, "target_billed": self.target.told,
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        there = f"{self.threads:,} threads, about {self.messages:,} messages, {self.bytes / _KIB:,.0f} KiB"
        return f"{there}\nsource is billed: {self.source.told}\ntarget is billed: {self.target.told}"


class Size(NamedTuple):
    """How much is copied: `packed` are KiB in rows as they are compressed, `pages` units of 4 KiB in them."""

    threads: int
    messages: int
    packed: int
    pages: int


def _tables_reading(size: Size) -> dict[str, int]:
    return {"transactions": size.threads * 2 + size.messages // 1000}


def _tables_writing(size: Size) -> dict[str, int]:
    return {"transactions": size.threads * 4 + size.messages // _IN_A_GROUP}


def _dynamodb_reading(size: Size) -> dict[str, int]:
    # The rows that list a thread and its header; then half a unit for each 4 KiB, of turns packed less.
    return {"rru": size.threads * 4 + size.messages // 8 + size.packed // 8}


def _dynamodb_writing(size: Size) -> dict[str, int]:
    # Three rows that make a thread known, and its first row of messages, or none.
    return {"wru": size.threads * 3 + max(size.packed, size.threads)}


def _tablestore_reading(size: Size) -> dict[str, int]:
    return {"read_cu": size.threads * 6 + size.messages // 8}


def _tablestore_writing(size: Size) -> dict[str, int]:
    # As on DynamoDB, by 4 KiB; each put on a condition reads, too.
    rows = max(size.pages, size.threads)
    return {"write_cu": size.threads * 3 + rows, "read_cu": size.threads * 6 + rows}


def _upstash_reading(size: Size) -> dict[str, int]:
    return {"requests": size.threads * 2 + size.messages // 64}


def _upstash_writing(size: Size) -> dict[str, int]:
    return {"requests": size.threads * 3 + size.messages // _IN_A_GROUP}


_BILLED: Final = {
    "dynamodb": (_dynamodb_reading, _dynamodb_writing, ""),
    "azure-tables": (_tables_reading, _tables_writing, "on Cosmos DB request units, which are not estimated"),
    "tablestore": (_tablestore_reading, _tablestore_writing, "nothing by the call where it is billed by VCU"),
    "upstash": (_upstash_reading, _upstash_writing, "each is billed as the commands that its script runs"),
}
"""How reading and writing are billed, and what is to be known of it."""

_UNBILLED: Final = {
    "memory": "nothing by the call",
    "sqlite": "nothing by the call",
    "postgresql": "nothing by the call, where the vendor bills servers, storage or traffic",
    "redis": "nothing by the call, where the vendor bills servers, memory or traffic",
    "service": "what the store behind the service is, which is not known here",
}


def billed(backend: str, size: Size, *, writing: bool) -> Bill:
    """What a backend of that name bills for a copy of that size."""
    if backend in _UNBILLED:
        return Bill(note=_UNBILLED[backend])
    if backend not in _BILLED:
        return Bill(note=f"unknown: there is no estimate for {backend}")
    reading, written, note = _BILLED[backend]
    return Bill((written if writing else reading)(size), note)


def estimate(source: ChatStore, target: ChatStore, chosen: Chosen) -> Estimate:
    """List what is chosen, and read a sample of it: some threads, whole if they are not very long."""
    threads = sampled = messages = size = packed = pages = 0
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
                length = len(zlib.compress(b"".join(row)))
                packed += -(-length // _KIB)
                pages += -(-length // _PAGE)
        except Gone:
            continue
    share = threads / sampled if sampled else 0
    messages, size, packed, pages = (round(number * share) for number in (messages, size, packed, pages))
    whole = Size(threads, messages, packed, pages)
    return Estimate(
        threads, messages, size,
        source=billed(source.backend.name, whole, writing=False),
        target=billed(target.backend.name, whole, writing=True),
    )  # fmt: skip
