"""How active and archived messages lie in one thread, so that each call is one write to its log.

Archiving appends a *mark*: of the active messages in front of it, all but the newest ``active`` are
archived. Only the newest mark counts, so the active messages are found by reading backwards, and what was
archived long ago costs nothing. A message that was archived from the start, behind active ones, says so
itself. Both say it in the field ``chatstore`` of the message. Nothing here needs LlamaIndex. See
docs/decisions/0010-statuses.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from chatstore.codec import Json
from chatstore.models import Message

__all__ = ["ACTIVE", "ARCHIVED", "ActiveReader", "Entry", "archived", "mark", "statuses", "written"]

ACTIVE = "active"
ARCHIVED = "archived"
_FIELD = "chatstore"


class Entry(NamedTuple):
    """A message and its status, `ACTIVE` or `ARCHIVED`."""

    message: Message
    status: str


def mark(active: int) -> Message:
    """What archives all messages in front of it but the newest `active`; elsewhere an empty message."""
    return Message.from_dict(
        {"role": "system", "additional_kwargs": {}, "blocks": [], _FIELD: {"active": active}}
    )


def archived(message: Message) -> Message:
    """`message` saying of itself that it is archived."""
    return _like(message, {**_said(message), _FIELD: {"status": ARCHIVED}})


class ActiveReader:
    """Takes a log from its newest message backwards until all active ones are found."""

    def __init__(self) -> None:
        self._newest_first: list[Message] = []
        self._left: int | None = None

    @property
    def done(self) -> bool:
        """Whether what is older is archived."""
        return self._left == 0

    @property
    def active(self) -> list[Message]:
        """The active messages so far, oldest first."""
        return self._newest_first[::-1]

    def take(self, page: Sequence[Message]) -> None:
        """Take the page in front of the last one."""
        for message in reversed(page):
            field = _field(message)
            if "active" in field:
                if self._left is None:
                    self._left = field["active"]
            elif not _is_archived(field):
                if self.done:
                    return
                self._newest_first.append(message)
                if self._left is not None:
                    self._left -= 1


def statuses(log: Iterable[Message]) -> list[Entry]:
    """The messages of a whole log in its order, without marks."""
    found: list[Entry] = []
    for message in log:
        field = _field(message)
        if "active" not in field:
            status = ARCHIVED if _is_archived(field) else ACTIVE
            found.append(Entry(message, status))
            continue
        active = [number for number, entry in enumerate(found) if entry.status == ACTIVE]
        for number in active[: max(len(active) - field["active"], 0)]:
            found[number] = Entry(found[number].message, ARCHIVED)
    return found


def written(entries: Iterable[Entry]) -> list[Message]:
    """A log of these messages: those that are archived at its beginning, a mark behind them, the others."""
    log: list[Message] = []
    leading = True
    for message, status in entries:
        if leading and status == ACTIVE:
            log += [mark(0)] if log else []
            leading = False
        own = leading or status == ACTIVE
        log.append(_like(message, _said(message)) if own else archived(message))
    return [*log, mark(0)] if log and leading else log


def _like(message: Message, said: dict[str, Json]) -> Message:
    return replace(Message.from_dict(said), expires_at=message.expires_at)


def _said(message: Message) -> dict[str, Json]:
    return {name: value for name, value in message.to_dict().items() if name != _FIELD}


def _field(message: Message) -> dict[str, Json]:
    field = message.to_dict().get(_FIELD)
    return field if isinstance(field, dict) else {}


def _is_archived(field: dict[str, Json]) -> bool:
    return field.get("status") == ARCHIVED
