"""The rules for reading."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import (
    CursorExpired,
)
from chatstore.models import Place
from chatstore.testing.machine.model import newest_that_fit
from chatstore.testing.machine.steps import Steps
from chatstore.testing.machine.strategies import (
    METADATA,
    OWNERS,
    PICKS,
    THREADS,
)
from chatstore.testing.samples import json_text

__all__ = ["ReadingRules"]


class ReadingRules(Steps):
    """Pages, cursors, windows and listings."""

    @rule(thread=THREADS, limit=st.integers(1, 4), newest=st.booleans())
    def read(self, thread: str, limit: int, newest: bool) -> None:
        history = self.history(thread)
        page = self.call("read", thread, **{"last" if newest else "limit": limit})
        living = [] if history is None else history.living(self.clock.now)
        assert list(page) == (living[-limit:] if newest else living[:limit])
        assert (page.next is not None) == (len(living) > limit)
        found = list(page)
        more = page
        while more.next is not None:
            more = self.call("read", thread, **{"before" if newest else "after": more.next}, limit=limit)
            assert 0 < len(more) <= limit
            found = [*more, *found] if newest else [*found, *more]
        assert found == living
        for cursor, before in ((page.next, newest), (page.end, False)):
            if history is not None and cursor is not None:
                self.cursors.append((thread, cursor, before, history.version.life))

    @precondition(lambda self: self.cursors)
    @rule(pick=PICKS, limit=st.integers(1, 4))
    def go_on(self, pick: int, limit: int) -> None:
        thread, cursor, before, life = self.cursors[pick % len(self.cursors)]
        history = self.history(thread)
        direction = {"before" if before else "after": cursor}
        if history is None or history.version.life != life:
            self.refuses(CursorExpired, "read", thread, **direction)
            return
        at, living = Place.parse(cursor).position, history.living(self.clock.now)
        if before:
            expected = [message for message in living if (message.position or "") < at][-limit:]
        else:
            expected = [message for message in living if (message.position or "") > at][:limit]
        assert list(self.call("read", thread, **direction, limit=limit)) == expected

    @rule(
        thread=THREADS,
        budget=st.integers(0, 60),
        keep=st.sampled_from([(), ("system",), ("user", "system")]),
    )
    def window(self, thread: str, budget: int, keep: tuple[str, ...]) -> None:
        history = self.history(thread)
        living = [] if history is None else history.living(self.clock.now)
        window = self.call("window", thread, max_tokens=budget, keep=keep)
        assert list(window) == newest_that_fit(living, budget, keep)
        assert window.tokens <= budget

    @rule(owner=OWNERS, metadata=METADATA, limit=st.integers(1, 3))
    def list_threads(self, owner: str | None, metadata: dict[str, Json], limit: int) -> None:
        if not self.has(Capability.LIST):
            return
        found, cursor = [], None
        while True:
            page = self.call("list_threads", owner=owner, metadata=metadata, limit=limit, cursor=cursor)
            found += [thread.id for thread in page]
            cursor = page.next
            if cursor is None:
                break
        texts = {name: json_text(value) for name, value in metadata.items()}
        expected = [
            name
            for name in self.known
            if (history := self.history(name)) is not None
            and owner in (None, history.thread.owner)
            and texts.items()
            <= {key: json_text(value) for key, value in history.thread.metadata.items()}.items()
        ]
        assert sorted(found) == sorted(expected)
