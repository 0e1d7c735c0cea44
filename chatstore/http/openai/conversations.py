"""Operations on conversations. Each docstring is the operation's text in the reference."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from chatstore.codec import encode
from chatstore.errors import Conflict, ThreadExists, ThreadNotFound
from chatstore.http.finding import within
from chatstore.http.openai import forms
from chatstore.http.openai.bodies import NewConversation, Update
from chatstore.http.openai.parameters import ConversationPath, ConversationsQuery, Trying
from chatstore.http.openai.tries import sent
from chatstore.http.parameters import NoHeaders, NoPath, NoQuery
from chatstore.http.quota import check_quota
from chatstore.http.replies import reply, written
from chatstore.http.routing import Call
from chatstore.models import Page, Thread
from chatstore.paths import segment

__all__ = ["create", "delete", "list_conversations", "retrieve", "update"]

_LIST_BYTES = 1024 * 1024
"""How much JSON the properties of the conversations on a page are."""


async def create(call: Call[NoPath, NoQuery, Trying, NewConversation]) -> Response:
    """Create a conversation

    With up to 20 items, together. `owner`, `ttl` in seconds and `sliding` are this service's own.
    """
    new, request_id = call.body, call.headers.request_id
    call.identity.require_names(owner=new.owner)
    request = sent()
    if request_id is not None:
        return await _made(call, f"conv_{call.store.new_id(request_id)}")
    thread_id = f"conv_{secrets.token_hex(16) if request is None else request.word}"
    try:
        return await _made(call, thread_id)
    except (Conflict, ThreadExists):
        # Nobody else knows the word, so an earlier try of this request made it.
        found = await call.store.get_thread(thread_id)
        return reply(forms.conversation(found), cost=found.cost)


async def _made(call: Call[NoPath, NoQuery, Trying, NewConversation], thread_id: str) -> Response:
    """Make a conversation, and tell it. Raises Conflict or ThreadExists where it is there."""
    store, new, request_id = call.store, call.body, call.headers.request_id
    await check_quota(store, call.service.settings.max_threads_per_owner, new.owner, thread_id)
    lifetime = call.lifetime(new.ttl)
    sliding = new.sliding and lifetime is not None
    if not new.items:
        made = await store.create_thread(
            thread_id, owner=new.owner, metadata=new.metadata, ttl=lifetime, sliding=sliding,
            request_id=request_id,
        )  # fmt: skip
        return reply(forms.conversation(made), cost=made.cost)
    added = await store.append(
        thread_id, *new.items, owner=new.owner, thread_metadata=new.metadata, ttl=lifetime, sliding=sliding,
        request_id=request_id, if_none_match="*",
    )  # fmt: skip
    [first, *_] = added.messages
    made_at = 0 if first.created_at is None else int(first.created_at.timestamp())
    shown = {"id": thread_id, "object": "conversation", "created_at": made_at, "metadata": new.metadata}
    return reply(shown, cost=added.cost)


async def list_conversations(call: Call[NoPath, ConversationsQuery, NoHeaders, None]) -> Response:
    """List conversations

    This service's own. Those that were active last come first. Pass `last_id` as `after` for the next page.
    """
    query = call.query
    call.identity.require_names(owner=query.owner)

    async def page(limit: int) -> Page[Thread]:
        return await call.store.list_threads(
            limit=limit, cursor=query.after, owner=query.owner, oldest_first=query.ascending,
            metadata=query.metadata, max_bytes=min(call.answer_bytes, _LIST_BYTES),
        )  # fmt: skip

    text, _, cost = await within(call, query.limit, page, _listed)
    return written(text, cost=cost)


async def retrieve(call: Call[ConversationPath, NoQuery, NoHeaders, None]) -> Response:
    """Retrieve a conversation"""
    found = await call.store.get_thread(call.path.id)
    return reply(forms.conversation(found), cost=found.cost)


async def update(call: Call[ConversationPath, NoQuery, Trying, Update]) -> Response:
    """Update a conversation

    Its metadata as a whole. `ttl`, in seconds from now, and `sliding` are this service's own.
    """
    changed = await call.store.update_thread(
        call.path.id, metadata=call.body.metadata, merge=False, **call.body.lifetime,
        request_id=call.headers.request_id,
    )  # fmt: skip
    return reply(forms.conversation(changed), cost=changed.cost)


async def delete(call: Call[ConversationPath, NoQuery, Trying, None]) -> Response:
    """Delete a conversation

    With all its items. A repetition finds nothing, and is answered like the first try.
    """
    gone = await call.store.delete_thread(call.path.id, request_id=call.headers.request_id)
    if not gone and not call.headers.repeated:
        raise ThreadNotFound(call.path.id)
    shown = {"id": segment(call.path.id), "object": "conversation.deleted", "deleted": True}
    return reply(shown, cost=gone.cost)


def _listed(_base: str, page: Page[Thread], most_bytes: int) -> tuple[str, int]:
    """A page as JSON text, and how many of its conversations are `most_bytes` of that at most."""
    texts, size, fitting = [], 0, 0
    for thread in page:
        texts.append(encode(forms.conversation(thread, whole=True), "a conversation"))
        size += len(texts[-1].encode())
        fitting += size <= most_bytes
    ids = [segment(thread.id) for thread in page]
    last = page.next or (ids[-1] if ids else None)
    return forms.listed(texts, ids[0] if ids else None, last, more=page.next is not None), fitting
