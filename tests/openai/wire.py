"""What stands between a client and the service, and does to requests what networks do."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")


class Request(NamedTuple):
    """One request as it came, and what decides its fate."""

    raw: bytes
    method: str
    path: str
    tries: int
    body: bytes


Fate = str
FATES: tuple[Fate, ...] = (
    "fine",
    "429",
    "502 before",  # it never reaches the service
    "502 after",  # it is carried out, and the client is told that it was not
    "cut",  # the connection ends and it never reaches the service
    "lost",  # it is carried out, and the connection ends without an answer
    "race",  # it is carried out while the client repeats it already
    "late",  # it is held, and delivered when its repetition has been answered
    "later",  # the same, when two more requests of the conversation have been answered
)
_TRIES = re.compile(rb"x-stainless-retry-count: *(\d+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REFUSED = b"HTTP/1.1 %s\r\ncontent-length: 2\r\nretry-after-ms: 1\r\nconnection: close\r\n\r\n{}"


def seeded(seed: int) -> Callable[[Request], Fate]:
    """Most tries that add items have a fate, but not the last of a client's three."""
    chance = random.Random(seed)

    def fate(request: Request) -> Fate:
        if request.method != "POST" or request.tries > 1 or b"as it is" in request.body:
            return "fine"
        return chance.choice(FATES)

    return fate


class Wire:
    """A proxy; `met` counts what became of requests."""

    def __init__(self, upstream: str, fate: Callable[[Request], Fate]) -> None:
        self._to = urlsplit(upstream)
        self._fate = fate
        self._held: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._racing: set[asyncio.Task[bytes]] = set()
        self.met: Counter[Fate] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            answer = await self._answer(head, body)
            if answer:
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        tries = _TRIES.search(head)
        method, target, _ = head.decode("latin-1").split(" ", 2)
        path = target.partition("?")[0]
        request = Request(_closing(head) + body, method, path, int(tries[1]) if tries else 0, body)
        fate = self._fate(request)
        self.met[fate] += 1
        if fate in ("429", "502 before"):
            return _REFUSED % (b"429 Too Many Requests" if fate == "429" else b"502 Bad Gateway")
        if fate == "cut":
            return b""
        if fate in ("late", "later"):
            self._held[path].append((1 if fate == "late" else 3, request.raw))
            return _REFUSED % b"502 Bad Gateway"
        if fate == "race":
            task = asyncio.ensure_future(self._forward(request.raw))
            self._racing.add(task)
            return _REFUSED % b"502 Bad Gateway"
        answer = await self._forward(request.raw)
        if fate == "lost":
            return b""
        if fate == "502 after":
            return _REFUSED % b"502 Bad Gateway"
        if b" 200 " in answer[:20]:
            await self._deliver(path)
        return answer

    async def _deliver(self, path: str, *, all_of_them: bool = False) -> None:
        held, self._held[path] = self._held[path], []
        for left, raw in held:
            if left > 1 and not all_of_them:
                self._held[path].append((left - 1, raw))
            else:
                await self._forward(raw)

    async def rest(self) -> None:
        """Deliver all that is still held."""
        for path in list(self._held):
            await self._deliver(path, all_of_them=True)
        await asyncio.gather(*self._racing)

    async def _forward(self, raw: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        writer.write(raw)
        answer = await reader.read()
        writer.close()
        return answer


def _closing(head: bytes) -> bytes:
    """The head of a request whose connection ends with its answer."""
    kept = [
        line
        for line in head.split(b"\r\n")
        if line and not line.lower().startswith((b"connection:", b"keep-alive:"))
    ]
    return b"\r\n".join([*kept, b"connection: close", b"", b""])


@contextmanager
def faulty(upstream: str, fate: Callable[[Request], Fate]) -> Iterator[tuple[str, Wire]]:
    """The address of a wire to `upstream`, and the wire; what is held is delivered at the end."""
    wire = Wire(upstream, fate)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(600)

    try:
        server = run(asyncio.start_server(wire.serve, "127.0.0.1", 0))
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", wire
            run(wire.rest())
        finally:
            loop.call_soon_threadsafe(server.close)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
