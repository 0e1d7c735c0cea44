"""The connections of one process, or of one event loop: so many at most, given out in turn."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

import psycopg

from chatstore.backends.postgres.faults import NotConnected
from chatstore.backends.postgres.links import Link
from chatstore.callers import CALLER, Turns
from chatstore.engines.sql import Caller
from chatstore.errors import Unavailable

__all__ = ["Pool", "Waiting"]

T = TypeVar("T")
Waiting: TypeAlias = Callable[["Future[None]", float], Awaitable[None]]
"""Waits for a future for so many seconds. Raises TimeoutError."""


class Pool:
    """At most `most` connections. Of callers that wait, the one who had a turn longest ago comes first.

    In the service, where requests have a `CALLER`, none of them has all: somebody else's call waits for none
    of that caller's to end.
    """

    def __init__(
        self,
        most: int,
        seconds: float,
        connect: Callable[[], Awaitable[Link]],
        wait: Waiting,
        welcome: Callable[[Link], Awaitable[Link]],
    ) -> None:
        self._seconds = seconds
        self._connect = connect
        self._wait = wait
        self._welcome = welcome
        self._known = False
        self._lock = threading.Lock()
        self._turns = Turns(most, _given)
        self._idle: list[Link] = []

    async def use(self, work: Callable[[Link], Awaitable[T]], caller: Caller) -> T:
        """What `work` gives with a connection of its own, which is closed unless it is idle afterwards.

        Raises Unavailable where none is given back in time.
        """
        share = self._turns.share_of(CALLER.get())
        with self._lock:
            turn = None if self._turns.take(caller, share) else self._turn(caller, share)
        if turn is not None:
            await self._await(turn, caller, share)
        link: Link | None = None
        try:
            link = self._usable() or await self._connected()
            return await work(link)
        finally:
            if link is not None:
                self._give_back(link)
            with self._lock:
                self._turns.give_back(caller)

    def forget_idle(self) -> None:
        """Close the connections that nobody uses: they lead to a server that is no longer the one."""
        idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    async def _connected(self) -> Link:
        try:
            link = await self._connect()
        except psycopg.Error as error:
            raise NotConnected(error) from error
        if not self._known:
            link = await self._welcome(link)
            self._known = True
        return link

    def _usable(self) -> Link | None:
        while self._idle:
            try:
                link = self._idle.pop()
            except IndexError:
                return None  # another thread was here first
            if link.is_alive():
                return link
            link.close()
        return None

    def _give_back(self, link: Link) -> None:
        if link.is_idle():
            self._idle.append(link)
        else:
            link.close()

    def _turn(self, caller: Caller, share: int) -> Future[None]:
        """What to wait for where no place is free for this caller."""
        turn: Future[None] = Future()
        self._turns.wait(caller, share, turn)
        return turn

    async def _await(self, turn: Future[None], caller: Caller, share: int) -> None:
        """Wait for a place. Raises Unavailable."""
        try:
            await self._wait(turn, self._seconds)
        except BaseException as error:
            if not turn.cancel():  # it came as the wait ended
                with self._lock:
                    self._turns.give_back(caller)
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    f"all {share} connections that one caller may have were in use for "
                    f"{self._seconds:g} seconds: try again, or raise ?pool="
                ) from error
            raise


def _given(turn: Future[None]) -> bool:
    if not turn.set_running_or_notify_cancel():
        return False
    turn.set_result(None)
    return True
