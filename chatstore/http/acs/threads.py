"""Operations on chat threads. Each docstring is the operation's text in the reference."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from starlette.responses import Response

from chatstore.codec import Json
from chatstore.conditions import properties_bytes, require_fitting
from chatstore.contract import UNSET, Unset
from chatstore.contract import NewThread as NewProperties
from chatstore.errors import ThreadNotFound, Unavailable
from chatstore.http.acs import forms, memberships, receipts
from chatstore.http.acs.asking import done, request_id, seen, settled, sight, store_of, user_of
from chatstore.http.acs.bodies import NewThread, Update
from chatstore.http.acs.forms import OWN, Given, event
from chatstore.http.acs.parameters import Repeating, ThreadPath, Threads, Version
from chatstore.http.parameters import NoHeaders, NoPath
from chatstore.http.quota import check_quota
from chatstore.http.replies import reply
from chatstore.http.routing import Call
from chatstore.models import CHAT, Thread, ThreadCursor, rfc3339
from chatstore.store import AsyncChatStore
from chatstore.store.arguments import Ttl
from chatstore.store.properties import participants_of

__all__ = ["create", "delete", "get", "list_threads", "next_link", "update"]

_PAGE = 20
_MOST = 100
_AT_ONCE = 10
_LIST_BYTES = 1024 * 1024

Changing: TypeAlias = Call[ThreadPath, Version, Repeating, Update]


async def create(call: Call[NoPath, Version, Repeating, NewThread]) -> Response:
    """Create a thread

    The caller takes part in it, with those whom the body names. The same Repeatability-Request-ID gives the
    first answer again, or without one the same x-ms-client-request-id.
    """
    user, store, asked = user_of(call), store_of(call), call.body
    asked_before = request_id(call, token=call.headers.repeatability_request_id)
    id = store.new_id(asked_before)
    await check_quota(store, call.service.settings.max_threads_per_owner, user, id)
    named = {one.id: one for one in asked.added.participants}
    everybody = [forms.member(one) for one in ({user: Given(user)} | named).values()]
    own: dict[str, Json] = {"createdBy": user}
    ttl: Ttl | Unset = UNSET
    if asked.retention is not None:
        own["retentionPolicy"], ttl = asked.retention.shown(), asked.retention.lifetime
    metadata = {**asked.metadata, OWN: own}
    # What would be refused at the end leaves no memberships.
    people = participants_of(everybody)
    require_fitting(NewProperties(topic=asked.topic, metadata=metadata, participants=people))
    await memberships.begin_all(store, id, [one.id for one in everybody], by=user)
    made = await store.append(
        id,
        event("participantAdded", user, participants=forms.participants(everybody)),
        event("topicUpdated", user, topic=asked.topic),
        topic=asked.topic,
        thread_metadata=metadata,
        participants=people,
        ttl=call.lifetime(ttl),
        if_none_match="*",
        request_id=asked_before,
    )
    created = made.messages[0].created_at
    assert created is not None  # noqa: S101 - every stored message has one
    thread = Thread(id, None, asked.topic, metadata, people, created, created, None, "")
    return reply(
        {"chatThread": forms.properties(thread), "invalidParticipants": list(asked.added.invalid)}, 201
    )


async def list_threads(call: Call[NoPath, Threads, NoHeaders, None]) -> Response:
    """List threads that the caller takes part in

    Those first to which the caller was added last. An answer may hold fewer than it could, even none, and
    still have a `nextLink`: it ends once the threads that it looked at are about a megabyte.
    """
    user, store, query = user_of(call), store_of(call), call.query
    most = min(_LIST_BYTES, call.answer_bytes)
    page = await store.list_threads(
        owner=user,
        kind=None,
        limit=min(query.max_page_size or _PAGE, _MOST),
        cursor=query.cursor,
        max_bytes=most,
    )
    items, following = page.items, page.next
    found: list[Json] = []
    looked_at = 0
    for start in range(0, len(items), _AT_ONCE):
        some = items[start : start + _AT_ONCE]
        led = await asyncio.gather(*(_led(store, one, user) for one in some))
        shown = (one.shown for one in led)
        found += [
            forms.thread_item(one) for one in shown if one is not None and _since(one, query.start_time)
        ]
        looked_at += sum(one.bytes for one in led)
        if looked_at > most and start + len(some) < len(items):
            following = ThreadCursor(some[-1].active_at, some[-1].id).text()
            break
    return reply({"value": found, **next_link("/chat/threads", query, following)})


async def get(call: Call[ThreadPath, Version, NoHeaders, None]) -> Response:
    """Get a thread"""
    found = await seen(call)
    return reply(forms.properties(found.thread), cost=found.thread.cost)


async def update(call: Changing) -> Response:
    """Change a thread's properties

    Those that are given: `topic`, which the list of messages tells; `metadata`, merged into what is there,
    null removing a key; and `retentionPolicy`.
    """
    asked, user, store, repeated = call.body, user_of(call), store_of(call), request_id(call)

    async def attempt() -> None:
        thread = (await seen(call)).thread
        patch = await _patch(store, thread, asked)
        if asked.topic is not None:
            told = event("topicUpdated", user, topic=asked.topic)
            await store.append(
                thread.id, told, create=False, patch=patch, if_thread=thread.etag, request_id=repeated
            )
        elif patch:
            await store.update_thread(thread.id, **patch, if_match=thread.etag, request_id=repeated)
        if "ttl" in patch:
            await receipts.live(store, thread.id, patch["ttl"])

    await settled(attempt)
    return Response(status_code=204)


async def delete(call: Call[ThreadPath, Version, Repeating, None]) -> Response:
    """Delete a thread with all its messages

    Any participant may.
    """
    store, repeated = store_of(call), request_id(call)

    async def attempt() -> None:
        try:
            thread = (await seen(call)).thread
        except ThreadNotFound:
            if await done(call, repeated):
                return
            raise
        await store.delete_thread(thread.id, if_match=thread.etag, request_id=repeated)
        await receipts.forget(store, thread.id)
        await memberships.forget(store, thread)

    await settled(attempt)
    return Response(status_code=204)


def next_link(path: str, query: Any, cursor: str | None, **more: object) -> dict[str, Json]:
    """The link to the next page, below the service's own address; nothing at the end."""
    if cursor is None:
        return {}
    given: dict[str, object] = {"cursor": cursor, **more}
    if query.api_version is not None:
        given["api-version"] = query.api_version
    if query.max_page_size is not None:
        given["maxPageSize"] = query.max_page_size
    if getattr(query, "start_time", None) is not None:
        given["startTime"] = rfc3339(query.start_time)
    return {"nextLink": f"{path}?{urlencode(given, quote_via=quote, safe='~:')}"}


class _Led(NamedTuple):
    """A thread to be shown, if any, and the size of what was read beside the list to know that."""

    shown: Thread | None = None
    bytes: int = 0


async def _led(store: AsyncChatStore, found: Thread, user: str) -> _Led:
    """What one of the caller's own threads leads to; nothing where they do not see it (any more).

    What leads nowhere is removed, so that no list meets it again.
    """
    if found.kind == CHAT:
        return _Led(found)
    named = memberships.target(found) if found.kind == memberships.KIND else None
    if named is None:
        return _Led()
    there = None
    try:
        there = await store.get_thread(named)
        thread = sight(there, user).thread
    except ThreadNotFound:
        with suppress(Unavailable):
            if await memberships.leads_nowhere(store, found):
                if there is None:
                    await receipts.forget(store, named)
                await memberships.end(store, named, user, found.etag)
        return _Led(bytes=0 if there is None else properties_bytes(there))
    # What they own is in the list itself.
    return _Led(None if thread.owner == user else thread, properties_bytes(thread))


def _since(thread: Thread, start: datetime | None) -> bool:
    return start is None or thread.active_at >= start


async def _patch(store: AsyncChatStore, thread: Thread, asked: Update) -> dict[str, Any]:
    patch: dict[str, Any] = {} if asked.topic is None else {"topic": asked.topic}
    metadata = dict(asked.metadata or {})
    if asked.retention is not None:
        metadata[OWN] = {"retentionPolicy": {"deleteThreadAfterDays": None, **asked.retention.shown()}}
        life = asked.retention.lifetime
        left = None if life is None else thread.created_at + life - await store.now()
        # What should have been deleted already is so at once.
        patch["ttl"] = None if left is None else max(left, timedelta(milliseconds=1))
    return patch | ({"metadata": metadata} if metadata else {})
