"""The two drivers, over the SDK's two clients; they differ in nothing but whether they suspend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient as AsyncTableClient

from chatstore.backends.azure_tables.faults import NoTable, faults, is_about_the_table
from chatstore.backends.azure_tables.port import Entity, Op, Properties, Range, Slice

__all__ = ["AsyncDriver", "BlockingDriver"]

_NAMES = ["PartitionKey", "RowKey", "Timestamp", "a", "i", "n", "o", "x"]
_Call: TypeAlias = tuple[Any, ...]


class BlockingDriver:
    """For blocking callers. A fork opens a client of its own."""

    def __init__(self, make: Callable[[], TableClient]) -> None:
        self._make = make
        self._opened: tuple[int, TableClient] | None = None
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def get(self, partition: str, row: str) -> Entity | None:
        while True:
            try:
                with faults():
                    try:
                        return _entity(self._client().get_entity(partition, row))
                    except ResourceNotFoundError as error:
                        if not is_about_the_table(error):
                            return None
                        raise
            except NoTable:
                self._create()

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
        while True:
            try:
                with faults():
                    found = self._client().query_entities(
                        _filter(partitions, rows, before), results_per_page=top, select=_select(bodies)
                    )
                    pages: Any = found.by_page(token)  # type: ignore[arg-type]  # what it calls a token is a dictionary
                    entities = [_entity(entity) for entity in next(pages, ())]
                    return Slice(entities, pages.continuation_token)
            except NoTable:
                self._create()

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        calls = [_call(partition, op) for op in ops]
        while True:
            try:
                with faults(writing=True):
                    if len(calls) == 1:
                        return [_etag(_alone(self._client(), calls[0]))]
                    return [answer.get("etag") for answer in self._client().submit_transaction(calls)]
            except NoTable:
                self._create()

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        self._client()
        turn = self._turns.setdefault(partition, _Turn())
        with turn.lock:
            yield

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this driver serves blocking callers

    async def close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _client(self) -> TableClient:
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            if opened is not None:
                self._turns = WeakValueDictionary()
            self._opened = opened = os.getpid(), self._make()
        return opened[1]

    def _create(self) -> None:
        with faults(), contextlib.suppress(ResourceExistsError):
            self._client().create_table()


class AsyncDriver:
    """For event loops, each of which has a client; one whose loop has ended is replaced."""

    def __init__(self, make: Callable[[], AsyncTableClient]) -> None:
        self._make = make
        self._opened: dict[asyncio.AbstractEventLoop, _Opened] = {}

    async def get(self, partition: str, row: str) -> Entity | None:
        while True:
            try:
                with faults():
                    try:
                        return _entity(await (await self._client()).get_entity(partition, row))
                    except ResourceNotFoundError as error:
                        if not is_about_the_table(error):
                            return None
                        raise
            except NoTable:
                await self._create()

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
        while True:
            try:
                with faults():
                    found = (await self._client()).query_entities(
                        _filter(partitions, rows, before), results_per_page=top, select=_select(bodies)
                    )
                    pages: Any = found.by_page(token)  # type: ignore[arg-type]  # what it calls a token is a dictionary
                    entities = []
                    async for page in pages:
                        entities = [_entity(entity) async for entity in page]
                        break
                    return Slice(entities, pages.continuation_token)
            except NoTable:
                await self._create()

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        calls = [_call(partition, op) for op in ops]
        while True:
            try:
                with faults(writing=True):
                    client = await self._client()
                    if len(calls) == 1:
                        return [_etag(await _alone(client, calls[0]))]
                    return [answer.get("etag") for answer in await client.submit_transaction(calls)]
            except NoTable:
                await self._create()

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        await self._client()
        turns = self._opened[asyncio.get_running_loop()].turns
        turn = turns.setdefault(partition, asyncio.Lock())
        async with turn:
            yield

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.closing.aclose()

    async def _client(self) -> AsyncTableClient:
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            for dead in [other for other in self._opened if other.is_closed()]:
                del self._opened[dead]
            opened = _Opened(self._make())
            self._opened[loop] = opened
            await anext(opened.closing)
        return self._opened[loop].client

    async def _create(self) -> None:
        with faults(), contextlib.suppress(ResourceExistsError):
            await (await self._client()).create_table()


class _Turn:
    """A lock that goes when nobody holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class _Opened:
    """What one event loop has."""

    def __init__(self, client: AsyncTableClient) -> None:
        self.client = client
        self.turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.closing = _closing(client)


async def _closing(client: AsyncTableClient) -> AsyncGenerator[None]:
    """Closes `client` at its end, which a loop brings about itself before it is closed."""
    try:
        yield
    finally:
        await client.close()


def _call(partition: str, op: Op) -> _Call:
    """`op` as the SDK takes it."""
    entity = {"PartitionKey": partition, "RowKey": op.row, **op.properties}
    unconditional: dict[str, object] = {}
    match = (
        unconditional
        if op.etag is None
        else {"etag": op.etag, "match_condition": MatchConditions.IfNotModified}
    )
    if op.kind == "insert":
        return "create", entity
    if op.kind == "delete":
        return "delete", entity, match
    mode = UpdateMode.REPLACE if op.kind in ("replace", "upsert") else UpdateMode.MERGE
    return "upsert" if op.kind in ("upsert", "touch") else "update", entity, {"mode": mode, **match}


def _alone(client: TableClient | AsyncTableClient, call: _Call) -> Any:
    """The same as a request of its own, which is half the work of a group of one."""
    kind, entity, *given = call
    return getattr(client, f"{kind}_entity")(entity, **(given[0] if given else {}))


def _etag(answer: Mapping[str, Any] | None) -> str | None:
    return None if answer is None else answer.get("etag")


def _entity(found: TableEntity) -> Entity:
    properties: Properties = {
        name: value for name, value in found.items() if name not in ("PartitionKey", "RowKey")
    }
    return Entity(found["PartitionKey"], found["RowKey"], properties, str(found.metadata.get("etag")))


def _filter(partitions: str | Range, rows: Range | None, before: str | None) -> str:
    # Every key is made of digests, digits and letters: nothing in it could end a literal.
    if isinstance(partitions, str):
        terms = [f"PartitionKey eq '{partitions}'"]
    else:
        terms = [f"PartitionKey ge '{partitions[0]}'", f"PartitionKey lt '{partitions[1]}'"]
    if rows is not None:
        terms += [f"RowKey ge '{rows[0]}'", f"RowKey lt '{rows[1]}'"]
    if before is not None:
        terms.append(f"x lt '{before}'")
    return " and ".join(terms)


def _select(bodies: bool) -> list[str] | None:
    return None if bodies else _NAMES
