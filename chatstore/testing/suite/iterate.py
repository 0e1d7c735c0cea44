"""Streaming a whole thread."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from chatstore.contract import Capability
from chatstore.errors import CursorExpired
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.samples import contents, say, whole

__all__ = ["Iterate"]


class Iterate:
    """`ChatStore.iter_messages`."""

    def test_goes_through_everything_oldest_first(self, store: ChatStore) -> None:
        store.append("t", *[say(number) for number in range(350)])
        assert contents(store.iter_messages("t")) == list(range(350))

    def test_an_unknown_thread_has_none(self, store: ChatStore) -> None:
        assert list(store.iter_messages("t")) == []

    def test_between_two_places(self, store: ChatStore) -> None:
        store.append("t", *[say(number) for number in range(300)])
        at = [message.position for message in whole(store, "t")]
        assert contents(store.iter_messages("t", after=at[99])) == list(range(100, 300))
        assert contents(store.iter_messages("t", before=at[250])) == list(range(250))
        assert contents(store.iter_messages("t", after=at[0], before=at[299])) == list(range(1, 299))

    def test_stops_where_its_caller_does(self, store: ChatStore) -> None:
        store.append("t", *[say(number) for number in range(300)])
        with contextlib.closing(store.iter_messages("t")) as messages:  # type: ignore[type-var]
            assert contents(itertools.islice(messages, 3)) == [0, 1, 2]
        assert list(messages) == []

    def test_reaches_what_is_appended_meanwhile(self, store: ChatStore) -> None:
        store.append("t", *[say(number) for number in range(150)])
        messages = store.iter_messages("t")
        first = next(messages)
        store.append("t", say(150))
        assert contents([first, *messages]) == list(range(151))

    @needs(Capability.EDIT)
    def test_neither_skips_nor_repeats_when_messages_go(self, store: ChatStore) -> None:
        ids = [message.id for message in store.append("t", *[say(number) for number in range(250)]).messages]
        messages = store.iter_messages("t")
        seen = contents(itertools.islice(messages, 100))
        for gone in (0, 50, 99, 100, 101, 249):
            store.delete_message("t", ids[gone])
        assert seen + contents(messages) == [*range(100), *range(102, 249)]

    def test_a_history_replaced_meanwhile_is_an_error(self, store: ChatStore) -> None:
        for replaced in (
            lambda: store.replace_all("t", [say("other")] * 300),
            lambda: store.clear("t"),
            lambda: store.delete_thread("t"),
        ):
            store.replace_all("t", [say(number) for number in range(250)], create=True)
            messages = store.iter_messages("t")
            next(messages)
            replaced()
            with pytest.raises(CursorExpired):
                list(messages)
