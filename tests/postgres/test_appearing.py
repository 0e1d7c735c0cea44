"""A thread that somebody makes in the middle of a write, and changes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeAlias

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres.exchange import Result
from chatstore.backends.postgres.links import BlockingLink
from chatstore.errors import ChatStoreError
from chatstore.testing.samples import contents, say, whole
from tests.postgres.servers import SCHEMA

Act: TypeAlias = Callable[[Any, str], object]

IS_FREE = f"SELECT 1 FROM {SCHEMA}.threads WHERE id = %s FOR UPDATE SKIP LOCKED"  # noqa: S608


def make(store: Any, name: str) -> None:
    store.append(name, say("a"), say("b"), key=["first", "second"])


def pop(store: Any, name: str) -> object:
    popped = store.pop(name)
    return popped and popped.text


def describe(store: Any, name: str) -> None:
    store.update_thread(name, metadata={"described": True})


def mark(store: Any, name: str) -> None:
    store.update_message(name, "key:first", metadata={"marked": True})


WRITES: dict[str, tuple[Act, Act]] = {
    "create": (lambda store, name: store.create_thread(name, topic="x"), describe),
    "update": (lambda store, name: store.update_thread(name, topic="x"), describe),
    "delete": (lambda store, name: store.delete_thread(name).existed, pop),
    "append": (lambda store, name: store.append(name, say("x"), patch={"topic": "x"}), describe),
    "append if it is there": (lambda store, name: store.append(name, say("x"), if_match="*"), pop),
    "append once": (
        lambda store, name: store.append(name, say("x"), patch={"topic": "x"}, request_id="r"),
        describe,
    ),
    "replace": (lambda store, name: store.replace_all(name, [say("x")], create=True), pop),
    "replace once": (
        lambda store, name: store.replace_all(name, [say("x")], create=True, request_id="r"),
        pop,
    ),
    "replace if it is there": (lambda store, name: store.replace_all(name, [], if_match="*"), pop),
    "clear": (lambda store, name: store.clear(name).existed, pop),
    "insert": (lambda store, name: store.insert(name, say("x"), index=1), pop),
    "edit": (lambda store, name: store.replace_message(name, "key:first", say("x")), mark),
    "mark": (
        lambda store, name: dict(store.update_message(name, "key:first", metadata={"x": 1}).metadata),
        mark,
    ),
    "pop": (pop, pop),
    "truncate": (lambda store, name: store.truncate(name, after="key:first"), pop),
    "fork of it": (lambda store, name: store.fork(name, f"{name} forked"), pop),
    "fork to it": (lambda store, name: store.fork("source", name), describe),
}


def outcome(act: Act, store: Any, name: str) -> object:
    """What can be told from what it gives in another thread."""
    try:
        result = act(store, name)
    except ChatStoreError as error:
        return type(error).__name__
    return result if isinstance(result, str | bool | dict) else None


def state(store: Any, name: str) -> list[object]:
    """All that is to be seen of the thread and of its fork."""
    seen: list[object] = []
    for one in (name, f"{name} forked"):
        try:
            thread = store.get_thread(one)
        except chatstore.ThreadNotFound:
            continue
        marks = [message.metadata for message in whole(store, one)]
        seen += [contents(whole(store, one)), marks, thread.topic, thread.metadata]
    return seen


def in_turn(store: Any, write: Act, change: Act, at: int) -> tuple[object, list[object]]:
    """What `write` gives, and what is there at last, where it is the act of that number."""
    acts, name = [make, change], f"order {at}"
    acts.insert(at, write)
    given = [outcome(act, store, name) for act in acts]
    return given[at], state(store, name)


class Meanwhile:
    """Makes the thread before the statement of that number, and changes it before the next that changes some.

    Where it is held by then, it is changed behind the write.
    """

    def __init__(self, number: int, name: str, other: Any, change: Act, db: psycopg.Connection[Any]) -> None:
        self._number, self._name, self._other, self._change, self._db = number, name, other, change, db
        self._sent = 0
        self._is_ours = self._is_other = False
        self.made = self.changed = False

    def change(self) -> None:
        self.changed = True
        outcome(self._change, self._other, self._name)

    def before(self, sql: bytes) -> None:
        self._sent += 1
        if self._sent == self._number and not self._is_ours:
            make(self._other, self._name)
            self.made = True
            return
        changes = self.made and not self.changed and sql.startswith((b"INSERT", b"UPDATE", b"DELETE"))
        if changes and self._db.execute(IS_FREE.encode(), [self._name]).fetchone():
            self.change()

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        real, meanwhile = BlockingLink.fetch, self

        async def fetch(self: BlockingLink, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
            if meanwhile._is_other:
                return await real(self, sql, parameters)
            meanwhile._is_other = True
            try:
                meanwhile.before(sql)
            finally:
                meanwhile._is_other = False
            result = await real(self, sql, parameters)
            if meanwhile._name in parameters and sql.startswith((b"INSERT", b"UPDATE")) and result[1]:
                # From here on whoever makes it would wait.
                meanwhile._is_ours = True
            return result

        patch.setattr(BlockingLink, "fetch", fetch)


@pytest.mark.parametrize("what", WRITES)
def test_a_write_is_before_or_behind_what_others_do_meanwhile(
    url: str, postgres: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write, change = WRITES[what]
    with (
        chatstore.connect(url) as store,
        chatstore.connect(url) as other,
        psycopg.connect(postgres, autocommit=True) as db,
    ):
        store.append("source", say("s"))
        allowed = [in_turn(store, write, change, at) for at in range(3)]
        for number in count(1):
            name = f"t{number}"
            meanwhile = Meanwhile(number, name, other, change, db)
            with monkeypatch.context() as patch:
                meanwhile.patch(patch)
                given = outcome(write, store, name)
            if not meanwhile.made:
                break
            if not meanwhile.changed:
                meanwhile.change()
            assert (given, state(store, name)) in allowed, f"made before statement {number}"
        assert number > 1
