"""Storages in memory behind a network: the log's table, and Azure's in both dialects."""

from __future__ import annotations

import contextlib
import functools
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.clocks import ServerClock
from chatstore.contract import Backend
from chatstore.engines.fenced.port import Again, Entity, Op, Overtaken, Properties, Range, Slice
from chatstore.engines.log import Key, LogBackend, Row, Rows, Table
from chatstore.errors import Unavailable
from tests.simulation.embedded import MemoryStorage, SqliteStorage
from tests.simulation.world import Network, Process, World

Trace: TypeAlias = Callable[[str], None] | None
"""Is told of every change."""


class Storage(Protocol):
    """What processes share. Some are on machines of their own, with clocks of their own.

    In some a turn stays in one row until all of it is gone: `whole_turns`. `late` are the names of rows that
    were written by calls which arrived late.
    """

    trace: Trace
    one_clock: bool
    whole_turns: bool
    late: set[str]

    def backend(self, world: World, process: Process, clock: ServerClock) -> Backend:
        """A new life's way to it."""

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Every row: its name, and all that is in it."""

    def close(self) -> None:
        """Give back what it holds."""


class _Remote:
    one_clock = False
    whole_turns = False

    def __init__(self) -> None:
        self.trace: Trace = None
        self.late: set[str] = set()
        self._world: World | None = None

    def _wrote(self, name: str) -> None:
        late = self._world is not None and self._world.late
        (self.late.add if late else self.late.discard)(name)

    def close(self) -> None: ...


class LogStorage(_Remote):
    """Rows by partition, as the log wants them."""

    whole_turns = True

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, dict[str, Row]] = {}

    def backend(self, world: World, process: Process, clock: ServerClock) -> Backend:
        self._world = world
        network = Network(world, process, lambda: Unavailable("no answer"), clock.heard)
        return LogBackend(_LogTable(self, network), clock)

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for pk, part in self.parts.items():
            for sk, row in part.items():
                body = row.get("b", b"")
                assert isinstance(body, bytes)
                text = zlib.decompress(body[1:]) if body[:1] == b"\1" and not sk.startswith("B#") else body
                others = " ".join(str(value) for name, value in row.items() if name != "b")
                yield f"{pk} / {sk}", others.encode() + b" " + text

    def row(self, key: Key) -> Row | None:
        found = self.parts.get(key.pk, {}).get(key.sk)
        return None if found is None else dict(found)

    def query(self, pk: str, low: str, high: str, limit: int, newest: bool, after: str | None) -> Rows:
        part = self.parts.get(pk)
        if not part:
            return Rows([], more=False)
        names = sorted(part)
        if after is not None:
            if newest:
                high = min(high, after)
            else:
                low = max(low, after)
        names = names[bisect_left(names, low) : bisect_right(names, high)]
        if newest:
            names.reverse()
        if after is not None and names and names[0] == after:
            del names[0]
        return Rows([dict(part[name]) for name in names[:limit]], len(names) > limit)

    def put(self, row: Row) -> None:
        if self.trace:
            self.trace(f"put {_key(row)} {row.get('v')!r}")
        self._wrote(" / ".join(_key(row)))
        self.parts.setdefault(str(row["pk"]), {})[str(row["sk"])] = dict(row)

    def delete(self, key: Key) -> None:
        if self.trace:
            self.trace(f"delete {key.pk} / {key.sk}")
        self.parts.get(key.pk, {}).pop(key.sk, None)

    def put_new(self, row: Row, free: Key | None) -> Row | None:
        there = self.row(_key(row)) or (None if free is None else self.row(free))
        if there is None:
            self.put(row)
        return there

    def swap(self, row: Row, version: int | None) -> bool:
        present = self.row(_key(row))
        if (None if present is None else present["v"]) != version:
            return False
        self.put(row)
        return True

    def remove(self, row: Row) -> bool:
        there = self.row(_key(row))
        if there is None or (there["v"], there.get("s")) != (row["v"], row.get("s")):
            return False
        self.delete(_key(row))
        return True


class _LogTable(Table):
    def __init__(self, storage: LogStorage, network: Network) -> None:
        self._storage = storage
        self._network = network

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,
    ) -> Rows:
        return await self._network.ask(lambda: self._storage.query(pk, low, high, limit, newest, after))

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        def call() -> list[Row]:
            return [row for key in keys if (row := self._storage.row(key)) is not None]

        return await self._network.ask(call)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        return await self._network.send(lambda: self._storage.put_new(row, free))

    async def swap(self, row: Row, version: int | None) -> bool:
        return await self._network.send(lambda: self._storage.swap(row, version))

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        calls: list[Callable[[], None]] = [functools.partial(self._storage.put, row) for row in puts]
        calls += [functools.partial(self._storage.delete, key) for key in sorted(deletes)]
        for start in range(0, len(calls), 25):
            await self._network.send_each(calls[start : start + 25])

    async def remove(self, row: Row) -> bool:
        return await self._network.send(lambda: self._storage.remove(row))

    async def ping(self) -> None:
        await self._network.ask(lambda: None)

    async def pause(self, seconds: float) -> None:
        await self._network.pause(seconds)

    async def close(self) -> None: ...


class AzureStorage(_Remote):
    """Entities by partition, of either service."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self.dialect = dialect
        self.parts: dict[str, dict[str, Entity]] = {}
        self._count = 0

    def backend(self, world: World, process: Process, clock: ServerClock) -> Backend:
        self._world = world
        network = Network(world, process, Again, clock.heard)
        return AzureTablesBackend(_AzureDriver(self, network), self.dialect, clock)

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for partition, part in self.parts.items():
            for row, entity in part.items():
                given = sorted(entity.properties.items())
                body = b"".join(value for _, value in given if isinstance(value, bytes))
                if body[:1] == b"\0":
                    # What is in several rows is found in its first one.
                    with contextlib.suppress(zlib.error):
                        body = zlib.decompressobj().decompress(body[1:])
                others = " ".join(value for _, value in given if isinstance(value, str))
                yield f"{partition} / {row}", others.encode() + b" " + body

    def page(
        self, partitions: str | Range, rows: Range | None, top: int, token: Any, before: str | None
    ) -> Slice:
        if isinstance(partitions, str):
            names = [partitions] if partitions in self.parts else []
        else:
            names = sorted(name for name in self.parts if partitions[0] <= name < partitions[1])
        found: list[tuple[Any, Entity]] = []
        for name in names:
            for row, entity in self.parts[name].items():
                if rows is not None and not rows[0] <= row < rows[1]:
                    continue
                if before is not None and not str(entity.properties.get("x", "~")) < before:
                    continue
                place = (name, row) if self.dialect.ordered else (zlib.crc32(f"{name} {row}".encode()), row)
                if token is None or place >= token:
                    found.append((place, entity))
        found.sort()
        following = found[top][0] if len(found) > top else None
        return Slice([entity for _, entity in found[:top]], following)

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        """All of `ops` or none."""
        part = dict(self.parts.get(partition, {}))
        etags: list[str | None] = []
        for op in ops:
            found = part.get(op.row)
            if op.kind == "insert" and found is not None:
                raise Overtaken
            there = found is not None and op.etag in (None, found.etag)
            if op.kind in {"merge", "replace", "delete"} and not there:
                raise Overtaken
            if op.kind == "delete":
                del part[op.row]
                etags.append(None)
                continue
            kept: Properties = found.properties if found is not None and op.kind in {"merge", "touch"} else {}
            # A row that comes again is another: no etag comes twice.
            self._count += 1
            part[op.row] = Entity(partition, op.row, {**kept, **op.properties}, f"e{self._count}")
            etags.append(part[op.row].etag)
        self.parts[partition] = part
        for op in ops:
            self._wrote(f"{partition} / {op.row}")
        if self.trace:
            self.trace(" ".join([partition[:8] + partition[-6:], *(f"{op.kind} {op.row}" for op in ops)]))
        return etags


class _AzureDriver:
    def __init__(self, storage: AzureStorage, network: Network) -> None:
        self._storage = storage
        self._network = network

    async def create(self) -> None: ...

    async def get(self, partition: str, row: str) -> Entity | None:
        return await self._network.ask(lambda: self._storage.parts.get(partition, {}).get(row))

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        return await self._network.ask(lambda: self._storage.page(partitions, rows, top, token, before))

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        return await self._network.send(lambda: self._storage.apply(partition, ops), once=True)

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        yield

    async def pause(self, seconds: float) -> None:
        await self._network.pause(seconds)

    async def close(self) -> None: ...


STORAGES: dict[str, Callable[[], Storage]] = {
    "log": LogStorage,
    "tables": lambda: AzureStorage(TABLES),
    "cosmos": lambda: AzureStorage(COSMOS),
    "sqlite": SqliteStorage,
    "memory": MemoryStorage,
}


def _key(row: Row) -> Key:
    return Key(str(row["pk"]), str(row["sk"]))
