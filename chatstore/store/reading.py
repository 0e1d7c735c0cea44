"""The store's operations that read messages."""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import TypeVar

from chatstore.contract import SHORT_CHARACTERS, Span, ThreadKey
from chatstore.errors import CursorExpired, InvalidArgument
from chatstore.models import Entries, Message, Page, Place, Window
from chatstore.store import arguments
from chatstore.store.scoped import Scoped
from chatstore.window import PINNED_AT_MOST, Counter, WindowBuilder

__all__ = ["Reading"]

_PAGE_BYTES = 4 * 1024 * 1024
_RESTARTS = 5

T = TypeVar("T")


class Reading(Scoped):
    """Reads messages: pages, windows, all of them, or one."""

    async def read(
        self,
        thread_id: str,
        *,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Page[Message]:
        """A page of messages, oldest first, at most 1,000 of them.

        `last` gives the newest. `after` gives those that follow a place, up to `limit` (100 by default).
        `before` alone gives those just before a place. Both give the messages between, beginning after
        `after`. A place is a cursor, a position, a message's id, or ``"key:NAME"``. With `max_bytes` the page
        ends early once it holds that much text, but it has at least one message. The page of a thread that
        does not exist is empty. The cost depends on the page's size only, wherever it is. Raises
        CursorExpired if the history that a cursor came from was replaced, and ThreadNotFound or
        MessageNotFound if a named message does not exist.
        """
        span = arguments.page_span(last, after, before, limit, max_bytes)
        return await self.backend.read(self._key(thread_id), span)

    async def read_entries(
        self,
        thread_id: str,
        *,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Entries:
        """The same page as JSON text, as the HTTP service sends it: stored texts go in as they are.

        Also raises CorruptData if the text of a message is damaged.
        """
        span = arguments.page_span(last, after, before, limit, max_bytes)
        return await self.backend.read_entries(self._key(thread_id), span)

    async def window(
        self,
        thread_id: str,
        *,
        max_tokens: int,
        counter: Counter | None = None,
        keep: Iterable[str] = ("system", "developer"),
        max_bytes: int | None = None,
    ) -> Window[Message]:
        """The newest messages that fit into `max_tokens`, oldest first.

        The thread's leading messages of the roles in `keep`, at most 20, come first and count too; reading
        them is one extra read. A tool's result whose call did not fit is left out. A message counts by its
        own ``tokens`` or ``usage``, otherwise by a token for every four bytes of its JSON; `counter` replaces
        both. Reads back only as far as it needs. With `max_bytes`, the texts and 200 bytes for each message
        do not exceed that. Only a single message may be longer.
        """
        if type(max_tokens) is not int or max_tokens < 0:
            raise InvalidArgument(f"max_tokens is a number of tokens, 0 or more, not {max_tokens!r}")
        key, roles = self._key(thread_id), tuple(keep)
        for left in reversed(range(_RESTARTS)):
            try:
                builder = WindowBuilder(max_tokens, counter, roles, max_bytes)
                return await self._window(key, builder, pinning=bool(roles))
            except CursorExpired:
                # The history was replaced between two reads: begin again with the new one.
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _window(self, key: ThreadKey, builder: WindowBuilder, *, pinning: bool) -> Window[Message]:
        newest = page = await self.backend.read(key, Span(PINNED_AT_MOST, newest=True, max_bytes=_PAGE_BYTES))
        costs = [page.cost]
        if pinning:
            first = page
            if page.next is not None:
                epoch = Place.parse(page.next).epoch
                first = await self.backend.read(key, Span(PINNED_AT_MOST, epoch=epoch, max_bytes=_PAGE_BYTES))
                costs.append(first.cost)
            await self._aside(first.items, partial(builder.pin, first.items))
        await self._aside(page.items, partial(builder.extend, page.items))
        limit = PINNED_AT_MOST
        while page.next is not None and not builder.full:
            limit = min(limit * 2, arguments.MAX_LIMIT)
            span = arguments.span_of(None, page.next, limit, newest=True)
            page = await self.backend.read(key, span._replace(max_bytes=_PAGE_BYTES))
            costs.append(page.cost)
            await self._aside(page.items, partial(builder.extend, page.items))
        items = await self._aside(builder.taken, builder.finish)
        reported = [cost for cost in costs if cost is not None]
        return Window(
            items,
            end=newest.end,
            etag=newest.etag,
            cost=functools.reduce(operator.add, reported) if reported else None,
            tokens=builder.tokens,
            counter=builder.counter,
        )

    async def _aside(self, messages: Iterable[Message], call: Callable[[], T]) -> T:
        """What `call` makes of messages: it decodes them, which takes a while where they are long."""
        if sum(len(message.text) for message in messages) <= SHORT_CHARACTERS:
            return call()
        return await self.backend.aside((self.tenant, self.owner), call)

    async def iter_messages(
        self, thread_id: str, *, after: str | None = None, before: str | None = None
    ) -> AsyncIterator[Message]:
        """All messages, oldest first, page after page, in constant memory.

        Messages that are added meanwhile are included. Raises CursorExpired if the history is replaced
        meanwhile.
        """
        key = self._key(thread_id)
        span = arguments.span_of(after, before, arguments.DEFAULT_LIMIT)._replace(
            newest=False, max_bytes=_PAGE_BYTES
        )
        while True:
            page = await self.backend.read(key, span)
            for message in page:
                yield message
            if page.next is None:
                return
            epoch, position = Place.parse(page.next)
            span = span._replace(epoch=epoch, after=position)

    async def get_message(self, thread_id: str, message_id: str) -> Message:
        """One message, by its id or ``"key:NAME"``. Raises ThreadNotFound, MessageNotFound."""
        return await self.backend.get_message(self._key(thread_id), arguments.message_id_of(message_id))
