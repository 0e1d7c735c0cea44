"""The driver for blocking callers: it never suspends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

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
from chatstore.backends.azure_tables.port import Entity, Op, Range, Slice

__all__ = ["BlockingDriver"]


class BlockingDriver:
    """For blocking callers. A fork opens a client of its own."""

    def __init__(self, make: Callable[[], TableClient]) -> None:
        self._make = make
        self._opened: tuple[int, TableClient] | None = None
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def create(self) -> None:
        client = self._client()
        with faults(), contextlib.suppress(ResourceExistsError):
            client.create_table()

    async def get(self, partition: str, row: str) -> Entity | None:
        client = self._client()
        with faults():
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
        client = self._client()
        with faults():
            found = client.query_entities(
                filter_of(partitions, rows, before), results_per_page=top, select=selected(bodies)
            )
            pages: Any = found.by_page(token)  # type: ignore[arg-type]  # what it calls a token is a dictionary
            entities = [entity_of(entity) for entity in next(pages, ())]
            return Slice(entities, pages.continuation_token)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        calls = [called(partition, op) for op in ops]
        client = self._client()
        with faults(writing=True):
            if len(calls) == 1:
                return [etag_of(alone(client, calls[0]))]
            return [answer.get("etag") for answer in client.submit_transaction(calls)]

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


class _Turn:
    """A lock that goes when nobody holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
