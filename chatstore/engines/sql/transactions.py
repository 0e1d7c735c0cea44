"""Operations as transactions: what each sees of the tables, and how a repeated request is recognised."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from chatstore import records
from chatstore.contract import Backend, Clock, Draft, Request, ThreadKey
from chatstore.engines.sql.hidden import Hidden
from chatstore.engines.sql.listing import Lists
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.port import Caller, Driver, Small, Transaction
from chatstore.engines.sql.requests import Requests
from chatstore.engines.sql.threads import Appeared, Threads
from chatstore.errors import StorageError

__all__ = ["NOBODY", "Operation", "Tables", "Transacting", "caller_of"]

R = TypeVar("R", bound=records.Result)
T = TypeVar("T")

_TRIES = 20

NOBODY: Caller = "", None
"""Whoever works for no caller in particular."""


class Tables(NamedTuple):
    """The tables within one transaction."""

    tx: Transaction
    threads: Threads
    messages: Messages
    lists: Lists
    requests: Requests
    hidden: Hidden


Operation: TypeAlias = Callable[[Tables], Coroutine[Any, Any, T]]


def caller_of(key: ThreadKey) -> Caller:
    """For whom work on a thread is done."""
    return key.tenant, key.owner


class Transacting(Backend):
    """A backend over a `Driver`, whose operations are transactions."""

    messages: type[Messages] = Messages
    lists: type[Lists] = Lists

    def __init__(self, driver: Driver, clock: Clock) -> None:
        self.driver = driver
        self.clock = clock

    async def aside(self, caller: Caller, call: Callable[[], T]) -> T:
        return await self.driver.aside(call, caller)

    async def _read(self, caller: Caller, operation: Operation[T], small: Small | None = None) -> T:
        async def work(tx: Transaction) -> T:
            return await operation(self._tables(tx))

        return await self.driver.read(work, caller, small)

    async def _change(self, caller: Caller, operation: Operation[T], *, short: bool = False) -> T:
        async def work(tx: Transaction) -> tuple[T, list[int]]:
            tables = self._tables(tx)
            return await operation(tables), tables.hidden.left

        for tries in range(1, _TRIES + 1):
            try:
                result, left = await self.driver.write(work, caller, short=short)
                break
            except Appeared:
                if tries == _TRIES:
                    raise
        else:
            raise AssertionError("the last try is done or raises")
        for key in left:
            await self._clean(caller, key)
        return result

    async def _write(
        self,
        key: ThreadKey,
        request: Request | None,
        operation: Operation[R],
        drafts: Sequence[Draft] = (),
        *,
        short: bool = False,
    ) -> R:
        """`operation`, or its first result again; its record is part of the same transaction."""

        async def alone(tables: Tables) -> R:
            await tables.threads.hold(key)
            return await operation(tables)

        if request is None:
            return await self._change(caller_of(key), alone, short=short)
        asked = request

        async def once(tables: Tables) -> R:
            await tables.threads.hold(key)
            found = await self._repeated(tables, key, asked, drafts)
            if found is not None:
                return cast("R", found[0])
            owner = await tables.threads.owner(key)
            result = await operation(tables)
            await self._remember(tables, key, asked, result, drafts, owner)
            return result

        return await self._change(caller_of(key), once, short=short)

    async def _repeated(
        self, tables: Tables, key: ThreadKey, request: Request, drafts: Sequence[Draft] = ()
    ) -> tuple[records.Result] | None:
        """The first result of a request that is repeated; None for a new one."""
        found = await tables.requests.find(key, request)
        if found is None:
            return None
        text, shown = found
        return (records.remembered(text, drafts, request.id).given(request.id, self.clock(), shown),)

    async def _remember(
        self,
        tables: Tables,
        key: ThreadKey,
        request: Request,
        result: records.Result,
        drafts: Sequence[Draft] = (),
        owner: str | None = None,
    ) -> None:
        """Record what a request gave; `owner` is whose the thread was before."""
        owner = owner or await tables.threads.owner(key) or key.owner
        await tables.requests.add(
            key,
            request,
            records.dump(result, drafts),
            owner,
            self.request_window,
            shows=records.shows(result, drafts),
        )

    async def _clean(self, caller: Caller, key: int) -> None:
        """Remove what was left hidden, step by step. Where that fails, a sweep does it."""

        async def step(tables: Tables) -> tuple[None, bool]:
            return None, await tables.hidden.clean_left(key)

        with suppress(StorageError):
            await self._in_steps(caller, step)

    async def _in_steps(
        self, caller: Caller, step: Operation[tuple[T, bool]], done: Callable[[T], None] = lambda _: None
    ) -> T:
        """Take steps while each says that there is more; what the last one gave.

        Each is told to `done` once it is committed.

        Each is followed by a rest as long as itself and its waiting. So however many do so at once, the
        writer has half of its time for everybody else.
        """
        while True:
            began = time.monotonic()
            result, more = await self._change(caller, step)
            done(result)
            if not more:
                return result
            await self.driver.rest(time.monotonic() - began)

    def _standing(self) -> Clock:
        """The present, which stands still within a transaction: nothing expires in the middle of it."""
        now = self.clock()
        return lambda: now

    def _tables(self, tx: Transaction) -> Tables:
        clock = self._standing()
        hidden = Hidden(tx, clock)
        return Tables(
            tx,
            Threads(tx, clock, hidden),
            self.messages(tx, clock),
            self.lists(tx, clock),
            Requests(tx, clock),
            hidden,
        )
