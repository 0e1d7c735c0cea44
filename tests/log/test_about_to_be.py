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
from tests.log.kept import BIG, Kept, stopped
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


@pytest.mark.parametrize("appends", [False, True])
def test_clearing_up_after_a_killed_writer_leaves_what_another_is_about_to_write(
    kept: Kept, appends: bool
) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(kept).append("t", {"role": "user", "content": "orphan" + BIG}, owner="ada")
    kept.store.append("t", {"role": "user", "content": "his"}, owner="bob")
    kept.clock.advance(timedelta(hours=3))
    texts = [f"{n} {BIG}" for n in range(2)]
    table = Meanwhile(kept.table, "put_new", kept.swept)
    late, messages = (
        ChatStore(LogInMemory(table, kept.clock)),
        [{"role": "user", "content": text} for text in texts],
    )
    keys = ["one", "two"]
    late.append("t", *messages, key=keys) if appends else late.replace_all("t", messages, key=keys)
    assert table.happened
    assert "orphan" not in kept.text()
    assert [message.content for message in kept.store.read("t")][-2:] == texts
    assert [kept.store.get_message("t", f"key:{key}").content for key in keys] == texts


def test_an_erasure_leaves_what_others_are_about_to_write_whole(kept: Kept) -> None:
    kept.store.append("t", {"role": "user", "content": "hers"}, owner="bob")
    kept.store.delete_thread("t")
    kept.store.append("t", {"role": "user", "content": "his"}, owner="ada")
    texts = [f"{n} {BIG}" for n in range(2)]
    table = Meanwhile(kept.table, "put_new", lambda: kept.store.erase("bob"))
    ChatStore(LogInMemory(table, kept.clock)).replace_all(
        "t", [{"role": "user", "content": text} for text in texts]
    )
    assert table.happened
    assert [message.content for message in kept.store.read("t")] == texts


def test_a_sweep_beside_who_begins_a_thread_of_the_same_name_leaves_it_listed(kept: Kept) -> None:
    """It is done with the owner's former one, and not yet with another's that came between."""
    for owner in ("zoey", "bob"):
        kept.store.append("t", {"role": "user", "content": "old"}, owner=owner)
        kept.store.delete_thread("t")
        kept.clock.advance(timedelta(hours=5))
        kept.swept()
    kept.clock.advance(timedelta(hours=16, minutes=30))
    table = Meanwhile(kept.table, "put_new", kept.swept)
    ChatStore(LogInMemory(table, kept.clock)).append("t", {"role": "user", "content": "new"}, owner="zoey")
    assert table.happened
    for listed in (kept.store.list_threads(owner="zoey"), kept.store.list_threads()):
        assert [one.id for one in listed] == ["t"]


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
