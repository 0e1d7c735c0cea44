"""What an operation in memory is made of: the threads there are, and first results of requests."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar, cast

from chatstore.backends.memory.stored import Stored
from chatstore.conditions import updated
from chatstore.contract import (
    Backend,
    Clock,
    Draft,
    NewThread,
    Request,
    ThreadKey,
    ThreadPatch,
    system_clock,
)
from chatstore.errors import RequestMismatch, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.models import Thread, from_micros, to_micros
from chatstore.records import require_shown, shown_until
from chatstore.wire import micros_of

__all__ = ["Kept"]

R = TypeVar("R")


class _Result(NamedTuple):
    """The first result of a request, whose thread it was about, and when what it shows expires."""

    digest: str
    result: object
    until: int
    owner: str | None
    shown_until: int | None


class Kept(Backend):
    """Threads in a dictionary, and the lock that an operation holds while it looks at them."""

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._threads: dict[tuple[str, str], Stored] = {}
        self._results: dict[tuple[ThreadKey, str], _Result] = {}

    def _once(
        self,
        key: ThreadKey,
        request: Request | None,
        operation: Callable[[], R],
        drafts: Sequence[Draft] = (),
    ) -> R:
        """Run `operation` under the lock, or give its first result again."""
        with self._lock:
            if request is None:
                return operation()
            known = self._results.get((key, request.id))
            if known is not None and known.until > self.clock():
                if known.digest != request.digest:
                    raise RequestMismatch(request.id)
                require_shown(known.shown_until, self.clock(), request.id)
                return cast("R", copy.deepcopy(known.result))
            before = self._find(key)
            first = operation()
            concerned = before or self._find(key)
            owner = key.owner if concerned is None else concerned.thread.owner
            until = self.clock() + micros_of(self.request_window)
            life = None if concerned is None else concerned.thread.expires_at
            shown = shown_until(first, drafts, None if life is None else to_micros(life))
            self._results[key, request.id] = _Result(
                request.digest, copy.deepcopy(first), until, owner, shown
            )
            return first

    def _find(self, key: ThreadKey) -> Stored | None:
        """The thread as it is now: what has expired of it is gone."""
        stored = self._threads.get((key.tenant, key.id))
        now = self.clock()
        if stored is None or stored.gone(now) or key.owner not in (None, stored.thread.owner):
            return None
        stored.messages = stored.living(now)
        return stored

    def _get(self, key: ThreadKey) -> Stored:
        stored = self._find(key)
        if stored is None:
            raise ThreadNotFound(key.id)
        return stored

    def _living(self, tenant: str) -> list[Stored]:
        keys = [ThreadKey(*name) for name in self._threads if name[0] == tenant]
        return [stored for key in keys if (stored := self._find(key)) is not None]

    def _create(self, key: ThreadKey, new: NewThread) -> Stored:
        if self._find(key._replace(owner=None)) is not None:
            raise ThreadExists(key.id)
        now = from_micros(self.clock())
        thread = Thread(
            id=key.id,
            owner=new.owner,
            topic=new.topic,
            metadata=copy.deepcopy(new.metadata),
            participants=copy.deepcopy(new.participants),
            created_at=now,
            active_at=now,
            expires_at=None if new.ttl is None else now + new.ttl,
            etag=token(),
            kind=new.kind,
            sliding=new.ttl if new.sliding else None,
        )
        self._threads[key.tenant, key.id] = stored = Stored(thread)
        return stored

    def _patched(self, thread: Thread, patch: ThreadPatch) -> Thread:
        return replace(updated(thread, patch, self.clock()), etag=token())
