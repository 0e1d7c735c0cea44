"""Does the operations of a history through backends, as clients would, and keeps what came of them."""

from __future__ import annotations

import base64
import functools
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chatstore.contract import (
    Backend,
    Draft,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.errors import (
    Conflict,
    CursorExpired,
    MessageNotFound,
    StorageError,
    ThreadExists,
    ThreadNotFound,
    Unavailable,
)
from chatstore.ids import uuid7
from chatstore.models import Appended, Message, Page, Thread, ThreadCursor
from tests.simulation.plan import Step
from tests.simulation.world import LATE, MINUTE, Process, Task, World

_REFUSALS = (Conflict, CursorExpired, MessageNotFound, ThreadExists, ThreadNotFound)
_PAD = base64.b64encode(random.Random(0).randbytes(600_000)).decode()
_TTLS = (timedelta(seconds=5), timedelta(minutes=30), timedelta(hours=3), timedelta(days=2))
NEVER = 10**18


@dataclass(eq=False)
class Op:
    """An operation as its caller saw it. Of one whose outcome is `unknown`, `end` is when it can no longer happen."""

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


class Actors:
    """Clients on several processes."""

    def __init__(self, world: World, processes: list[Process], open_backend: Callable[[Process], Backend]) -> None:
        self.world = world
        self.processes = processes
        self.ops: list[Op] = []
        self.labels: dict[str, str] = {}
        self.roots: dict[str, str] = {}
        self.places: dict[tuple[ThreadKey, str], str] = {}
        self.ids: dict[tuple[ThreadKey, str], set[str]] = {}
        self.owners: dict[str, tuple[str, str]] = {}
        self.wrong: list[str] = []
        self.threads: dict[ThreadKey, None] = {}
        self.forks: list[ThreadKey] = []
        self._lives: dict[int, int] = {}
        self._open = open_backend
        self._large = 0.0
        self._known: dict[ThreadKey, Known] = {}

    # Running

    def begin(self, step: Step, seed: int, large: float) -> None:
        """Have a step happen at its time, on whatever life its process has then."""
        chance = random.Random(f"{seed} {step.number}")
        self._large = large
        process = self.processes[step.process]

        def start() -> None:
            task = Task(self._perform(step, chance), process, process.life, chance)
            self.world.begin(self.world.now, task)

        self.world.later(step.at - self.world.now, start)

    def do(self, process: Process, operation: Callable[[Backend], Awaitable[Any]]) -> Any:
        """Do something now, with nobody else under way."""
        results: list[Any] = []

        async def call() -> None:
            results.append(await operation(self.backend(process)))

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
        except _REFUSALS as error:
            op.error = type(error).__name__
        except StorageError as error:
            op.error = f"{type(error).__name__}: {error}"
            if kind != "sweep" or not str(error).startswith("nothing is removed"):
                self.wrong.append(f"{kind} of {key.id} ended in {op.error}")
        except Exception as error:  # noqa: BLE001 - whatever else comes is a fault
            op.error = f"{type(error).__name__}: {error}"[:300]
            self.wrong.append(f"{kind} of {key.id} ended in {op.error}")
        op.unknown, op.end = False, self.world.now
        self._learn(op)
        return op

    # What clients learn

    def _learn(self, op: Op) -> None:
        known = self.known(op.key)
        key = op.key._replace(owner=None)
        messages: tuple[Message, ...] = ()
        if isinstance(op.result, Appended):
            messages = op.result.messages
            known.etags.append(op.result.etag)
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
                self.wrong.append(f"{op.kind} of {op.key.id} shows what nobody wrote: {message.text[:60]!r}")
                continue
            root, id, place = self.roots.get(label, label), message.id or "", message.position or ""
            if self.places.setdefault((key, id), place) != place:
                self.wrong.append(f"{id} of {op.key.id} has two positions")
            # A request that is repeated after an erasure may be done again, as something new.
            self.ids.setdefault((key, root), set()).add(id)
            known.messages[id] = label

    # Steps

    async def _perform(self, step: Step, chance: random.Random) -> None:
        process = self.processes[step.process]
        key = ThreadKey(step.tenant, f"thread-{step.tenant[0]}{step.thread}")
        if self.forks and chance.random() < 0.2:
            key = chance.choice(self.forks)
        if step.owner is not None and chance.random() < 0.8:
            key = key._replace(owner=f"owner-{step.owner}")
        self.threads[key._replace(owner=None)] = None
        await getattr(self, f"_{step.kind}")(step, chance, process, key)

    async def _once(
        self,
        step: Step,
        chance: random.Random,
        process: Process,
        kind: str,
        key: ThreadKey,
        call: Callable[[Backend, Request | None], Awaitable[Any]],
        **given: Any,
    ) -> Op:
        """Do it, with a request id perhaps, and then perhaps again: elsewhere, sooner or later."""
        request = None
        if chance.random() < 0.6:
            request = Request(uuid7(self.world.now // 1000), f"digest {step.number}")
        id = None if request is None else request.id
        if request is not None and chance.random() < 0.25:
            for _ in range(chance.choice((1, 1, 2))):
                other = chance.choice(self.processes)
                after = chance.choice((chance.randrange(20_000), chance.randrange(3 * MINUTE)))
                self._later(
                    after, other, chance, functools.partial(
                        self.record, step.number, other, kind, key, lambda backend: call(backend, request), id, **given
                    )
                )  # fmt: skip
        return await self.record(
            step.number, process, kind, key, lambda backend: call(backend, request), id, **given
        )

    def _later(
        self, after: int, process: Process, chance: random.Random, act: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        def start() -> None:
            own = random.Random(seed)
            self.world.begin(self.world.now, Task(act(), process, process.life, own))

        seed = chance.random()
        self.world.later(after, start)

    def _draft(self, step: Step, place: int, key: ThreadKey, root: str | None = None) -> tuple[Draft, str]:
        large = random.Random(step.number * 31 + place + step.at).random() < self._large
        label = f"text-{step.number}.{place}"
        text = f'{{"role":"user","content":"{label}!{_PAD if large else ""}"}}'
        self.labels[text] = label
        if root is not None:
            self.roots[label] = root
        if key.owner is not None:
            self.owners[label] = key.tenant, key.owner
        return Draft(text), label

    def _drafts(self, step: Step, chance: random.Random, key: ThreadKey) -> tuple[list[Draft], list[str]]:
        both = [self._draft(step, place, key) for place in range(chance.choice((1, 1, 2, 4)))]
        return [draft for draft, _ in both], [label for _, label in both]

    def _new(self, step: Step, chance: random.Random, key: ThreadKey) -> NewThread:
        ttl = chance.choice(_TTLS) if chance.random() < 0.12 else None
        owner = key.owner or (None if step.owner is None else f"owner-{step.owner}")
        return NewThread(owner, topic=f"topic-{step.number}!", ttl=ttl)

    def _match(self, chance: random.Random, seen: list[str]) -> str | None:
        return chance.choice(seen[-2:]) if seen and chance.random() < 0.2 else None

    async def _append(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        drafts, labels = self._drafts(step, chance, key)
        create = self._new(step, chance, key) if chance.random() < 0.8 else None
        match = self._match(chance, self.known(key).etags)
        await self._once(
            step, chance, process, "append", key,
            lambda backend, request: backend.append(key, drafts, create=create, if_match=match, request=request),
            labels=tuple(labels), create=create, if_match=match,
        )  # fmt: skip

    async def _replace_all(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        drafts, labels = self._drafts(step, chance, key)
        create = self._new(step, chance, key) if chance.random() < 0.8 else None
        match = self._match(chance, self.known(key).etags)
        await self._once(
            step, chance, process, "replace_all", key,
            lambda backend, request: backend.replace_all(key, drafts, create=create, if_match=match, request=request),
            labels=tuple(labels), create=create, if_match=match,
        )  # fmt: skip

    async def _clear(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        match = self._match(chance, self.known(key).etags)
        await self._once(
            step, chance, process, "clear", key,
            lambda backend, request: backend.clear(key, if_match=match, request=request), if_match=match,
        )  # fmt: skip

    async def _create(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        new = self._new(step, chance, key)
        await self._once(
            step, chance, process, "create", key,
            lambda backend, request: backend.create_thread(key, new, request=request), create=new,
        )  # fmt: skip

    async def _update(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        ttl = chance.choice((*_TTLS, None))
        patch = ThreadPatch(topic=f"topic-{step.number}!")
        if chance.random() < 0.5:
            patch = patch._replace(ttl=ttl)
        match = self._match(chance, self.known(key).revisions)
        await self._once(
            step, chance, process, "update", key,
            lambda backend, request: backend.update_thread(key, patch, if_match=match, request=request),
            patch=patch, if_match=match,
        )  # fmt: skip

    async def _delete(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        match = self._match(chance, self.known(key).revisions)
        await self._once(
            step, chance, process, "delete", key,
            lambda backend, request: backend.delete_thread(key, if_match=match, request=request), if_match=match,
        )  # fmt: skip

    async def _insert(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        draft, label = self._draft(step, 0, key)
        known = list(self.known(key).messages)
        if known and chance.random() < 0.5:
            target = chance.choice(known[-4:])
            at = InsertAt(before=target) if chance.random() < 0.5 else InsertAt(after=target)
        else:
            at = InsertAt(index=chance.choice((0, 1, -1)))
        match = self._match(chance, self.known(key).etags)
        await self._once(
            step, chance, process, "insert", key,
            lambda backend, request: backend.insert(key, draft, at, if_match=match, request=request),
            labels=(label,), at=at, if_match=match, root=self._root(key, at.before or at.after),
        )  # fmt: skip

    def _root(self, key: ThreadKey, id: str | None) -> str | None:
        label = self.known(key).messages.get(id or "")
        return None if label is None else self.roots.get(label, label)

    async def _replace_message(
        self, step: Step, chance: random.Random, process: Process, key: ThreadKey
    ) -> None:
        known = self.known(key).messages
        if not known:
            return await self._read(step, chance, process, key)
        target = chance.choice(list(known)[-4:])
        root = self.roots.get(known[target], known[target])
        draft, label = self._draft(step, 0, key, root)
        await self._once(
            step, chance, process, "replace_message", key,
            lambda backend, request: backend.replace_message(key, target, draft, if_match=None, request=request),
            labels=(label,), target=root, id=target,
        )  # fmt: skip
        return None

    async def _delete_message(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        known = self.known(key).messages
        if not known:
            return await self._pop(step, chance, process, key)
        target = chance.choice(list(known)[-4:])
        await self._once(
            step, chance, process, "delete_message", key,
            lambda backend, request: backend.delete_message(key, target, if_match=None, request=request),
            target=self.roots.get(known[target], known[target]), id=target,
        )  # fmt: skip
        return None

    async def _pop(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        index = chance.choice((-1, -1, 0))
        match = self._match(chance, self.known(key).etags)
        await self._once(
            step, chance, process, "delete_message", key,
            lambda backend, request: backend.delete_message(key, index, if_match=match, request=request),
            target=index, if_match=match,
        )  # fmt: skip

    async def _read(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        known = self.known(key)
        kind = chance.randrange(4)
        span = Span(limit=100)
        if kind == 1:
            span = Span(limit=chance.randint(1, 3), newest=True)
        elif kind == 2:
            span = Span(limit=chance.randint(1, 3))
        elif kind == 3 and known.cursors:
            epoch, _, place = chance.choice(known.cursors[-3:]).partition("~")
            span = Span(limit=chance.choice((2, 100)), after=place, epoch=epoch)
        await self.read(step.number, process, key, span)

    async def read(self, number: int, process: Process, key: ThreadKey, span: Span) -> Op:
        """Read a page."""
        return await self.record(number, process, "read", key, lambda backend: backend.read(key, span), span=span)

    async def _get(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:  # noqa: ARG002
        await self.get(step.number, process, key)

    async def get(self, number: int, process: Process, key: ThreadKey) -> Op:
        """Get a thread's properties."""
        return await self.record(number, process, "get", key, lambda backend: backend.get_thread(key))

    async def _fork(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        new = ThreadKey(key.tenant, f"fork-{step.number}", key.owner)
        self.threads[new._replace(owner=None)] = None
        known = list(self.known(key).messages)
        through = chance.choice(known[-3:]) if known and chance.random() < 0.4 else None
        label = None if through is None else self.known(key).messages[through]
        forked = await self._once(
            step, chance, process, "fork", key,
            lambda backend, request: backend.fork(key, new, through, if_match=None, request=request),
            new=new, through=None if label is None else self.roots.get(label, label),
        )  # fmt: skip
        if not forked.ok:
            return
        born = Op(step.number, "born", process.number, new._replace(owner=None), forked.start, forked.end)
        born.unknown, born.result, born.given["from"] = False, forked.result, forked
        self.ops.append(born)
        page = await self.read(step.number, process, new._replace(owner=None), Span(limit=1000))
        if page.ok and page.result.etag is not None:
            forked.given["copied"] = tuple(self.labels.get(one.text, "?") for one in page.result.items)
            self.forks.append(new._replace(owner=None))

    async def _list(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        owner = key.owner if chance.random() < 0.5 else None
        await self.list(step.number, process, key.tenant, owner, chance.choice((100, 100, 2)))

    async def list(self, number: int, process: Process, tenant: str, owner: str | None, limit: int) -> Op:
        """List threads, page after page."""

        async def call(backend: Backend) -> list[Thread]:
            found: list[Thread] = []
            before: ThreadCursor | None = None
            for _ in range(200):
                page = await backend.list_threads(tenant, Listing(limit, owner, metadata={}, before=before))
                found += page.items
                if page.next is None:
                    return found
                before = ThreadCursor.parse(page.next)
            raise AssertionError("a list has no end")

        return await self.record(number, process, "list", ThreadKey(tenant, "", owner), call, limit=limit)

    async def _sweep(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:  # noqa: ARG002
        await self.sweep(step.number, process, chance.choice((500, 500, 3)))

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

    async def _erase(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:  # noqa: ARG002
        owner = f"owner-{step.owner or 'ada'}"
        await self.erase(step.number, process, step.tenant, owner)

    async def erase(self, number: int, process: Process, tenant: str, owner: str) -> Op:
        """Erase an owner."""
        key = ThreadKey(tenant, "", owner)
        return await self.record(number, process, "erase", key, lambda backend: backend.erase(tenant, owner))
