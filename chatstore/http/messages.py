"""Operations on a thread's messages. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from starlette.responses import Response

from chatstore.codec import Json
from chatstore.contract import Draft, Unset
from chatstore.errors import InvalidArgument
from chatstore.http import bodies, replies
from chatstore.http.parameters import (
    IfNoneMatch,
    MessagePath,
    Mutation,
    NoQuery,
    ThreadPath,
)
from chatstore.http.problems import TooLarge
from chatstore.http.queries import CutQuery, MessagesQuery
from chatstore.http.quota import check_quota
from chatstore.http.routing import Call
from chatstore.models import NAMED_BY_KEY, Entries, Message, Window
from chatstore.store import MessageLike

__all__ = ["append", "change", "clear", "delete", "get", "read", "replace", "replace_all"]

Reading: TypeAlias = Call[ThreadPath, MessagesQuery, IfNoneMatch, None]


async def append(call: Call[ThreadPath, NoQuery, Mutation, bodies.Turn]) -> Response:
    """Add messages

    The body is a message, a list, or an envelope around a list. It is one turn: its messages become visible
    together, adjacent and in this order, or not at all. Creates the thread unless told not to, or the
    credential is of one owner. If-Match is of the log, as pages and this answer carry it. With
    `If-None-Match: *` they are the thread's first messages. An envelope may cut the history `after` a message
    and `patch` the thread in the same step. It may give messages metadata and a `key`: 409 for a key that is
    there. Example: `{"messages": [{"role": "user", "content": "Again"}], "after": "ID", "key": "turn-2"}`.
    """
    turn = call.body
    call.identity.require_names(owner=turn.owner)
    await _check_quota(call)
    result = await call.store.append(
        call.path.id,
        *_counted(call.service.settings.max_messages, turn.messages),
        create=turn.create and not call.identity.restricted,
        owner=turn.owner,
        ttl=call.lifetime(turn.ttl),
        expires_in=turn.expires_in,
        **turn.more,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return replies.appended(call.base, call.path.id, result, 201)


async def read(call: Reading) -> Response:
    """Read messages

    Oldest first; without parameters, from the first one on. Pass `next` as `before` after reads of `last`
    or `before`, else as `after`, or follow the Link header. A thread that does not exist has no messages
    and no `end`. An answer that would be too long is a shorter page. With max_tokens: the newest messages
    that fit, preceded by the pinned ones, without results of tool calls that were cut off. The ETag is of
    the whole log: what expires leaves it as it is.
    """
    query = call.query
    if query.max_tokens is not None:
        return await _window(call, query.max_tokens)
    if query.keep is not None:
        raise InvalidArgument("keep goes with max_tokens: pass both or neither")
    page = await call.store.read_entries(
        call.path.id,
        last=query.last,
        after=query.after,
        before=query.before,
        limit=query.limit,
        max_bytes=call.answer_bytes,
    )
    href = replies.messages_href(call.base, call.path.id)
    link = None if page.next is None else _next(query, page.next, href)
    return replies.unchanged(call.headers, page.etag) or replies.page(page, href, headers=link)


async def _window(call: Reading, max_tokens: int) -> Response:
    query = call.query
    if (query.last, query.after, query.before, query.limit) != (None, None, None, None):
        raise InvalidArgument("max_tokens goes only with keep: leave last, after, before and limit out")
    keep = (
        ("system", "developer")
        if query.keep is None
        else tuple(role for role in query.keep.split(",") if role)
    )
    window: Window[Message] = await call.store.window(
        call.path.id, max_tokens=max_tokens, keep=keep, max_bytes=call.answer_bytes
    )
    tokens: Json = {"total": window.tokens, "counter": window.counter}
    return replies.unchanged(call.headers, window.etag) or replies.page(
        Entries.of(window), replies.messages_href(call.base, call.path.id), more={"tokens": tokens}
    )


async def replace_all(call: Call[ThreadPath, NoQuery, Mutation, bodies.Turn]) -> Response:
    """Replace all messages

    A reader sees the old history or the new one, never a part. One that only grew is an append: what is
    there stays, ids and all, and the answer has the rest. If-Match is of the log. `If-None-Match: *` creates
    the thread, and leaves one that is there as it is.
    """
    history = call.body
    call.identity.require_names(owner=history.owner)
    await _check_quota(call)
    result = await call.store.replace_all(
        call.path.id,
        _counted(call.service.settings.max_messages, history.messages),
        # Who asks for a history that is the first one means to make the thread.
        create=(history.create or call.headers.if_none_match is not None) and not call.identity.restricted,
        owner=history.owner,
        ttl=call.lifetime(history.ttl),
        expires_in=history.expires_in,
        **history.more,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return replies.appended(call.base, call.path.id, result, 200)


async def clear(call: Call[ThreadPath, CutQuery, Mutation, None]) -> Response:
    """Delete all messages, or the last ones

    The thread stays. One that is not there is no error. With `after` or `from`, all that follows a message,
    or that one too, is taken away at once: what stays keeps ids, positions and ETags, and cursors go on. The
    answer is then that of an append without messages, and a thread or message that is not there is 404.
    If-Match is of the log. Example: `DELETE /v1/threads/trip/messages?after=key:turn-1`.
    """
    headers, query = call.headers, call.query
    if (query.after, query.from_) != (None, None):
        cut = await call.store.truncate(
            call.path.id,
            after=query.after,
            from_=query.from_,
            request_id=headers.request_id,
            if_match=headers.etag,
        )
        return replies.appended(call.base, call.path.id, cut, 200)
    result = await call.store.clear(call.path.id, request_id=headers.request_id, if_match=headers.etag)
    return replies.deleted(result)


async def get(call: Call[MessagePath, NoQuery, IfNoneMatch, None]) -> Response:
    """Get a message"""
    found = await call.store.get_message(call.path.id, call.path.message_id)
    return replies.unchanged(call.headers, found.etag) or replies.entry(found)


async def replace(call: Call[MessagePath, NoQuery, Mutation, Draft]) -> Response:
    """Replace a message

    Its id, key, metadata, position and time stay. If-Match is of the message.
    """
    replaced = await call.store.replace_message(
        call.path.id,
        call.path.message_id,
        call.body,
        request_id=call.headers.request_id,
        if_match=call.headers.etag,
    )
    return replies.entry(replaced)


async def change(call: Call[MessagePath, NoQuery, Mutation, bodies.Change]) -> Response:
    """Change a message

    Its metadata, what was sent, or both in one step. Metadata is merged into what is there, null removing a
    key, or replaces it with `"merge": false`; null removes all of it. Its id, key, position and time stay.
    If-Match is of the message, `if_thread` of the thread. Example: `{"metadata": {"rating": 5}}`.
    """
    asked = call.body
    name, headers = call.path, call.headers
    if asked.message is not None:
        changed = await call.store.replace_message(
            name.id, name.message_id, asked.message, metadata=asked.metadata, merge=asked.merge,
            if_thread=asked.if_thread, request_id=headers.request_id, if_match=headers.etag,
        )  # fmt: skip
    else:
        metadata = None if isinstance(asked.metadata, Unset) else asked.metadata
        changed = await call.store.update_message(
            name.id, name.message_id, metadata=metadata, merge=asked.merge,
            if_thread=asked.if_thread, request_id=headers.request_id, if_match=headers.etag,
        )  # fmt: skip
    return replies.entry(changed)


async def delete(call: Call[MessagePath, NoQuery, Mutation, None]) -> Response:
    """Delete a message

    Answers with the message as it was. If-Match is of the message.
    """
    removed = await call.store.delete_message(
        call.path.id, call.path.message_id, request_id=call.headers.request_id, if_match=call.headers.etag
    )
    return replies.entry(removed, current=False)


async def _check_quota(call: Call[ThreadPath, NoQuery, Mutation, Any]) -> None:
    if call.body.create or call.headers.if_none_match is not None:
        most = call.service.settings.max_threads_per_owner
        await check_quota(call.store, most, call.body.owner, call.path.id)


def _counted(most: int, messages: Sequence[MessageLike]) -> Sequence[MessageLike]:
    if len(messages) > most:
        raise TooLarge(
            f"a request takes at most {most:,} messages, not {len(messages):,}: send them in parts"
        )
    return messages


def _next(query: MessagesQuery, cursor: str, href: str) -> dict[str, str]:
    """The Link header that leads to the next page."""
    given: dict[str, object] = {
        "after": query.after,
        "before": query.before,
        "limit": query.last or query.limit,
    }
    # Where the read began at the newest end, it goes on towards the oldest.
    backwards = query.last is not None or (query.before is not None and query.after is None)
    given["before" if backwards else "after"] = cursor
    # Of numbers, positions and ids no character has another form in a query; keys may hold any.
    wanted = "&".join([f"{name}={_written(value)}" for name, value in given.items() if value is not None])
    return {"Link": f'<{href}?{wanted}>; rel="next"'}


def _written(value: object) -> str:
    text = str(value)
    return quote(text, safe=":") if text.startswith(NAMED_BY_KEY) else text
