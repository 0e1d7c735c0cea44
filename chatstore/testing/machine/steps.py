"""How the state machine calls a store, and what must hold of it after every step."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import ChatStoreError, Conflict, MessageNotFound, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.models import Message, Thread
from chatstore.store import ChatStore
from chatstore.testing.colours import Colour
from chatstore.testing.machine.model import History, Version
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, json_text

__all__ = ["NAMES", "OPERATIONS", "REFUSED", "Steps", "Terms"]

OPERATIONS: Counter[str] = Counter()
"""How many operations the machine has run in this process, by backend and colour."""

NAMES = ("", "a", "a/\0'")
"""The threads that it uses."""

REFUSED = object()
"""What a change gives whose condition did not hold."""

_examples = itertools.count()
_lives = itertools.count()


class Terms(NamedTuple):
    """Whether to send a request id, and which etag: none, the present one, or one from before."""

    request: bool = False
    condition: str | None = None


class Asked(NamedTuple):
    """A request as it was made, its result, and the thread that was there before."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: object
    before: History | None

    @property
    def thread(self) -> str:
        """The thread that it was about."""
        return str(self.args[1] if self.method == "fork" else self.args[0])

    def expired(self, now: datetime) -> bool:
        """Whether what it surely showed has expired, by the last expiry that its thread had."""
        ends = [self.result.expires_at] if isinstance(self.result, Message) else []
        if self.before is not None and self.method != "fork":
            ends.append(self.before.thread.expires_at)
        brought = self.method in ("append", "insert", "replace_message", "replace_all")
        shows = isinstance(self.result, Message | Thread) and not brought
        return shows and any(end is not None and end <= now for end in ends)


class Steps(RuleBasedStateMachine):
    """The store beside its lists, and the ways to act on both."""

    def __init__(self, store: ChatStore, colour: Colour, clock: ManualClock) -> None:
        super().__init__()
        example = next(_examples)
        self.store = store.for_tenant(f"example {example}")
        self.other = store.for_tenant(f"example {example}'")
        self.clock = clock
        self.counted = f"{store.backend.name}, {colour.value}"
        self.known: dict[str, History] = {}
        self.requests: list[Asked] = []
        self.ends: dict[str, set[datetime]] = defaultdict(set)
        self.cursors: list[tuple[str, str, bool, int]] = []
        self.other.append("a", {"role": "user", "content": "not to be touched"})

    def has(self, *capabilities: Capability) -> bool:
        return self.store.backend.capabilities.issuperset(capabilities)

    def history(self, thread: str) -> History | None:
        """The thread, unless it has expired."""
        found = self.known.get(thread)
        if found is None or (
            found.thread.expires_at is not None and found.thread.expires_at <= self.clock.now
        ):
            return None
        return found

    def begin(self, thread: str) -> History:
        """A thread that was just made."""
        stored = self.store.get_thread(thread)
        assert (stored.created_at, stored.id) == (self.clock.now, thread)
        self.known[thread] = History(stored, self.clock.now, Version(self.new_life(), 0, 0))
        return self.known[thread]

    def new_life(self) -> int:
        """A history that is no other's."""
        return next(_lives)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        OPERATIONS[self.counted] += 1
        return getattr(self.store, method)(*args, **kwargs)

    def refuses(self, error: type[ChatStoreError], method: str, *args: Any, **kwargs: Any) -> None:
        with pytest.raises(error):
            self.call(method, *args, **kwargs)

    def unknown(self, method: str, thread: str, *args: Any, **kwargs: Any) -> None:
        """There is no such thread, says the store; then there is one, to have more to do."""
        self.refuses(ThreadNotFound, method, thread, *args, **kwargs)
        self.make(thread)

    def make(self, thread: str) -> None:
        """A thread with a few messages."""
        turn = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
        appended = self.call("append", thread, *turn)
        self.begin(thread).appended(appended.messages)

    def change(self, names: str, terms: Terms, method: str, thread: str, *args: Any, **kwargs: Any) -> Any:
        """Call a mutation that can succeed, on these terms; `REFUSED` if its condition did not hold."""
        if terms.request and self.has(Capability.REQUESTS):
            kwargs["request_id"] = uuid7(self.clock() // 1000)
        history = self.history(thread)
        if history is not None and terms.condition is not None and history.etags:
            etags = list(history.etags.items())
            etag, version = etags[-1 if terms.condition == "present" else 0]
            # An append does not look at edits, the last of the three.
            compared = slice(2 if names == "tail" else 3)
            holds = version[compared] == history.version[compared]
            kwargs["if_match"] = etag
            if not holds:
                self.refuses(Conflict, method, thread, *args, **kwargs)
                return REFUSED
        result = self.call(method, thread, *args, **kwargs)
        if "request_id" in kwargs:
            self.requests.append(Asked(method, (thread, *args), kwargs, result, history))
        return result

    @initialize()
    def fill(self) -> None:
        for thread in NAMES[:2]:
            self.make(thread)

    # What must hold after every step

    @invariant()
    def everything_is_as_in_the_lists(self) -> None:
        listed = (
            {thread.id: thread for thread in self.store.iter_threads()} if self.has(Capability.LIST) else None
        )
        there = 0
        for name in NAMES:
            history, page = self.history(name), self.store.read(name, last=1000)
            if history is None:
                assert (page.items, page.etag) == ((), None)
                self.missing(name)
                continue
            there += 1
            if history.thread.expires_at is not None:
                self.ends[name].add(history.thread.expires_at)
            living = history.living(self.clock.now)
            assert list(page) == living
            assert list(self.store.iter_messages(name)) == living
            positions = [message.position or "" for message in living]
            assert positions == sorted(set(positions))
            self.same_thread(history, self.store.get_thread(name))
            if listed is not None:
                self.same_thread(history, listed[name])
            assert page.etag is not None
            assert history.etags.setdefault(page.etag, history.version) == history.version
        assert listed is None or len(listed) == there
        assert contents(self.other.read("a")) == ["not to be touched"]

    # What the rules share

    def missing(self, thread: str) -> None:
        with pytest.raises(ThreadNotFound):
            self.store.get_thread(thread)

    def same_thread(self, history: History, thread: Thread) -> None:
        known = history.thread
        assert (thread.id, thread.owner, thread.topic, thread.etag) == (
            known.id,
            known.owner,
            known.topic,
            known.etag,
        )
        assert (thread.created_at, thread.expires_at) == (known.created_at, known.expires_at)
        assert json_text(thread.metadata) == json_text(known.metadata)

    def stored(
        self,
        history: History,
        messages: Sequence[Message],
        sent: Sequence[Json],
        expires_in: timedelta | None,
    ) -> None:
        """What was given back for a write is what was sent, stamped with the time."""
        history.active_at = self.clock.now
        assert [json_text(message.to_dict()) for message in messages] == [json_text(one) for one in sent]
        for message in messages:
            assert (message.created_at, message.expires_at) == (self.clock.now, self.expiry(expires_in))

    def named(self, thread: str, pick: int, method: str, *args: Json) -> tuple[History, Message] | None:
        """A message to edit; None where there is none, which the store must say too."""
        history = self.history(thread)
        if not self.has(Capability.EDIT):
            return None
        if history is None:
            self.unknown(method, thread, "x", *args)
            return None
        living = history.living(self.clock.now)
        gone = [message for message in history.messages if message not in living]
        for message in gone[:1]:
            self.refuses(MessageNotFound, method, thread, message.id, *args)
        if not living:
            self.refuses(MessageNotFound, method, thread, "x", *args)
            return None
        return history, living[pick % len(living)]

    def forget_if_empty(self, thread: str, history: History) -> None:
        """Whether replacing nothing makes another history is left to the backend."""
        if not history.living(self.clock.now):
            history.etags.clear()
            self.cursors = [remembered for remembered in self.cursors if remembered[0] != thread]

    def ttl(self, ttl: timedelta | None) -> timedelta | None:
        return ttl if self.has(Capability.EXPIRY) else None

    def expiry(self, ttl: timedelta | None) -> Any:
        return None if ttl is None else self.clock.now + ttl
