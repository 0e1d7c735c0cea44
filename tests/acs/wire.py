"""What stands between a client and the service, behind TLS, and does to requests what networks do."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import threading
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

FATES = (
    "fine",
    "429",
    "503",
    "502 before",  # it never reaches the service
    "502 after",  # it is carried out, and the client is told that it was not
    "cut",  # the connection ends and it never reaches the service
    "lost",  # it is carried out, and the connection ends without an answer
    "race",  # it is carried out while the client repeats it already
    "late",  # it is held, and delivered when its repetition has been answered
    "later",  # the same, when two more requests of the thread have been answered
)
_NAME = re.compile(rb"x-ms-client-request-id: *(\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REFUSED = b"HTTP/1.1 %s\r\ncontent-length: 2\r\n%sconnection: close\r\n\r\n{}"
_SOON = b"retry-after: 0\r\nretry-after-ms: 1\r\n"


class Wire:
    """A proxy; `met` counts what became of requests. Two tries of a request have a fate, the next is fine."""

    def __init__(self, upstream: str, seed: int, fates: Sequence[str] = FATES) -> None:
        self._to = urlsplit(upstream)
        self._chance = random.Random(seed)
        self._fates = fates
        self._tries: Counter[bytes] = Counter()
        self._held: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._racing: set[asyncio.Task[bytes]] = set()
        self.met: Counter[str] = Counter()

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
        with suppress(OSError, TimeoutError):
            await writer.wait_closed()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        name = _NAME.search(head)
        assert name is not None, "a request without a name"
        method, target, _ = head.decode("latin-1").split(" ", 2)
        path, raw = target.partition("?")[0], _closing(head) + body
        self._tries[name[1]] += 1
        fate = "fine" if method == "GET" or self._tries[name[1]] > 2 else self._chance.choice(self._fates)
        self.met[fate] += 1
        if fate in ("429", "503"):
            said = b"429 Too Many Requests" if fate == "429" else b"503 Service Unavailable"
            return _REFUSED % (said, _SOON)
        gone = _REFUSED % (b"502 Bad Gateway", b"")
        if fate in ("502 before", "cut"):
            return gone if fate == "502 before" else b""
        if fate in ("late", "later"):
            self._held[path].append((1 if fate == "late" else 3, raw))
            return gone
        if fate == "race":
            self._racing.add(asyncio.ensure_future(self._forward(raw)))
            return gone
        answer = await self._forward(raw)
        if fate in ("lost", "502 after"):
            return gone if fate == "502 after" else b""
        if b" 20" in answer[:12]:
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


async def _closed(server: asyncio.Server) -> None:
    server.close()
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


def _closing(head: bytes) -> bytes:
    """The head of a request whose connection ends with its answer."""
    kept = [
        line
        for line in head.split(b"\r\n")
        if line and not line.lower().startswith((b"connection:", b"keep-alive:"))
    ]
    return b"\r\n".join([*kept, b"connection: close", b"", b""])


@contextmanager
def faulty(
    upstream: str, seed: int, shown: ssl.SSLContext, fates: Sequence[str] = FATES
) -> Iterator[tuple[str, Wire]]:
    """The address of a wire to `upstream`, and the wire; what is held is delivered at the end."""
    wire = Wire(upstream, seed, fates)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    server = run(asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=shown, ssl_shutdown_timeout=0.5))
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", wire
        run(wire.rest())
    finally:
        run(_closed(server))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
