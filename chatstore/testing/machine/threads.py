"""The rules for threads as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import (
    Conflict,
    ThreadExists,
)
from chatstore.models import Message, Thread
from chatstore.testing.machine.model import merged
from chatstore.testing.machine.steps import REFUSED, Steps, Terms
from chatstore.testing.machine.strategies import (
    METADATA,
    OWNERS,
    PICKS,
    TERMS,
    THREADS,
    TTLS,
)
from chatstore.testing.samples import json_text

__all__ = ["ThreadRules"]


class ThreadRules(Steps):
    """Creating, changing, deleting and forking threads."""

    @rule(
        thread=THREADS,
        topic=st.sampled_from([None, "", "x"]),
        owner=OWNERS,
        metadata=METADATA,
        ttl=TTLS,
        terms=TERMS,
    )
    def create_thread(
        self,
        thread: str,
        topic: str | None,
        owner: str | None,
        metadata: Json,
        ttl: timedelta | None,
        terms: Terms,
    ) -> None:
        given = {"topic": topic, "owner": owner, "metadata": metadata, "ttl": self.ttl(ttl)}
        if self.history(thread) is not None:
            self.refuses(ThreadExists, "create_thread", thread, **given)
            return
        created: Thread = self.change("", terms, "create_thread", thread, **given)
        assert self.begin(thread).thread == created
        assert (created.topic, created.owner, created.expires_at) == (topic, owner, self.expiry(given["ttl"]))
        assert json_text(created.metadata) == json_text(metadata)

    @rule(
        thread=THREADS,
        given=st.fixed_dictionaries(
            {},
            optional={
                "topic": st.sampled_from([None, "", "y"]),
                "metadata": st.none() | METADATA,
                "ttl": TTLS,
            },
        ),
        request=st.booleans(),
    )
    def update_thread(self, thread: str, given: dict[str, Any], request: bool) -> None:
        history = self.history(thread)
        if not self.has(Capability.EXPIRY):
            given.pop("ttl", None)
        if history is None:
            self.unknown("update_thread", thread, **given)
            return
        before = history.thread
        updated: Thread = self.change("", Terms(request, None), "update_thread", thread, **given)
        assert updated.topic == given.get("topic", before.topic)
        metadata = (
            {} if given.get("metadata", {}) is None else merged(before.metadata, given.get("metadata", {}))
        )
        assert json_text(updated.metadata) == json_text(metadata)
        assert updated.expires_at == (self.expiry(given["ttl"]) if "ttl" in given else before.expires_at)
        assert updated.etag != before.etag
        self.refuses(Conflict, "update_thread", thread, topic="no", if_match=before.etag)
        history.thread = updated

    @rule(thread=THREADS, request=st.booleans(), sure=st.sampled_from([False, False, True]))
    def delete_thread(self, thread: str, request: bool, sure: bool) -> None:
        if not sure:
            self.refuses(Conflict, "delete_thread", thread, if_match="stale")
            return
        deleted = self.change("", Terms(request, None), "delete_thread", thread)
        assert deleted.existed == (self.history(thread) is not None)
        self.known.pop(thread, None)

    @rule(thread=THREADS, new=THREADS, pick=PICKS, whole=st.booleans(), terms=TERMS)
    def fork(self, thread: str, new: str, pick: int, whole: bool, terms: Terms) -> None:
        history = self.history(thread)
        if not self.has(Capability.FORK):
            return
        if history is None:
            self.unknown("fork", thread, new)
            return
        living = history.living(self.clock.now)
        through = None if whole or not living else living[pick % len(living)].id
        copied = living[: pick % len(living) + 1] if through is not None else living
        if self.history(new) is not None:
            self.refuses(ThreadExists, "fork", thread, new, through=through)
            return
        forked = self.change("log", terms, "fork", thread, new, through=through)
        if forked is REFUSED:
            return
        origin, copy = history.thread, self.begin(new)
        assert copy.thread == forked
        assert (forked.topic, forked.owner, forked.expires_at) == (
            origin.topic,
            origin.owner,
            origin.expires_at,
        )
        assert json_text(forked.metadata) == json_text(origin.metadata)
        assert forked.etag != origin.etag
        copy.messages = list(self.store.iter_messages(new))
        assert not {message.id for message in copy.messages} & {message.id for message in living}
        assert [kept(one) for one in copy.messages] == [kept(one) for one in copied]
        assert forked.forked_from == (thread, copied[-1].id if copied else None)


def kept(message: Message) -> tuple[object, ...]:
    """What a copy of a message has of it."""
    return message.text, message.expires_at, json_text(message.metadata), message.key
