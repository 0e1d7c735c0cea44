"""A sweep beside a writer leaves what nobody names yet, and what a repetition is about to ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

import chatstore
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say
from tests.log.doubles import Meanwhile
from tests.log.kept import BIG, Kept
from tests.log.memory_table import LogInMemory

Act: TypeAlias = Callable[[ChatStore], object]

WRITES: dict[str, Act] = {
    "a large message": lambda store: store.append("t", say(f"new {BIG}")),
    "a key": lambda store: store.append("t", say("new"), key="k"),
    "keys of another history": lambda store: store.replace_all("t", [say("new")], key=["k"]),
    "another history": lambda store: store.replace_all("t", [say(f"new {BIG}"), say(BIG)]),
    "a copy": lambda store: store.fork("of", "t2"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_sweep_leaves_what_another_process_is_about_to_name(kept: Kept, write: str) -> None:
    kept.store.append("of", say(f"new {BIG}"), key="k")
    kept.store.append("t", say("stays"), key="there before")
    for thread in ("t", "t2"):
        kept.store.append(thread, say("brief"), expires_in=60)
    kept.store.delete_thread("t2")
    kept.clock.advance(timedelta(minutes=2))
    table = Meanwhile(kept.table, "put_new", kept.swept)
    WRITES[write](ChatStore(LogInMemory(table, kept.clock)))
    assert table.happened
    thread = "t2" if write == "a copy" else "t"
    page = kept.store.read(thread)
    assert [str(one)[:3] for one in contents(page) if one != "stays" and one != BIG] == ["new"]
    assert all(kept.store.get_message(thread, f"key:{one.key}") == one for one in page if one.key)


REPEATED: dict[str, Act] = {
    "insert": lambda store: store.insert("t", say("new"), index=0, request_id="r"),
    "replace": lambda store: store.replace_message("t", "key:a", say("new"), request_id="r"),
    "delete": lambda store: store.delete_message("t", "key:a", request_id="r"),
    "pop": lambda store: store.pop("t", request_id="r"),
}


@pytest.mark.parametrize("act", REPEATED)
def test_a_sweep_leaves_what_a_repetition_is_answered(kept: Kept, act: str) -> None:
    kept.store.append("t", say("brief"), expires_in=60)
    kept.store.append("t", say("old"), key="a")
    first = REPEATED[act](kept.store)
    kept.store.append("t", say("behind it"))
    kept.clock.advance(timedelta(minutes=2))
    kept.swept()
    assert REPEATED[act](kept.store) == first


@pytest.mark.parametrize("act", ["replace", "delete", "pop"])
def test_what_a_repetition_would_show_has_expired_with_its_thread(kept: Kept, act: str) -> None:
    kept.store.append("t", say("old"), key="a", ttl=60)
    REPEATED[act](kept.store)
    kept.clock.advance(timedelta(minutes=2))
    with pytest.raises(chatstore.RequestExpired):
        REPEATED[act](kept.store)
