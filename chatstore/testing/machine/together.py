"""The rules for what happens in one step: cuts, patches with appends, what is kept beside messages."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import Conflict, MessageExists, MessageNotFound
from chatstore.testing.machine.model import History, merged
from chatstore.testing.machine.steps import REFUSED, Steps, Terms
from chatstore.testing.machine.strategies import METADATA, PICKS, TERMS, THREADS, TURNS
from chatstore.testing.samples import json_text

__all__ = ["TogetherRules"]

KEYS = st.sampled_from(["k", "\u00e9/\0"])


class TogetherRules(Steps):
    """Truncating, and appends that do more than append."""

    def cut_at(self, thread: str, pick: int, method: str, *args: Json) -> tuple[History, int] | None:
        """A thread and one of its messages to cut at; None where there is none, as the store must say too."""
        history = self.history(thread)
        if history is None:
            self.unknown(method, thread, *args, after="x")
            return None
        living = history.living(self.clock.now)
        for gone in [message for message in history.messages if message not in living][:1]:
            self.refuses(MessageNotFound, method, thread, *args, after=gone.id)
        if not living:
            self.refuses(MessageNotFound, method, thread, *args, after="x")
            return None
        history.messages = living
        return history, pick % len(living)

    @rule(thread=THREADS, pick=PICKS, behind=st.booleans(), terms=TERMS)
    def truncate(self, thread: str, pick: int, behind: bool, terms: Terms) -> None:
        found = self.cut_at(thread, pick, "truncate")
        if found is None:
            return
        history, at = found
        named = {"after" if behind else "from_": history.messages[at].id}
        if self.change("log", terms, "truncate", thread, **named) is REFUSED:
            return
        for cut in history.messages[at + behind :][:1]:
            self.refuses(MessageNotFound, "get_message", thread, cut.id)
        history.cut(at + behind)

    @rule(thread=THREADS, turn=TURNS, pick=PICKS, terms=TERMS)
    def append_after(self, thread: str, turn: list[Json], pick: int, terms: Terms) -> None:
        found = self.cut_at(thread, pick, "append", *turn)
        if found is None:
            return
        history, at = found
        appended = self.change("log", terms, "append", thread, *turn, after=history.messages[at].id)
        if appended is REFUSED:
            return
        history.cut(at + 1)
        self.stored(history, appended.messages, turn, None)
        history.appended(appended.messages)

    @rule(
        thread=THREADS,
        turn=TURNS,
        patch=st.fixed_dictionaries(
            {}, optional={"topic": st.sampled_from([None, "z"]), "metadata": METADATA, "merge": st.booleans()}
        ),
        sure=st.sampled_from([True, True, False]),
        terms=TERMS,
    )
    def append_with_patch(
        self, thread: str, turn: list[Json], patch: dict[str, Any], sure: bool, terms: Terms
    ) -> None:
        history = self.history(thread)
        if history is None or not sure:
            self.refuses(Conflict, "append", thread, *turn, patch=patch, if_thread="stale")
            return
        before = history.thread
        appended = self.change("tail", terms, "append", thread, *turn, patch=patch, if_thread=before.etag)
        if appended is REFUSED:
            return
        self.stored(history, appended.messages, turn, None)
        history.appended(appended.messages)
        history.thread = after = self.store.get_thread(thread)
        assert appended.thread_etag == after.etag != before.etag
        assert after.topic == patch.get("topic", before.topic)
        given = patch.get("metadata", {})
        replaced = "metadata" in patch and not patch.get("merge", True)
        assert json_text(after.metadata) == json_text(given if replaced else merged(before.metadata, given))

    @rule(thread=THREADS, pick=PICKS, metadata=METADATA, merge=st.booleans(), request=st.booleans())
    def update_message(self, thread: str, pick: int, metadata: Json, merge: bool, request: bool) -> None:
        found = self.history(thread)
        if not self.has(Capability.EDIT) or found is None or not found.living(self.clock.now):
            return
        living = found.living(self.clock.now)
        old = living[pick % len(living)]
        given: dict[str, Any] = {"metadata": metadata, "merge": merge}
        new = self.change("", Terms(request, None), "update_message", thread, old.id, **given)
        expected = merged(old.metadata, metadata) if merge else metadata
        assert json_text(new.metadata) == json_text(expected)
        assert (new.id, new.text, new.position, new.key) == (old.id, old.text, old.position, old.key)
        self.refuses(Conflict, "update_message", thread, old.id, **given, if_match=old.etag)
        found.messages[found.messages.index(old)] = new
        found.edited()

    @rule(thread=THREADS, turn=TURNS, key=KEYS, metadata=METADATA, terms=TERMS)
    def append_with_key(self, thread: str, turn: list[Json], key: str, metadata: Json, terms: Terms) -> None:
        history = self.history(thread)
        keys = [key, *[None] * (len(turn) - 1)]
        given = {"key": keys, "metadata": metadata}
        if history is not None:
            for one in history.living(self.clock.now):
                if one.key == key:
                    assert self.call("get_message", thread, f"key:{key}") == one
                    self.refuses(MessageExists, "append", thread, *turn, **given)
                    return
            self.refuses(MessageNotFound, "get_message", thread, f"key:{key}")
        appended = self.change("tail", terms, "append", thread, *turn, **given)
        if appended is REFUSED:
            return
        history = self.begin(thread) if history is None else history
        self.stored(history, appended.messages, turn, None)
        history.appended(appended.messages)
        assert [message.key for message in appended.messages] == keys
        assert self.call("get_message", thread, f"key:{key}") == appended.messages[0]
