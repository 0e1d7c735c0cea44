"""Ways of a process to the table in memory on which calls are counted, late, stopped, or beside others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

from chatstore.blocking import run
from chatstore.engines.log import Key, Row, Rows
from chatstore.errors import Unavailable
from tests.log.memory_table import Killed, MemoryTable

__all__ = ["Late", "Meanwhile", "Mortal", "Noting", "Pause", "Sleeping", "Stopped"]


class Mortal(MemoryTable):
    """A process's way to a table: it is killed before its call after `left` others."""

    def __init__(self, table: MemoryTable, left: int) -> None:
        super().__init__()
        self.rows = table.rows
        self._left = left

    def _call(self) -> None:
        if not self._left:
            raise Killed
        self._left -= 1

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        self._call()
        return await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._call()
        return await super().put_new(row, free=free)

    async def swap(self, row: Row, version: int | None) -> bool:
        self._call()
        return await super().swap(row, version)

    async def remove(self, row: Row) -> bool:
        self._call()
        return await super().remove(row)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        # A batch is done in part, in any order.
        for put in puts:
            self._call()
            await super().write([put])
        for delete in deletes:
            self._call()
            await super().write([], [delete])


class Meanwhile(MemoryTable):
    """A process's way to a table; before its first call of a kind, something else happens."""

    def __init__(self, table: MemoryTable, kind: str, happens: Callable[[], object]) -> None:
        super().__init__()
        self.rows = table.rows
        self._kind = kind
        self._happens: Callable[[], object] | None = happens

    @property
    def happened(self) -> bool:
        return self._happens is None

    def _call(self, kind: str) -> None:
        if kind == self._kind and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()

    async def put_new(self, row: Row, **more: Any) -> Row | None:
        self._call("put_new")
        return await super().put_new(row, **more)

    async def swap(self, row: Row, version: int | None) -> bool:
        if str(row["sk"]).startswith("E"):
            self._call("swap")
        return await super().swap(row, version)


class Late(MemoryTable):
    """A process's way to a table, on which new versions of slots' rows are under way until they `arrive`."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self._under_way: list[Callable[[], Awaitable[bool]]] = []

    def arrive(self) -> None:
        assert self._under_way
        for call in self._under_way:
            assert run(call())  # type: ignore[arg-type]

    async def swap(self, row: Row, version: int | None) -> bool:
        call = super().swap
        if not str(row["sk"]).startswith("E"):
            return await call(row, version)
        self._under_way.append(lambda: call(row, version))
        raise Unavailable("no answer")


class Noting(MemoryTable):
    """Notes its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        self.calls.append("query")
        return await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        self.calls.append(f"get({len(keys)})")
        return await super().get(keys)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self.calls.append("put_new")
        return await super().put_new(row, free=free)

    async def swap(self, row: Row, version: int | None) -> bool:
        self.calls.append("swap")
        return await super().swap(row, version)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        self.calls.append(f"write({len(puts)}, {len(deletes)})")
        await super().write(puts, deletes)

    async def remove(self, row: Row) -> bool:
        self.calls.append("remove")
        return await super().remove(row)


class Sleeping(MemoryTable):
    """A process's way to a table; before it first deletes rows, something else happens."""

    def __init__(self, table: MemoryTable, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.rows = table.rows
        self._meanwhile: Callable[[], object] | None = meanwhile

    @property
    def slept(self) -> bool:
        return self._meanwhile is None

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        if deletes:
            self._sleep()
        await super().write(puts, deletes)

    async def remove(self, row: Row) -> bool:
        self._sleep()
        return await super().remove(row)

    def _sleep(self) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()


class Stopped(MemoryTable):
    """A process's way to a table: it is killed before it takes a slot."""

    async def put_new(self, row: object, **more: object) -> None:
        raise KeyboardInterrupt


class Pause:
    """A moment in which others may go on."""

    def __await__(self) -> Generator[None]:
        yield
