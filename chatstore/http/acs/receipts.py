"""Receipts of what was read, one of each participant. The docstrings are the reference's texts.

They lie in a thread of a kind of its own beside the conversation, a message for each participant.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from chatstore.codec import Json
from chatstore.errors import MessageExists, MessageNotFound, NotFound, RequestMismatch, ThreadNotFound
from chatstore.http.acs.asking import Seen, read, request_id, seen, store_of, user_of
from chatstore.http.acs.bodies import Receipt, Typing
from chatstore.http.acs.forms import identifier
from chatstore.http.acs.parameters import Repeating, Skipping, ThreadPath, Version
from chatstore.http.parameters import NoHeaders
from chatstore.http.replies import reply
from chatstore.http.routing import Call
from chatstore.models import NAMED_BY_KEY, Message, rfc3339
from chatstore.store import MAX_LIMIT, AsyncChatStore
from chatstore.store.arguments import Ttl

__all__ = ["KIND", "forget", "list_receipts", "live", "paged", "send", "typing"]

KIND = "acs-receipts"
_PAGE = 100


async def send(call: Call[ThreadPath, Version, Repeating, Receipt]) -> Response:
    """Say up to which message the caller has read

    It takes the place of what they said before.
    """
    user, store = user_of(call), store_of(call)
    name = call.path.id
    message, thread = await read(call, store.get_message(name, call.body.message_id))
    if not thread.shows(message) or message.created_at is None:
        raise MessageNotFound(name, call.body.message_id)
    said = {
        "role": "receipt", "user": user, "message": message.id, "sentOn": rfc3339(message.created_at),
        "readOn": rfc3339(await store.now()),
    }  # fmt: skip
    with suppress(RequestMismatch):  # an earlier try was carried out, at another time
        await _put(store, thread, user, said, request_id(call))
    return Response(status_code=200)


async def list_receipts(call: Call[ThreadPath, Skipping, NoHeaders, None]) -> Response:
    """List up to which message each participant has read"""
    reading = store_of(call).read(_id(call.path.id), last=MAX_LIMIT, max_bytes=call.answer_bytes)
    page, thread = await read(call, reading)
    there = {one.id for one in thread.thread.participants}
    found = [one for one in map(Message.to_dict, page.items) if one["user"] in there and _shown(thread, one)]
    shown: list[Json] = [
        {
            "senderCommunicationIdentifier": identifier(one["user"]),
            "chatMessageId": one["message"],
            "readOn": one["readOn"],
        }
        for one in found
    ]
    return reply(paged(call, "readReceipts", shown), cost=page.cost)


async def typing(call: Call[ThreadPath, Version, Repeating, Typing]) -> Response:
    """Say that the caller types

    Accepted and told to nobody: there are no notifications here.
    """
    await seen(call)
    return Response(status_code=200)


async def live(store: AsyncChatStore, thread_id: str, ttl: Ttl) -> None:
    """Let the receipts of a thread live as long as it does."""
    with suppress(ThreadNotFound):
        await store.update_thread(_id(thread_id), ttl=ttl)


async def forget(store: AsyncChatStore, thread_id: str) -> None:
    """Remove the receipts of a thread that is gone."""
    await store.delete_thread(_id(thread_id))


def paged(call: Call[ThreadPath, Skipping, NoHeaders, None], name: str, found: list[Json]) -> dict[str, Json]:
    """A part of a list that is read from a place on, and the link to what is behind it."""
    query = call.query
    end = query.skip + (query.max_page_size or _PAGE)
    body: dict[str, Json] = {"value": found[query.skip : end]}
    if end < len(found):
        at = {"maxPageSize": end - query.skip, "skip": end}
        version = {} if query.api_version is None else {"api-version": query.api_version}
        path = f"/chat/threads/{quote(call.path.id, safe='')}/{name}"
        body["nextLink"] = f"{path}?{urlencode(at | version)}"
    return body


async def _put(
    store: AsyncChatStore, thread: Seen, user: str, said: dict[str, Any], repeated: str | None
) -> None:
    id, name = _id(thread.thread.id), f"{NAMED_BY_KEY}{user}"
    with suppress(NotFound):
        await store.replace_message(id, name, said, request_id=repeated)
        return
    expires = thread.thread.expires_at
    ttl = None if expires is None else expires - await store.now()
    try:
        await store.append(id, said, key=user, kind=KIND, ttl=ttl, request_id=repeated)
    except MessageExists:
        await store.replace_message(id, name, said, request_id=repeated)


def _shown(thread: Seen, receipt: dict[str, Any]) -> bool:
    return thread.since is None or receipt["sentOn"] >= rfc3339(thread.since)


def _id(thread_id: str) -> str:
    return f"acs-receipts-{hashlib.sha256(thread_id.encode()).hexdigest()}"
