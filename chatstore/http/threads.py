"""Operations on threads. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from starlette.responses import Response

from chatstore import models
from chatstore.contract import UNSET
from chatstore.http import replies
from chatstore.http.beside import beside
from chatstore.http.parameters import (
    IfMatch,
    IfNoneMatch,
    Mutation,
    NoHeaders,
    NoPath,
    NoQuery,
    ThreadPath,
    ThreadsQuery,
)
from chatstore.http.problems import quoted
from chatstore.http.quota import check_quota
from chatstore.http.replies import reply
from chatstore.http.routing import Call

if TYPE_CHECKING:
    from chatstore.http import schemas

__all__ = ["create", "delete", "fork", "get", "list_threads", "restore", "unchanged", "update"]

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
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return _created(call.base, created)


async def list_threads(call: Listing) -> Response:
    """List threads

    Newest activity first. A page may hold fewer than `limit`, even none, and still have a `next`. A thread
    that becomes active while pages are read may be missed by them. An answer that would be too long is a
    shorter page.
    """
    query = call.query
    call.identity.require_names(owner=query.owner)
    cost: models.Cost | None = None
    limit = query.limit
    while True:
        page = await call.store.list_threads(
            owner=query.owner,
            active_since=query.active_since,
            metadata=query.metadata,
            limit=limit,
            cursor=query.cursor,
            max_bytes=min(call.answer_bytes, _LIST_BYTES),
        )
        cost = page.cost if cost is None or page.cost is None else cost + page.cost
        text, fitting = await beside(
            call.identity.caller, partial(replies.listing, call.base, page, call.answer_bytes)
        )
        if fitting >= len(page):
            break
        # Only the storage can say where a page of so many ends.
        limit = max(1, fitting)
        if limit >= len(page):
            break
    return replies.written(text, cost=cost, headers=_next(call, page.next))


async def get(call: Call[ThreadPath, NoQuery, IfNoneMatch, None]) -> Response:
    """Get a thread

    Its `etag` names the properties that can be changed, which does not include `active_at`.
    """
    found = await call.store.get_thread(call.path.id)
    return unchanged(call.headers, found.etag) or _answer(call.base, found)


async def update(call: Call[ThreadPath, NoQuery, Mutation, schemas.ThreadPatch]) -> Response:
    """Change a thread

    What is not named stays, null removes. Metadata is merged, key by key; participants are replaced as a
    whole; a `ttl` counts from now.
    """
    patch = call.body
    named = patch.model_fields_set
    people = None if patch.participants is None else [one.model_dump() for one in patch.participants]
    changed = await call.store.update_thread(
        call.path.id,
        topic=patch.topic if "topic" in named else UNSET,
        metadata=patch.metadata if "metadata" in named else UNSET,
        participants=people if "participants" in named else UNSET,
        ttl=patch.ttl if "ttl" in named else UNSET,
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

    A new thread with this one's properties and its messages, up to and including one or all of them. If-Match
    is of this thread's log.
    """
    call.identity.require_names(thread_id=call.body.id)
    most = call.service.settings.max_threads_per_owner
    if most:
        source = await call.store.get_thread(call.path.id)
        await check_quota(call.store, most, source.owner, _new_id(call))
    forked = await call.store.fork(
        call.path.id,
        call.body.id,
        through=call.body.through,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return _created(call.base, forked)


async def restore(call: Call[ThreadPath, NoQuery, IfMatch, schemas.Restoration]) -> Response:
    """Restore a thread

    As it was, with ids and times: the next of its messages, of which the answer has those that were taken.
    Without If-Match it makes the thread; with the log's ETag it goes on with it, so that repeating it
    changes nothing. Meant for `chatstore restore` and `chatstore copy`.
    """
    kept = call.body.thread
    thread = models.Thread(
        id=call.path.id, owner=kept.owner, topic=kept.topic, metadata=kept.metadata,
        participants=tuple(models.Participant(**one.model_dump()) for one in kept.participants),
        created_at=kept.created_at, active_at=kept.active_at, expires_at=kept.expires_at, etag="",
    )  # fmt: skip
    messages = [
        replace(
            models.Message.from_dict(one.message), id=one.id, created_at=one.created_at,
            expires_at=one.expires_at,
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


def unchanged(headers: IfNoneMatch, etag: str | None) -> Response | None:
    """304 if the caller already holds what `etag` names."""
    if etag is None or not headers.holds(etag):
        return None
    return Response(status_code=304, headers={"ETag": quoted(etag)})


def _answer(base: str, found: models.Thread) -> Response:
    return reply(replies.thread(base, found), etag=found.etag, cost=found.cost)


def _created(base: str, found: models.Thread) -> Response:
    headers = {"Location": replies.thread_href(base, found.id)}
    return reply(replies.thread(base, found), 201, etag=found.etag, cost=found.cost, headers=headers)


def _next(call: Listing, cursor: str | None) -> dict[str, str]:
    if cursor is None:
        return {}
    query = call.query
    parameters: dict[str, object] = {"limit": query.limit, "cursor": cursor}
    if query.owner is not None:
        parameters["owner"] = query.owner
    if query.active_since is not None:
        parameters["active_since"] = models.rfc3339(query.active_since)
    parameters |= {f"metadata[{key}]": value for key, value in query.metadata.items()}
    return replies.link(f"{call.base}/v1/threads", parameters)
