"""The driver for blocking callers: it never suspends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient

from chatstore.backends.azure_tables.drivers.forms import (
    alone,
    called,
    entity_of,
    etag_of,
    filter_of,
    selected,
)
from chatstore.backends.azure_tables.faults import faults, is_no_row
from chatstore.backends.clients import ProcessClient
from chatstore.engines.fenced.port import Again, Entity, NoTable, Op, Overtaken, Range, Slice
from chatstore.errors import ChatStoreError
from chatstore.turns import BlockingTurns

__all__ = ["BlockingDriver"]


class BlockingDriver:
    """For blocking callers, one client for all threads. A fork opens one of its own."""

    def __init__(self, opening: Callable[[], AbstractContextManager[TableClient]]) -> None:
        self._client = ProcessClient(opening, Again, NoTable, Overtaken, ChatStoreError)
        self._turns = BlockingTurns()

    async def create(self) -> None:
        with self._client.used() as client, faults(), contextlib.suppress(ResourceExistsError):
            client.create_table()

    async def get(self, partition: str, row: str) -> Entity | None:
        with self._client.used() as client, faults():
            try:
                return entity_of(client.get_entity(partition, row))
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
        with self._client.used() as client, faults():
            found = client.query_entities(
                filter_of(partitions, rows, before), results_per_page=top, select=selected(bodies)
            )
            pages: Any = found.by_page(token)  # type: ignore[arg-type]  # what it calls a token is a dictionary
            entities = [entity_of(entity) for entity in next(pages, ())]
            return Slice(entities, pages.continuation_token)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        calls = [called(partition, op) for op in ops]
        with self._client.used() as client, faults(writing=True):
            if len(calls) == 1:
                return [etag_of(alone(client, calls[0]))]
            return [answer.get("etag") for answer in client.submit_transaction(calls)]

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this driver serves blocking callers

    async def close(self) -> None:
        self._client.close()
