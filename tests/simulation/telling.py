"""Tells what happened, an operation in a line."""

from __future__ import annotations

import datetime
from typing import Any

from chatstore.contract import NewThread
from chatstore.models import Appended, Page, Thread
from tests.simulation.acting import Op
from tests.simulation.world import SECOND

__all__ = ["clock_time", "told"]


def told(op: Op) -> str:
    """An operation in a line."""
    given = {name: value for name, value in op.given.items() if value is not None and name != "from"}
    result = f"{op.error or ''} (unknown)" if op.unknown else op.error or _short(op.result)
    end = f"+{(op.end - op.start) / 1000:.0f} ms"
    request = f" request ..{op.request[-4:]}" if op.request else ""
    key = f"{op.key.tenant}/{op.key.id}" + (f" of {op.key.owner}" if op.key.owner else "")
    when = f"  {clock_time(op.start)} {end:>12} p{op.process} #{op.number}"
    return f"{when} {op.kind} {key}{request} {_short(given)} -> {result}"


def clock_time(micros: int) -> str:
    """A day and a time of it."""
    return datetime.datetime.fromtimestamp(micros / SECOND, datetime.UTC).strftime("%d %H:%M:%S.%f")[:-3]


def _short(value: Any) -> str:
    """What matters of a result."""
    if isinstance(value, Page | Appended):
        items = value.items if isinstance(value, Page) else value.messages
        texts = [one.text[26:].partition("!")[0] for one in items]
        return f"{texts} {value.etag}"
    if isinstance(value, Thread):
        return f"{value.id} {value.owner} {value.topic} until {value.expires_at} {value.etag}"
    if isinstance(value, list):
        return str([one.id for one in value])
    if isinstance(value, NewThread):
        return f"{value.owner} {value.ttl}"
    if isinstance(value, dict):
        return " ".join(f"{name}={_short(one)}" for name, one in value.items())
    text = str(value)
    return text if len(text) < 300 else text[:300] + "…"
