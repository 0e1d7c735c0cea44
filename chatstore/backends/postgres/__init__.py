"""PostgreSQL and its kin, by psycopg.

``postgresql://USER@HOST/DATABASE?schema=chatstore``, or ``postgres://``, ``yugabytedb://`` and ``cockroachdb://``.
The password comes from ``PGPASSWORD``, a password file or a service file, or from the secret of AWS Secrets
Manager that ``PGPASSWORD_SECRET`` names. Every parameter of libpq's may be an option. Options of ours:

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
from operator import attrgetter
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
from chatstore.backends.postgres.passwords import password_of_environment
from chatstore.backends.postgres.reading import Checked, looked_at, read_rows
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
from chatstore.engines.sql import Row, SqlBackend, Transaction, Work
from chatstore.engines.sql.listing import Lists
from chatstore.engines.sql.message_rows import entries_of, page_of
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.transactions import NOBODY, caller_of
from chatstore.errors import ConfigurationError, CursorExpired, Unsupported
from chatstore.metering import metered
from chatstore.models import Appended, Entries, Message, Page, Thread
from chatstore.recent import Recent
from chatstore.urls import Url

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
    nodes, password, reading = _nodes(url), password_of_environment(), None
    if password is not None and (connector is not None or nodes is not None):
        raise ConfigurationError(
            "PGPASSWORD_SECRET goes neither with Google's connectors nor with load_balance: unset it"
        )
    if url.choice("reads", _READS) == "REPLICA":
        if connector is not None:
            raise ConfigurationError("reads=replica needs a URL of several hosts: name the instance to read")
        options = {**url.options, "target_session_attrs": "prefer-standby"}
        reading = address_of(replace(url, options=options))
    if password is not None:
        address = password.with_it(address)
        reading = None if reading is None else password.with_it(reading)
    kind = BlockingDriver if blocking else AsyncDriver
    driver = kind(
        address,
        Spoken(dialect, url.options.get("schema", "chatstore")),
        most=_count(url, "pool", 10),
        seconds=url.seconds("timeout", 10),
        prepared=url.choice("prepared", _SWITCH) == "ON",
        vacuum=url.choice("vacuum", ("ON", "FULL", "OFF")),
        reading=reading,
        nodes=nodes,
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
        raise ConfigurationError(f"{name}={text} is not a number of connections, at least 1")
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
        until = cast("int", expiry(now, self.request_window))
        append = Append(key, drafts, create, if_match, request, now, until)
        if not append.fits():
            return None
        done = None
        named = key.tenant, key.id
        makes = append.makes() and self._driver.spoken.dialect.changes_twice
        # Without what makes a thread the statement is shorter.
        if named in self._seen or not makes:
            done = await self._once(append.add, key, request)
        if done is None and makes:
            done = await self._once(append.make_or_add, key, request)
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
        log, rows = found
        return Page(()) if log is None else page_of(log, span, rows)

    @metered
    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        found = await self._found(key, span)
        if found is None:
            return await super().read_entries(key, span)
        log, rows = found
        return Entries("") if log is None else entries_of(log, span, looked_at(rows))

    async def _found(self, key: ThreadKey, span: Span) -> tuple[Log | None, list[Row]] | None:
        """What `span` has, in one trip; None where that does not tell it."""
        now = self.clock()
        log, rows = await self._driver.once(lambda tx: read_rows(tx, key, span, now), caller_of(key))
        if span.epoch is not None and (log is None or log.epoch != span.epoch):
            raise CursorExpired
        named = span.after_message is not None or span.before_message is not None
        if (log is not None and log.cuts) or (named and not rows):
            return None
        return log, rows

    @metered
    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        async def find(tx: Transaction) -> tuple[list[Thread | None], str | None]:
            lists = ListedThreads(tx, self._standing())
            page = await lists.page(tenant, listing)
            shown = lists.previewed if listing.preview else attrgetter("thread")
            return [shown(one) for one in page.items], page.next

        found, following = await self._driver.once(find, (tenant, None))
        threads = tuple(thread for thread in found if thread is not None)
        if len(threads) < len(found):
            # What is cut from one is not removed yet: its messages are told apart in a transaction.
            return await super().list_threads(tenant, listing)
        return Page(threads, next=following)

    async def search(self, tenant: str, query: Query) -> Page[models.Found]:
        del tenant, query
        raise Unsupported(
            "this store has no index of words: PostgreSQL's own text search finds other words than a store "
            "promises"
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
