"""Adding items once, though OpenAI's clients repeat requests and name none of them.

What a client says is how often it has tried before. This process may have refused or failed an earlier try of
a request, or still have it in hand. Then `tries` knows that try, and the repetition is written under the same
word.

Else the storage tells. Each try is written under a request id made of the body. The tries of one request have
the same id and differ in what is digested with it: a first try bears its word, and repetitions that meet
nothing here bear one word for all. Whichever is written first keeps the others out:

- a repetition that finds its word is answered what another repetition wrote;
- a first try that finds a repetition's word came late, and is answered what that one wrote;
- a first try that finds another first try's word says the same once more, and is added;
- a repetition that finds a first try's word looks whether those items are among the newest.

The second and the last are guesses. Somebody may say the same again shortly after a repetition, or may have
said it shortly before one whose first try never came here. So only young items count, and hardly any where
others have written behind them. And of first tries, only one is taken to have come late.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import add as plus

from chatstore.contract import Draft
from chatstore.errors import Conflict, CursorExpired, RequestMismatch, ThreadNotFound
from chatstore.http.openai.parameters import Trying
from chatstore.http.openai.tries import sent
from chatstore.models import Appended, Cost, Message
from chatstore.store import AsyncChatStore

__all__ = ["add"]

_AMONG = timedelta(minutes=1)
"""How old items may be that others have written behind, and how late a first try may come."""

_LOOKED_THROUGH = 40
_AGAIN = "again"


async def add(store: AsyncChatStore, thread_id: str, drafts: Sequence[Draft], trying: Trying) -> Appended:
    """Add items as one turn, once for all tries of a request. Raises ThreadNotFound, RequestMismatch.

    Costs an append, where nothing was repeated.
    """
    request = sent()
    if trying.key is not None or request is None:
        return await store.append(thread_id, *drafts, create=False, request_id=trying.request_id)
    request_id = f"items-{request.body[:40]}"

    async def tried(word: str) -> Appended | None:
        # The topic would be that of a new thread: where none is made it is digested and nothing else.
        try:
            return await store.append(thread_id, *drafts, create=False, topic=word, request_id=request_id)
        except RequestMismatch:
            return None

    if request.first:
        written = await tried(request.word)
        if written is not None:
            return written
    written = await tried(_AGAIN)
    young = written is not None and _is_young(written.messages, await store.now(), _AMONG)
    if (
        written is not None
        and young
        and (not request.first or request.came_behind(str(written.messages[0].id)))
    ):
        return written
    if request.first:
        return await store.append(thread_id, *drafts, create=False, request_id=f"items-{request.word}")
    return await _unless_there(store, thread_id, drafts, trying.since_first)


async def _unless_there(
    store: AsyncChatStore, thread_id: str, drafts: Sequence[Draft], since_first: timedelta
) -> Appended:
    """Add items unless they are among the newest, and nobody has written since these were looked through."""
    costs: list[Cost | None] = []
    while True:
        try:
            items, etag = await _newest(store, thread_id, len(drafts), costs)
            found = _found(items, [draft.text for draft in drafts], await store.now(), since_first)
            if found:
                return Appended(found, etag, cost=_sum(costs))
            written = await store.append(thread_id, *drafts, create=False, if_match=etag)
        except (Conflict, CursorExpired):
            continue
        return Appended(written.messages, written.etag, cost=_sum([*costs, written.cost]))


async def _newest(
    store: AsyncChatStore, thread_id: str, count: int, costs: list[Cost | None]
) -> tuple[tuple[Message, ...], str]:
    """The newest messages, `count` and more, and all that are young; and what the log's ETag is with them."""
    page = await store.read(thread_id, last=_LOOKED_THROUGH + count)
    costs.append(page.cost)
    if page.etag is None:
        raise ThreadNotFound(thread_id)
    items, etag = page.items, page.etag
    while page.next is not None and _is_young(items[:1], await store.now(), _AMONG):
        page = await store.read(thread_id, before=page.next)
        costs.append(page.cost)
        items = page.items + items
    return items, etag


def _found(
    items: tuple[Message, ...], texts: list[str], now: datetime, since_first: timedelta
) -> tuple[Message, ...]:
    """The newest of these messages that have these texts, if they may be what a first try wrote."""
    count = len(texts)
    for end in range(len(items), count - 1, -1):
        run = items[end - count : end]
        if [message.text for message in run] == texts:
            most = since_first if end == len(items) else min(since_first, _AMONG)
            return run if _is_young(run, now, most) else ()
    return ()


def _is_young(messages: Sequence[Message], now: datetime, most: timedelta) -> bool:
    return bool(messages) and all(
        one.created_at is not None and now - one.created_at <= most for one in messages
    )


def _sum(costs: Sequence[Cost | None]) -> Cost | None:
    told = [cost for cost in costs if cost is not None]
    return reduce(plus, told) if told else None
