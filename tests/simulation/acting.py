"""Does the operations of a history through backends, as clients would, and keeps what came of them."""

from __future__ import annotations

import base64
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chatstore.contract import (
    Backend,
    Listing,
    Span,
    ThreadKey,
)
from chatstore.errors import (
    Conflict,
    CursorExpired,
    MessageExists,
    MessageNotFound,
    RequestExpired,
    StorageError,
    ThreadExists,
    ThreadNotFound,
    Unavailable,
)
from chatstore.models import Appended, Message, Page, Thread, ThreadCursor
from tests.simulation.world import LATE, Process, Task, World

_REFUSALS = (Conflict, CursorExpired, MessageExists, MessageNotFound, ThreadExists, ThreadNotFound)
_PAD = base64.b64encode(random.Random(0).randbytes(600_000)).decode()
_TTLS = (timedelta(seconds=5), timedelta(minutes=30), timedelta(hours=3), timedelta(days=2))
NEVER = 10**18
WRITES = {
    *("append", "replace_all", "clear", "create", "update", "delete", "insert", "fork"),
    *("replace_message", "delete_message", "cut", "rate"),
}
"""What changes a thread."""
ADDS = {"append", "replace_all", "create", "insert", "cut"}
"""What makes a thread active."""


@dataclass(eq=False)
class Op:
    """An operation as its caller saw it; where its outcome is `unknown`, it happens before `end` or never."""

    number: int
    kind: str
    process: int
    key: ThreadKey
    start: int
    end: int = NEVER
    given: dict[str, Any] = field(default_factory=dict)
    request: str | None = None
    result: Any = None
    error: str | None = None
    unknown: bool = True

    @property
    def ok(self) -> bool:
        """Whether it was acknowledged."""
        return not self.unknown and self.error is None


@dataclass
class Known:
    """What clients have heard of a thread."""

    messages: dict[str, str] = field(default_factory=dict)
    etags: list[str] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)


class Recorder:
    """Does operations on several processes, and keeps what came of them."""

    def __init__(
        self, world: World, processes: list[Process], open_backend: Callable[[Process], Backend]
    ) -> None:
        self.world = world
        self.processes = processes
        self.ops: list[Op] = []
        self.labels: dict[str, str] = {}
        self.roots: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.places: dict[tuple[ThreadKey, str], str] = {}
        self.ids: dict[tuple[ThreadKey, str], set[str]] = {}
        self.owners: dict[str, tuple[str, str]] = {}
        self.wrong: list[tuple[str, str]] = []
        self.erased: Callable[[Op], None] = lambda op: None  # noqa: ARG005 - until somebody looks
        self.threads: dict[ThreadKey, None] = {}
        self.forks: list[ThreadKey] = []
        self._lives: dict[int, int] = {}
        self._open = open_backend
        self._known: dict[ThreadKey, Known] = {}

    # Running

    def do(self, process: Process, operation: Coroutine[Any, Any, Op]) -> Op:
        """Do something now, with nobody else under way."""
        results: list[Op] = []

        async def call() -> None:
            results.append(await operation)

        self.world.begin(self.world.now, Task(call(), process, process.life, random.Random(0)))
        self.world.run()
        return results[0]

    def backend(self, process: Process) -> Backend:
        """That of the present life of a process."""
        if process.backend is None or self._lives.get(process.number) != process.life:
            self._lives[process.number] = process.life
            process.backend = self._open(process)
        return process.backend

    def known(self, key: ThreadKey) -> Known:
        """What is known of a thread."""
        return self._known.setdefault(key._replace(owner=None), Known())

    async def record(
        self,
        number: int,
        process: Process,
        kind: str,
        key: ThreadKey,
        call: Callable[[Backend], Awaitable[Any]],
        request: str | None = None,
        **given: Any,
    ) -> Op:
        """Do an operation and note when it was, and what came of it."""
        op = Op(number, kind, process.number, key, self.world.now, given=given, request=request)
        self.ops.append(op)
        try:
            op.result = await call(self.backend(process))
        except Unavailable:
            op.end = self.world.now + LATE
            op.error = "Unavailable"
            return op
        except GeneratorExit:
            op.end = self.world.now + LATE
            raise
        except RequestExpired:
            # It took effect, and what it showed has expired since.
            op.error, op.end = "RequestExpired", self.world.now
            return op
        except _REFUSALS as error:
            op.error = type(error).__name__
        except StorageError as error:
            op.error = f"{type(error).__name__}: {error}"
            if kind != "sweep" or not str(error).startswith("nothing is removed"):
                self.wrong.append(("answers", f"{kind} of {key.id} ended in {op.error}"))
        except Exception as error:  # noqa: BLE001 - whatever else comes is a fault
            op.error = f"{type(error).__name__}: {error}"[:300]
            self.wrong.append(("answers", f"{kind} of {key.id} ended in {op.error}"))
        op.unknown, op.end = False, self.world.now
        self._learn(op)
        if kind == "erase" and op.ok:
            self.erased(op)
        return op

    # What clients learn

    def _learn(self, op: Op) -> None:
        known = self.known(op.key)
        key = op.key._replace(owner=None)
        messages: tuple[Message, ...] = ()
        if isinstance(op.result, Appended):
            messages = op.result.messages
            known.etags.append(op.result.etag)
            known.revisions += [op.result.thread_etag] if op.result.thread_etag else []
        elif isinstance(op.result, Page) and op.kind == "read":
            messages = op.result.items
            known.etags += [op.result.etag] if op.result.etag else []
            known.cursors += [one for one in (op.result.next, op.result.end) if one]
        elif isinstance(op.result, Message):
            messages = (op.result,)
        elif isinstance(op.result, Thread):
            known.revisions.append(op.result.etag)
        for message in messages:
            label = self.labels.get(message.text)
            if label is None:
                self.wrong.append(
                    ("answers", f"{op.kind} of {op.key.id} shows what nobody wrote: {message.text[:60]!r}")
                )
                continue
            root, id, place = self.roots.get(label, label), message.id or "", message.position or ""
            if message.key != self.keys.get(root):
                self.wrong.append(
                    ("answers", f"{op.kind} of {op.key.id} shows {id} by the key {message.key}")
                )
            if self.places.setdefault((key, id), place) != place:
                self.wrong.append(("answers", f"{id} of {op.key.id} has two positions"))
            # A request that is repeated after an erasure may be done again, as something new.
            self.ids.setdefault((key, root), set()).add(id)
            known.messages[id] = label

    # Operations without chances

    async def read(self, number: int, process: Process, key: ThreadKey, span: Span) -> Op:
        """Read a page."""
        return await self.record(
            number, process, "read", key, lambda backend: backend.read(key, span), span=span
        )

    async def get(self, number: int, process: Process, key: ThreadKey) -> Op:
        """Get a thread's properties."""
        return await self.record(number, process, "get", key, lambda backend: backend.get_thread(key))

    async def list(self, number: int, process: Process, tenant: str, owner: str | None, limit: int) -> Op:
        """List threads, page after page."""

        async def call(backend: Backend) -> list[Thread]:
            found: list[Thread] = []
            before: ThreadCursor | None = None
            for _ in range(200):
                page = await backend.list_threads(tenant, Listing(limit, owner, metadata={}, beyond=before))
                found += page.items
                if page.next is None:
                    return found
                before = ThreadCursor.parse(page.next)
            raise AssertionError("a list has no end")

        return await self.record(number, process, "list", ThreadKey(tenant, "", owner), call, limit=limit)

    async def sweep(self, number: int, process: Process, limit: int = 500) -> Op:
        """Sweep once."""
        key = ThreadKey("", "")
        return await self.record(number, process, "sweep", key, lambda backend: backend.sweep(limit))

    async def end(self, number: int, process: Process, key: ThreadKey) -> Op:
        """Delete a thread."""
        return await self.record(
            number, process, "delete", key,
            lambda backend: backend.delete_thread(key, if_match=None, request=None), if_match=None,
        )  # fmt: skip

    async def erase(self, number: int, process: Process, tenant: str, owner: str) -> Op:
        """Erase an owner."""
        key = ThreadKey(tenant, "", owner)
        return await self.record(number, process, "erase", key, lambda backend: backend.erase(tenant, owner))
