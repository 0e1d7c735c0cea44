"""How the first result of a request is kept, so that a repetition gets it again.

A result is kept without the messages' texts where the repetition brings them along itself: the
digest says that they are the same. What a deletion returned is kept whole.

A result shows what is in a thread for no longer than the thread does. Its expiry may change after the
request. So a repetition goes by the expiry as it is now, or as it was when the thread ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple, TypeAlias

from chatstore.codec import Json, decode, writer
from chatstore.contract import Draft
from chatstore.errors import CorruptData, RequestExpired
from chatstore.models import (
    CHAT,
    Appended,
    Deleted,
    Message,
    Origin,
    Participant,
    Thread,
    from_micros,
    to_micros,
)
from chatstore.wire import micros_of

__all__ = [
    "FOREVER",
    "Remembered",
    "Result",
    "appended",
    "dump",
    "load",
    "remembered",
    "require_shown",
    "shows",
]

FOREVER: Final = 1 << 62
"""When a thread expires that never does."""

_written = writer()

Result: TypeAlias = Appended | Deleted | Message | Thread | None


class Remembered(NamedTuple):
    """The first result of a request, and whether it `shows` what the request did not bring along.

    `until` is when its thread was to expire as the request found it, None for never. `life` names the
    thread's life among all that bore its id, where that was noted.
    """

    result: Result
    shows: bool
    until: int | None
    life: str | None

    def given(self, request_id: str, now: int, thread: int | None = None) -> Result:
        """The result, for a repetition at `now`. Raises RequestExpired where what it shows has expired.

        `thread` is when the thread expires as is known now; None where only the request knew.
        """
        if self.shows:
            known = [self.until if thread is None else thread]
            if isinstance(self.result, Message) or (isinstance(self.result, Thread) and thread is None):
                own = self.result.expires_at
                known.append(None if own is None else to_micros(own))
            require_shown(min((end for end in known if end is not None), default=None), now, request_id)
        return self.result


def dump(
    result: Result, drafts: Sequence[Draft] = (), until: int | None = None, life: str | None = None
) -> str:
    """`result` as JSON text; `drafts` are what the request brought, none for a deletion.

    Its thread expires at `until`, in microseconds, as the request found it; and `life` names that thread's
    life.
    """
    return _written((*_form(result, keep_text=not drafts), until, *(() if life is None else (life,))))


def appended(messages: Sequence[Sequence[Json]], etag: str) -> str:
    """What `dump` gives for an append, by the log's ETag and each message's id, position, times and ETag."""
    return _written(("appended", {"messages": messages, "etag": etag, "kept": 0}, None))


def remembered(text: str, drafts: Sequence[Draft], request_id: str, *, brought: bool = True) -> Remembered:
    """What `dump` was given, with the texts of `drafts`, which the repetition `brought` itself or did not.

    Raises CorruptData where `text` cannot be read.
    """
    try:
        result, [_, _, *more] = load(text, drafts), json.loads(text)
        until, life = [*more, None, None][:2]
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise CorruptData(f"the remembered result of request {request_id!r} is damaged") from error
    return Remembered(result, shows(result, drafts if brought else ()), until, life)


def shows(result: object, drafts: Sequence[Draft]) -> bool:
    """Whether `result` shows of a thread what a request with `drafts` did not bring along itself."""
    if isinstance(result, Message) and drafts:
        return bool(result.metadata or result.key) and _beside(drafts[0]) != (result.metadata, result.key)
    return isinstance(result, Message | Thread)


def require_shown(until: int | None, now: int, request_id: str) -> None:
    """Raise RequestExpired where the result of a request shows what has expired."""
    if until is not None and until <= now:
        raise RequestExpired(f"request {request_id!r} took effect, and what it returned has expired since")


def load(text: str, drafts: Sequence[Draft] = ()) -> Result:
    """The result that `dump` was given, with the texts of `drafts`."""
    kind, form, *_ = json.loads(text)
    if kind == "appended":
        kept = form["kept"]
        messages = zip(form["messages"], drafts[kept:], strict=True)
        stored = tuple(_message(fields, draft.text, _beside(draft)) for fields, draft in messages)
        return Appended(stored, form["etag"], kept, form.get("thread_etag"))
    if kind == "message":
        text = form["text"] if form["text"] is not None else drafts[0].text
        return _message(form["fields"], text, form.get("beside") or ({}, None))
    if kind == "thread":
        return _thread(form)
    return Deleted(**form) if kind == "deleted" else None


def _form(result: Result, *, keep_text: bool) -> tuple[str, Json]:
    if isinstance(result, Appended):
        fields = [_fields(message) for message in result.messages]
        told = {} if result.thread_etag is None else {"thread_etag": result.thread_etag}
        return "appended", {"messages": fields, "etag": result.etag, "kept": result.kept, **told}
    if isinstance(result, Message):
        beside = {"beside": [dict(result.metadata), result.key]} if result.metadata or result.key else {}
        return "message", {"fields": _fields(result), "text": result.text if keep_text else None, **beside}
    if isinstance(result, Thread):
        return "thread", {
            "id": result.id,
            "owner": result.owner,
            "topic": result.topic,
            "metadata": result.metadata,
            "participants": [[one.id, one.display_name, one.metadata] for one in result.participants],
            "created_at": to_micros(result.created_at),
            "active_at": to_micros(result.active_at),
            "expires_at": None if result.expires_at is None else to_micros(result.expires_at),
            "etag": result.etag,
            **_unusual(result),
        }
    if isinstance(result, Deleted):
        return "deleted", {"existed": result.existed, "etag": result.etag}
    return "nothing", None


def _unusual(thread: Thread) -> dict[str, Json]:
    """What few threads have, so that the results of the others stay short."""
    unusual: dict[str, Json] = {} if thread.kind == CHAT else {"kind": thread.kind}
    if thread.sliding is not None:
        unusual["sliding"] = micros_of(thread.sliding)
    if thread.forked_from is not None:
        unusual["forked_from"] = list(thread.forked_from)
    return unusual


def _fields(message: Message) -> list[Json]:
    created = None if message.created_at is None else to_micros(message.created_at)
    expires = None if message.expires_at is None else to_micros(message.expires_at)
    return [message.id, message.position, created, message.etag, expires]


def _beside(draft: Draft) -> tuple[dict[str, Json], str | None]:
    """What a request brought to be kept beside a message."""
    return {} if draft.metadata is None else decode(draft.metadata), draft.key


def _message(fields: list[Json], text: str, beside: Sequence[Json]) -> Message:
    id, position, created, etag, expires = fields
    ends = None if expires is None else from_micros(expires)
    return Message(text, id, position, from_micros(created), etag, ends, *beside)


def _thread(form: dict[str, Json]) -> Thread:
    return Thread(
        id=form["id"],
        owner=form["owner"],
        topic=form["topic"],
        metadata=form["metadata"],
        participants=tuple(Participant(*fields) for fields in form["participants"]),
        created_at=from_micros(form["created_at"]),
        active_at=from_micros(form["active_at"]),
        expires_at=None if form["expires_at"] is None else from_micros(form["expires_at"]),
        etag=form["etag"],
        kind=form.get("kind", CHAT),
        sliding=timedelta(microseconds=form["sliding"]) if "sliding" in form else None,
        forked_from=Origin(*form["forked_from"]) if "forked_from" in form else None,
    )
