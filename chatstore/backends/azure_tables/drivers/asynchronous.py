"""The driver for event loops, over the SDK's asynchronous client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables.aio import TableClient

from chatstore.backends.azure_tables.drivers.forms import (
    alone,
    called,
    entity_of,
    etag_of,
    filter_of,
    selected,
)
from chatstore.backends.azure_tables.faults import faults, is_no_row
from chatstore.backends.clients import LoopClients
from chatstore.engines.fenced.port import Entity, Op, Range, Slice
from chatstore.turns import AsyncTurns

__all__ = ["AsyncDriver"]


class AsyncDriver:
    """For event loops, each of which has a client; one whose loop has ended is replaced."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[TableClient]]) -> None:
        self._clients = LoopClients(opening)
        self._turns = AsyncTurns()

    async def create(self) -> None:
        client = await self._clients.here()
        with faults(), contextlib.suppress(ResourceExistsError):
            await client.create_table()

    async def get(self, partition: str, row: str) -> Entity | None:
        client = await self._clients.here()
        with faults():
            try:
                return entity_of(await client.get_entity(partition, row))
            except ResourceNotFoundError as error:
                if is_no_row(error):
                    return None
                raise

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
        client = await self._clients.here()
        with faults():
            found = client.query_entities(
                filter_of(partitions, rows, before), results_per_page=top, select=selected(bodies)
            )
            pages: Any = found.by_page(token)  # type: ignore[arg-type]  # what it calls a token is a dictionary
            entities = []
            async for page in pages:
                entities = [entity_of(entity) async for entity in page]
                break
            return Slice(entities, pages.continuation_token)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        calls = [called(partition, op) for op in ops]
        client = await self._clients.here()
        with faults(writing=True):
            if len(calls) == 1:
                return [etag_of(await alone(client, calls[0]))]
            return [answer.get("etag") for answer in await client.submit_transaction(calls)]

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._clients.close()
