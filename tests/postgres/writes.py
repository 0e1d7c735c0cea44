"""Writes of every kind to a thread, for tests of what goes wrong at any of their statements."""

from __future__ import annotations

from typing import Any

from chatstore.testing.samples import say

__all__ = ["WRITES"]


def first(store: Any, name: str) -> str:
    found: str = store.read(name).items[0].id
    return found


WRITES: dict[str, Any] = {
    "append": lambda store, name, **given: store.append(name, say("new"), key="k", **given),
    "append to a new thread": lambda store, name, **given: store.append(
        f"{name} forked", say("new"), **given
    ),
    "truncate": lambda store, name, **given: store.truncate(name, after=first(store, name), **given),
    "replace_all": lambda store, name, **given: store.replace_all(name, [say("new")], **given),
    "update_thread": lambda store, name, **given: store.update_thread(name, topic="new", **given),
    "replace_message": lambda store, name, **given: store.replace_message(
        name, first(store, name), say("new"), **given
    ),
    "delete_message": lambda store, name, **given: store.pop(name, **given),
    "insert": lambda store, name, **given: store.insert(name, say("new"), index=1, **given),
    "fork": lambda store, name, **given: store.fork(name, f"{name} forked", **given),
    "clear": lambda store, name, **given: store.clear(name, **given),
    "delete_thread": lambda store, name, **given: store.delete_thread(name, **given),
}
