"""What the kin of PostgreSQL do otherwise, on one: statements that meet others, nodes, their forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres import dialects
from chatstore.backends.postgres.exchange import Result
from chatstore.backends.postgres.links import BlockingLink
from chatstore.errors import ConfigurationError, Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres.proxy import Wire, wired
from tests.postgres.servers import Emptied, prepared
from tests.postgres.writes import WRITES

MET = [
    f"DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '{state}'; END $$".encode()
    for state in ("40001", "40P01")
]

SERVERS = """
CREATE OR REPLACE FUNCTION yb_servers()
    RETURNS TABLE (host text, port bigint, cloud text, region text, zone text) LANGUAGE sql AS $$ VALUES $1 $$
"""


def nth_meets_another(patch: pytest.MonkeyPatch, number: int) -> list[bytes]:
    """Have the server fail the statement of that number as one that met another; what was sent."""
    real, sent = BlockingLink.fetch, list[bytes]()

    async def fetch(self: BlockingLink, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
        sent.append(sql)
        if len(sent) == number:
            return await real(self, MET[number % 2])
        return await real(self, sql, parameters)

    patch.setattr(BlockingLink, "fetch", fetch)
    return sent


@pytest.mark.parametrize("scheme", ["postgresql", "cockroachdb"])
@pytest.mark.parametrize("what", WRITES)
def test_every_statement_in_turn_meets_another_transaction(
    postgres: str, tmp_path: Path, scheme: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kin may say 40001 at any statement, and at the commit: each write takes effect once."""
    expected = None
    with chatstore.connect(Emptied(postgres, scheme).url(tmp_path)) as store:
        for number in range(60):
            name = chatstore.uuid7()
            store.append(name, say("a"), say("b"), say("c"))
            with monkeypatch.context() as patch:
                sent = nth_meets_another(patch, number)
                WRITES[what](store, name)
            found = [contents(whole(store, one)) for one in (name, f"{name} forked") if store_has(store, one)]
            assert found == (expected := expected or found), f"statement {number}"
            if len(sent) < number:
                break
        assert number > 1


def store_has(store: chatstore.ChatStore, name: str) -> bool:
    return any(thread.id == name for thread in store.list_threads(limit=1000))


def test_a_transaction_that_always_meets_another_ends(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chatstore.connect(Emptied(postgres).url(tmp_path)) as store:
        store.append("t", say("a"))

        async def fetch(self: BlockingLink, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
            del sql, parameters
            return await real(self, MET[0])

        with monkeypatch.context() as patch:
            real = BlockingLink.fetch
            patch.setattr(BlockingLink, "fetch", fetch)
            patch.setattr("time.sleep", lambda _: None)
            with pytest.raises(Unavailable):
                store.append("t", say("never"))
        assert contents(whole(store, "t")) == ["a"]


@pytest.fixture
def cluster(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, Wire]]]:
    """A URL of YugabyteDB's form, and the wires to its nodes, which a function of the server's names.

    The tables are YugabyteDB's, but for the words that PostgreSQL does not know.
    """
    theirs = dialects.DIALECTS["yugabytedb"]
    forms = {
        name: getattr(theirs, name).replace("((", "(").replace(") HASH", "").replace(" HASH", "")
        for name in ("threads", "messages", "requests")
    }
    plain = {name: form.replace(" ASC", "") for name, form in forms.items()}
    monkeypatch.setitem(dialects.DIALECTS, "yugabytedb", replace(theirs, **plain))
    with wired(postgres) as (one, here), wired(postgres) as (two, there):
        nodes = ", ".join(
            f"('127.0.0.1', {urlsplit(url).port}, 'cloud', 'eu', '{zone}')"
            for url, zone in ((one, "a"), (two, "b"))
        )
        with psycopg.connect(postgres, autocommit=True) as db:
            db.execute(SERVERS.replace("$1", nodes).encode())
        scheme = f"yugabytedb:{postgres.partition(':')[2]}?schema=yuga"
        yield prepared(scheme), {"a": here, "b": there}


def dialled(url: str, wires: dict[str, Wire], connections: int) -> Counter[str]:
    """Over which nodes so many new connections went."""
    before = {zone: wire.clients for zone, wire in wires.items()}
    with chatstore.connect(url) as store:
        for _ in range(connections):
            store.append("t", say("a"))
            store.close()
    return Counter({zone: wire.clients - before[zone] for zone, wire in wires.items()})


def test_connections_are_spread_over_a_clusters_nodes(cluster: tuple[str, dict[str, Wire]]) -> None:
    url, wires = cluster
    with chatstore.connect(url) as store:
        store.append("t", say("a"), say("b"))
        store.truncate("t", after=store.read("t").items[0].id)
        assert contents(whole(store, "t")) == ["a"]
    assert not dialled(url, wires, 3).total(), "without the option, only the URL's host is used"
    counted = dialled(f"{url}&load_balance=true", wires, 24)
    assert counted.total() == 24
    assert len(counted) == 2
    near = f"{url}&load_balance=true&topology_keys=cloud.eu.b:1,cloud.eu.*:2"
    assert dialled(near, wires, 6) == {"b": 6, "a": 0}
    wires["b"].refuses = True
    assert dialled(near, wires, 3) == {"a": 3, "b": 0}, "what is near does not answer"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("yugabytedb://ada@127.0.0.1/x?load_balance=true&topology_keys=eu", "CLOUD.REGION.ZONE"),
        ("yugabytedb://ada@127.0.0.1/x?topology_keys=a.b.c", "load_balance"),
        ("postgresql://ada@127.0.0.1/x?load_balance=true", "yugabytedb"),
    ],
)
def test_options_of_clusters_that_are_wrong(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said), chatstore.connect(url):
        pass
