"""Two operations that meet on a thread: one whole, before each call of the other to the storage.

What they give and leave must be what they give and leave one after the other, in one of the two orders. The
backend in memory says what that is. ``CHATSTORE_SOAK=1`` plays all pairs.
"""

from __future__ import annotations

import functools
import itertools
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ClassVar, NamedTuple, TypeAlias

import pytest

import chatstore
from chatstore.models import Appended, Deleted, Message, Page, Thread
from chatstore.testing.samples import contents, say
from tests.conftest import SOAK

__all__ = ["Meet", "Meetings", "Watched"]

Operation: TypeAlias = Callable[[chatstore.ChatStore, Mapping[str, str]], object]
Outcome: TypeAlias = tuple[object, object, object]
"""What the first operation gave, what the second, and what they left."""

T, NEW = "t", "new"


def _begin_live(store: chatstore.ChatStore) -> None:
    store.append(T, say("a"), say("b"), say("c"), key=["a", "b", "c"], owner="zoe", topic="old")


def _begin_gone(store: chatstore.ChatStore) -> None:
    _begin_live(store)
    store.delete_thread(T)


BEGINNINGS: Mapping[str, Callable[[chatstore.ChatStore], None]] = {
    "nothing": lambda store: None,  # noqa: ARG005 - as the others
    "three messages": _begin_live,
    "a deleted thread": _begin_gone,
}

OPERATIONS: Mapping[str, Operation] = {
    "append": lambda s, _: s.append(T, say("x")),
    "append without create": lambda s, _: s.append(T, say("x"), create=False),
    "append for an owner": lambda s, _: s.append(T, say("x"), owner="zoe", ttl=1000),
    "append of a key": lambda s, _: s.append(T, say("x"), key="k"),
    "append if unchanged": lambda s, e: s.append(T, say("x"), if_match=e["log"]),
    "append as the first": lambda s, _: s.append(T, say("x"), if_none_match="*"),
    "append after b": lambda s, _: s.append(T, say("x"), create=False, after="key:b"),
    "append with a patch": lambda s, _: s.append(T, say("x"), patch={"topic": "patched"}),
    "append once": lambda s, _: s.append(T, say("x"), request_id="once"),
    "truncate": lambda s, _: s.truncate(T, after="key:a"),
    "insert": lambda s, _: s.insert(T, say("i"), before="key:b"),
    "insert at the end": lambda s, _: s.insert(T, say("i"), index=99),
    "replace": lambda s, _: s.replace_message(T, "key:b", say("r")),
    "replace if unchanged": lambda s, e: s.replace_message(T, "key:b", say("r"), if_match=e["b"]),
    "rate": lambda s, _: s.update_message(T, "key:b", metadata={"stars": 5}),
    "delete b": lambda s, _: s.delete_message(T, "key:b"),
    "delete by index": lambda s, _: s.delete_message(T, index=0),
    "pop": lambda s, _: s.pop(T),
    "pop once": lambda s, _: s.pop(T, request_id="popped"),
    "clear": lambda s, _: s.clear(T),
    "clear if unchanged": lambda s, e: s.clear(T, if_match=e["log"]),
    "replace all": lambda s, _: s.replace_all(T, [say("n"), say("m")], owner="zoe"),
    "replace more": lambda s, _: s.replace_all(T, [say("a"), say("b"), say("c"), say("d")]),
    "replace all if unchanged": lambda s, e: s.replace_all(T, [say("n")], if_match=e["log"]),
    "create": lambda s, _: s.create_thread(T, owner="zoe", topic="made"),
    "update": lambda s, _: s.update_thread(T, topic="new", metadata={"a": 1}),
    "update if unchanged": lambda s, e: s.update_thread(T, topic="new", if_match=e["thread"]),
    "delete thread": lambda s, _: s.delete_thread(T),
    "delete if unchanged": lambda s, e: s.delete_thread(T, if_match=e["thread"]),
    "fork": lambda s, _: s.fork(T, NEW),
    "fork for another": lambda s, _: s.fork(T, NEW, owner="max"),
    "fork before c": lambda s, _: s.fork(T, NEW, before="key:c"),
    "fork if unchanged": lambda s, e: s.fork(T, NEW, if_match=e["log"]),
    "erase": lambda s, _: s.erase("zoe"),
    "read": lambda s, _: s.read(T, last=2),
    "read from the start": lambda s, _: s.read(T, limit=10),
    "get b": lambda s, _: s.get_message(T, "key:b"),
    "list": lambda s, _: s.list_threads(owner="zoe"),
}


class Met(NamedTuple):
    """What came of a meeting, and how many calls the first operation made."""

    outcome: Outcome
    calls: int


def begin(store: chatstore.ChatStore, beginning: str) -> Mapping[str, str]:
    """Make a beginning; the ETags that conditions of operations name."""
    BEGINNINGS[beginning](store)
    etags = {"log": store.read(T).etag or "none", "thread": "none", "b": "none"}
    try:
        etags["thread"] = store.get_thread(T).etag
        etags["b"] = store.get_message(T, "key:b").etag or "none"
    except (chatstore.ThreadNotFound, chatstore.MessageNotFound):
        pass
    return etags


def given(operation: str, store: chatstore.ChatStore, etags: Mapping[str, str]) -> object:
    """What an operation gives, in words that tell nothing of ids and times."""
    try:
        result = OPERATIONS[operation](store, etags)
    except chatstore.ChatStoreError as error:
        return type(error).__name__
    return _told(result)


def left(store: chatstore.ChatStore) -> object:
    """What is in a store, in such words."""
    threads = []
    for name in (T, NEW):
        page = store.read(name)
        beside = [(one.key, dict(one.metadata)) for one in page.items]
        try:
            threads.append((_told(store.get_thread(name)), contents(page.items), beside))
        except chatstore.ThreadNotFound:
            threads.append(("none", contents(page.items), beside))
    owned = [
        sorted(one.id for one in store.list_threads(owner=owner).items) for owner in ("zoe", "max", None)
    ]
    return threads, owned


def _told(result: object) -> object:
    match result:
        case Appended():
            return "appended", contents(result.messages), result.kept
        case Message():
            return "message", result.content, result.key, dict(result.metadata)
        case Deleted():
            return "deleted", result.existed
        case Thread():
            origin = result.forked_from is not None
            ends = result.expires_at is not None
            return "thread", result.id, result.owner, result.topic, dict(result.metadata), ends, origin
        case Page():
            return "page", [_told(one) for one in result.items]
        case _:
            return type(result).__name__


class Watched:
    """What passes calls on to `real`, and says `before` those of some names that they come."""

    def __init__(self, real: Any, names: Iterable[str]) -> None:
        self._real = real
        self._names = frozenset(names)
        self.before: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._real, name)
        if name not in self._names:
            return called

        def call(*args: Any, **given: Any) -> Any:
            self.before()
            return called(*args, **given)

        return call


@functools.cache
def allowed(beginning: str, first: str, second: str) -> tuple[Outcome, ...]:
    """What two operations may give and leave that meet: as the first before the second, or behind it.

    An erasure is not one step. What is made in the middle of it may go with it.
    """
    orders: list[tuple[int, ...]] = [(0, 1), (1, 0)]
    if first == "erase":
        orders.append((0, 1, 0))
    outcomes: list[Outcome] = []
    for order in orders:
        with chatstore.connect("memory://") as store:
            etags, results = begin(store, beginning), dict[int, object]()
            for turn in order:
                results.setdefault(turn, given((first, second)[turn], store, etags))
            outcomes.append((results[0], results[1], left(store)))
    return tuple(outcomes)


class Meetings:
    """Plays meetings of operations by two stores of one storage.

    Whoever makes them has `before_call` called before each call to the storage. `is_waiting` says whether a
    call waits for what another one holds.
    """

    def __init__(
        self,
        one: chatstore.ChatStore,
        two: chatstore.ChatStore,
        is_waiting: Callable[[], bool] = lambda: False,
    ) -> None:
        self._one, self._two = one, two
        self._is_waiting = is_waiting
        self._pool = ThreadPoolExecutor(1)
        self._thread: int | None = None
        self._before: Callable[[], None] = lambda: None

    def before_call(self) -> None:
        """A call to the storage comes, on this thread."""
        if threading.get_ident() == self._thread:
            self._before()

    def play(self, beginning: str, first: str, second: str, at: int) -> Met:
        """Both: the second before call `at` of the first, whole, or up to where it waits for that one."""
        tenant = chatstore.uuid7()
        one, two = self._one.for_tenant(tenant), self._two.for_tenant(tenant)
        etags = begin(one, beginning)
        left(two)
        count, meeting = 0, list[Future[object]]()

        def before() -> None:
            nonlocal count
            if count == at:
                meeting.append(self._pool.submit(given, second, two, etags))
                while not wait(meeting, 0.003).done and not self._is_waiting():
                    pass
            count += 1

        self._thread, self._before = threading.get_ident(), before
        try:
            result = given(first, one, etags)
        finally:
            self._thread = None
        other = meeting[0].result(60) if meeting else given(second, two, etags)
        return Met((result, other, left(one)), count)

    def check(self, beginning: str, first: str, one_in: int) -> None:
        """Play an operation with all others, or one in so many, at each of its calls."""
        wrong: list[str] = []
        for second in OPERATIONS:
            if SOAK or zlib.crc32(f"{beginning}{first}{second}".encode()) % one_in == 0:
                wrong += self._wrong(beginning, first, second)
        assert not wrong, "\n".join(wrong)

    def _wrong(self, beginning: str, first: str, second: str) -> Iterator[str]:
        """Tells each meeting of the two that came to what neither order comes to."""
        for at in itertools.count():
            met = self.play(beginning, first, second, at)
            if met.outcome not in allowed(beginning, first, second):
                yield (
                    f"{second!r} before call {at} of {first!r}, from {beginning}: {met.outcome}, "
                    f"where {allowed(beginning, first, second)} is allowed"
                )
            if met.calls <= at:
                return


class Meet:
    """The test of a storage, which brings the fixture `played`; of all pairs it plays `one_in` so many."""

    one_in: ClassVar[int]

    @pytest.mark.parametrize("beginning", BEGINNINGS)
    @pytest.mark.parametrize("first", OPERATIONS)
    def test_what_two_come_to_is_what_one_order_of_them_comes_to(
        self, beginning: str, first: str, played: Meetings
    ) -> None:
        played.check(beginning, first, self.one_in)
