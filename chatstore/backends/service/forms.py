"""What is sent and what comes back, as the service's native API writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from chatstore import position
from chatstore.batching import batches
from chatstore.codec import Json, encode
from chatstore.contract import Draft, NewThread, Span
from chatstore.models import (
    Appended,
    Cursor,
    Deleted,
    Erased,
    Message,
    Page,
    Participant,
    Place,
    Thread,
    rfc3339,
)

__all__ = [
    "appended",
    "as_json",
    "deleted",
    "erased",
    "message",
    "messages",
    "participants",
    "query",
    "restoration",
    "seconds",
    "shortened",
    "thread",
    "threads",
    "ttl",
    "turn",
]

_MOST_RESTORED, _MOST_RESTORED_BYTES = 100, 1024 * 1024
_PAST_ALL = "z"  # sorts behind every position, as START does before them


def as_json(form: Json) -> bytes:
    """`form` as the body of a request."""
    return json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode()


def turn(drafts: Sequence[Draft], create: NewThread | None) -> bytes:
    """An envelope with the messages' texts exactly as they are."""
    rest: dict[str, Json] = {"create": create is not None}
    if create is not None:
        rest |= {"owner": create.owner} | ttl(create.ttl)
    lives = [seconds(draft.ttl) for draft in drafts]
    if drafts:
        rest["expires_in"] = lives[0] if len(set(lives)) == 1 else lives
    return b'{"messages":[%b],%b' % (",".join(draft.text for draft in drafts).encode(), as_json(rest)[1:])


def restoration(kept: Thread, messages: Sequence[Message]) -> bytes:
    """A thread as it was, with as many of the first messages as a request should carry, texts as they are."""
    properties: dict[str, Json] = {
        "owner": kept.owner, "topic": kept.topic, "metadata": kept.metadata,
        "participants": participants(kept.participants),
        **_times(created_at=kept.created_at, active_at=kept.active_at, expires_at=kept.expires_at),
    }  # fmt: skip
    first = next(batches(messages, _length, most=_MOST_RESTORED, size_most=_MOST_RESTORED_BYTES), [])
    entries = [
        as_json({"id": one.id, **_times(created_at=one.created_at, expires_at=one.expires_at)})[:-1]
        + b',"message":%b}' % one.text.encode()
        for one in first
    ]
    return b'{"thread":%b,"messages":[%b]}' % (as_json(properties), b",".join(entries))


def query(span: Span) -> list[tuple[str, str]]:
    """The parameters of a read; the newest after a position cannot be asked for, nor does the store ask."""

    def place(at: str) -> str:
        return at if span.epoch is None else Cursor.at(span.epoch, at)

    if span.newest and span.before is None and span.epoch is None:
        return [("last", str(span.limit))]
    query = [("limit", str(span.limit))]
    # Where a read starts is said even if it is an end: it tells the service the epoch and the direction.
    if not span.newest:
        query.append(("after", place(span.after or position.START)))
    if span.before is not None or span.newest:
        query.append(("before", place(span.before or _PAST_ALL)))
    return query


def shortened(page: Page[Message], span: Span, max_bytes: int) -> Page[Message]:
    """The part of `page` that `max_bytes` allow, never without a message."""
    items = page.items[::-1] if span.newest else page.items
    size = kept = 0
    for message in items:
        size += len(message.text.encode())
        if kept and size > max_bytes:
            break
        kept += 1
    if kept == len(items):
        return page
    left = items[:kept]
    edge = Cursor.at(Place.parse(page.end or "").epoch or "", left[-1].position or "")
    return Page(left[::-1], edge, page.end, page.etag) if span.newest else Page(left, edge, edge, page.etag)


def seconds(ttl: timedelta | None) -> float | None:
    """A time to live as the service takes it."""
    return None if ttl is None else ttl.total_seconds()


def ttl(length: timedelta | None) -> dict[str, Json]:
    """The time to live of a new thread; without one the service's default is wanted, so nothing is said."""
    return {} if length is None else {"ttl": length.total_seconds()}


def participants(participants: Sequence[Participant]) -> list[Json]:
    """Participants as the service takes them."""
    return [
        {"id": one.id, "display_name": one.display_name, "metadata": one.metadata} for one in participants
    ]


def thread(form: dict[str, Json]) -> Thread:
    """A thread's properties from an answer."""
    return Thread(
        id=form["id"],
        owner=form["owner"],
        topic=form["topic"],
        metadata=form["metadata"],
        participants=tuple(Participant(**one) for one in form["participants"]),
        created_at=datetime.fromisoformat(form["created_at"]),
        active_at=datetime.fromisoformat(form["active_at"]),
        expires_at=_time(form["expires_at"]),
        etag=form["etag"],
    )


def message(entry: dict[str, Json]) -> Message:
    """A message from an answer, its text as the store writes it."""
    return Message(
        encode(entry["message"]),
        entry["id"],
        entry["position"],
        datetime.fromisoformat(entry["created_at"]),
        entry["etag"],
        _time(entry["expires_at"]),
    )


def appended(form: dict[str, Json]) -> Appended:
    """What an append or a replacement wrote, from an answer."""
    return Appended(tuple(message(entry) for entry in form["items"]), form["etag"], form["kept"])


def deleted(form: dict[str, Json]) -> Deleted:
    """Whether there was something to delete, from an answer."""
    return Deleted(form["existed"], form["etag"])


def erased(form: dict[str, Json]) -> Erased:
    """What an erasure removed, from an answer."""
    return Erased(form["threads"], form["messages"], form["requests"], form["keys"])


def threads(form: dict[str, Json]) -> Page[Thread]:
    """A page of a listing, from an answer."""
    return Page(tuple(thread(one) for one in form["items"]), next=form["next"])


def messages(form: dict[str, Json]) -> Page[Message]:
    """A page of messages, from an answer."""
    items = tuple(message(entry) for entry in form["items"])
    return Page(items, next=form["next"], end=form["end"], etag=form["etag"])


def _times(**times: datetime | None) -> dict[str, Json]:
    return {name: None if time is None else rfc3339(time) for name, time in times.items()}


def _length(one: Message) -> int:
    return len(one.text.encode())


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
