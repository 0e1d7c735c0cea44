"""Clients: what each step of a plan asks of a backend, chosen by chance from what was heard before."""

from __future__ import annotations

import base64
import functools
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from chatstore.contract import (
    Backend,
    Cut,
    Draft,
    InsertAt,
    MetadataPatch,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.ids import uuid7
from tests.simulation import fading
from tests.simulation.acting import Op, Recorder
from tests.simulation.plan import OWNERS, Step, owner_name
from tests.simulation.world import MINUTE, Process, Task

__all__ = ["Clients"]

_PAD = base64.b64encode(random.Random(0).randbytes(600_000)).decode()
_NAMES = ("first", "second", "third")
_TTLS = (timedelta(seconds=5), timedelta(minutes=30), timedelta(hours=3), timedelta(days=2))


class Clients(Recorder):
    """Clients on several processes."""

    _large = 0.0

    def begin(self, step: Step, seed: int, large: float) -> None:
        """Have a step happen at its time, on whatever life its process has then."""
        chance = random.Random(f"{seed} {step.number}")
        self._large = large
        process = self.processes[step.process]

        def start() -> None:
            work = self._perform(step, chance)
            task = Task(work, process, process.life, chance, step.left, step.stalls)
            self.world.begin(self.world.now, task)

        self.world.later(step.at - self.world.now, start)

    async def _perform(self, step: Step, chance: random.Random) -> None:
        process = self.processes[step.process]
        if step.kind == "fade":
            await fading.act(self, step, chance, process)
            return
        key = ThreadKey(step.tenant, f"thread-{step.tenant[0]}{step.thread}")
        if self.forks and chance.random() < 0.2:
            key = chance.choice(self.forks)
        if step.owner is not None and chance.random() < 0.8:
            key = key._replace(owner=owner_name(key.tenant, step.owner))
        self.threads[key._replace(owner=None)] = None
        await getattr(self, f"_{step.kind}")(step, chance, process, key)

    async def once(
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

        async def asked(backend: Backend) -> Any:
            return await call(backend, request)

        if request is not None and chance.random() < 0.25:
            for _ in range(chance.choice((1, 1, 2))):
                other = chance.choice(self.processes)
                after = chance.choice((chance.randrange(20_000), chance.randrange(3 * MINUTE)))
                again = functools.partial(self.record, step.number, other, kind, key, asked, id, **given)
                self._later(after, other, chance, again)
        return await self.record(step.number, process, kind, key, asked, id, **given)

    def _later(
        self, after: int, process: Process, chance: random.Random, act: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        def start() -> None:
            own = random.Random(seed)
            self.world.begin(self.world.now, Task(act(), process, process.life, own))

        seed = chance.random()
        self.world.later(after, start)

    def draft(self, step: Step, place: int, key: ThreadKey, root: str | None = None) -> tuple[Draft, str]:
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
        both = [self.draft(step, place, key) for place in range(chance.choice((1, 1, 2, 4)))]
        drafts, labels = [draft for draft, _ in both], [label for _, label in both]
        if chance.random() < 0.25:
            self.keys[labels[-1]] = chance.choice(_NAMES)
            drafts[-1] = drafts[-1]._replace(key=self.keys[labels[-1]])
        return drafts, labels

    def _new(self, step: Step, chance: random.Random, key: ThreadKey) -> NewThread:
        ttl = chance.choice(_TTLS) if chance.random() < 0.12 else None
        owner = key.owner or (None if step.owner is None else owner_name(key.tenant, step.owner))
        sliding = ttl is not None and chance.random() < 0.5
        return NewThread(owner, topic=f"topic-{step.number}!", ttl=ttl, sliding=sliding)

    def _patch(self, step: Step, chance: random.Random) -> ThreadPatch:
        patch = ThreadPatch(topic=f"topic-{step.number}!")
        if chance.random() < 0.5:
            return patch
        ttl = chance.choice((*_TTLS, None))
        return patch._replace(ttl=ttl, sliding=ttl is not None and chance.random() < 0.4)

    def _target(self, chance: random.Random, key: ThreadKey) -> tuple[str, str] | None:
        """A message by its id or key, as it is called and as the model knows it; None where none was seen."""
        known = self.known(key).messages
        if not known or chance.random() < 0.2:
            named = f"key:{chance.choice(_NAMES)}"
            return (named, named) if known else None
        id = chance.choice(list(known)[-4:])
        return id, self.roots.get(known[id], known[id])

    def _match(self, chance: random.Random, seen: list[str]) -> str | None:
        return chance.choice(seen[-2:]) if seen and chance.random() < 0.2 else None

    async def _append(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        drafts, labels = self._drafts(step, chance, key)
        create = self._new(step, chance, key) if chance.random() < 0.8 else None
        match = self._match(chance, self.known(key).etags)
        patch = self._patch(step, chance) if chance.random() < 0.15 else None
        revision = self._match(chance, self.known(key).revisions)
        await self.once(
            step, chance, process, "append", key,
            lambda backend, request: backend.append(
                key, drafts, create=create, if_match=match, request=request, patch=patch, if_thread=revision
            ),
            labels=tuple(labels), create=create, if_match=match, patch=patch, if_thread=revision,
        )  # fmt: skip

    async def _cut(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        target = self._target(chance, key)
        if target is None:
            return await self._append(step, chance, process, key)
        drafts, labels = self._drafts(step, chance, key) if chance.random() < 0.5 else ([], [])
        cut = Cut(target[0], behind=chance.random() < 0.5)
        match = self._match(chance, self.known(key).etags)
        await self.once(
            step, chance, process, "cut", key,
            lambda backend, request: backend.append(
                key, drafts, create=None, if_match=match, request=request, cut=cut
            ),
            labels=tuple(labels), target=target[1], id=target[0], behind=cut.behind, if_match=match,
        )  # fmt: skip
        return None

    async def _replace_all(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        drafts, labels = self._drafts(step, chance, key)
        create = self._new(step, chance, key) if chance.random() < 0.8 else None
        match = self._match(chance, self.known(key).etags)
        await self.once(
            step, chance, process, "replace_all", key,
            lambda backend, request: backend.replace_all(
                key, drafts, create=create, if_match=match, request=request
            ),
            labels=tuple(labels), create=create, if_match=match,
        )  # fmt: skip

    async def _clear(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        match = self._match(chance, self.known(key).etags)
        await self.once(
            step, chance, process, "clear", key,
            lambda backend, request: backend.clear(key, if_match=match, request=request), if_match=match,
        )  # fmt: skip

    async def _create(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        new = self._new(step, chance, key)
        await self.once(
            step, chance, process, "create", key,
            lambda backend, request: backend.create_thread(key, new, request=request), create=new,
        )  # fmt: skip

    async def _update(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        patch = self._patch(step, chance)
        match = self._match(chance, self.known(key).revisions)
        await self.once(
            step, chance, process, "update", key,
            lambda backend, request: backend.update_thread(key, patch, if_match=match, request=request),
            patch=patch, if_match=match,
        )  # fmt: skip

    async def _delete(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        match = self._match(chance, self.known(key).revisions)
        await self.once(
            step, chance, process, "delete", key,
            lambda backend, request: backend.delete_thread(key, if_match=match, request=request),
            if_match=match,
        )  # fmt: skip

    async def _insert(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        draft, label = self.draft(step, 0, key)
        target = self._target(chance, key)
        if target is not None and chance.random() < 0.5:
            at = InsertAt(before=target[0]) if chance.random() < 0.5 else InsertAt(after=target[0])
        else:
            at, target = InsertAt(index=chance.choice((0, 1, -1))), None
        match = self._match(chance, self.known(key).etags)
        await self.once(
            step, chance, process, "insert", key,
            lambda backend, request: backend.insert(key, draft, at, if_match=match, request=request),
            labels=(label,), at=at, if_match=match, root=None if target is None else target[1],
        )  # fmt: skip

    async def _replace_message(
        self, step: Step, chance: random.Random, process: Process, key: ThreadKey
    ) -> None:
        known = self.known(key).messages
        if not known:
            return await self._read(step, chance, process, key)
        target = chance.choice(list(known)[-4:])
        root = self.roots.get(known[target], known[target])
        draft, label = self.draft(step, 0, key, root)
        await self.once(
            step, chance, process, "replace_message", key,
            lambda backend, request: backend.replace_message(
                key, target, draft, if_match=None, request=request
            ),
            labels=(label,), target=root, id=target,
        )  # fmt: skip
        return None

    async def _rate(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        target = self._target(chance, key)
        if target is None:
            return await self._read(step, chance, process, key)
        beside = MetadataPatch({"stars": step.number}, merge=chance.random() < 0.5)
        await self.once(
            step, chance, process, "rate", key,
            lambda backend, request: backend.replace_message(
                key, target[0], None, metadata=beside, if_match=None, request=request
            ),
            target=target[1], id=target[0], stars=step.number,
        )  # fmt: skip
        return None

    async def _find(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        target = self._target(chance, key)
        if target is None:
            return await self._read(step, chance, process, key)
        await self.record(
            step.number, process, "find", key, lambda backend: backend.get_message(key, target[0]),
            target=target[1],
        )  # fmt: skip
        return None

    async def _delete_message(
        self, step: Step, chance: random.Random, process: Process, key: ThreadKey
    ) -> None:
        target = self._target(chance, key)
        if target is None:
            return await self._pop(step, chance, process, key)
        await self.once(
            step, chance, process, "delete_message", key,
            lambda backend, request: backend.delete_message(key, target[0], if_match=None, request=request),
            target=target[1], id=target[0],
        )  # fmt: skip
        return None

    async def _pop(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        index = chance.choice((-1, -1, 0))
        match = self._match(chance, self.known(key).etags)
        await self.once(
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

    async def _get(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        await self.get(step.number, process, key)

    async def _fork(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        new = ThreadKey(key.tenant, f"fork-{step.number}", key.owner)
        self.threads[new._replace(owner=None)] = None
        known = list(self.known(key).messages)
        through = chance.choice(known[-3:]) if known and chance.random() < 0.4 else None
        label = None if through is None else self.known(key).messages[through]
        cut = None if through is None else Cut(through)
        forked = await self.once(
            step, chance, process, "fork", key,
            lambda backend, request: backend.fork(key, new, cut, if_match=None, request=request),
            new=new, through=None if label is None else self.roots.get(label, label),
        )  # fmt: skip
        if not forked.ok:
            return
        born = Op(step.number, "born", process.number, new._replace(owner=None), forked.start, forked.end)
        born.unknown, born.result, born.given["from"] = False, forked.result, forked
        self.ops.append(born)
        page = await self.read(step.number, process, new._replace(owner=None), Span(limit=1000))
        if page.ok and page.result.etag is not None:
            copied = tuple(self.labels.get(one.text, "?") for one in page.result.items)
            rated = frozenset(
                (self.roots.get(label, label), one.metadata["stars"])
                for label, one in zip(copied, page.result.items, strict=True)
                if one.metadata
            )
            forked.given.update(copied=copied, rated=rated)
            self.forks.append(new._replace(owner=None))

    async def _list(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        owner = key.owner if chance.random() < 0.5 else None
        await self.list(step.number, process, key.tenant, owner, chance.choice((100, 100, 2)))

    async def _sweep(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        await self.sweep(step.number, process, chance.choice((500, 500, 3)))

    async def _erase(self, step: Step, chance: random.Random, process: Process, key: ThreadKey) -> None:
        owner = owner_name(step.tenant, step.owner or OWNERS[0])
        await self.erase(step.number, process, step.tenant, owner)
