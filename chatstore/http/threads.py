"""Operations on threads. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.responses import Response

from chatstore import models
from chatstore.contract import UNSET
from chatstore.http import replies
from chatstore.http.finding import PREVIEWED, within
from chatstore.http.parameters import (
    IfMatch,
    IfNoneMatch,
    Mutation,
    NoHeaders,
    NoPath,
    NoQuery,
    ThreadPath,
)
from chatstore.http.queries import ThreadsQuery
from chatstore.http.quota import check_quota
from chatstore.http.replies import reply
from chatstore.http.routing import Call

if TYPE_CHECKING:
    from chatstore.http import schemas

__all__ = ["create", "delete", "fork", "get", "list_threads", "restore", "update"]

_LIST_BYTES = 1024 * 1024
"""How much JSON the properties of the threads on a page are."""

Listing: TypeAlias = Call[NoPath, ThreadsQuery, NoHeaders, None]


async def create(call: Call[NoPath, NoQuery, Mutation, schemas.NewThread]) -> Response:
    """Create a thread

    It is empty; a message sent to a thread that does not exist creates it, too. A credential of one owner
    leaves the id out: it is made here.
    """
    new = call.body
    call.identity.require_names(thread_id=new.id, owner=new.owner)
    await check_quota(call.store, call.service.settings.max_threads_per_owner, new.owner, _new_id(call))
    created = await call.store.create_thread(
        new.id,
        topic=new.topic,
        owner=new.owner,
        metadata=new.metadata,
        participants=[one.model_dump() for one in new.participants],
        ttl=call.lifetime(new.ttl if "ttl" in new.model_fields_set else UNSET),
        sliding=new.sliding,
        kind=new.kind,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return _created(call.base, created)


async def list_threads(call: Listing) -> Response:
    """List threads

    Newest activity first, or oldest. A page may hold fewer than `limit`, even none, and still have a `next`.
    A thread that becomes active while pages are read may be missed by them. An answer that would be too long
    is a shorter page. Example: `GET /v1/threads?owner=ada&topic_prefix=Lis&preview=true`.
    """
    query = call.query
    call.identity.require_names(owner=query.owner)

    async def page(limit: int) -> models.Page[models.Thread]:
        return await call.store.list_threads(
            **query._replace(limit=limit)._asdict(), max_bytes=min(call.answer_bytes, _LIST_BYTES)
        )

    limit = min(query.limit, PREVIEWED) if query.preview else query.limit
    text, read, cost = await within(call, limit, page, replies.listing)
    return replies.written(text, cost=cost, headers=_next(call, read.next))


async def get(call: Call[ThreadPath, NoQuery, IfNoneMatch, None]) -> Response:
    """Get a thread

    Its `etag` names the properties that can be changed, which does not include `active_at`.
    """
    found = await call.store.get_thread(call.path.id)
    return replies.unchanged(call.headers, found.etag) or _answer(call.base, found)


async def update(call: Call[ThreadPath, NoQuery, Mutation, schemas.ThreadPatch]) -> Response:
    """Change a thread

    What is not named stays, null removes. Metadata is merged, key by key. With `"merge": false` it is
    replaced whole, and nulls are values. Participants are replaced as a whole. A `ttl` counts from now, and
    with `"sliding": true` from the last append. Example: `{"ttl": 86400, "sliding": true}`.
    """
    changed = await call.store.update_thread(
        call.path.id,
        **call.body.given(),
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return _answer(call.base, changed)


async def delete(call: Call[ThreadPath, NoQuery, Mutation, None]) -> Response:
    """Delete a thread

    With all its messages. One that is not there is no error.
    """
    result = await call.store.delete_thread(
        call.path.id, request_id=call.headers.request_id, if_match=call.headers.etag
    )
    return replies.deleted(result)


async def fork(call: Call[ThreadPath, NoQuery, Mutation, schemas.Fork]) -> Response:
    """Fork a thread

    A new thread with this one's properties and its messages: all of them, or those `through` one or `before`
    one. It says what it was `forked_from`. If-Match is of this thread's log.
    Example: `{"before": "ID", "topic": "Another way"}`.
    """
    asked = call.body
    named = asked.model_fields_set
    call.identity.require_names(thread_id=asked.id, owner=asked.owner)
    most = call.service.settings.max_threads_per_owner
    if most:
        source = await call.store.get_thread(call.path.id)
        owner = asked.owner if "owner" in named else source.owner
        await check_quota(call.store, most, owner, _new_id(call))
    forked = await call.store.fork(
        call.path.id,
        asked.id,
        through=asked.through,
        before=asked.before,
        topic=asked.topic if "topic" in named else UNSET,
        metadata=asked.metadata if "metadata" in named else UNSET,
        merge=asked.merge,
        owner=asked.owner if "owner" in named else UNSET,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return _created(call.base, forked)


async def restore(call: Call[ThreadPath, NoQuery, IfMatch, schemas.Restoration]) -> Response:
    """Restore a thread

    Takes a thread back as it was, with ids and times. The body has the next of its messages, and the answer
    those of them that were taken. Without If-Match it makes the thread. With the log's ETag it goes on with
    the thread, so that repeating it changes nothing. Meant for `chatstore restore` and `chatstore copy`.
    """
    kept = call.body.thread
    thread = models.Thread(
        id=call.path.id, owner=kept.owner, topic=kept.topic, metadata=kept.metadata,
        participants=tuple(models.Participant(**one.model_dump()) for one in kept.participants),
        created_at=kept.created_at, active_at=kept.active_at, expires_at=kept.expires_at, etag="",
        kind=kept.kind, sliding=None if kept.sliding is None else timedelta(seconds=kept.sliding),
        forked_from=None if kept.forked_from is None else models.Origin(**kept.forked_from.model_dump()),
    )  # fmt: skip
    messages = [
        replace(
            models.Message.from_dict(one.message), id=one.id, created_at=one.created_at,
            expires_at=one.expires_at, key=one.key, metadata=one.metadata,
        )
        for one in call.body.messages
    ]  # fmt: skip
    taken = await call.store.restore(thread, messages, if_match=call.headers.etag)
    return replies.appended(call.base, call.path.id, taken, 200)


def _new_id(call: Call[Any, NoQuery, Mutation, Any]) -> str | None:
    """The id that a new thread will have, where it can be known beforehand."""
    if call.body.id is not None or call.headers.request_id is None:
        return cast("str | None", call.body.id)
    return call.store.new_id(call.headers.request_id)


def _answer(base: str, found: models.Thread) -> Response:
    return reply(replies.thread(base, found), etag=found.etag, cost=found.cost)


def _created(base: str, found: models.Thread) -> Response:
    headers = {"Location": replies.thread_href(base, found.id)}
    return reply(replies.thread(base, found), 201, etag=found.etag, cost=found.cost, headers=headers)


def _next(call: Listing, cursor: str | None) -> dict[str, str]:
    if cursor is None:
        return {}
    query = call.query
    usual = ThreadsQuery()
    parameters: dict[str, object] = {"limit": query.limit, "cursor": cursor}
    for name in ("owner", "topic_prefix", "kind", "forked_from"):
        if getattr(query, name) != getattr(usual, name):
            parameters[name] = getattr(query, name)
    for name in ("active_since", "active_before", "created_since", "created_before"):
        if getattr(query, name) is not None:
            parameters[name] = models.rfc3339(getattr(query, name))
    parameters |= {"order": "oldest"} if query.oldest_first else {}
    parameters |= {"preview": "true"} if query.preview else {}
    parameters |= {f"metadata[{key}]": value for key, value in query.metadata.items()}
    return replies.link(f"{call.base}/v1/threads", parameters)
