"""What is sent and what comes back, as the service's native API writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from chatstore import position
from chatstore.batching import batches
from chatstore.codec import Json, encode
from chatstore.contract import Cut, Draft, Listing, MetadataPatch, NewThread, Query, Span, ThreadPatch, Unset
from chatstore.models import (
    CHAT,
    Appended,
    Cursor,
    Deleted,
    Erased,
    Found,
    Message,
    Page,
    Participant,
    Place,
    Thread,
    rfc3339,
)
from chatstore.thread_form import thread_form, thread_of

__all__ = [
    "appended",
    "as_json",
    "change",
    "deleted",
    "erased",
    "found",
    "listing",
    "message",
    "messages",
    "new_thread",
    "patch",
    "query",
    "restoration",
    "search",
    "shortened",
    "threads",
    "turn",
]

_MOST_RESTORED, _MOST_RESTORED_BYTES = 100, 1024 * 1024
_MOST_FOUND = 100
_PAST_ALL = "z"  # sorts behind every position, as START does before them


def as_json(form: Json) -> bytes:
    """`form` as the body of a request."""
    return json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode()


def new_thread(new: NewThread, metadata: str = "metadata") -> dict[str, Json]:
    """What a thread is to be, its metadata under this name; what is usual is not said.

    Without a time to live the service's default is wanted.
    """
    form: dict[str, Json] = {"owner": new.owner}
    if new.topic is not None:
        form["topic"] = new.topic
    if new.metadata:
        form[metadata] = new.metadata
    if new.participants:
        form["participants"] = _participants(new.participants)
    if new.ttl is not None:
        form["ttl"] = new.ttl.total_seconds()
    if new.sliding:
        form["sliding"] = True
    if new.kind != CHAT:
        form["kind"] = new.kind
    return form


def patch(change: ThreadPatch) -> dict[str, Json]:
    """Changes to a thread's properties."""
    form: dict[str, Json] = {}
    if not isinstance(change.topic, Unset):
        form["topic"] = change.topic
    if not isinstance(change.metadata, Unset):
        form["metadata"] = change.metadata
    if not isinstance(change.participants, Unset):
        form["participants"] = None if change.participants is None else _participants(change.participants)
    if not isinstance(change.ttl, Unset):
        form["ttl"] = _seconds(change.ttl)
    if change.sliding:
        form["sliding"] = True
    if not change.merge:
        form["merge"] = False
    return form


def turn(
    drafts: Sequence[Draft],
    create: NewThread | None,
    cut: Cut | None = None,
    change: ThreadPatch | None = None,
    if_thread: str | None = None,
) -> bytes:
    """An envelope with the messages' texts exactly as they are."""
    rest: dict[str, Json] = {"create": create is not None}
    if create is not None:
        rest |= new_thread(create, "thread_metadata")
    if cut is not None:
        rest["after"] = cut.message
    if change is not None:
        rest["patch"] = patch(change)
    if if_thread is not None:
        rest["if_thread"] = if_thread
    lives = [_seconds(draft.ttl) for draft in drafts]
    if drafts:
        rest["expires_in"] = lives[0] if len(set(lives)) == 1 else lives
    if any(draft.key is not None for draft in drafts):
        rest["key"] = [draft.key for draft in drafts]
    beside = b""
    if any(draft.metadata is not None for draft in drafts):
        beside = b'"metadata":[%b],' % ",".join(draft.metadata or "null" for draft in drafts).encode()
    texts = ",".join(draft.text for draft in drafts).encode()
    return b'{"messages":[%b],%b%b' % (texts, beside, as_json(rest)[1:])


def change(draft: Draft | None, metadata: MetadataPatch, if_thread: str | None = None) -> bytes:
    """What is to change of a message, its text exactly as it is."""
    condition = {} if if_thread is None else {"if_thread": if_thread}
    told = encode({"metadata": dict(metadata.value), "merge": metadata.merge, **condition}).encode()
    return told if draft is None else b'{"message":%b,%b' % (draft.text.encode(), told[1:])


def restoration(kept: Thread, messages: Sequence[Message]) -> bytes:
    """A thread as it was, with as many of the first messages as a request should carry, texts as they are."""
    properties = thread_form(kept)
    del properties["id"]  # which is in the path
    first = next(batches(messages, _length, most=_MOST_RESTORED, size_most=_MOST_RESTORED_BYTES), [])
    entries = [
        as_json({"id": one.id, **_times(created_at=one.created_at, expires_at=one.expires_at)})[:-1]
        + _beside(one)
        + b',"message":%b}' % one.text.encode()
        for one in first
    ]
    return b'{"thread":%b,"messages":[%b]}' % (as_json(properties), b",".join(entries))


def query(span: Span) -> list[tuple[str, str]]:
    """The parameters of a read; the newest after a position cannot be asked for, nor does the store ask."""

    def place(at: str) -> str:
        return at if span.epoch is None else Cursor.at(span.epoch, at)

    ending = span.before_message or span.before
    if span.newest and ending is None and span.epoch is None:
        return [("last", str(span.limit))]
    query = [("limit", str(span.limit))]
    # Where a read starts is said even if it is an end: it tells the service the epoch and the direction.
    if not span.newest:
        query.append(("after", span.after_message or place(span.after or position.START)))
    if ending is not None or span.newest:
        query.append(("before", span.before_message or place(span.before or _PAST_ALL)))
    return query


def listing(wanted: Listing) -> list[tuple[str, str]]:
    """The parameters of a list. A query can ask for metadata that is text alone."""
    query = [("limit", str(wanted.limit))]
    for name in ("owner", "topic_prefix", "forked_from"):
        text = getattr(wanted, name)
        if text is not None:
            query.append((name, text))
    for name in ("active_since", "active_before", "created_since", "created_before"):
        time = getattr(wanted, name)
        if time is not None:
            query.append((name, rfc3339(time)))
    flags = {
        ("kind", wanted.kind or "*"): wanted.kind != CHAT,
        ("order", "oldest"): wanted.oldest_first,
        ("preview", "true"): wanted.preview,
    }
    query += [parameter for parameter, said in flags.items() if said]
    if wanted.beyond is not None:
        query.append(("cursor", wanted.beyond.text()))
    for name, value in wanted.metadata.items():
        if isinstance(value, str) and name and not set("[]") & set(name):
            query.append((f"metadata[{name}]", value))
    return query


def search(wanted: Query) -> list[tuple[str, str]]:
    """The parameters of a search."""
    query = [("text", wanted.text), ("limit", str(min(wanted.limit, _MOST_FOUND)))]
    if wanted.owner is not None:
        query.append(("owner", wanted.owner))
    if not wanted.newest:
        query.append(("order", "best"))
    if wanted.cursor is not None:
        query.append(("cursor", wanted.cursor))
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


def _seconds(ttl: timedelta | None) -> float | None:
    """A time to live as the service takes it."""
    return None if ttl is None else ttl.total_seconds()


def _participants(participants: Sequence[Participant]) -> list[Json]:
    """Participants as the service takes them."""
    return [
        {"id": one.id, "display_name": one.display_name, "metadata": one.metadata} for one in participants
    ]


def _beside(message: Message) -> bytes:
    """What a message has beside what was sent, if it has, as fields that follow others."""
    form: dict[str, Json] = {}
    if message.key is not None:
        form["key"] = message.key
    if message.metadata:
        form["metadata"] = dict(message.metadata)
    return b"," + encode(form).encode()[1:-1] if form else b""


def message(entry: dict[str, Json]) -> Message:
    """A message from an answer, its text as the store writes it."""
    return Message(
        encode(entry["message"]),
        entry["id"],
        entry["position"],
        datetime.fromisoformat(entry["created_at"]),
        entry["etag"],
        _time(entry["expires_at"]),
        entry.get("metadata") or {},
        entry.get("key"),
    )


def appended(form: dict[str, Json]) -> Appended:
    """What an append or a replacement wrote, from an answer."""
    items = tuple(message(entry) for entry in form["items"])
    return Appended(items, form["etag"], form["kept"], form.get("thread_etag"))


def deleted(form: dict[str, Json]) -> Deleted:
    """Whether there was something to delete, from an answer."""
    return Deleted(form["existed"], form["etag"])


def erased(form: dict[str, Json]) -> Erased:
    """What an erasure removed, from an answer."""
    return Erased(form["threads"], form["messages"], form["requests"], form["keys"])


def threads(form: dict[str, Json]) -> Page[Thread]:
    """A page of a listing, from an answer."""
    return Page(tuple(thread_of(one) for one in form["items"]), next=form["next"])


def found(form: dict[str, Json]) -> Page[Found]:
    """A page of a search, from an answer."""
    items = (Found(one["thread_id"], message(one["entry"]), one["snippet"]) for one in form["items"])
    return Page(tuple(items), next=form["next"])


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
