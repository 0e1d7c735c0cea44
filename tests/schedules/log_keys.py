"""Messages by their keys, each operation as a call of the log and as a step of a plain list of texts.

The text of a message with a key begins with the key and an equals sign.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from chatstore.contract import Cut, Draft, InsertAt, NewThread, Request
from chatstore.engines.log import LogBackend
from chatstore.errors import MessageExists, MessageNotFound, ThreadNotFound
from tests.schedules.log import KEY, Texts
from tests.schedules.model import Modelled

__all__ = ["cut_and_append", "delete", "find", "insert", "keyed", "put", "replace_all"]


def keyed(key: str, text: str) -> Draft:
    """A message of that key."""
    return Draft(f"{key}={text}", key=key)


def _asked(name: str, call: Callable[[LogBackend, Request], Awaitable[Any]]) -> Callable[[LogBackend], Any]:
    async def asked(backend: LogBackend) -> Any:
        try:
            return await call(backend, Request(name, "d")) or "done"
        except MessageExists:
            return "exists"
        except (MessageNotFound, ThreadNotFound):
            return "not there"

    return asked


def _place(now: Texts, key: str) -> int | None:
    return next((place for place, text in enumerate(now or ()) if text.startswith(f"{key}=")), None)


def find(key: str, name: str = "find") -> Modelled:
    async def call(backend: LogBackend, _: Request) -> Any:
        return (await backend.get_message(KEY, f"key:{key}")).text

    def step(now: Texts) -> tuple[Texts, Any]:
        at = _place(now, key)
        return now, "not there" if now is None or at is None else now[at]

    return Modelled(f"{name} {key}", _asked("", call), step)


def put(key: str, text: str) -> Modelled:
    async def call(backend: LogBackend, request: Request) -> None:
        draft = Draft(f"{key}={text}")
        await backend.replace_message(KEY, f"key:{key}", draft, if_match=None, request=request)

    def step(now: Texts) -> tuple[Texts, Any]:
        at = _place(now, key)
        if now is None or at is None:
            return now, "not there"
        return (*now[:at], f"{key}={text}", *now[at + 1 :]), "done"

    return Modelled(f"put {key} {text}", _asked(f"put {key} {text}", call), step)


def delete(key: str, by: str = "") -> Modelled:
    async def call(backend: LogBackend, request: Request) -> None:
        await backend.delete_message(KEY, f"key:{key}", if_match=None, request=request)

    def step(now: Texts) -> tuple[Texts, Any]:
        at = _place(now, key)
        if now is None or at is None:
            return now, "not there"
        return (*now[:at], *now[at + 1 :]), "done"

    return Modelled(f"delete {key}", _asked(f"delete {key}{by}", call), step)


def insert(id: str, before: str, key: str, text: str) -> Modelled:
    """Put a message of that key in front of another."""

    async def call(backend: LogBackend, request: Request) -> None:
        await backend.insert(KEY, keyed(key, text), InsertAt(before=id), if_match=None, request=request)

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None or before not in now:
            return now, "not there"
        if _place(now, key) is not None:
            return now, "exists"
        at = now.index(before)
        return (*now[:at], f"{key}={text}", *now[at:]), "done"

    return Modelled(f"insert {key} {text}", _asked(f"insert {key} {text}", call), step)


def cut_and_append(id: str, after: str, key: str, text: str) -> Modelled:
    """Cut behind a message, and add one of a key that may be cut by it."""

    async def call(backend: LogBackend, request: Request) -> None:
        drafts = [keyed(key, text)]
        await backend.append(KEY, drafts, create=None, if_match=None, request=request, cut=Cut(id))

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None or after not in now:
            return now, "not there"
        left = now[: now.index(after) + 1]
        if _place(left, key) is not None:
            return now, "exists"
        return (*left, f"{key}={text}"), "done"

    return Modelled(f"cut after {after}, append {key} {text}", _asked(f"cut {key} {text}", call), step)


def replace_all(key: str, text: str) -> Modelled:
    """A history of one message, which has a key."""

    async def call(backend: LogBackend, request: Request) -> None:
        drafts = [keyed(key, text)]
        await backend.replace_all(KEY, drafts, create=NewThread(), if_match=None, request=request)

    return Modelled(
        f"replace all by {key} {text}",
        _asked(f"replace {key} {text}", call),
        lambda _: ((f"{key}={text}",), "done"),
    )
