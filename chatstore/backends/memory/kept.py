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
from chatstore.records import FOREVER, Remembered, Result, shows
from chatstore.wire import micros_of

__all__ = ["Kept"]

R = TypeVar("R", bound=Result)


class _Result(NamedTuple):
    """The first result of a request, whose thread it was about, and that thread where it shows some of it."""

    digest: str
    result: Result
    until: int
    owner: str | None
    shown: Stored | None

    def again(self, request_id: str, now: int) -> Result:
        """The result, for a repetition. Raises RequestExpired."""
        expires = None if self.shown is None else self.shown.thread.expires_at
        first = Remembered(self.result, self.shown is not None, None, None)
        return first.given(request_id, now, FOREVER if expires is None else to_micros(expires))


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
                return cast("R", copy.deepcopy(known.again(request.id, self.clock())))
            before = self._find(key)
            first = operation()
            concerned = before or self._find(key)
            owner = key.owner if concerned is None else concerned.thread.owner
            until = self.clock() + micros_of(self.request_window)
            shown = concerned if shows(first, drafts) else None
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
        self._remove((key.tenant, key.id))
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

    def _remove(self, name: tuple[str, str]) -> None:
        """Remove what is there of a thread. Results that show some of it still ask when it expires."""
        stored = self._threads.pop(name, None)
        if stored is not None:
            stored.messages.clear()

    def _patched(self, thread: Thread, patch: ThreadPatch) -> Thread:
        return replace(updated(thread, patch, self.clock()), etag=token())
