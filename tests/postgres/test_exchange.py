"""What goes to the server as text comes back as it was, and a connection keeps no plan for ever."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

import chatstore
from chatstore.testing.samples import contents, say, whole

ODD = [
    '"',
    "\\",
    '\\"',
    "NULL",
    "null",
    "{}",
    "a,b",
    " ",
    "'",
    "\0",
    "\1",
    "\1\2\0",
    "ä\u2028",
    "𐍈",
    "$1",
    "?",
]


@pytest.mark.parametrize("encoding", ["", "&client_encoding=latin1"])
def test_values_in_lists_and_alone(url: str, encoding: str) -> None:
    with chatstore.connect(url + encoding) as store:
        for name in ("together", *ODD):
            drafts = ODD if name == "together" else [name]
            made = store.append(
                name, *map(say, drafts), key=drafts, metadata=[{"is": one} for one in drafts], request_id=name
            )
            again = store.append(
                name, *map(say, drafts), key=drafts, metadata=[{"is": one} for one in drafts], request_id=name
            )
            assert again == made
            assert contents(whole(store, name)) == drafts
            assert [message.key for message in whole(store, name)] == drafts
            assert [message.metadata["is"] for message in whole(store, name)] == drafts
        assert {thread.id for thread in store.list_threads(limit=100)} == {"together", *ODD}


class Name(str):
    """A text of a type of its own."""

    __slots__ = ()


def test_a_name_of_a_type_of_its_own(url: str) -> None:
    with chatstore.connect(url) as store:
        store.append(Name("a\0b"), say("a"), say("b"), key=[Name("k\0"), None])
        assert contents(whole(store, "a\0b")) == ["a", "b"]
        assert store.get_message(Name("a\0b"), "key:k\0").content == "a"


def test_a_connection_with_many_plans_is_replaced(url: str, postgres: str) -> None:
    """Limits are a part of a statement: whoever asks with each of them takes no more room for it."""

    def pid(db: psycopg.Connection[tuple[int]]) -> int:
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'many plans'"
        [[only]] = db.execute(asked).fetchall()
        return only

    async def main() -> None:
        async with chatstore.aconnect(f"{url}&pool=1&application_name=many+plans") as store:
            await store.append("t", *map(say, range(130)))
            with psycopg.connect(postgres, autocommit=True) as db:
                before = pid(db)
                for limit in range(1, 130):
                    for _ in range(4):
                        assert len((await store.read("t", limit=limit)).items) == limit
                assert pid(db) != before

    asyncio.run(main())
