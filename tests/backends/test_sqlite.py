"""What is SQLite's own: the file, its schema, its errors, and the ways a process can hold it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chatstore

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chat.db"


def contents(store: chatstore.ChatStore, thread: str = "t") -> list[object]:
    return [message.content for message in store.iter_messages(thread)]


def test_a_file_is_kept_between_openings(url: str) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO)
    with chatstore.connect(url) as store:
        assert contents(store) == ["hello"]


def test_a_closed_store_opens_again_on_use(url: str) -> None:
    store = chatstore.connect(url)
    store.append("t", HELLO)
    store.close()
    store.close()
    assert contents(store) == ["hello"]
    store.close()


def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with chatstore.connect("sqlite:///here.db") as store:
        store.append("t", HELLO)
    assert (tmp_path / "here.db").exists()


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    with chatstore.connect(f"sqlite:///{tmp_path}/a%20b%3Fc%23.db") as store:
        store.append("t", HELLO)
    assert (tmp_path / "a b?c#.db").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sqlite://chat.db", "relative.db"),
        ("sqlite:///", "relative.db"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///chat.db?sync=off", "synchronous"),
        ("sqlite:///chat.db?synchronous=OFF", "FULL, NORMAL"),
        ("sqlite:///chat.db?timeout=-1", "positive"),
        ("sqlite:///chat.db?timeout=soon", "positive"),
    ],
)
def test_an_unusable_url_says_what_to_change(text: str, says: str) -> None:
    with pytest.raises(chatstore.ConfigurationError, match=says):
        chatstore.connect(text)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        chatstore.connect(f"sqlite:///{tmp_path}/no/chat.db") as store,
        pytest.raises(chatstore.ConfigurationError, match="folder") as caught,
    ):
        store.append("t", HELLO)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    file.write_bytes(b"a letter to a friend" * 500)
    with chatstore.connect(f"sqlite:///{file}") as store, pytest.raises(chatstore.CorruptData):
        store.append("t", HELLO)
    assert file.read_bytes() == b"a letter to a friend" * 500


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    with (
        chatstore.connect(f"sqlite:///{file}") as store,
        pytest.raises(chatstore.ConfigurationError, match="chatstore"),
    ):
        store.append("t", HELLO)
    other = sqlite3.connect(file)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("songs",)]
    other.close()


def test_a_newer_schema_is_refused(url: str, tmp_path: Path) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO)
    database = sqlite3.connect(tmp_path / "chat.db")
    database.execute("PRAGMA user_version = 999")
    database.close()
    with (
        chatstore.connect(url) as store,
        pytest.raises(chatstore.ConfigurationError, match="newer chatstore"),
    ):
        store.append("t", HELLO)


def test_an_older_schema_is_brought_up_to_date(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatstore.backends.sqlite import schema

    with chatstore.connect(url) as store:
        store.append("t", HELLO)
    later = (*schema.MIGRATIONS, "CREATE TABLE later (a); CREATE INDEX later_by_a ON later (a);")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with chatstore.connect(url) as store:
        assert contents(store) == ["hello"]
        store.append("t", HELLO)
    database = sqlite3.connect(tmp_path / "chat.db")
    assert database.execute("SELECT count(*) FROM later").fetchone() == (0,)
    assert database.execute("PRAGMA user_version").fetchone() == (len(later),)
    database.close()


def test_a_failed_migration_leaves_the_file_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatstore.backends.sqlite import schema

    with chatstore.connect(url) as store:
        store.append("t", HELLO)
    with monkeypatch.context() as broken:
        broken.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (a); CREATE nonsense;"))
        with chatstore.connect(url) as store, pytest.raises(chatstore.StorageError):
            store.append("t", HELLO)
    with chatstore.connect(url) as store:
        assert contents(store) == ["hello"]
    database = sqlite3.connect(tmp_path / "chat.db")
    assert database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'later'").fetchone() == (0,)
    database.close()


def test_many_may_open_a_new_file_at_once(url: str) -> None:
    gate = threading.Barrier(8)

    def start(number: int) -> None:
        with chatstore.connect(url) as store:
            gate.wait()
            store.append("t", {"role": "user", "content": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    with chatstore.connect(url) as store:
        assert sorted(map(str, contents(store))) == [str(number) for number in range(8)]


def test_a_writer_held_up_too_long_says_so_and_writes_nothing(url: str, tmp_path: Path) -> None:
    with chatstore.connect(f"{url}?timeout=0.05") as store:
        store.append("t", HELLO)
        other = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(chatstore.Unavailable, match="busy") as caught:
            store.append("t", HELLO)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert contents(store) == ["hello"], "readers do not wait for writers"
        other.execute("ROLLBACK")
        other.close()
        store.append("t", HELLO)
        assert contents(store) == ["hello", "hello"]


@pytest.mark.parametrize(("given", "pragma"), [("", 2), ("?synchronous=full", 2), ("?synchronous=NORMAL", 1)])
def test_synchronous_is_what_was_asked_for(url: str, given: str, pragma: int) -> None:
    from chatstore.backends.sqlite import SqliteBackend

    with chatstore.connect(url + given) as store:
        store.append("t", HELLO)
        assert isinstance(store.backend, SqliteBackend)

        async def ask(tx: object) -> object:
            return await tx.one("PRAGMA synchronous")  # type: ignore[attr-defined]

        from chatstore.blocking import run

        for using in (store.backend.driver.write, store.backend.driver.read):
            assert run(using(ask, ("default", None))) == (pragma,)


def test_append_and_last_messages_use_indexes_alone(url: str, tmp_path: Path) -> None:
    """No statement of an append, a read or a listing scans a table or sorts."""
    seen: list[str] = []
    with chatstore.connect(url) as store:
        store.append("t", HELLO, owner="someone")
        original = sqlite3.connect(tmp_path / "chat.db")
        from chatstore.backends.sqlite.statements import Statements

        names = ("one", "all", "until", "run", "remove")
        execute = [getattr(Statements, name) for name in names]
        try:
            for name, method in zip(names, execute, strict=True):

                def traced(
                    self: object, sql: str, *parameters: object, _call: object = method, **options: object
                ) -> object:
                    seen.append(sql)
                    return _call(self, sql, *parameters, **options)  # type: ignore[operator]

                setattr(Statements, name, traced)
            store.append("t", HELLO)
            page = store.read("t", last=1)
            store.read("t", before=page.next)
            store.get_message("t", page.items[0].id or "")
            store.list_threads()
            store.list_threads(owner="someone", cursor=store.list_threads(limit=1).next)
            store.list_threads(metadata={"a": 1})
        finally:
            for name, method in zip(names, execute, strict=True):
                setattr(Statements, name, method)
        assert len(seen) >= 8
        for sql in seen:
            plan = original.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")).fetchall()
            described = " / ".join(row[3] for row in plan)
            assert "SCAN" not in described, f"{sql}: {described}"
            assert "TEMP B-TREE" not in described, f"{sql}: {described}"
        original.close()


# One store, however it is held


def test_a_blocking_store_works_inside_a_running_loop(url: str) -> None:
    async def main() -> list[object]:
        with chatstore.connect(url) as store:
            store.append("t", HELLO)
            return contents(store)

    assert asyncio.run(main()) == ["hello"]


@pytest.mark.parametrize("which", ["memory://", "sqlite"])
def test_a_store_of_a_module_serves_one_run_after_another(url: str, which: str) -> None:
    store = chatstore.aconnect(url if which == "sqlite" else which)

    async def turn(number: int) -> int:
        await store.append("t", {"role": "user", "content": number})
        return len(await store.read("t"))

    assert [asyncio.run(turn(number)) for number in range(5)] == [1, 2, 3, 4, 5]
    asyncio.run(store.close())


@pytest.mark.parametrize("which", ["memory://", "sqlite"])
def test_a_blocking_store_is_shared_by_threads(url: str, which: str) -> None:
    with chatstore.connect(url if which == "sqlite" else which) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.append("t", {"role": "user", "content": number}), range(200)))
        assert sorted(content for content in contents(store) if isinstance(content, int)) == list(range(200))


FORKING = """
import asyncio, os, signal, sys, threading
import chatstore
url, colour = sys.argv[1:]
def add(number):
    message = {"role": "user", "content": number}
    if colour == "blocking":
        store.append("t", message)
    else:
        asyncio.run(store.append("t", message))
store = chatstore.connect(url) if colour == "blocking" else chatstore.aconnect(url)
add(0)
stop = threading.Event()
def busy():
    while not stop.is_set():
        add("busy")
# Forks while another thread writes: the child has that thread's lock, but not the thread.
writer = threading.Thread(target=busy)
writer.start()
children = []
for number in range(1, 21):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        add(number)
        os._exit(0)
    children.append(child)
    add(-number)
ends = [os.waitpid(child, 0)[1] for child in children]
stop.set()
writer.join()
assert not any(ends), ends
add(99)
"""


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_store_opened_before_a_fork_works_on_both_sides(url: str, colour: str) -> None:
    url += "?synchronous=NORMAL"
    subprocess.run([sys.executable, "-c", FORKING, url, colour], check=True, timeout=100)
    with chatstore.connect(url) as store:
        numbers = [content for content in contents(store) if content != "busy"]
    assert sorted(numbers, key=str) == sorted([99, *range(-20, 21)], key=str)


READING = """
import json, resource, sys
import chatstore
store = chatstore.connect(sys.argv[1])
store.read("long", last=20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = size = 0
for message in store.iter_messages("long"):
    count += 1
    size += len(message.text)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"count": count, "size": size, "grown": peak * 1024}))
"""


def test_iterating_takes_constant_memory(url: str) -> None:
    """100,000 messages, over 60 MB of text, are streamed within 8 MB of additional memory."""
    count, batch = 100_000, 5_000
    with chatstore.connect(f"{url}?synchronous=NORMAL") as store:
        for first in range(0, count, batch):
            store.append(
                "long", *({"role": "user", "content": "z" * 600, "n": n} for n in range(first, first + batch))
            )
    finished = subprocess.run(
        [sys.executable, "-c", READING, url], capture_output=True, text=True, check=True, timeout=120
    )
    told = json.loads(finished.stdout)
    assert told["count"] == count
    assert told["size"] > 60e6
    assert told["grown"] < 8e6, told


def test_damage_is_told_without_a_word_of_what_is_stored(url: str, tmp_path: Path) -> None:
    with chatstore.connect(url) as store:
        store.append("t", {"role": "user", "content": "a secret"})
        with sqlite3.connect(tmp_path / "chat.db") as other:
            other.execute("UPDATE messages SET text = CAST(CAST(text AS BLOB) || x'FF' AS TEXT)")
        other.close()
        with pytest.raises(chatstore.CorruptData) as caught:
            store.read("t")
    told = "".join(traceback.format_exception(caught.value))
    assert "secret" not in told.replace("a_secret", "")
