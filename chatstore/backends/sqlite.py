"""SQLite, the embedded default: one file, many threads, many processes.

``sqlite:///chat.db`` is a path relative to the working directory, ``sqlite:////var/lib/chat.db`` an
absolute one. Options:

``synchronous``
    ``FULL`` (the default): an acknowledged write survives the loss of power. ``NORMAL``: it
    survives the end of the process, however sudden; a loss of power may take the last writes, whole
    ones and never a part, and leaves the file sound.
``timeout``
    Seconds to wait for other processes' writes before raising Unavailable; 30 by default.

The file is in WAL mode: readers never wait for writers, and a write is one transaction.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from chatstore.backends.sql import Row, SqlBackend, Work
from chatstore.backends.sqlite_place import Opened, file_at, open_at
from chatstore.blocking import run
from chatstore.contract import Capability, Clock
from chatstore.errors import ConfigurationError, CorruptData, StorageError, Unavailable
from chatstore.urls import Url

__all__ = ["SCHEMA", "SqliteBackend", "open_sqlite"]

T = TypeVar("T")

_APPLICATION = 0x63686174
"""Marks the file as chatstore's own ("chat")."""

_MIGRATIONS = (
    """
    CREATE TABLE threads (
        key INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        owner TEXT,
        topic TEXT,
        metadata TEXT NOT NULL,
        participants TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        active_at INTEGER NOT NULL,
        expires_at INTEGER,
        revision TEXT NOT NULL,
        epoch TEXT NOT NULL,
        tail INTEGER NOT NULL,
        edits INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX threads_by_id ON threads (tenant, id);
    CREATE INDEX threads_by_activity ON threads (tenant, active_at, id);
    CREATE INDEX threads_by_owner ON threads (tenant, owner, active_at, id) WHERE owner IS NOT NULL;
    CREATE INDEX threads_by_expiry ON threads (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE messages (
        thread INTEGER NOT NULL,
        position TEXT NOT NULL,
        id TEXT NOT NULL,
        text TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revision INTEGER NOT NULL,
        PRIMARY KEY (thread, position)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX messages_by_id ON messages (thread, id);
    CREATE INDEX messages_by_expiry ON messages (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE requests (
        tenant TEXT NOT NULL,
        thread TEXT NOT NULL,
        scope TEXT NOT NULL,
        id TEXT NOT NULL,
        digest TEXT NOT NULL,
        result TEXT NOT NULL,
        owner TEXT,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, thread, scope, id)
    ) WITHOUT ROWID;
    CREATE INDEX requests_by_expiry ON requests (expires_at);
    CREATE INDEX requests_by_owner ON requests (tenant, owner) WHERE owner IS NOT NULL;
    """,
)
"""Each brings the schema from its index to the next version, in one transaction."""

SCHEMA = "".join(_MIGRATIONS)
"""What a new file holds."""


def open_sqlite(url: Url, *, blocking: bool, clock: Clock) -> SqliteBackend:
    """The database file that `url` names; it is made on first use, its folder is not."""
    url.allow("synchronous", "timeout")
    if url.host or len(url.path) < 2 or url.path == "/:memory:":
        raise ConfigurationError(
            f"{url.text!r} names no file: write sqlite:///relative.db or sqlite:////absolute/path.db; "
            "for a store in memory, memory://"
        )
    file = _File(url.path[1:], url.choice("synchronous", ("FULL", "NORMAL")), url.seconds("timeout", 30))
    return SqliteBackend(_BlockingDriver(file) if blocking else _ThreadDriver(file), clock)


class SqliteBackend(SqlBackend):
    """Threads in an SQLite file."""

    name = "sqlite"
    capabilities = frozenset(Capability) - {Capability.COST}


class _Statements:
    """A transaction on a connection; its coroutines never suspend."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def one(self, sql: str, *parameters: object) -> Row | None:
        rows = self._connection.execute(sql, parameters).fetchall()
        return rows[0] if rows else None

    async def all(self, sql: str, *parameters: object) -> Sequence[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    async def run(self, sql: str, *parameters: object) -> int:
        return self._connection.execute(sql, parameters).rowcount

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        self._connection.executemany(sql, rows)


class _File:
    """The connections of one process to one file.

    Writers take turns at a single connection under a lock of this process, which is fair and
    cheap; SQLite's own lock, which waits by polling, only has to hold other processes off.
    A connection must not cross a fork, so a child begins with none. One whose file is no longer
    the one at the path is not used, and what was written to such a file is not acknowledged.
    """

    def __init__(self, path: str, synchronous: str, timeout: float) -> None:
        self._path = path
        self._synchronous = synchronous
        self._timeout = timeout
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._writer: Opened | None = None
        self._readers: list[Opened] = []
        self._active: list[None] = []
        self._last: Opened | None = None
        _files.add(self)

    def write(self, work: Work[T]) -> T:
        """`work` in a write transaction."""
        with self._translated(), self._lock:
            writer = self._writing()
            _begin_write(writer.connection, self._timeout)
            result = _finish(writer.connection, work)
            # Only now: it may have been moved away until the commit.
            if file_at(self._path) != writer.file or file_at(f"{self._path}-wal") != writer.log:
                raise Unavailable(
                    f"{self._path} or its log {self._path}-wal was moved, deleted or replaced while in use"
                )
            return result

    def read(self, work: Work[T]) -> T:
        """`work` in a read transaction."""
        with self._gate:
            self._active.append(None)
        try:
            with self._translated():
                reader = self._reading()
                try:
                    reader.connection.execute("BEGIN")
                    return _finish(reader.connection, work)
                finally:
                    self._readers.append(reader)
        finally:
            self._active.pop()

    def scrub(self) -> None:
        """Write the file anew without its free space, and empty the log beside it.

        Waits for readers, up to the time-out; raises Unavailable if one keeps an old state in use.
        """
        with self._translated(), self._lock:
            writer = self._writing()
            writer.connection.execute(f"PRAGMA busy_timeout = {int(self._timeout * 1000)}")
            try:
                writer.connection.execute("VACUUM")
                [busy, _, _] = writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                writer.connection.execute("PRAGMA busy_timeout = 0")
            if busy:
                raise Unavailable(
                    f"what was erased from {self._path} may still be read from its free space, because "
                    "somebody keeps reading an old state: erase again"
                )

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.connection.close()
        while self._readers:
            self._readers.pop().connection.close()
        self._last = None

    def before_fork(self) -> None:
        """Wait until no thread is inside SQLite, whose locks a child would inherit taken for ever."""
        self._lock.acquire()
        self._gate.acquire()
        while self._active:
            time.sleep(0.0005)

    def after_fork(self, *, child: bool) -> None:
        """Let everybody go on; a child begins without connections."""
        if child:
            # Closing a parent's connections would release its locks: they are kept, unused.
            _inherited.append((self._writer, self._readers))
            self._writer, self._readers = None, []
        self._gate.release()
        self._lock.release()

    def _writing(self) -> Opened:
        if self._writer is not None and self._writer.file != file_at(self._path):
            self._writer.connection.close()
            self._writer = None
        if self._writer is None:
            writer = self._connect()
            writer.connection.execute("PRAGMA busy_timeout = 0")
            self._writer = writer
        return self._writer

    def _reading(self) -> Opened:
        present = file_at(self._path)
        while self._readers:
            try:
                reader = self._readers.pop()
            except IndexError:  # another thread took the last one
                break
            if reader.file == present:
                return reader
            reader.connection.close()
        return self._connect()

    def _connect(self) -> Opened:
        before = file_at(self._path)
        connection = open_at(self._path, self._last, self._timeout)
        try:
            _prepare(connection, self._path, self._timeout)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            opened = Opened(connection, file_at(self._path), file_at(f"{self._path}-wal"))
            if opened.file is None or before not in (None, opened.file):
                raise Unavailable(f"{self._path} was moved or replaced while it was opened")
        except BaseException:
            connection.close()
            raise
        self._last = opened
        return opened

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            ours = _ours(error, self._path)
            if isinstance(ours, ConfigurationError) and self._last is not None:
                ours = Unavailable(f"{self._path} was open and cannot be opened again: {error}")
            raise ours from error


_inherited: list[object] = []
_files: weakref.WeakSet[_File] = weakref.WeakSet()
_forking: list[_File] = []


def _before_fork() -> None:
    for file in list(_files):
        file.before_fork()
        _forking.append(file)


def _after_fork(*, child: bool) -> None:
    while _forking:
        _forking.pop().after_fork(child=child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(child=False),
    after_in_child=lambda: _after_fork(child=True),
)


def _begin_write(connection: sqlite3.Connection, timeout: float) -> None:
    """Take the file's write lock, in competition with other processes.

    SQLite would wait in steps that grow to a tenth of a second, long after the lock is free.
    """
    until, pause = time.monotonic() + timeout, 0.0002
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311 - spreads the tries of processes, guards nothing
        pause = min(pause * 1.5, 0.005)


def _finish(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Do `work` in the transaction that has begun, and commit it, or roll it back if it raises."""
    try:
        result = run(work(_Statements(connection)))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _prepare(connection: sqlite3.Connection, path: str, timeout: float) -> None:
    """Bring the file into WAL mode and to the present schema."""
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: chatstore needs 3.35 or newer")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    if version == len(_MIGRATIONS) and application == _APPLICATION:
        return
    if version > len(_MIGRATIONS):
        raise ConfigurationError(
            f"{path} was written by a newer chatstore: its schema is {version}, "
            f"and this one knows {len(_MIGRATIONS)}; upgrade chatstore"
        )
    _enter_wal(connection, timeout)
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been here first, so the version is read again under the lock.
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION:
            raise ConfigurationError(f"{path} is a database, but not one of chatstore's: choose another file")
        for script in _MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _enter_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Set WAL mode. SQLite does not wait for others there, whatever its time-out, so this does."""
    until = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _ours(error: sqlite3.Error, path: str) -> StorageError | ConfigurationError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return ConfigurationError(
            f"{path} cannot be opened ({error}): does its folder exist, and may you write there?"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptData(f"{path} is damaged or not an SQLite database: {error}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{path} is busy with another process's write: try again, or raise ?timeout=")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        return Unavailable(f"{path} cannot be written: {error}")
    return StorageError(f"{path}: {error}")


class _BlockingDriver:
    """For blocking callers: the work is done where it is asked for."""

    def __init__(self, file: _File) -> None:
        self._file = file

    async def write(self, work: Work[T]) -> T:
        return self._file.write(work)

    async def read(self, work: Work[T]) -> T:
        return self._file.read(work)

    async def scrub(self) -> None:
        self._file.scrub()

    async def close(self) -> None:
        self._file.close()


class _ThreadDriver:
    """For event loops: writes queue at one thread, reads share a few. None is bound to a loop."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._process = -1

    async def write(self, work: Work[T]) -> T:
        return await self._hop(self._pools()[0], self._file.write, work)

    async def read(self, work: Work[T]) -> T:
        return await self._hop(self._pools()[1], self._file.read, work)

    async def scrub(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pools()[0], self._file.scrub)

    async def close(self) -> None:
        if self._process == os.getpid():
            writer, readers = self._threads
            self._process = -1
            await asyncio.get_running_loop().run_in_executor(writer, self._file.close)
            writer.shutdown(wait=False)
            readers.shutdown(wait=False)

    def _pools(self) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
        if self._process != os.getpid():
            self._threads = ThreadPoolExecutor(1, "chatstore-write"), ThreadPoolExecutor(4, "chatstore-read")
            self._process = os.getpid()
        return self._threads

    @staticmethod
    async def _hop(pool: ThreadPoolExecutor, call: Callable[[Work[T]], T], work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, work)
