"""Operations that find: searches, counts, what changed. Each docstring is the operation's text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from starlette.responses import Response

from chatstore.http import replies
from chatstore.http.beside import beside
from chatstore.http.parameters import NoHeaders, NoPath
from chatstore.http.queries import ChangesQuery, CountQuery, SearchQuery
from chatstore.http.routing import Call
from chatstore.models import Cost, Found, Page, Thread

__all__ = ["PREVIEWED", "changes", "count", "search", "within"]

PREVIEWED = 100
"""How many threads a page holds at most for each of which a message is read."""

T = TypeVar("T")


async def within(
    call: Call[Any, Any, Any, Any],
    limit: int,
    fetch: Callable[[int], Awaitable[Page[T]]],
    write: Callable[[str, Page[T], int], tuple[str, int]],
) -> tuple[str, Page[T], Cost | None]:
    """A page of at most `limit` items as text that an answer may hold, the page, and what it cost."""
    cost: Cost | None = None
    while True:
        page = await fetch(limit)
        cost = page.cost if cost is None or page.cost is None else cost + page.cost
        text, fitting = await beside(call.identity.caller, partial(write, call.base, page, call.answer_bytes))
        # Only the storage can say where a page of so many ends.
        limit = max(1, fitting)
        if fitting >= len(page) or limit >= len(page):
            return text, page, cost


async def search(call: Call[NoPath, SearchQuery, NoHeaders, None]) -> Response:
    """Search messages

    Finds messages that have every word, each with its thread and a snippet of its text. Only conversations
    are searched: threads of the kind chat. A storage without an index of words answers 501. An answer that
    would be too long is a shorter page. Example: `GET /v1/search?text=flight&order=best`.
    """
    query = call.query
    call.identity.require_names(owner=query.owner)

    async def page(limit: int) -> Page[Found]:
        return await call.store.search(**query._replace(limit=limit)._asdict(), max_bytes=call.answer_bytes)

    text, read, cost = await within(call, query.limit, page, replies.found)
    if read.next is None:
        return replies.written(text, cost=cost)
    further: dict[str, object] = {"text": query.text, "limit": query.limit, "cursor": read.next}
    if query.owner is not None:
        further["owner"] = query.owner
    if not query.newest_first:
        further["order"] = "best"
    return replies.written(text, cost=cost, headers=replies.link(f"{call.base}/v1/search", further))


async def changes(call: Call[NoPath, ChangesQuery, NoHeaders, None]) -> Response:
    """Read what changed

    Gives the threads that were created, or that messages were added to, since the cursor. The oldest activity
    comes first. Without a cursor it begins with the first thread. Keep `next`, which is always there, and
    pass it later. Each activity is told at least once: what was active in the last ten minutes is told again
    at the next call. Edits, changed properties and deletions are not told. Example:
    `GET /v1/changes?cursor=NEXT`.
    """
    query = call.query

    async def page(limit: int) -> Page[Thread]:
        return await call.store.changes(query.cursor, limit=limit, kind=query.kind)

    text, _, cost = await within(call, query.limit, page, replies.listing)
    return replies.written(text, cost=cost)


async def count(call: Call[NoPath, CountQuery, NoHeaders, None]) -> Response:
    """Count threads

    An owner's, or everybody's. A storage that cannot count them cheaply answers 501.
    Example: `GET /v1/count?owner=ada&kind=*`.
    """
    query = call.query
    call.identity.require_names(owner=query.owner)
    return replies.reply({"threads": await call.store.count_threads(owner=query.owner, kind=query.kind)})
