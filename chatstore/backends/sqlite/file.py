"""The connections of a process to one SQLite file, and the transactions on them."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from chatstore.backends.sqlite import faults, searching
from chatstore.backends.sqlite.forking import Stopped
from chatstore.backends.sqlite.log import LOG_BYTES, Log
from chatstore.backends.sqlite.place import Opened, file_at, open_at, require_room
from chatstore.backends.sqlite.schema import MIGRATIONS, prepare
from chatstore.backends.sqlite.statements import Outcome, Statements
from chatstore.blocking import run
from chatstore.codec import is_object
from chatstore.engines.sql import Transaction, Work
from chatstore.errors import ConfigurationError, StorageError, Unavailable

__all__ = ["File"]

T = TypeVar("T")


class File:
    """The connections of one process to one file.

    Writers take turns at a single connection under a lock of this process, which is fair and cheap. SQLite's
    own lock waits by polling, so it only has to hold other processes off. A connection must not cross a fork,
    so a child begins with none. If the file at the path is another one now, the connection is not used, and a
    write to the old file is not acknowledged. A signal's handler may raise after any call. So locks and
    connections are held only by the ``with`` of the interpreter's own types, which is entered and left
    without a gap. Leaving a connection's by an exception rolls back.
    """

    def __init__(self, path: str, synchronous: str, timeout: float, *, search: bool = False) -> None:
        self._path = path
        self._search = search
        self._synchronous = synchronous
        self._timeout = timeout
        self._writer: Opened | None = None
        self._prompt: Opened | None = None
        """The reader that never waits, while it is not in use."""
        self._last: Opened | None = None
        self._failed = False
        """Whether the file could not be written, or read, when that was last tried."""
        self._log = Log(path)
        self.removals = 1
        """How many transactions took content away: at least one, as nobody knows what was before."""
        self._scrubbed = 0, -1
        """Of how many of them nothing is left to read, and SQLite's number of the file as it was then."""
        self._begin()
        _files.add(self)

    def write(self, work: Work[T]) -> T:
        """`work` in a write transaction."""
        return self._in_transaction(lambda statements: run(work(statements)))

    def write_together(self, works: Sequence[Work[Any]]) -> list[Outcome]:
        """Each of `works` in one write transaction, whose commit is that of all.

        One that fails leaves no trace, and the others take place. Raises what fails for all of them.
        """
        outcomes = self._in_transaction(lambda statements: list(map(statements.apart, works)))
        return [
            (result, self._translation(error) if isinstance(error, sqlite3.Error) else error)
            for result, error in outcomes
        ]

    def _in_transaction(self, call: Callable[[Statements], T]) -> T:
        with self._translated(), self._lock:
            writer = self._writing()
            with writer.connection:
                _begin_write(writer.connection, self._timeout)
                statements = Statements(writer.connection)
                result = call(statements)
                self.removals += statements.removed
            self._failed = False
            # Only now: it may have been moved away until the commit.
            log, size = self._log.present()
            if file_at(self._path) != writer.file or log != writer.log:
                raise Unavailable(
                    f"{self._path} or its log {self._path}-wal was moved, deleted or replaced while in use"
                )
            if size > self._log.due:
                self._log.shorten(self._connect)
            return result

    def read(self, work: Work[T]) -> T:
        """`work` in a read transaction."""
        with self._translated():
            reader = self._reading()
            try:
                return _read(reader, work)
            finally:
                self._readers.append(reader)

    def ping(self) -> None:
        """Raise Unavailable where nothing can be written.

        It writes nothing itself, except after a write that failed. Then it writes a little, because only that
        tells whether a write would fail again.
        """
        require_room(self._path)
        self.write(_rewrite if self._failed else _look)

    def owes(self, removals: int) -> bool:
        """Whether something may be read from free space of the first `removals`, or of another process's."""
        with self._translated(), self._lock:
            version = self._version()
            done, known = self._scrubbed
            return done < removals or version != known

    def read_at_once(self, work: Work[T]) -> T:
        """`work` in a read transaction that waits for nobody. Raises Unavailable where it would have to."""
        with self._translated():
            with self._gate:
                reader, self._prompt = self._prompt, None
            try:
                if reader is None or reader.file != file_at(self._path) or reader.connection.in_transaction:
                    self.is_prompt = False
                    raise Unavailable(f"{self._path} has no reader that is free at once")
                return _read(reader, work)
            finally:
                self._keep_prompt(reader)

    def be_prompt(self) -> None:
        """Open what `read_at_once` needs."""
        with self._translated():
            reader = self._opened()
            reader.connection.execute("PRAGMA busy_timeout = 0")
            self._known.add(reader)
            self.is_prompt = True
            self._keep_prompt(reader)

    def _keep_prompt(self, reader: Opened | None) -> None:
        with self._gate:
            if self._prompt is None and self.is_prompt:
                self._prompt = reader
            elif reader is not None:
                reader.connection.close()

    def scrub(self) -> None:
        """Write the file anew without its free space, and empty the log beside it.

        Waits for readers, up to the time-out; raises Unavailable if one keeps an old state in use.
        """
        with self._translated(), self._lock:
            removals = self.removals
            with closing(self._connect()) as connection:
                searching.scrub(connection)
                connection.execute("VACUUM")
                [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise Unavailable(
                    f"erased content may still be in the free space of {self._path}, because a reader keeps "
                    "an old state: erase again"
                )
            self._scrubbed = removals, self._version()

    def _version(self) -> int:
        """SQLite's number of the file: it changes where another connection than the writer's commits."""
        [version] = self._writing().connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.connection.close()
        with self._gate:
            while self._readers:
                self._readers.pop().connection.close()
            if self._prompt is not None:
                self._prompt.connection.close()
            self._prompt, self.is_prompt = None, False
        self._last = None

    def before_fork(self) -> None:
        """Wait until no thread is inside SQLite, whose locks a child would inherit taken for ever."""
        self._stopped = Stopped()
        self._stopped.take([self._lock, self._gate])
        self._stopped.take([reader.inside for reader in list(self._known)])

    def after_fork(self, *, child: bool) -> None:
        """Let everybody go on; a child begins without connections."""
        if child:
            # Closing a parent's connections would release its locks: they are kept, unused.
            _inherited.append((self._writer, list(self._known)))
            self._writer = None
            self._begin()
        else:
            self._stopped.release()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        """Held where a reader is chosen, opened or closed."""
        self._readers: list[Opened] = []
        """Those not in use."""
        self._prompt = None
        self.is_prompt = False
        """Whether there is a reader that never waits."""
        self._known: weakref.WeakSet[Opened] = weakref.WeakSet()
        self._stopped = Stopped()

    def _writing(self) -> Opened:
        writer = self._writer
        if writer is None or writer.file != file_at(self._path) or writer.connection.in_transaction:
            if writer is not None:
                writer.connection.close()
            self._writer = None
            writer = self._opened()
            writer.connection.execute("PRAGMA busy_timeout = 0")
            self._writer = writer
            # The numbers of another connection say nothing to this one.
            self._scrubbed = 0, -1
        return writer

    def _reading(self) -> Opened:
        present = file_at(self._path)
        with self._gate:
            while self._readers:
                reader = self._readers.pop()
                if reader.file == present and not reader.connection.in_transaction:
                    return reader
                reader.connection.close()
            reader = self._opened()
            self._known.add(reader)
            return reader

    def _opened(self) -> Opened:
        before = file_at(self._path)
        connection = self._connect()
        try:
            opened = Opened(connection, file_at(self._path), self._log.present()[0])
            if opened.file is None or before not in (None, opened.file):
                raise Unavailable(f"{self._path} was moved or replaced while it was opened")
        except BaseException:
            connection.close()
            raise
        self._last = opened
        return opened

    def _connect(self) -> sqlite3.Connection:
        connection = open_at(self._path, self._last, self._timeout)
        try:
            prepare(connection, self._path, self._timeout)
            if self._search:
                searching.build(connection)
            _with_json(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise (translation := self._translation(error)) from translation.__cause__

    def _translation(self, error: sqlite3.Error) -> StorageError | ConfigurationError:
        """What an error of SQLite's is here, with its cause."""
        translation = faults.ours(error, self._path)
        self._failed = faults.code_of(error) in faults.UNWRITABLE
        if isinstance(translation, ConfigurationError) and self._last is not None:
            translation = Unavailable(
                f"{self._path} was open and cannot be opened again ({faults.name_of(error)})"
            )
        # What SQLite says of text that is not UTF-8 holds the text.
        translation.__cause__ = error if hasattr(error, "sqlite_errorcode") else None
        return translation


def _read(reader: Opened, work: Work[T]) -> T:
    with reader.inside, reader.connection:
        reader.connection.execute("BEGIN")
        result = run(work(Statements(reader.connection)))
    return result  # noqa: RET504 - the transaction has ended by then


async def _look(tx: Transaction) -> None:
    await tx.one("SELECT 1 FROM threads LIMIT 1")


async def _rewrite(tx: Transaction) -> None:
    await tx.run(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _with_json(connection: sqlite3.Connection) -> None:
    """Give a connection the function ``json_valid``, which SQLite before 3.38 may be without."""
    try:
        connection.execute("SELECT json_valid('{}')")
    except sqlite3.OperationalError:
        connection.create_function("json_valid", 1, is_object, deterministic=True)


_inherited: list[object] = []
_files: weakref.WeakSet[File] = weakref.WeakSet()
_forking: list[File] = []


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
