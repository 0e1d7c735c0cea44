"""SQLite, the embedded default: one file, many threads, many processes.

``sqlite:///chat.db`` is a path relative to the working directory, ``sqlite:////var/lib/chat.db`` an
absolute one. Options:

``synchronous``
    ``FULL`` (the default): an acknowledged write survives the loss of power. ``NORMAL``: it survives any
    end of the process. A loss of power may undo the last writes, each as a whole, and leaves the file
    sound.
``timeout``
    Seconds to wait for other processes' writes before raising Unavailable; 30 by default.
``search``
    ``off`` (the default). ``on``: messages are found by their words. The file gets an index at once, of what
    is there, too. From then on every writer keeps the index, whatever its URL says.

The file is in WAL mode: readers never wait for writers, and a write is one transaction.
"""

from __future__ import annotations

from chatstore.backends.sqlite import searching
from chatstore.backends.sqlite.drivers import BlockingDriver, ThreadDriver
from chatstore.backends.sqlite.file import File
from chatstore.backends.sqlite.place import is_there
from chatstore.contract import Capability, Clock, Query
from chatstore.engines.sql import Driver, SqlBackend
from chatstore.engines.sql.transactions import Tables
from chatstore.errors import ConfigurationError, Unsupported
from chatstore.models import Found, Page
from chatstore.urls import Url, shown

__all__ = ["SqliteBackend", "open_sqlite"]


def open_sqlite(url: Url, *, blocking: bool, clock: Clock) -> SqliteBackend:
    """The database file that `url` names; it is made on first use, its folder is not."""
    url.allow("synchronous", "timeout", "search")
    if url.host or len(url.path) < 2 or url.path == "/:memory:":
        raise ConfigurationError(
            f"{shown(url.text)!r} names no file: write sqlite:///relative.db or sqlite:////absolute/path.db; "
            "for a store in memory, memory://"
        )
    search = url.choice("search", ("OFF", "ON")) == "ON"
    synchronous = url.choice("synchronous", ("FULL", "NORMAL"))
    file = File(url.path[1:], synchronous, url.seconds("timeout", 30), search=search)
    driver = BlockingDriver(file) if blocking else ThreadDriver(file)
    return SqliteBackend(driver, clock, url.path[1:], search=search)


class SqliteBackend(SqlBackend):
    """Threads in an SQLite file."""

    name = "sqlite"
    capabilities = frozenset(Capability) - {Capability.COST, Capability.SEARCH}

    def __init__(self, driver: Driver, clock: Clock, path: str, *, search: bool = False) -> None:
        super().__init__(driver, clock)
        self._path = path
        if search:
            self.capabilities = self.capabilities | {Capability.SEARCH}

    async def search(self, tenant: str, query: Query) -> Page[Found]:
        """What it costs grows with how many messages of the tenant, or the owner, have all the words."""
        if Capability.SEARCH not in self.capabilities:
            raise Unsupported("this store has no index of words: open it as sqlite:///…?search=on")
        caller = tenant, query.owner

        async def index(tables: Tables) -> tuple[None, bool]:
            return None, await searching.index_some(tables.tx)

        if await self._read(caller, lambda tables: searching.is_waiting(tables.tx)):
            await self._in_steps(caller, index)
        return await self._read(caller, lambda tables: searching.find(tables.tx, self.clock, tenant, query))

    async def prepare(self) -> None:
        await self.ping()  # whose connection makes the file and its tables

    async def must_exist(self) -> None:
        if not is_there(self._path):
            raise ConfigurationError(
                f"there is no store at {self._path}: nothing was made or changed; check the URL"
            )
