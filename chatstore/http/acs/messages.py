"""Operations on messages. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

from starlette.responses import Response

from chatstore.codec import Json, encode
from chatstore.contract import SHORT_CHARACTERS
from chatstore.errors import MessageNotFound
from chatstore.http.acs import forms
from chatstore.http.acs.asking import Seen, read, request_id, seen, settled, store_of, user_of
from chatstore.http.acs.bodies import Edit, Sent
from chatstore.http.acs.forms import EVENT, OWN
from chatstore.http.acs.parameters import MessagePath, Messages, Repeating, ThreadPath, Version
from chatstore.http.acs.threads import next_link
from chatstore.http.beside import beside, by_length
from chatstore.http.parameters import NoHeaders
from chatstore.http.problems import Forbidden
from chatstore.http.replies import reply, written
from chatstore.http.routing import Call
from chatstore.models import Appended, Message, rfc3339

__all__ = ["delete", "get", "list_messages", "send", "update"]

_PAGE = 100
_MOST = 1000

Changing: TypeAlias = Call[MessagePath, Version, Repeating, Any]


async def send(call: Call[ThreadPath, Version, Repeating, Sent]) -> Response:
    """Send a message

    Only while the caller takes part: who is removed meanwhile has sent nothing.
    """
    asked, user, store, repeated = call.body, user_of(call), store_of(call), request_id(call)
    own: dict[str, Json] = {"type": asked.type, "sender": user}
    if asked.display_name is not None:
        own["senderDisplayName"] = asked.display_name

    async def attempt() -> Appended:
        thread = (await seen(call)).thread
        return await store.append(
            thread.id,
            {"role": "user", "content": asked.content, OWN: own},
            metadata=asked.metadata,
            create=False,
            if_thread=thread.etag,
            request_id=repeated,
        )

    added = await settled(attempt)
    assert added is not None  # noqa: S101 - the same request is the same message, so it never differs
    return reply({"id": added.messages[0].id}, 201, cost=added.cost)


async def list_messages(call: Call[ThreadPath, Messages, NoHeaders, None]) -> Response:
    """List messages

    Newest first, no older than `startTime`, nor than what is shown to the caller of the history. What was
    done to the thread is among them. An answer that would be too long is a shorter page.
    """
    query, store = call.query, store_of(call)
    most = min(query.max_page_size or _PAGE, _MOST)
    where: dict[str, Any] = {"last": most}
    if query.cursor is not None:
        where = {"before": query.cursor, "limit": most}
    reading = store.read(call.path.id, **where, max_bytes=call.answer_bytes)
    page, thread = await read(call, reading)
    start = query.start_time
    shown = [
        one
        for one in reversed(page.items)
        if thread.shows(one) and (start is None or (one.created_at is not None and one.created_at >= start))
    ]
    texts = await _written(call, shown)
    # Messages are as old as their places say, but for those that another face put in between.
    beyond = page.next if shown else None
    if len(texts) < len(shown):
        beyond = shown[len(texts) - 1].position
    path = f"/chat/threads/{quote(call.path.id, safe='')}/messages"
    more = encode({**next_link(path, query, beyond), "value": None}, "a page").removesuffix("null}")
    return written(f"{more}[{','.join(texts)}]}}", cost=page.cost)


async def get(call: Call[MessagePath, Version, NoHeaders, None]) -> Response:
    """Get a message"""
    found, _ = await _message(call)
    shown = await by_length(
        call.identity.caller, found.text, lambda: encode(forms.message(found), "a message")
    )
    return written(shown, cost=found.cost)


async def update(call: Call[MessagePath, Version, Repeating, Edit]) -> Response:
    """Change a message

    Its content, its metadata, or both; metadata is merged into what is there, null removing a key. Only who
    sent it may.
    """
    asked, store, repeated = call.body, store_of(call), request_id(call)

    async def attempt() -> None:
        found, thread = await _own(call)
        data = found.to_dict()
        if "deletedOn" in data[OWN]:
            raise MessageNotFound(call.path.id, call.path.message_id)
        if asked.content is not None:
            data["content"] = asked.content
        data[OWN]["editedOn"] = rfc3339(await store.now())
        await store.replace_message(
            call.path.id,
            call.path.message_id,
            data,
            metadata=asked.metadata or {},
            merge=True,
            if_match=found.etag,
            if_thread=thread.thread.etag,
            request_id=repeated,
        )

    await settled(attempt)
    return Response(status_code=204)


async def delete(call: Call[MessagePath, Version, Repeating, None]) -> Response:
    """Delete a message

    Only who sent it may. Its place stays, with the time of its deletion and without its content.
    """
    store, repeated = store_of(call), request_id(call)

    async def attempt() -> None:
        found, thread = await _own(call)
        data = found.to_dict()
        if "deletedOn" in data[OWN]:
            return
        kept = {"type": data[OWN]["type"], "sender": data[OWN]["sender"]}
        await store.replace_message(
            call.path.id,
            call.path.message_id,
            {"role": data["role"], "content": "", OWN: {**kept, "deletedOn": rfc3339(await store.now())}},
            metadata=None,
            if_match=found.etag,
            if_thread=thread.thread.etag,
            request_id=repeated,
        )

    await settled(attempt)
    return Response(status_code=204)


async def _written(call: Call[Any, Any, Any, Any], messages: Sequence[Message]) -> list[str]:
    """Messages as JSON texts, one at least and as many as an answer holds.

    What takes long is done beside the event loop.
    """
    write = partial(_texts, messages, call.answer_bytes)
    if sum(len(one.text) for one in messages) <= SHORT_CHARACTERS:
        return write()
    return await beside(call.identity.caller, write)


def _texts(messages: Sequence[Message], most_bytes: int) -> list[str]:
    texts: list[str] = []
    for one in messages:
        text = encode(forms.message(one), "a message")
        most_bytes -= len(text.encode())
        if texts and most_bytes < 0:
            break
        texts.append(text)
    return texts


async def _message(call: Call[MessagePath, Any, Any, Any]) -> tuple[Message, Seen]:
    """The message that the path names, if the caller sees it."""
    path = call.path
    found, thread = await read(call, store_of(call).get_message(path.id, path.message_id))
    if not thread.shows(found):
        raise MessageNotFound(path.id, path.message_id)
    return found, thread


async def _own(call: Changing) -> tuple[Message, Seen]:
    """The message that the path names, if the caller sent it. Raises Forbidden, or MessageNotFound."""
    found, thread = await _message(call)
    data = await by_length(call.identity.caller, found.text, found.to_dict)
    own = forms.kept(data)
    if own is None or data["role"] == EVENT or own.get("sender") != user_of(call):
        raise Forbidden("only its sender may change or delete a message")
    return found, thread
