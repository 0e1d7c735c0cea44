"""A process changes what it wrote last without reading it, and never by what others made of it since."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

import chatstore
from chatstore import position
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.engines.fenced import layout
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.fake import FakeDriver, FakeTable

Act: TypeAlias = Callable[[ChatStore, str], object]

BY_OTHERS: dict[str, Act] = {
    "nothing": lambda _store, _id: None,
    "edit": lambda store, id: store.replace_message("t", id, say("theirs")),
    "metadata": lambda store, id: store.update_message("t", id, metadata={"stars": 5}),
    "delete": lambda store, id: store.delete_message("t", id),
    "pop": lambda store, _id: store.pop("t"),
    "append": lambda store, _id: store.append("t", say("theirs")),
    "another of its name": lambda store, id: (
        store.delete_message("t", id),
        store.append("t", say("k"), key="k"),
    ),
    "insert": lambda store, _id: store.insert("t", say("theirs"), index=-1),
    "truncate": lambda store, _id: store.truncate("t", after=_first(store)),
    "truncate behind": lambda store, id: store.truncate("t", after=id),
    "replace_all": lambda store, _id: store.replace_all("t", [say("theirs")]),
    "clear": lambda store, _id: store.clear("t"),
    "delete_thread": lambda store, _id: store.delete_thread("t"),
}
OWN: dict[str, Act] = {
    "edit": lambda store, id: store.replace_message("t", id, say("mine")).content,
    "metadata": lambda store, id: store.update_message("t", id, metadata={"a": 1}).metadata,
    "edit of what is there": lambda store, id: (
        store.replace_message("t", id, say("mine"), if_match=_etag(store, id)).content
    ),
    "edit by key": lambda store, _id: store.replace_message("t", "key:k", say("mine")).content,
    "edit by a key that nobody has": lambda store, _id: store.replace_message("t", "key:None", say("mine")),
    "delete by key": lambda store, _id: type(store.delete_message("t", "key:k")),
    "delete": lambda store, id: type(store.delete_message("t", id)),
}


def _etag(store: ChatStore, id: str) -> str | None:
    return store.get_message("t", id).etag


WRITTEN: dict[str, Act] = {
    "an append": lambda _store, _id: None,
    "an edit": lambda store, id: store.replace_message("t", id, say("edited")),
    "a cut": lambda store, id: store.truncate("t", after=id),
    "a cut in front": lambda store, _id: store.truncate("t", after=_first(store)),
    "a far cut": lambda store, _id: store.truncate("t", after=_first_of_many(store)),
    "a deletion beside it": lambda store, _id: store.delete_message("t", store.read("t", last=1).items[0].id),
    "a clearing": lambda store, _id: store.clear("t"),
    "properties": lambda store, _id: store.update_thread("t", topic="x"),
}


def _first_of_many(store: ChatStore) -> str:
    for _ in range(60):
        store.append("t", say("much"))
    return _first(store)


def _first(store: ChatStore) -> str:
    return next((one.id or "" for one in store.read("t", limit=1)), layout.message_id(0, position.nth(1)))


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("other", BY_OTHERS)
@pytest.mark.parametrize("own", OWN)
def test_a_change_of_what_was_written_last_is_made_of_what_is_there(
    written: str, other: str, own: str
) -> None:
    def outcome(*, remembers: bool) -> tuple[Any, ...]:
        table, clock = FakeTable(), ManualClock()
        mine, theirs, fresh = (
            ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock)) for _ in range(3)
        )
        mine.append("t", say("first"), say("second"))
        id = mine.append("t", say("changed"), say("last"), key=["k", None]).messages[0].id or ""
        WRITTEN[written](mine, id)
        with contextlib.suppress(chatstore.MessageNotFound):
            BY_OTHERS[other](theirs, id)
        actor = mine if remembers else fresh
        result: object
        try:
            result = OWN[own](actor, id)
        except chatstore.ChatStoreError as error:
            result = type(error)
        page = theirs.read("t")
        return result, [(one.content, one.metadata) for one in page]

    assert outcome(remembers=True) == outcome(remembers=False)


def test_a_message_that_expires_is_gone_although_it_was_written_last() -> None:
    clock = ManualClock()
    store = ChatStore(AzureTablesBackend(FakeDriver(FakeTable()), TABLES, clock))
    store.create_thread("t")
    id = store.append("t", say("short"), expires_in=timedelta(minutes=1)).messages[0].id or ""
    clock.advance(timedelta(minutes=2))
    with pytest.raises(chatstore.MessageNotFound):
        store.replace_message("t", id, say("mine"))
    assert contents(store.read("t")) == []
