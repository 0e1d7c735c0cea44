"""The rules for changing messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import (
    Conflict,
    MessageNotFound,
)
from chatstore.testing.machine.steps import REFUSED, Steps, Terms
from chatstore.testing.machine.strategies import (
    INDEXES,
    MESSAGES,
    OWNERS,
    PICKS,
    TERMS,
    THREADS,
    TTLS,
    TURNS,
)
from chatstore.testing.samples import json_text

__all__ = ["MessageRules"]


class MessageRules(Steps):
    """Every way to put messages in and to take them out."""

    @rule(
        thread=THREADS,
        turn=TURNS,
        create=st.booleans(),
        owner=OWNERS,
        ttl=TTLS,
        expires_in=TTLS,
        terms=TERMS,
    )
    def append(
        self,
        thread: str,
        turn: list[Json],
        create: bool,
        owner: str | None,
        ttl: timedelta | None,
        expires_in: timedelta | None,
        terms: Terms,
    ) -> None:
        given = {"create": create, "owner": owner, "ttl": self.ttl(ttl), "expires_in": self.ttl(expires_in)}
        history = self.history(thread)
        if history is None and not create:
            self.unknown("append", thread, *turn, **given)
            return
        appended = self.change("tail", terms, "append", thread, *turn, **given)
        if appended is REFUSED:
            return
        if history is None:
            history = self.begin(thread)
            assert (history.thread.owner, history.thread.topic) == (owner, None)
            assert history.thread.expires_at == self.expiry(self.ttl(ttl))
        self.stored(history, appended.messages, turn, self.ttl(expires_in))
        history.appended(appended.messages)

    @rule(
        thread=THREADS,
        message=MESSAGES,
        place=st.sampled_from(["index", "before", "after"]),
        index=INDEXES,
        pick=PICKS,
        expires_in=TTLS,
        terms=TERMS,
    )
    def insert(
        self,
        thread: str,
        message: Json,
        place: str,
        index: int,
        pick: int,
        expires_in: timedelta | None,
        terms: Terms,
    ) -> None:
        if not self.has(Capability.INSERT, Capability.INDEX):
            return
        history = self.history(thread)
        if history is None:
            self.unknown("insert", thread, message, index=index)
            return
        living = history.living(self.clock.now)
        at = range(len(living))[pick % len(living)] if living else 0
        if place != "index" and not living:
            self.refuses(MessageNotFound, "insert", thread, message, **{place: "x"})
            return
        where: dict[str, Any] = {place: index if place == "index" else living[at].id}
        inserted = self.change(
            "log", terms, "insert", thread, message, **where, expires_in=self.ttl(expires_in)
        )
        if inserted is REFUSED:
            return
        self.stored(history, [inserted], [message], self.ttl(expires_in))
        before = len(living)
        living.insert(index if place == "index" else at + (place == "after"), inserted)
        if living[-1] is inserted:
            history.appended([])
            history.version = history.version._replace(appends=history.version.appends + 1)
        else:
            history.edited()
        assert len(living) == before + 1
        history.messages = living

    @rule(thread=THREADS, message=MESSAGES, pick=PICKS, request=st.booleans())
    def replace_message(self, thread: str, message: Json, pick: int, request: bool) -> None:
        found = self.named(thread, pick, "replace_message", message)
        if found is None:
            return
        history, old = found
        new = self.change("", Terms(request, None), "replace_message", thread, old.id, message)
        assert json_text(new.to_dict()) == json_text(message)
        assert (new.id, new.position, new.created_at, new.expires_at) == (
            old.id,
            old.position,
            old.created_at,
            old.expires_at,
        )
        self.refuses(Conflict, "replace_message", thread, old.id, message, if_match=old.etag)
        history.messages[history.messages.index(old)] = new
        history.edited()

    @rule(thread=THREADS, pick=PICKS, request=st.booleans())
    def delete_message(self, thread: str, pick: int, request: bool) -> None:
        found = self.named(thread, pick, "delete_message")
        if found is None:
            return
        history, message = found
        assert self.change("", Terms(request, None), "delete_message", thread, message.id) == message
        history.messages.remove(message)
        history.edited()

    @rule(thread=THREADS, index=INDEXES, terms=TERMS)
    def delete_message_by_index(self, thread: str, index: int, terms: Terms) -> None:
        history = self.history(thread)
        if not self.has(Capability.INDEX):
            return
        living = [] if history is None else history.living(self.clock.now)
        if history is None:
            self.unknown("delete_message", thread, index=index)
        elif not -len(living) <= index < len(living):
            self.refuses(MessageNotFound, "delete_message", thread, index=index)
        else:
            deleted = self.change("log", terms, "delete_message", thread, index=index)
            if deleted is not REFUSED:
                assert deleted == living[index]
                history.messages.remove(deleted)
                history.edited()

    @rule(thread=THREADS, terms=TERMS)
    def pop(self, thread: str, terms: Terms) -> None:
        history = self.history(thread)
        if not self.has(Capability.INDEX):
            return
        if history is None:
            self.unknown("pop", thread)
            return
        living = history.living(self.clock.now)
        popped = self.change("log", terms, "pop", thread)
        if popped is not REFUSED:
            assert popped == (living[-1] if living else None)
            if popped is not None:
                history.messages.remove(popped)
                history.edited()

    @rule(thread=THREADS, terms=TERMS)
    def clear(self, thread: str, terms: Terms) -> None:
        history = self.history(thread)
        cleared = self.change("log", terms, "clear", thread)
        if cleared is REFUSED:
            return
        assert cleared.existed == (history is not None)
        if history is not None:
            self.forget_if_empty(thread, history)
            history.replaced([], self.new_life())

    @rule(
        thread=THREADS,
        keep=st.integers(0, 5),
        turn=st.lists(MESSAGES, max_size=4),
        create=st.booleans(),
        expires_in=TTLS,
        terms=TERMS,
    )
    def replace_all(
        self,
        thread: str,
        keep: int,
        turn: list[Json],
        create: bool,
        expires_in: timedelta | None,
        terms: Terms,
    ) -> None:
        history = self.history(thread)
        living = [] if history is None else history.living(self.clock.now)
        new = [message.to_dict() for message in living[:keep]] + turn
        given = {"create": create, "expires_in": self.ttl(expires_in)}
        if history is None and not create:
            self.unknown("replace_all", thread, new, **given)
            return
        replaced = self.change("log", terms, "replace_all", thread, new, **given)
        if replaced is REFUSED:
            return
        history = self.begin(thread) if history is None else history
        if json_text([message.to_dict() for message in living]) == json_text(new[: len(living)]):
            assert replaced.kept == len(living)
            if not living:
                self.forget_if_empty(thread, history)
            history.messages = living
            history.appended(replaced.messages)
        else:
            assert replaced.kept == 0
            history.replaced(replaced.messages, self.new_life())
        self.stored(history, replaced.messages, new[replaced.kept :], self.ttl(expires_in))
