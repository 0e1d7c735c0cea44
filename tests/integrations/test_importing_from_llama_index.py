"""``chatstore import`` from what LlamaIndex's own stores left behind, written by their own packages."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import botocore.session  # type: ignore[import-untyped, unused-ignore]
import psycopg
import pytest
import redis
from azure.data.tables import TableServiceClient, UpdateMode
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base_db import MessageStatus
from moto.server import ThreadedMotoServer

import chatstore
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore
from tests.azure_tables import azurite
from tests.cli.running import Cli, Finished, killed_import
from tests.integrations import sources
from tests.integrations.llama import BLOCKS, KWARGS, opened, said, texts
from tests.integrations.sources import Peers
from tests.postgres.servers import prepared

Threads = dict[str, list[ChatMessage]]
Absent = Callable[[str, str], NoReturn]

MESSAGES = [
    said("What is there to see in Lisbon?", name="ada"),
    ChatMessage(
        role="assistant",
        blocks=[BLOCKS["tool call"]],
        additional_kwargs={"usage": {"tokens": 7, "cached": False, "logprobs": None}, "n": [1, -2, 10**12]},
    ),
    said('“Alfama”, \\ and "the tram" \U0001f68b\n', "tool", tool_call_id="call_1"),
]
BASE: Threads = {
    "a": MESSAGES,
    "b/'; DROP TABLE chat; -- ü": [*MESSAGES, said("")],
    "long": [said(f"message {number}", "user" if number % 2 else "assistant") for number in range(90)],
}
KWARGS_AS_JSON = {name: value for name, value in KWARGS.items() if name}
FULL: Threads = BASE | {
    "blocks": [ChatMessage(role="user", blocks=[block]) for block in BLOCKS.values()],
    "kwargs": [ChatMessage(role="user", content="x", additional_kwargs=KWARGS_AS_JSON)],
}


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="session")
def peers(absent: Absent) -> Iterator[Peers]:
    if not sources.PYTHON.exists():
        absent("LlamaIndex's stores", sources.HOW_TO_GET_THEM)
    with sources.peers_running() as running:
        yield running


@pytest.fixture(scope="session")
def postgresql(postgres: str) -> str:
    return postgres


@pytest.fixture(scope="session")
def databases(peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    with sources.redis_running(tmp_path_factory.mktemp("redis")) as url:
        yield (f"{url}/{number}" for number in range(16))


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sources.AWS.items():
            patch.setenv(name, value)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def azure(absent: Absent) -> Iterator[str]:
    """The connection string of an account."""
    if not azurite.there():
        absent("Azurite", azurite.HOW_TO_GET_IT)
    with azurite.running() as endpoint, pytest.MonkeyPatch.context() as patch:
        account = f"DefaultEndpointsProtocol=http;AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY}"
        connection = f"{account};TableEndpoint={endpoint};"
        patch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        yield connection


class Place:
    """A place of one test's own where a peer's store may write, and the URL to import from it."""

    def __init__(self, target: str, url: str, clean: Callable[[], object] = lambda: None) -> None:
        self.target = target
        self.url = url
        self.clean = clean


numbers = itertools.count()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes a place for a kind of store."""
    places: list[Place] = []

    def make(kind: str) -> Place:
        places.append(_place(request, tmp_path, kind.split()[0]))
        return places[-1]

    yield make
    for each in places:
        each.clean()


def _place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Place:
    match kind:
        case "simple":
            return Place(f"{tmp_path}/simple.json", f"{tmp_path}/simple.json")
        case "sqlite":
            return Place(f"{tmp_path}/old.db", f"llama-index+sqlite:///{tmp_path}/old.db")
        case "sqlalchemy":
            return Place(f"sqlite+aiosqlite:///{tmp_path}/old.db", f"llama-index+sqlite:///{tmp_path}/old.db")
        case "redis":
            target = next(request.getfixturevalue("databases"))
            return Place(target, f"llama-index+{target}")
        case "dynamodb":
            return _table(request.getfixturevalue("aws"))
        case "azure":
            return _account(request.getfixturevalue("azure"))
        case _:
            return _database(request.getfixturevalue("postgresql"))


def _table(endpoint: str) -> Place:
    client = botocore.session.get_session().create_client("dynamodb", endpoint_url=endpoint)
    client.create_table(
        TableName="chats",
        KeySchema=[{"AttributeName": "SessionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "SessionId", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def clean() -> None:
        client.delete_table(TableName="chats")
        client.close()

    return Place(endpoint, f"llama-index+dynamodb://chats?endpoint={endpoint}", clean)


def _account(connection: str) -> Place:
    def clean() -> None:
        with TableServiceClient.from_connection_string(connection) as service:
            for table in service.list_tables():
                service.delete_table(table.name)

    return Place(connection, "llama-index+azure-tables://", clean)


def _database(url: str) -> Place:
    name = f"test_{next(numbers)}"
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type, unused-ignore]
    target = url.removesuffix("postgres") + name
    return Place(target, f"llama-index+{target}")


def form(message: ChatMessage) -> dict[str, Any]:
    return message.model_dump(mode="json")


def put(key: str, messages: list[ChatMessage]) -> list[Any]:
    return ["set_messages", key, [form(message) for message in messages]]


def imported(cli: Cli, place: Place, target: str, code: int = 0) -> Finished:
    done = cli("import", place.url, "--to", target, "--json")
    assert done.code == code, (done.rows, done.err)
    return done


WRITTEN: dict[str, Threads] = {
    "simple": FULL,
    "sqlite": FULL,
    "sqlalchemy": FULL,
    "redis": FULL,
    "redis with a lifetime": BASE,
    "dynamodb": BASE,
    "dynamodb with a lifetime": BASE,
    # Its store puts a key into filters and names of rows as it is, which takes letters alone.
    "azure": {"a": MESSAGES, "ü": MESSAGES[:1], "long": BASE["long"]},
    "postgres": FULL,
    "postgres with jsonb": BASE,
    "yugabytedb": BASE,
    "sqlalchemy on postgresql": FULL,
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_a_peer_wrote_is_imported_as_the_peer_reads_it(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path, kind: str
) -> None:
    threads = WRITTEN[kind]
    where = place("postgres" if kind.endswith("postgresql") else kind)
    before = peers(
        kind.removesuffix(" on postgresql"), where.target, *(put(*thread) for thread in threads.items())
    )
    assert set(before) == set(threads)
    url = f"sqlite:///{tmp_path}/new.db"
    done = imported(cli, where, url)
    assert done.rows[-1]["added"] == len(threads)
    assert done.rows[-1]["messages"] == sum(len(messages) for messages in threads.values())
    with opened(url) as store:
        for key, messages in threads.items():
            found = store.get_messages(key)
            assert found == messages
            theirs = before[key]
            assert theirs is not None
            assert len(theirs) == len(found)
            if not kind.startswith("dynamodb"):  # whose store gives numbers back as decimals
                assert found == [ChatMessage.model_validate(message) for message in theirs]
        assert len(store.get_keys()) == len(threads)
    # Again: nothing is added, the same is agreed on, and the source is what it was.
    again = imported(cli, where, url)
    assert (again.rows[-1]["unchanged"], again.rows[-1]["messages"]) == (len(threads), 0)
    assert again.rows[-1]["checksum"] == done.rows[-1]["checksum"]
    assert peers(kind.removesuffix(" on postgresql"), where.target) == before


def damage(done: Finished) -> dict[str, list[str]]:
    """What is said of each thread that lost something."""
    return {row["thread"]: row["damage"] for row in done.rows[:-1] if row["damage"]}


def bad(done: Finished) -> dict[str, str]:
    """Why what was not imported was not, by where it is."""
    return {row["where"]: row["reason"] for row in done.rows[:-1] if row["status"] == "bad"}


def contents(url: str) -> dict[str, list[str | None]]:
    with opened(url) as store:
        return {key: [message.content for message in store.get_messages(key)] for key in store.get_keys()}


def test_statuses_of_sqlalchemy_are_kept(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path
) -> None:
    where, url = place("sqlalchemy"), f"sqlite:///{tmp_path}/new.db"
    five = [said(str(number)) for number in range(5)]
    peers(
        "sqlalchemy",
        where.target,
        put("some", five),
        ["archive_oldest_messages", "some", 3],
        put("all", five),
        ["archive_oldest_messages", "all", 5],
        put("none", five),
    )
    with closing(sqlite3.connect(where.target.partition("///")[2])) as db, db:
        db.execute(
            "UPDATE llama_index_memory SET status = 'archived' WHERE key = 'none' AND data LIKE '%\"2\"%'"
        )
        db.execute("UPDATE llama_index_memory SET status = 'lost' WHERE key = 'none' AND data LIKE '%\"4\"%'")
    done = imported(cli, where, url, 1)
    assert damage(done) == {"none": ["row 15: its status 'lost' is unknown, it is taken as active"]}
    assert imported(cli, where, url, 1).rows[-1]["unchanged"] == 3

    async def kept() -> dict[str, Any]:
        store = LlamaIndexAsyncDBChatStore.from_url(url)
        found = {
            key: (
                texts(await store.get_messages(key, MessageStatus.ARCHIVED)),
                texts(await store.get_messages(key)),
            )
            for key in await store.get_keys()
        }
        await store.aclose()
        return found

    assert asyncio.run(kept()) == {
        "some": (["0", "1", "2"], ["3", "4"]),
        "all": (["0", "1", "2", "3", "4"], []),
        "none": (["2"], ["0", "1", "3", "4"]),
    }


def test_damage_in_azure_tables(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path, azure: str
) -> None:
    where, url = place("azure"), f"sqlite:///{tmp_path}/new.db"
    four = [said(str(number)) for number in range(4)]
    names = ["holes", "crashed", "unknown", "uncounted", "blank", "empty", "gone"]
    peers(
        "azure",
        where.target,
        *(put(name, four) for name in names),
        put("large", [said("\N{TRAM}" * 40_000)]),
        ["delete_message", "holes", 1],
        ["delete_messages", "empty"],
    )
    with TableServiceClient.from_connection_string(azure) as service:
        chat, counts = service.get_table_client("ChatMessages"), service.get_table_client("ChatMetadata")
        counts.delete_entity("ChatMessages", "unknown")  # a crash before the metadata was first written
        counts.upsert_entity({"PartitionKey": "ChatMessages", "RowKey": "crashed", "MessageCount": 3})
        for number in range(4):
            chat.delete_entity("gone", f"{number:010}")
        for row, blocks in (("0000000001", '[{"block_type'), ("0000000002", "[]")):
            chat.update_entity({"PartitionKey": "blank", "RowKey": row, "blocks": blocks}, UpdateMode.REPLACE)
    done = imported(cli, where, url, 1)
    assert damage(done) == {
        "holes": ["messages 1 were deleted or never written"],
        "crashed": ["the metadata counts 3 messages, the last one is number 3"],
        "unknown": ["the metadata does not know it: its first message was written only half"],
        "blank": [
            f"row 000000000{number}: a message needs a role: a string such as 'user' or 'assistant'"
            for number in (1, 2)
        ],
    }
    assert bad(done) == {
        "table ChatMessages, key 'gone'": "nothing of it can be read: "
        "the metadata counts 4 messages, and there are none"
    }
    assert contents(url) == {
        "holes": ["0", "2", "3"],
        "crashed": ["0", "1", "2", "3"],
        "unknown": ["0", "1", "2", "3"],
        "uncounted": ["0", "1", "2", "3"],
        "blank": ["0", "3"],
        "empty": [],
        "large": ["\N{TRAM}" * 40_000],
    }


def test_damage_in_dynamodb(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path, aws: str
) -> None:
    where, url = place("dynamodb"), f"sqlite:///{tmp_path}/new.db"
    picture = ChatMessage(role="user", blocks=[BLOCKS["image bytes"], BLOCKS["document bytes"]])
    # The package that wrote it cannot read it any more.
    found = peers("dynamodb with a lifetime", where.target, put("binary", [picture]))
    assert found == {"binary": None}
    client = botocore.session.get_session().create_client("dynamodb", endpoint_url=aws)
    message: Any = {"M": {"role": {"S": "user"}, "additional_kwargs": {"M": {"x": {"N": "1.5"}}}}}
    items: dict[str, Any] = {
        "mixed": {"History": {"L": [message, {"S": "no message"}, {"NULL": True}, message]}},
        "expired": {"History": {"L": [message]}, "TTL": {"N": "1600000000"}},
        "foreign": {"Profile": {"S": "of another application"}},
        "nothing": {"History": {"L": [{"S": "no message"}]}},
        "empty": {"History": {"L": []}},
    }
    for key, further in items.items():
        client.put_item(TableName="chats", Item={"SessionId": {"S": key}, **further})
    client.close()
    done = imported(cli, where, url, 1)
    assert set(damage(done)) == {"mixed"}
    assert [each.partition(":")[0] for each in damage(done)["mixed"]] == ["message 2", "message 3"]
    assert set(bad(done)) == {f"item '{key}'" for key in ("expired", "foreign", "nothing")}
    with opened(url) as store, chatstore.connect(url) as plain:
        assert store.get_messages("binary") == [picture]
        assert [one.additional_kwargs for one in store.get_messages("mixed")] == [{"x": 1.5}] * 2
        assert sorted(store.get_keys()) == ["binary", "empty", "mixed"]
        kept = plain.get_thread("binary")
        assert kept.expires_at is not None
        assert 3500 < (kept.expires_at - kept.created_at).total_seconds() < 3700


def test_damage_in_redis(cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path) -> None:
    where, url = place("redis"), f"sqlite:///{tmp_path}/new.db"
    turn = [said("Be brief.", "system"), said("hello"), said("hello!", "assistant")]
    peers(
        "redis with a lifetime",
        where.target,
        put("chat:living", turn),
        put("chat:turned", [*turn, said("bye")]),
        ["delete_message", "chat:turned", 3],
    )
    with redis.Redis.from_url(where.target) as client:
        client.rpush("chat:half", json.dumps(form(turn[1])), '{"role": "user", "blo', b"\xff")
        client.rpush("chat:jobs", "send mail", "send more mail")
        client.rpush(b"chat:\xff", "x")
        client.set("chat:text", "of another application")
        client.rpush("other", "x")
    where.url += "?match=chat:*"
    done = imported(cli, where, url, 1)
    assert [each.partition(":")[0] for each in damage(done)["chat:half"]] == ["element 1", "element 2"]
    assert "reversed" in damage(done)["chat:turned"][0]
    assert set(damage(done)) == {"chat:half", "chat:turned"}
    assert set(bad(done)) == {"key 'chat:jobs'", "key b'chat:\\xff'"}
    assert contents(url) == {
        "chat:living": ["Be brief.", "hello", "hello!"],
        "chat:turned": ["hello!", "hello", "Be brief."],
        "chat:half": ["hello"],
    }
    with chatstore.connect(url) as plain:
        assert plain.get_thread("chat:living").expires_at is not None
        assert plain.get_thread("chat:turned").expires_at is None  # its store has dropped it


def test_damage_in_sql_tables(cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path) -> None:
    where, url = place("sqlite"), f"sqlite:///{tmp_path}/new.db"
    peers("sqlite", where.target, put("a", [said("1"), said("2"), said("3")]), put("é" * 513, [said("x")]))
    with closing(sqlite3.connect(where.target)) as db, db:
        db.execute("UPDATE data_chatstore SET value = substr(value, 1, 20) WHERE id = 2")
        db.execute("INSERT INTO data_chatstore (key, value) VALUES ('b', cast(x'ff22' AS text))")
    done = imported(cli, where, url, 1)
    assert list(damage(done)) == ["a"]
    assert damage(done)["a"][0].startswith("row 2: it is not JSON")
    assert len(bad(done)) == 2
    assert contents(url) == {"a": ["1", "3"]}

    where, url = place("postgres"), f"sqlite:///{tmp_path}/from-postgres.db"
    peers("postgres", where.target, put("a", [said("1"), said("2")]))
    with psycopg.connect(where.target) as connection:
        connection.execute(
            "INSERT INTO chatstore (key, value) VALUES ('null', NULL), ('b', ARRAY['{\"role\": 1}'::json]), "
            "('c', ARRAY['{\"role\": \"user\"}'::json, '3'::json]), ('empty', '{}')"
        )
    done = imported(cli, where, url, 1)
    assert list(damage(done)) == ["c"]
    assert len(bad(done)) == 2
    assert contents(url) == {"a": ["1", "2"], "c": [None], "empty": []}


def test_a_database_takes_what_it_holds_itself(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path
) -> None:
    """LlamaIndex's tables and those of the store stand side by side."""
    where = place("postgres")
    peers("postgres", where.target, put("a", [said("1"), said("2")]), put("b", [said("3")]))
    url = prepared(where.target)
    imported(cli, where, url)
    assert contents(url) == {"a": ["1", "2"], "b": ["3"]}


def test_a_table_is_named_where_there_are_several(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path
) -> None:
    where, url = place("sqlite"), f"sqlite:///{tmp_path}/new.db"
    peers("sqlite", where.target, put("a", [said("1")]))
    peers("sqlalchemy", f"sqlite+aiosqlite:///{where.target}", put("b", [said("2")]))
    refused = cli("import", where.url, "--to", url)
    assert refused.code == 2
    assert "data_chatstore, llama_index_memory" in refused.err
    where.url += "?table=llama_index_memory"
    imported(cli, where, url)
    assert contents(url) == {"b": ["2"]}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("llama-index+sqlite:///nowhere.db", "is not a file"),
        ("llama-index+sqlite:///nowhere.db?colour=red", "no option 'colour'"),
        ("llama-index+postgresql://127.0.0.1:1/chat", "postgresql://127.0.0.1:1/chat cannot be read"),
        ("llama-index+redis://:secret@127.0.0.1:1/0", "redis://…@127.0.0.1:1/0 cannot be read"),
        (
            "llama-index+dynamodb://chats?endpoint=http://127.0.0.1:1&region=eu-central-1",
            "dynamodb://chats cannot be read",
        ),
        ("llama-index+azure-tables://", "AZURE_STORAGE_CONNECTION_STRING"),
    ],
)
def test_a_source_that_cannot_be_reached_is_an_error_in_a_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, says: str
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    for name, value in sources.AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.chdir(tmp_path)
    done = cli("import", source, "--to", "memory://")
    assert done.code in (1, 2)
    assert says in done.err
    assert "secret" not in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [
        ("llama-index+redis://127.0.0.1/0", "redis", "redis"),
        ("llama-index+postgresql://127.0.0.1/chat", "psycopg", "postgres"),
        ("llama-index+dynamodb://chats", "botocore", "dynamodb"),
        ("llama-index+azure-tables://", "azure.data.tables", "azure-tables"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, source: str, package: str, extra: str
) -> None:
    scheme = source.partition(":")[0]
    module = f"chatstore.sources.llama_index_{extra.partition('-')[0]}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    done = cli("import", source, "--to", "memory://")
    assert done.code == 2
    assert f"pip install '.[{extra}]'" in done.err
    assert scheme in done.err


def test_a_killed_import_goes_on_where_it_was(
    cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path
) -> None:
    where, url = place("sqlite"), f"sqlite:///{tmp_path}/new.db"
    threads = {f"t{number:03}": [said(str(each)) for each in range(number % 5 + 1)] for number in range(120)}
    peers("sqlite", where.target, *(put(*thread) for thread in threads.items()))
    killed_import(where.url, url, after=20)
    kept = sum(len(messages) for messages in contents(url).values())
    total = sum(len(messages) for messages in threads.values())
    assert 20 <= kept < total
    done = imported(cli, where, url)
    assert done.rows[-1]["messages"] == total - kept
    assert contents(url) == {key: [one.content for one in messages] for key, messages in threads.items()}


def test_a_simple_store_whose_json_was_written_as_json_text(cli: Cli, tmp_path: Path) -> None:
    file, url = tmp_path / "simple.json", f"sqlite:///{tmp_path}/new.db"
    file.write_text(
        json.dumps(json.dumps({"store": {"a": [form(said("1"))]}, "class_name": "SimpleChatStore"}))
    )
    assert cli("import", file, "--to", url).code == 0
    assert contents(url) == {"a": ["1"]}


def test_what_people_are_told(cli: Cli, peers: Peers, place: Callable[[str], Place], tmp_path: Path) -> None:
    where, url = place("sqlite"), f"sqlite:///{tmp_path}/new.db"
    peers("sqlite", where.target, put("a", [said("1"), said("2")]))
    with closing(sqlite3.connect(where.target)) as db, db:
        db.execute("UPDATE data_chatstore SET value = '[]' WHERE id = 2")
    done = cli("import", where.url, "--to", url)
    assert done.code == 1
    assert done.err.startswith(f"{where.url}, table data_chatstore, key 'a': damaged: row 2: a message is")
    assert "1 added, 0 resumed, 0 unchanged, 0 changed, 0 bad, 1 damaged; messages added: 1" in done.out
    assert "sha256 of the threads that source and store agree on: " in done.out
