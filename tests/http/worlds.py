"""Two stores to compare: one with everybody's threads, and one with those alone that a caller may see."""

from __future__ import annotations

import itertools
import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from chatstore import aconnect
from chatstore.api_keys import Scope, digest, new_key
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.testing.manual_clock import ManualClock
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.log.memory_table import LogInMemory, MemoryTable

CLOCK = ManualClock()
ACME, OTHER = "acme", "acme:x"
X, Y = "x", "x:y"

IDS = (
    "", " ", ".", "..", "/", "//", "a", "ab", "a/b", "a%2Fb", "a%2fb", "%", "%00", "_", "*", "a%", "a_",
    "a\0", "a\0b", "\0", "a\n", 'a"b', "a'b", "a';--", "a\\b", "a|b", "a b", "a+b", "a~b", "a:b", "a#b",
    "A", "aa", "a/", "/a", "..%2F", "../a", "a?b", ACME, OTHER, X, Y, "acme\0a", "acme:x\0a", "x\0a",
    "chatstore:keys", "null", "None", "0", "[]", "{}", "b64:YQ", "b64:", "\u00e9", "e\u0301", "\u0430b",
    "\uff41", "\ufb01", "\u202eba", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631", "\U0001f469\u200d\U0001f469",
    "x" * 1024, "x" * 1023, "\u00e9" * 512, "a" * 255, "a" * 256,
)  # fmt: skip
"""Thread ids chosen to be taken for one another."""


class Caller(NamedTuple):
    """Whom a credential stands for, and what is sent with a request."""

    name: str
    tenant: str | None = None
    owner: str | None = None
    scopes: frozenset[Scope] = frozenset()
    headers: Mapping[str, str] = {}

    def sees(self, thread: Seeded) -> bool:
        whole = self.owner is None or Scope.ADMIN in self.scopes
        return thread.tenant == self.tenant and (whole or thread.owner == self.owner)


class Seeded(NamedTuple):
    """A thread that is there from the start; its words are found nowhere else."""

    tenant: str
    owner: str | None
    id: str
    word: str


def _callers() -> tuple[tuple[Caller, ...], Settings]:
    callers = [Caller("nobody"), Caller("basic", headers={"Authorization": "Basic YTpi"})]
    kept: list[dict[str, object]] = []
    sets = {
        "read": [Scope.READ], "write": [Scope.WRITE], "both": [Scope.READ, Scope.WRITE],
        "admin": [Scope.ADMIN],
    }  # fmt: skip
    for tenant, owner in ((ACME, None), (OTHER, None), (ACME, X), (ACME, Y)):
        for name, scopes in sets.items():
            id, text = new_key()
            kept.append(
                {"id": id, "sha256": digest(text), "tenant": tenant, "owner": owner, "scopes": [*scopes]}
            )
            named = f"{tenant} {owner} {name}"
            callers.append(Caller(named, tenant, owner, frozenset(scopes), {"X-API-Key": text}))
    id, text = new_key()
    expired: dict[str, object] = {"id": id, "sha256": digest(text), "tenant": ACME, "scopes": ["admin"]}
    kept.append({**expired, "expires_at": "2020-01-01T00:00:00Z"})
    callers.append(Caller("expired", headers={"Authorization": f"Bearer {text}"}))
    broken = callers[2].headers["X-API-Key"]
    for name, bad in (
        ("cut", broken[:-1]),
        ("changed", f"{broken[:-2]}__"),
        ("short", "cs_"),
        ("jwt", "eyJ.e30."),
    ):
        callers.append(Caller(f"broken: {name}", headers={"Authorization": f"Bearer {bad}"}))
    twice = {"Authorization": f"Bearer {broken}", "X-API-Key": broken}
    callers.append(Caller("two at once", headers=twice))
    return tuple(callers), Settings(auth="api-key", api_keys=json.dumps(kept))


CALLERS, SETTINGS = _callers()


def _threads() -> tuple[Seeded, ...]:
    found = [
        Seeded(OTHER, None if n % 2 else X, id, secrets.token_hex(8)) for n, id in enumerate(IDS) if n % 5
    ]
    owners = (None, X, Y)
    found += [Seeded(ACME, owners[n % 3], id, secrets.token_hex(8)) for n, id in enumerate(IDS) if n % 4]
    return tuple(found)


THREADS = _threads()


class Began:
    """What a world and its copies begin with: `messages` has the id of the message of each thread.

    `kept` has what was there of some threads, once somebody asked.
    """

    def __init__(self, messages: Mapping[tuple[str, str], str]) -> None:
        self.messages = messages
        self.kept: dict[tuple[Seeded, ...], list[object]] = {}


class World:
    """A service over a store that has some of the threads, at a time that stands still."""

    def __init__(self, store: AsyncChatStore, began: Began) -> None:
        self.store = store
        self.messages = began.messages
        self._kept = began.kept
        self.app = create_app(store, SETTINGS)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://service")

    async def began_with(self, threads: tuple[Seeded, ...]) -> list[object]:
        """What `kept` gave of these threads when it was asked first; nobody has changed them since."""
        if threads not in self._kept:
            self._kept[threads] = await self.kept(threads)
        return self._kept[threads]

    async def kept(self, threads: Iterable[Seeded]) -> list[object]:
        """All that there is of these threads."""
        found: list[object] = []
        for tenant, some in itertools.groupby(threads, key=lambda one: one.tenant):
            store = self.store.for_tenant(tenant)
            there = {thread.id: thread async for thread in store.iter_threads()}
            found += [(there.get(one.id), await store.read(one.id)) for one in some]
        return found


async def seed(store: AsyncChatStore, threads: Iterable[Seeded]) -> Began:
    """Write these threads."""
    messages = {}
    for one in threads:
        tenant = store.for_tenant(one.tenant)
        await tenant.create_thread(one.id, owner=one.owner, topic=one.word, metadata={"word": one.word})
        added = await tenant.append(one.id, {"role": "user", "content": one.word})
        messages[one.tenant, one.id] = added.messages[0].id or ""
    return Began(messages)


def _on_azure(table: FakeTable) -> AsyncChatStore:
    return AsyncChatStore(AzureTablesBackend(FakeDriver(table), TABLES, CLOCK))


class Worlds:
    """Makes worlds on one kind of backend; a used one is made anew, of a copy of what it began with.

    SQLite's are files in `folder`; the clouds' backends stand on tables in memory.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._logs: dict[tuple[Seeded, ...], tuple[MemoryTable, Began]] = {}
        self._tables: dict[tuple[Seeded, ...], tuple[FakeTable, Began]] = {}
        self._numbers = itertools.count()
        self._templates: dict[tuple[Seeded, ...], tuple[Path, Began]] = {}
        self._made: dict[tuple[Seeded, ...], World] = {}

    async def having(self, threads: tuple[Seeded, ...]) -> World:
        """The world with these threads and no other."""
        if threads not in self._made:
            self._made[threads] = await self._make(threads)
        return self._made[threads]

    async def forget(self, threads: tuple[Seeded, ...]) -> None:
        """Close a world that is no longer what it was."""
        world = self._made.pop(threads)
        await world.client.aclose()
        await world.store.close()

    async def close(self) -> None:
        for threads in list(self._made):
            await self.forget(threads)

    async def _make(self, threads: tuple[Seeded, ...]) -> World:
        if self._kind == "log":
            if threads not in self._logs:
                log = MemoryTable()
                self._logs[threads] = log, await seed(AsyncChatStore(LogInMemory(log, CLOCK)), threads)
            log, began = self._logs[threads]
            return World(AsyncChatStore(LogInMemory(log.copy(), CLOCK)), began)
        if self._kind == "azure tables":
            if threads not in self._tables:
                table = FakeTable()
                self._tables[threads] = table, await seed(_on_azure(table), threads)
            table, began = self._tables[threads]
            return World(_on_azure(table.copy()), began)
        if self._kind == "memory":
            store = aconnect("memory://", clock=CLOCK)
            return World(store, await seed(store, threads))
        if threads not in self._templates:
            template = self._folder / f"template-{next(self._numbers)}.db"
            async with aconnect(f"sqlite:///{template}", clock=CLOCK) as store:
                await store.list_threads()
                self._templates[threads] = template, await seed(store, threads)
        template, began = self._templates[threads]
        copy = self._folder / f"{next(self._numbers)}.db"
        shutil.copyfile(template, copy)
        return World(aconnect(f"sqlite:///{copy}", clock=CLOCK), began)
