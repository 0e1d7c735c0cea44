"""Commands on connections of the library's, sent and answered without its clients.

A client spends more on a call than the server: it packs each argument by itself, counts, and looks after
retries that are not wanted here. Its connections connect, which takes TLS, users, databases and Sentinels.
What comes back is read from their sockets. They are kept once made, and connect again after a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from redis import exceptions

from chatstore.backends.redis.resp import Short, answers, packed
from chatstore.callers import Places

__all__ = ["AsyncClusterLink", "AsyncLink", "ClusterLink", "Command", "Link"]

Command: TypeAlias = tuple[Any, ...]
Parse: TypeAlias = Callable[[bytes, int], tuple[list[Any], int]]

CONNECTIONS: Final = 32
"""Of one process or loop, at most: further calls wait for one."""

_RESTED: Final = 1.0
"""After so many seconds without use a connection is looked at first: its server may have closed it."""

_CHUNK, _MOST = 64 * 1024, 1024 * 1024
"""How much is read at once, and at most."""

_AWAY: Final = ("LOADING", "READONLY", "MASTERDOWN")
"""How errors begin of a server that is not the one to answer, or not yet."""

_BROKEN: Final = (exceptions.ConnectionError, ConnectionError)
_GONE: Final = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)


class _Held:
    """A connection of the library's, whether it is connected, and when it was used last."""

    __slots__ = ("connection", "is_connected", "used")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.is_connected = False
        self.used = 0.0


class Link:
    """Connections for the threads of one process. After an interruption it is to be given up."""

    def __init__(self, make: Callable[[], Any], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._idle: list[_Held] = []
        self._all: list[_Held] = []
        self._freed = threading.Condition()
        self._waiting = 0

    looks: Final = True
    """Whether there is `exchange`."""

    def run(self, *commands: Command) -> list[Any]:
        """The answers to commands that are sent together; what the server refuses is an error among them.

        Raises the library's errors where there is no answer.
        """
        return self.exchange(packed(commands), len(commands), answers)

    def exchange(self, data: bytes, count: int, parse: Parse) -> list[Any]:
        """What `parse` makes of the answers to `data`, which is so many commands. Raises as `run` does."""
        try:
            held = self._idle.pop()
        except IndexError:
            held = self._another()
        try:
            connection = self._ready(held)
            sock = connection._sock
            sock.sendall(data)
            return _received(sock, parse, count)
        except BaseException as error:
            held.is_connected = False
            held.connection.disconnect()
            if isinstance(error, _BROKEN):
                self._disconnect_idle()
            raise
        finally:
            self._idle.append(held)
            if self._waiting:
                with self._freed:
                    self._freed.notify()

    def close(self) -> None:
        """Disconnect."""
        for held in self._all:
            held.is_connected = False
            held.connection.disconnect()

    def _another(self) -> _Held:
        """One more connection, or the next that is given back."""
        ends = time.monotonic() + self._seconds
        with self._freed:
            # Who gives one back looks at this afterwards, so nobody waits for what is there already.
            self._waiting += 1
            try:
                while True:
                    with contextlib.suppress(IndexError):
                        return self._idle.pop()
                    if len(self._all) < CONNECTIONS:
                        self._all.append(_Held(self._make()))
                        return self._all[-1]
                    if not self._freed.wait(ends - time.monotonic()):
                        raise exceptions.ConnectionError("no connection is free")
            finally:
                self._waiting -= 1

    def _ready(self, held: _Held) -> Any:
        connection, now = held.connection, time.monotonic()
        if held.is_connected and now - held.used > _RESTED:
            try:
                stale = connection.can_read()
            except _GONE:
                stale = True
            if stale:
                held.is_connected = False
                connection.disconnect()
        if not held.is_connected:
            connection.connect()
            held.is_connected = True
        held.used = now
        return connection

    def _disconnect_idle(self) -> None:
        """Where one connection is gone, the server may be: the others are not tried one by one."""
        with contextlib.suppress(IndexError):
            for _ in range(len(self._idle)):
                held = self._idle.pop(0)
                held.is_connected = False
                held.connection.disconnect()
                self._idle.append(held)


class AsyncLink:
    """Connections for the tasks of one loop."""

    def __init__(self, make: Callable[[], Any], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._places = Places(CONNECTIONS)
        self._idle: list[_Held] = []
        self._all: list[_Held] = []

    looks: Final = True

    async def run(self, *commands: Command) -> list[Any]:
        """As `Link.run`."""
        return await self.exchange(packed(commands), len(commands), answers)

    async def exchange(self, data: bytes, count: int, parse: Parse) -> list[Any]:
        """As `Link.exchange`."""
        try:
            async with asyncio.timeout(self._seconds):
                caller = await self._places.take()
                try:
                    return await self._answers(data, count, parse)
                finally:
                    self._places.give(caller)
        except TimeoutError as error:
            raise exceptions.TimeoutError("no answer in time") from error

    async def _answers(self, data: bytes, count: int, parse: Parse) -> list[Any]:
        held = self._taken()
        try:
            connection = await self._ready(held)
            await connection.send_packed_command(data)
            return await _async_received(connection._reader, parse, count)
        except BaseException as error:
            held.is_connected = False
            await held.connection.disconnect(nowait=True)
            if isinstance(error, _BROKEN):
                await self._disconnect_idle()
            raise
        finally:
            self._idle.append(held)

    async def close(self) -> None:
        """Disconnect."""
        for held in self._all:
            held.is_connected = False
            await held.connection.disconnect()

    def _taken(self) -> _Held:
        if self._idle:
            return self._idle.pop()
        held = _Held(self._make())
        self._all.append(held)
        return held

    async def _ready(self, held: _Held) -> Any:
        connection, now = held.connection, time.monotonic()
        if held.is_connected and now - held.used > _RESTED:
            try:
                # Older releases of the library have another name for it.
                look = getattr(connection, "can_read", None) or connection.can_read_destructive
                stale = await look()
            except _GONE:
                stale = True
            if stale:
                held.is_connected = False
                await connection.disconnect(nowait=True)
        if not held.is_connected:
            await connection.connect()
            held.is_connected = True
        held.used = now
        return connection

    async def _disconnect_idle(self) -> None:
        for _ in range(len(self._idle)):
            if not self._idle:
                return
            # Out of reach meanwhile: another task would connect what is being disconnected.
            held = self._idle.pop(0)
            held.is_connected = False
            try:
                await held.connection.disconnect(nowait=True)
            finally:
                self._idle.append(held)


class _Client(Protocol):
    """The library's client of a cluster, of either colour."""

    def execute_command(self, *words: Any) -> Any: ...


class ClusterLink:
    """A cluster's client, which knows where each slot is; one command at a time."""

    looks: Final = False

    def __init__(self, client: _Client) -> None:
        self._client = client

    def run(self, *commands: Command) -> list[Any]:
        """As `Link.run`, but that what the server refuses is raised."""
        return [self._client.execute_command(*one) for one in commands]

    def close(self) -> None:
        """Nothing is held beside the client."""


class AsyncClusterLink:
    """The same for a loop."""

    looks: Final = False

    def __init__(self, client: _Client) -> None:
        self._client = client

    async def run(self, *commands: Command) -> list[Any]:
        """As `ClusterLink.run`."""
        return [await self._client.execute_command(*one) for one in commands]

    async def close(self) -> None:
        """Nothing is held beside the client."""


def _received(sock: Any, parse: Parse, count: int) -> list[Any]:
    data = _some(sock.recv(_CHUNK))
    while True:
        try:
            return _whole(data, *parse(data, count))
        except Short as short:
            chunks, missing = [data], short.missing
        while missing > 0:
            chunks.append(_some(sock.recv(max(_CHUNK, min(missing, _MOST)))))
            missing -= len(chunks[-1])
        data = b"".join(chunks)


async def _async_received(reader: Any, parse: Parse, count: int) -> list[Any]:
    data = _some(await reader.read(_CHUNK))
    while True:
        try:
            return _whole(data, *parse(data, count))
        except Short as short:
            chunks, missing = [data], short.missing
        while missing > 0:
            chunks.append(_some(await reader.read(max(_CHUNK, min(missing, _MOST)))))
            missing -= len(chunks[-1])
        data = b"".join(chunks)


def _some(data: bytes) -> bytes:
    if not data:
        raise exceptions.ConnectionError("the server closed the connection")
    return data


def _whole(data: bytes, found: list[Any], ends: int) -> list[Any]:
    """Answers, and nothing else. Raises ConnectionError where another server is to answer."""
    if ends != len(data):
        raise exceptions.InvalidResponse("more was answered than was asked")
    for answer in found:
        if isinstance(answer, exceptions.ResponseError) and str(answer).startswith(_AWAY):
            raise exceptions.ConnectionError(str(answer).partition(" ")[0])
    return found
