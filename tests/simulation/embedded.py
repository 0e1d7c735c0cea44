"""Storages without a network, on one machine with one clock: a file of SQLite, and a process's memory.

Each of their calls is one transaction. What a history varies is what lies between them: when each comes,
whose process is killed before it or behind it, and who hears nothing of what was done.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, cast

from chatstore.backends.memory import MemoryBackend
from chatstore.backends.sqlite import SqliteBackend
from chatstore.backends.sqlite.file import File
from chatstore.blocking import run
from chatstore.clocks import ServerClock
from chatstore.contract import Backend
from chatstore.engines.sql import Caller, Small, Work
from chatstore.errors import Unavailable
from tests.simulation.world import Network, Process, World

__all__ = ["MemoryStorage", "SqliteStorage"]

T = TypeVar("T")
_FAST = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_READS = {"get_thread", "list_threads", "read", "get_message"}


class SqliteStorage:
    """A file that every process has open by itself; one that was killed leaves its handle behind."""

    one_clock = True
    whole_turns = False

    def __init__(self) -> None:
        self.trace: Callable[[str], None] | None = None
        self.late: set[str] = set()
        self._folder = tempfile.TemporaryDirectory(dir=_FAST if _FAST.is_dir() else None)
        self._path = str(Path(self._folder.name) / "chat.db")
        self._handles: list[File] = []

    def backend(self, world: World, process: Process, clock: ServerClock) -> Backend:
        file = File(self._path, "NORMAL", 0)
        self._handles.append(file)
        return SqliteBackend(_FileDriver(self, file, _network(world, process)), lambda: world.now, self._path)

    def rows(self) -> Iterator[tuple[str, bytes]]:
        with closing(sqlite3.connect(self._path)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for [table] in tables:
                for row in connection.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608 - its own name
                    yield f"{table} / {row[:2]}", repr(row).encode()

    def close(self) -> None:
        for file in self._handles:
            file.close()
        self._folder.cleanup()


class _FileDriver:
    def __init__(self, storage: SqliteStorage, file: File, network: Network) -> None:
        self._storage = storage
        self._file = file
        self._network = network

    async def write(self, work: Work[T], caller: Caller, *, short: bool = False) -> T:
        def call() -> T:
            if self._storage.trace:
                self._storage.trace(getattr(work, "__qualname__", "write"))
            if not short:
                return self._file.write(work)
            [(result, fault)] = self._file.write_together([work])
            if fault is not None:
                raise fault
            return cast("T", result)

        return await self._network.transact(call)

    async def read(self, work: Work[T], caller: Caller, small: Small | None = None) -> T:
        return await self._network.ask(lambda: self._file.read(work))

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:
        return await self._network.ask(call)

    async def ping(self) -> None:
        await self._network.ask(self._file.ping)

    async def rest(self, seconds: float) -> None:
        # As long as the step before took, which differs from run to run.
        await self._network.pause(0.001)

    async def scrub(self, caller: Caller) -> None:
        if self._file.owes(self._file.removals):
            await self._network.transact(self._file.scrub)

    async def close(self) -> None:
        self._file.close()


class MemoryStorage:
    """One backend, which threads of a process share: those are the processes here."""

    one_clock = True
    whole_turns = False

    def __init__(self) -> None:
        self.trace: Callable[[str], None] | None = None
        self.late: set[str] = set()
        self._backend: MemoryBackend | None = None

    def backend(self, world: World, process: Process, clock: ServerClock) -> Backend:
        if self._backend is None:
            self._backend = MemoryBackend(clock=lambda: world.now)
        return cast("Backend", _Shared(self, self._backend, _network(world, process)))

    def rows(self) -> Iterator[tuple[str, bytes]]:
        if self._backend is not None:
            for key, stored in self._backend._threads.items():
                yield f"thread / {key}", repr(stored).encode()
            for name, result in self._backend._results.items():
                yield f"result / {name}", repr(result).encode()

    def close(self) -> None: ...


class _Shared:
    """The backend, reached at some time and answered at another."""

    def __init__(self, storage: MemoryStorage, backend: MemoryBackend, network: Network) -> None:
        self._storage = storage
        self._backend = backend
        self._network = network

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._backend, name)

        async def called(*args: Any, **given: Any) -> Any:
            def call() -> Any:
                if self._storage.trace:
                    self._storage.trace(f"{name} {args}")
                return run(method(*args, **given))

            return await (self._network.ask(call) if name in _READS else self._network.transact(call))

        return called


def _network(world: World, process: Process) -> Network:
    return Network(world, process, lambda: Unavailable("no answer"), lambda date, asked: None)  # noqa: ARG005
