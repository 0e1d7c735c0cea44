"""Cuts, keys, ratings and patches, each as a call of the log and as a step of a plain list."""

from __future__ import annotations

from typing import Any

from chatstore.contract import Cut, Draft, MetadataPatch, NewThread, Request, ThreadPatch
from chatstore.engines.log import LogBackend
from chatstore.errors import Conflict, MessageExists, MessageNotFound, ThreadNotFound
from tests.schedules.log import KEY, Texts
from tests.schedules.model import Modelled


def rate(id: str, old: str, rating: str) -> Modelled:
    """Change what is kept beside a message; it is shown behind its text."""

    async def call(backend: LogBackend) -> Any:
        patch = MetadataPatch({"rating": rating})
        try:
            await backend.replace_message(
                KEY, id, None, metadata=patch, if_match=None, request=Request(f"rate {id}", "d")
            )
        except (ThreadNotFound, MessageNotFound):
            return "not there"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None or old not in now:
            return now, "not there"
        return tuple(f"{text} {rating}" if text == old else text for text in now), "done"

    return Modelled(f"rate {old} {rating}", call, step)


def truncate(id: str, old: str, *texts: str, by: str = "") -> Modelled:
    """Cut behind a message, and add what comes in place of the rest."""

    async def call(backend: LogBackend) -> Any:
        try:
            await backend.append(
                KEY,
                [Draft(text) for text in texts],
                create=None,
                if_match=None,
                request=Request(f"cut {id} {texts}{by}", "d"),
                cut=Cut(id),
            )
        except (ThreadNotFound, MessageNotFound):
            return "not there"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        at = next((place for place, text in enumerate(now or ()) if text in old.split("|")), None)
        if now is None or at is None:
            return now, "not there"
        return (*now[: at + 1], *texts), "done"

    return Modelled(f"truncate after {old} {texts}", call, step)


def append_keyed(text: str, key: str, by: str = "") -> Modelled:
    """Append a message whose text begins with its key."""

    async def call(backend: LogBackend) -> Any:
        drafts = [Draft(f"{key}={text}", key=key)]
        request = Request(f"keyed {key} {text}{by}", "d")
        try:
            await backend.append(KEY, drafts, create=NewThread(), if_match=None, request=request)
        except MessageExists:
            return "exists"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if any(one.startswith(f"{key}=") for one in now or ()):
            return now, "exists"
        return (*(now or ()), f"{key}={text}"), "done"

    return Modelled(f"append {text} as {key}", call, step)


def append_patched(topic: str, was: str, by: str = "") -> Modelled:
    """Append what says the new topic, and change the topic, if the properties are still those of `was`."""

    async def call(backend: LogBackend) -> Any:
        request = Request(f"patched {topic}{by}", "d")
        try:
            await backend.append(
                KEY,
                [Draft(f"topic {topic}")],
                create=None,
                if_match=None,
                request=request,
                patch=ThreadPatch(topic=topic),
                if_thread=was,
            )
        except Conflict:
            return "conflict"
        except ThreadNotFound:
            return "no thread"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None:
            return now, "conflict"
        if any(text.startswith("topic ") for text in now):
            return now, "conflict"
        return (*now, f"topic {topic}"), "done"

    return Modelled(f"append with topic {topic}", call, step)
