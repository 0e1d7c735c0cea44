"""The operations whose work is as long as the data: they are made of many short transactions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, cast

from chatstore.conditions import forked, require_log
from chatstore.contract import UNSET, Cut, Request, Span, ThreadKey, ThreadPatch, Unset
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.steps import Place, Step
from chatstore.engines.sql.transactions import NOBODY, Tables, Transacting, caller_of
from chatstore.errors import StorageError, Unavailable
from chatstore.models import Erased, Origin, Swept, Thread

__all__ = ["Lengthy"]

_TOGETHER = 64
"""How many threads a step of an erasure looks for."""

_TRIES = 8


class Lengthy(Transacting):
    """Forks, sweeps and erases."""

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        cut: Cut | None,
        *,
        patch: ThreadPatch | None = None,
        owner: str | Unset | None = UNSET,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        """Copies step by step to a thread that nobody sees, and shows it in the transaction of the last step.

        That one sees the source as it is, and everything that was copied before is still so. What was added
        is copied on. Where a message was changed, taken out or put between others, the copy begins anew.
        """
        copy = _Copy(
            source,
            key,
            cut,
            if_match,
            lambda thread, origin: forked(thread, key.id, origin, patch, owner, self.clock()),
        )

        async def step(tables: Tables) -> tuple[tuple[Thread | None, _Progress], bool]:
            await tables.threads.hold(source)
            found = None if request is None else await self._repeated(tables, key, request)
            if found is not None:
                return (cast("Thread", found[0]), copy.progress), False
            shown, progress = await copy.step(tables)
            if shown is not None and request is not None:
                await self._remember(tables, key, request, shown)
            return (shown, progress), shown is None

        def done(result: tuple[Thread | None, _Progress]) -> None:
            copy.progress = result[1]

        try:
            shown, _ = await self._in_steps(caller_of(key), step, done)
            return cast("Thread", shown)
        except GeneratorExit:
            # Whoever waited is gone, and nothing can be waited for: a sweep removes what is left hidden.
            copy.progress = _Progress()
            raise
        finally:
            if copy.progress.place is not None:
                await self._give_up(key, copy.progress.place)

    async def _give_up(self, key: ThreadKey, place: Place) -> None:
        with suppress(StorageError):
            await self._change(caller_of(key), lambda tables: tables.hidden.give_up(place))

    async def sweep(self, limit: int) -> Swept:
        async def sweep(tables: Tables) -> Swept:
            step, left, threads, messages = Step(), limit, 0, 0
            for key in await tables.hidden.expired(limit):
                removed, more = await tables.hidden.clean(key, step, left)
                messages, left = messages + removed, left - removed
                if more or not step.goes_on():
                    return Swept(threads + (not more), messages, 0, more=True)
                threads, left = threads + 1, left - 1
            for key, cuts in await tables.hidden.cut_threads(left):
                removed, more = await tables.hidden.drain_cuts(key, cuts, step, left)
                messages, left = messages + removed, left - removed
                if more or not step.goes_on():
                    return Swept(threads, messages, 0, more=True)
            removed, more = await tables.messages.remove_expired(step, left)
            left -= removed
            requests = 0 if more else await tables.requests.remove_expired(left)
            return Swept(threads, messages + removed, requests, more=more or left == requests)

        return await self._change(NOBODY, sweep)

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        erased = Erased(0, 0, 0)

        def done(removed: Erased) -> None:
            nonlocal erased
            erased += removed

        await self._in_steps((tenant, None), lambda tables: _erase_some(tables, tenant, owner), done)
        await self.driver.scrub((tenant, None))
        return erased


async def _erase_some(tables: Tables, tenant: str, owner: str | None) -> tuple[Erased, bool]:
    """One step of an erasure: what it removed, and whether there is more."""
    step, threads, messages = Step(), 0, 0
    owned = await tables.hidden.owned(tenant, owner, _TOGETHER)
    for key, hidden in owned:
        removed, more = await tables.hidden.clean(key, step)
        threads, messages = threads + (not hidden), messages + removed
        if more:
            # Also a fork's copy: it would be shown without the messages that were removed just now.
            await tables.hidden.hide(key)
        if more or not step.goes_on():
            return Erased(threads, messages, 0), True
    if owned or await tables.hidden.is_owner(tenant, owner):
        # Whoever waited for a row finds none if it was hidden meanwhile, and not what took its place.
        return Erased(threads, messages, 0), True
    requests, more = await tables.requests.remove_owned(tenant, owner, step)
    return Erased(threads, messages, requests), more


class _Progress(NamedTuple):
    """How far a fork has come: where its copy is, of which state of the source, and how often begun."""

    place: Place | None = None
    seen: tuple[str, int] | None = None
    tries: int = 0


class _Copy:
    """A fork on its way; its `progress` is what was committed."""

    def __init__(
        self,
        source: ThreadKey,
        key: ThreadKey,
        cut: Cut | None,
        if_match: str | None,
        properties: Callable[[Thread, Origin], Thread],
    ) -> None:
        self.progress = _Progress()
        self._source = source
        self._key = key
        self._cut = cut
        self._if_match = if_match
        self._properties = properties

    async def step(self, tables: Tables) -> tuple[Thread | None, _Progress]:
        """Copy some: the new thread where that was all, and the progress with it."""
        origin = await tables.threads.existing(self._source)
        require_log(self._if_match, origin.etag)
        await tables.threads.require_free(self._key)
        end = None
        if self._cut is not None:
            end = await tables.messages.end(self._source, origin, self._cut)
        progress = await self._place(tables, origin)
        place, more = await tables.messages.copy(origin, cast("Place", progress.place), end)
        if more:
            return None, progress._replace(place=place)
        newest = (await tables.messages.page(origin, Span(1, before=end, newest=True))).items
        forked_from = Origin(self._source.id, newest[0].id if newest else None)
        thread = self._properties(await tables.threads.get(self._source), forked_from)
        await tables.threads.show(place, self._key, thread)
        # Of a copy that is shown, nothing is hidden.
        return await tables.threads.get(self._key._replace(owner=None)), _Progress()

    async def _place(self, tables: Tables, origin: Log) -> _Progress:
        """Where to go on; the beginning where what was copied is no longer what is there."""
        now = origin.epoch, origin.edits
        place, seen, tries = self.progress
        if (
            place is not None
            and seen == now
            and await tables.hidden.is_there(place)
            # What was copied last may have been cut away since.
            and await tables.messages.holds(origin, place.after)
        ):
            return self.progress
        if place is not None:
            await tables.hidden.give_up(place)
        if tries == _TRIES:
            raise Unavailable(f"thread {self._source.id!r} kept changing while it was copied: try again")
        return _Progress(await tables.hidden.begin(origin.key), now, tries + 1)
