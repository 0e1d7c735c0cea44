"""Operations on a conversation's items. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.responses import Response

from chatstore.codec import encode
from chatstore.contract import SHORT_CHARACTERS
from chatstore.errors import MessageNotFound, ThreadNotFound
from chatstore.http.beside import beside, by_length
from chatstore.http.openai import forms, turns
from chatstore.http.openai.bodies import NewItems
from chatstore.http.openai.parameters import (
    ConversationPath,
    CutQuery,
    Including,
    ItemPath,
    ItemsQuery,
    Trying,
    item_name,
)
from chatstore.http.openai.refusals import Unfit
from chatstore.http.parameters import NoHeaders, NoQuery
from chatstore.http.replies import reply, written
from chatstore.http.routing import Call
from chatstore.ids import is_message_id
from chatstore.models import Message

__all__ = ["create", "delete", "list_items", "retrieve", "truncate"]


async def create(call: Call[ConversationPath, Including, Trying, NewItems]) -> Response:
    """Create items

    Up to 20, visible together. OpenAI's clients may repeat the request: it is carried out once.
    """
    added = await turns.add(call.store, call.path.id, call.body.items, call.headers)
    text = await _written(call.identity.caller, added.messages, more=False)
    return written(text, cost=added.cost)


async def list_items(call: Call[ConversationPath, ItemsQuery, NoHeaders, None]) -> Response:
    """List items

    The newest first, unless `order` is `asc`. An answer that would be too long is a shorter page.
    """
    query = call.query
    name = None if query.after is None else _message_id(call.path.id, query.after)
    if query.ascending:
        span = {"after": name, "limit": query.limit}
    elif name is None:
        span = {"last": query.limit}
    else:
        span = {"before": name, "limit": query.limit}
    try:
        page = await call.store.read(call.path.id, **span, max_bytes=call.answer_bytes)  # type: ignore[arg-type]
    except MessageNotFound as error:
        raise MessageNotFound(call.path.id, query.after or "") from error
    if page.end is None:
        raise ThreadNotFound(call.path.id)
    messages = page.items if query.ascending else page.items[::-1]
    text = await _written(call.identity.caller, messages, more=page.next is not None)
    return written(text, cost=page.cost)


async def retrieve(call: Call[ItemPath, Including, NoHeaders, None]) -> Response:
    """Retrieve an item"""
    path = call.path
    try:
        found = await call.store.get_message(path.id, _message_id(path.id, path.item_id))
    except MessageNotFound as error:
        raise MessageNotFound(path.id, path.item_id) from error
    text = await by_length(call.identity.caller, found.text, lambda: encode(forms.item(found), "an item"))
    return written(text, cost=found.cost)


async def delete(call: Call[ItemPath, NoQuery, Trying, None]) -> Response:
    """Delete an item

    Answers with the conversation. A repetition finds nothing, and is answered like the first try.
    """
    path, cost = call.path, None
    try:
        removed = await call.store.delete_message(
            path.id, _message_id(path.id, path.item_id), request_id=call.headers.request_id
        )
        cost = removed.cost
    except MessageNotFound as error:
        if not call.headers.repeated:
            raise MessageNotFound(path.id, path.item_id) from error
    found = await call.store.get_thread(path.id)
    total = found.cost if cost is None or found.cost is None else cost + found.cost
    return reply(forms.conversation(found), cost=total)


async def truncate(call: Call[ConversationPath, CutQuery, Trying, None]) -> Response:
    """Delete the last items

    This service's own: all `after` an item, or `from` one on, at once. Answers with the conversation. A
    repetition that finds nothing is answered like the first try.
    """
    path, query, cost = call.path, call.query, None
    if (query.after is None) == (query.from_ is None):
        raise Unfit(
            "Missing required parameter: 'after' or 'from', one of them.",
            "after",
            "missing_required_parameter",
        )
    item_id = query.after or query.from_ or ""
    name = _message_id(path.id, item_id)
    try:
        cut = await call.store.truncate(
            path.id,
            after=None if query.after is None else name,
            from_=None if query.from_ is None else name,
            request_id=call.headers.request_id,
        )
        cost = cut.cost
    except MessageNotFound as error:
        # What a first try from an item on took away is not there for the second.
        if query.after is not None or not call.headers.repeated:
            raise MessageNotFound(path.id, item_id) from error
    found = await call.store.get_thread(path.id)
    total = found.cost if cost is None or found.cost is None else cost + found.cost
    return reply(forms.conversation(found), cost=total)


def _message_id(thread_id: str, item_id: str) -> str:
    """The id of the message that an item is. Raises MessageNotFound for a text that is no item's id."""
    name = item_name(item_id)
    if not is_message_id(name):
        raise MessageNotFound(thread_id, item_id)
    return name


async def _written(caller: object, messages: Sequence[Message], *, more: bool) -> str:
    """Messages as a list of items, as JSON text; what takes long is done beside the event loop."""
    write = partial(forms.page, list(messages), more=more)
    if sum(len(message.text) for message in messages) <= SHORT_CHARACTERS:
        return write()
    return await beside(caller, write)
