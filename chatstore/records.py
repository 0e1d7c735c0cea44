"""How the first result of a request is kept, so that a repetition gets it again.

A result is kept without the messages' texts where the repetition brings them along itself: the
digest says that they are the same. What a deletion returned is kept whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from chatstore.codec import Json
from chatstore.contract import Draft
from chatstore.models import Appended, Deleted, Message, Participant, Thread, from_micros, to_micros

__all__ = ["Result", "dump", "load"]

Result: TypeAlias = Appended | Deleted | Message | Thread | None


def dump(result: Result, drafts: Sequence[Draft] = ()) -> str:
    """`result` as JSON text; `drafts` are what the request brought, none for a deletion."""
    return json.dumps(_form(result, keep_text=not drafts), ensure_ascii=False, separators=(",", ":"))


def load(text: str, drafts: Sequence[Draft] = ()) -> Result:
    """The result that `dump` was given, with the texts of `drafts`."""
    kind, form = json.loads(text)
    if kind == "appended":
        kept = form["kept"]
        messages = zip(form["messages"], drafts[kept:], strict=True)
        return Appended(tuple(_message(fields, draft.text) for fields, draft in messages), form["etag"], kept)
    if kind == "message":
        return _message(form["fields"], form["text"] if form["text"] is not None else drafts[0].text)
    if kind == "thread":
        return _thread(form)
    return Deleted(**form) if kind == "deleted" else None


def _form(result: Result, *, keep_text: bool) -> tuple[str, Json]:
    if isinstance(result, Appended):
        fields = [_fields(message) for message in result.messages]
        return "appended", {"messages": fields, "etag": result.etag, "kept": result.kept}
    if isinstance(result, Message):
        return "message", {"fields": _fields(result), "text": result.text if keep_text else None}
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
        }
    if isinstance(result, Deleted):
        return "deleted", {"existed": result.existed, "etag": result.etag}
    return "nothing", None


def _fields(message: Message) -> list[Json]:
    created = None if message.created_at is None else to_micros(message.created_at)
    expires = None if message.expires_at is None else to_micros(message.expires_at)
    return [message.id, message.position, created, message.etag, expires]


def _message(fields: list[Json], text: str) -> Message:
    id, position, created, etag, expires = fields
    return Message(
        text, id, position, from_micros(created), etag, None if expires is None else from_micros(expires)
    )


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
    )
