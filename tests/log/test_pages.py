"""A page ends where it was asked to, wherever texts are kept, and names of messages are looked up."""

from __future__ import annotations

from datetime import timedelta

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.contract import Span, ThreadKey
from chatstore.testing.samples import contents, say, whole
from tests.log.kept import BIG, LATER, Kept
from tests.log.memory_table import LogInMemory
from tests.log.test_applying import World, world

__all__ = ["world"]

KEY = ThreadKey("default", "t")


def test_texts_that_are_kept_apart_count_into_a_pages_bytes(kept: Kept) -> None:
    texts = [f"{number} {BIG}" for number in range(3)]
    kept.store.append("t", *map(say, texts))
    page = kept.store.read("t", max_bytes=2 * len(BIG) + 100)
    assert contents(page) == texts[:2]
    assert contents(kept.store.read("t", after=page.next)) == texts[2:]


def test_the_newest_behind_a_message_that_is_not_there_are_refused(kept: Kept) -> None:
    gone, *_ = kept.store.append("t", say("a"), say("b"), say("c")).messages
    backend = LogInMemory(kept.table, kept.clock)
    page = run(backend.read(KEY, Span(5, newest=True, after_message=gone.id)))
    assert [message.content for message in page.items] == ["b", "c"]
    kept.store.delete_message("t", gone.id or "")
    with pytest.raises(chatstore.MessageNotFound):
        run(backend.read(KEY, Span(5, newest=True, after_message=gone.id)))


def test_a_message_is_found_though_its_history_moved_on_and_its_rows_went_behind_the_look(
    world: World,
) -> None:
    stays, goes = world.other.append("t", say("stays"), say("edited")).messages

    def moved() -> None:
        for number in range(70):
            world.other.replace_message("t", goes.id or "", say(number))
        world.swept(LATER)
        world.swept(timedelta(hours=2))

    world.meddled.behind_look = moved
    assert world.store.get_message("t", stays.id or "").content == "stays"
    assert world.meddled.behind_look is None


def test_whoever_may_not_read_what_is_stale_never_asks_for_it(kept: Kept) -> None:
    kept.store.append("t", say("a"))
    asked: list[bool] = []
    query = kept.table.query

    async def noted(*args: object, stale: bool = False, **more: object) -> object:
        asked.append(stale)
        return await query(*args, stale=stale, **more)  # type: ignore[arg-type]

    kept.table.query = noted  # type: ignore[method-assign,assignment]
    assert contents(whole(kept.store, "t")) == ["a"]
    assert asked
    assert not any(asked)
