"""PostgreSQL and its kin, by psycopg.

``postgresql://USER@HOST/DATABASE?schema=chatstore``, or ``postgres://``, ``yugabytedb://`` and ``cockroachdb://``.
The password comes from ``PGPASSWORD``, a password file or a service file, and every parameter of libpq's may
be an option. Options of ours:

``schema``
    Where the tables are: ``chatstore`` by default. ``chatstore init`` makes it.
``pool``
    How many connections a process, or an event loop, has at most: 10 by default.
``timeout``
    Seconds that a call waits for the server, or for a connection: 10 by default.
``prepared``
    ``OFF`` spares a pooler prepared statements; where one knows none, that is found out.
``reads``
    ``REPLICA`` reads from a standby where there is one, which may lag behind.
``vacuum``
    ``FULL`` has an erasure write the tables anew, which stops everybody meanwhile; ``OFF`` leaves what it
    removed to autovacuum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import psycopg

from chatstore import models
from chatstore.backends.postgres.address import address_of
from chatstore.backends.postgres.connectors import CONNECTORS, connector_of
from chatstore.backends.postgres.dialects import DIALECTS, Spoken
from chatstore.backends.postgres.driver import AsyncDriver, BlockingDriver, PostgresDriver
from chatstore.backends.postgres.faults import translated
from chatstore.backends.postgres.listing import ListedThreads
from chatstore.backends.postgres.nodes import Nodes
from chatstore.backends.postgres.once import Append
from chatstore.backends.postgres.reading import Checked, ReadAlready, previews, read_rows
from chatstore.backends.postgres.schema import prepare, require_version, version_of
from chatstore.conditions import expiry
from chatstore.contract import (
    Capability,
    Clock,
    Cut,
    Draft,
    Listing,
    NewThread,
    Query,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.engines.sql import SqlBackend, Transaction, Work
from chatstore.engines.sql.listing import Found, Lists
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.transactions import NOBODY, Tables, caller_of
from chatstore.errors import ConfigurationError, CursorExpired, Unsupported
from chatstore.metering import metered
from chatstore.models import Appended, Entries, Message, Page, Thread
from chatstore.recent import Recent
from chatstore.urls import Url
from chatstore.words import preview_of

__all__ = ["PostgresBackend", "open_postgres"]

T = TypeVar("T")

_READS = ("PRIMARY", "REPLICA")
_SWITCH = ("ON", "OFF")
_MOST_SEEN = 10_000


def open_postgres(url: Url, *, blocking: bool, clock: Clock) -> PostgresBackend:
    """The schema of the database that `url` names. Raises ConfigurationError for what cannot be used."""
    dialect = DIALECTS[url.scheme if url.scheme in DIALECTS else "postgresql"]
    connector = connector_of(url) if url.scheme in CONNECTORS else None
    address = address_of(url) if connector is None else connector.address
    reading = None
    if url.choice("reads", _READS) == "REPLICA":
        if connector is not None:
            raise ConfigurationError("reads=replica needs a URL of several hosts: name the instance to read")
        options = {**url.options, "target_session_attrs": "prefer-standby"}
        reading = address_of(replace(url, options=options))
    kind = BlockingDriver if blocking else AsyncDriver
    driver = kind(
        address,
        Spoken(dialect, url.options.get("schema", "chatstore")),
        most=_count(url, "pool", 10),
        seconds=url.seconds("timeout", 10),
        prepared=url.choice("prepared", _SWITCH) == "ON",
        vacuum=url.choice("vacuum", ("ON", "FULL", "OFF")),
        reading=reading,
        nodes=_nodes(url),
        connector=connector,
    )
    return PostgresBackend(driver, clock)


def _nodes(url: Url) -> Nodes | None:
    balanced = url.choice("load_balance", ("FALSE", "TRUE")) == "TRUE"
    keys = url.options.get("topology_keys", "")
    if (balanced or keys) and url.scheme != "yugabytedb":
        raise ConfigurationError("load_balance and topology_keys are for yugabytedb://")
    if keys and not balanced:
        raise ConfigurationError("topology_keys are without effect unless there is load_balance=true")
    return Nodes(keys) if balanced else None


def _count(url: Url, name: str, default: int) -> int:
    text = url.options.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"{name}={text} is not a number of connections, which is 1 at least")
    return int(text)


class PostgresBackend(SqlBackend):
    """Threads in a schema of a database."""

    name = "postgresql"
    capabilities = frozenset(Capability) - {Capability.SEARCH}
    messages: type[Messages] = Checked
    lists: type[Lists] = ListedThreads

    def __init__(self, driver: PostgresDriver, clock: Clock) -> None:
        super().__init__(driver, clock)
        self._driver = driver
        self._seen: Recent[tuple[str, str], None] = Recent(_MOST_SEEN)
        """Threads that were there a while ago, by their names."""

    async def prepare(self) -> None:
        """Make the schema, or bring it to the present version; needs a role that may."""
        await self._driver.aside(self._prepare, NOBODY)

    async def must_exist(self) -> None:
        version = await self._driver.aside(self._version, NOBODY)
        require_version(version, self._driver.spoken.schema)

    def _prepare(self) -> None:
        with self._connected() as connection:
            prepare(connection, self._driver.spoken)

    def _version(self) -> int:
        with self._connected() as connection:
            return version_of(connection, self._driver.spoken)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        address = self._driver.address
        try:
            if address.dial is None:
                made = psycopg.connect(address.conninfo, autocommit=True)
            else:
                made = address.dial(None)
            with made as connection:
                yield connection
        except psycopg.Error as error:
            raise translated(error, address.place) from error

    # In one trip

    @metered
    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
        cut: Cut | None = None,
        patch: ThreadPatch | None = None,
        if_thread: str | None = None,
    ) -> Appended:
        if cut is None and patch is None and if_thread is None:
            done = await self._append(key, drafts, create, if_match, request)
            if done is not None:
                return done
        return await super().append(
            key,
            drafts,
            create=create,
            if_match=if_match,
            request=request,
            cut=cut,
            patch=patch,
            if_thread=if_thread,
        )

    async def _append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended | None:
        """An append as one statement; None where one cannot be it."""
        now = self.clock()
        append = Append(key, drafts, request, now)
        if not append.fits(if_match):
            return None
        until = expiry(now, self.request_window)

        async def run(tx: Transaction, create: NewThread | None = create) -> Appended | None:
            return await append.run(tx, create, if_match, cast("int", until))

        done = None
        named = key.tenant, key.id
        makes = create is not None and if_match is None and self._driver.spoken.dialect.changes_twice
        # Without what makes a thread the statement is shorter.
        if named in self._seen or not makes:
            done = await self._once(partial(run, create=None), key, request)
        if done is None and makes:
            done = await self._once(run, key, request)
        if done is not None:
            self._seen.put(named, None)
        return done

    async def _once(self, work: Work[T], key: ThreadKey, request: Request | None) -> T:
        return await self._driver.once(work, caller_of(key), writes=True, twice=request is not None)

    @metered
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        found = await self._found(key, span)
        if found is None:
            return await super().read(key, span)
        log, messages = found
        return Page(()) if log is None else await messages.page(log, span)

    @metered
    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        found = await self._found(key, span)
        if found is None:
            return await super().read_entries(key, span)
        log, messages = found
        return Entries("") if log is None else await messages.entries(log, span)

    async def _found(self, key: ThreadKey, span: Span) -> tuple[Log | None, ReadAlready] | None:
        """What `span` has, in one trip; None where that does not tell it."""
        now = self.clock()

        async def find(tx: Transaction) -> tuple[Log | None, ReadAlready]:
            log, rows = await read_rows(tx, key, span, now)
            return log, ReadAlready(tx, lambda: now, rows)

        log, found = await self._driver.once(find, caller_of(key))
        if span.epoch is not None and (log is None or log.epoch != span.epoch):
            raise CursorExpired
        named = span.after_message is not None or span.before_message is not None
        if (log is not None and log.cuts) or (named and not found.rows):
            return None
        return log, found

    @metered
    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        async def find(tx: Transaction) -> Page[Thread]:
            page = await self._tables(tx).lists.page(tenant, listing)
            return Page(tuple(one.thread for one in page.items), next=page.next)

        if listing.preview:
            return await super().list_threads(tenant, listing)
        return await self._driver.once(find, (tenant, None))

    async def _previewed(self, tables: Tables, found: Sequence[Found]) -> list[Thread]:
        known = await previews(tables.tx, found, self.clock())
        return [
            replace(
                one.thread,
                message_count=known[one.key][0],
                preview=None if known[one.key][1] is None else preview_of(cast("str", known[one.key][1])),
            )
            if one.key in known
            else (await super(PostgresBackend, self)._previewed(tables, [one]))[0]
            for one in found
        ]

    async def search(self, tenant: str, query: Query) -> Page[models.Found]:
        del tenant, query
        raise Unsupported(
            "PostgreSQL's own text search finds other words than a store promises, "
            "and there is no index of a store's words in it"
        )

    @metered
    async def get_thread(self, key: ThreadKey) -> Thread:
        async def get(tx: Transaction) -> Thread:
            return await self._tables(tx).threads.get(key)

        return await self._driver.once(get, caller_of(key))


for _name in (
    "create_thread",
    "update_thread",
    "delete_thread",
    "get_message",
    "replace_all",
    "clear",
    "insert",
    "replace_message",
    "delete_message",
    "fork",
    "sweep",
    "erase",
    "restore",
    "list_tenants",
):
    # What the engine does tells its cost, too.
    setattr(PostgresBackend, _name, metered(getattr(PostgresBackend, _name)))
