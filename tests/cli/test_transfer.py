"""Import and export: what is there twice, half, changed, or comes back."""

from __future__ import annotations

import io
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chatstore
from chatstore import ChatStore, Message
from chatstore.backends.memory import MemoryBackend
from chatstore.codec import Json
from chatstore.exporting import export_threads
from chatstore.importing import Status, import_threads
from tests.cli.running import Cli, exported, killed_import, sent, service
from tests.conftest import SOAK

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.builds(
    lambda role, rest: {**rest, "role": role}, st.text(min_size=1), st.dictionaries(st.text(), JSON)
)
THREADS = st.dictionaries(
    st.text(max_size=20),
    st.fixed_dictionaries(
        {"messages": st.lists(MESSAGES, max_size=6)},
        optional={
            "topic": st.text(max_size=9),
            "owner": st.text(min_size=1, max_size=9),
            "metadata": st.dictionaries(st.text(), JSON, max_size=2),
            "participants": st.lists(st.fixed_dictionaries({"id": st.text(max_size=9)}), max_size=1),
        },
    ),
    max_size=4,
)


# Each example is several imports.
FEWER = settings(max_examples=settings().max_examples // 3)


class Counting(MemoryBackend):
    """Memory that counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: Counter[str] = Counter()

    async def create_thread(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.writes["threads"] += 1
        return await super().create_thread(*args, **kwargs)

    async def append(self, key, drafts, **kwargs):  # type: ignore[no-untyped-def]
        self.writes["appends"] += 1
        self.writes["messages"] += len(drafts)
        return await super().append(key, drafts, **kwargs)


def lines(threads: dict[str, dict[str, Json]]) -> io.BytesIO:
    return io.BytesIO(
        b"".join(json.dumps({"id": id, **thread}).encode() + b"\n" for id, thread in threads.items())
    )


def texts(store: ChatStore, id: str) -> list[str]:
    return [json.dumps(message.to_dict()) for message in store.iter_messages(id)]


def numbered(count: int, size: int = 1) -> list[Json]:
    return [{"role": "user", "content": f"{number}".ljust(size)} for number in range(count)]


@FEWER
@given(THREADS)
def test_what_is_imported_is_exported_and_imported_again_the_same(
    threads: dict[str, dict[str, Json]],
) -> None:
    with chatstore.connect("memory://") as first, chatstore.connect("memory://") as second:
        list(import_threads(first, lines(threads)))
        export = io.BytesIO()
        assert sum(done.messages for done in export_threads(first, export)) == sum(
            len(thread["messages"]) for thread in threads.values()
        )
        export.seek(0)
        list(import_threads(second, export))
        for store in (first, second):
            assert {thread.id for thread in store.iter_threads()} == set(threads)
            for id, thread in threads.items():
                assert texts(store, id) == [json.dumps(message) for message in thread["messages"]]
                kept = store.get_thread(id)
                assert (kept.topic, kept.owner) == (thread.get("topic"), thread.get("owner"))
                assert json.dumps(kept.metadata) == json.dumps(thread.get("metadata", {}))
                assert [{"id": one.id} for one in kept.participants] == thread.get("participants", [])


@FEWER
@given(THREADS, st.data())
def test_only_what_is_missing_is_written(threads: dict[str, dict[str, Json]], data: st.DataObject) -> None:
    backend = Counting()
    store = ChatStore(backend)
    missing = 0
    for id, thread in threads.items():
        there = data.draw(st.none() | st.integers(0, len(thread["messages"])))
        if there is not None:
            store.create_thread(id)
            if there:
                store.append(id, *thread["messages"][:there])
        missing += len(thread["messages"]) - (there or 0)
    absent = len(threads) - len(list(store.iter_threads()))
    for expected in ({"threads": absent, "messages": missing}, {"threads": 0, "messages": 0}):
        backend.writes.clear()
        outcomes = list(import_threads(store, lines(threads)))
        assert backend.writes["threads"] == expected["threads"]
        assert backend.writes["messages"] == expected["messages"] == sum(each.messages for each in outcomes)
        assert Counter(each.status for each in outcomes)[Status.ADDED] == expected["threads"]
    for id, thread in threads.items():
        assert texts(store, id) == [json.dumps(message) for message in thread["messages"]]


@pytest.mark.parametrize(
    ("count", "size", "appends"), [(100, 1, 1), (101, 1, 2), (1050, 1, 11), (3, 600_000, 3), (4, 400_000, 2)]
)
def test_long_threads_are_written_in_batches(count: int, size: int, appends: int) -> None:
    backend = Counting()
    store = ChatStore(backend)
    threads = {"t": {"messages": numbered(count, size)}}
    list(import_threads(store, lines(threads)))
    assert backend.writes == {"threads": 1, "appends": appends, "messages": count}
    assert texts(store, "t") == [json.dumps(message) for message in threads["t"]["messages"]]


@pytest.mark.parametrize("change", ["continued", "edited", "other types", "shorter"])
def test_a_thread_that_changed_is_reported_and_left_alone(cli: Cli, tmp_path: Path, change: str) -> None:
    url, file = f"sqlite:///{tmp_path}/chat.db", tmp_path / "threads.jsonl"
    file.write_bytes(
        lines({"t": {"messages": [{"role": "user", "n": 1}] * 3}, "u": {"messages": []}}).getvalue()
    )
    assert cli("import", file, "--to", url).code == 0
    with chatstore.connect(url) as store:
        ids = [message.id or "" for message in store.read("t")]
        if change == "continued":
            store.append("t", {"role": "assistant"})
        elif change == "edited":
            store.replace_message("t", ids[1], {"role": "user", "n": 2})
        elif change == "other types":
            store.replace_message("t", ids[2], {"role": "user", "n": 1.0})
        else:
            store.delete_message("t", ids[0])
            store.append("t", {"role": "user", "n": 1}, {"role": "user", "n": 1})
        before = store.read("t")
        again = cli("import", file, "--to", url)
        assert store.read("t") == before
    assert again.code == 1
    assert "1 unchanged, 1 changed" in again.out
    assert "line 1" in again.err
    assert "'t'" in again.err


class Interfering(MemoryBackend):
    """Memory to which somebody else adds a message whenever a thread has just been read."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def read(self, key, span):  # type: ignore[no-untyped-def]
        page = await super().read(key, span)
        if self.times and page.end is not None:
            self.times -= 1
            ChatStore(self).append(key.id, {"role": "user", "content": "mine"})
        return page


def test_nobody_elses_message_ends_up_inside_an_import() -> None:
    store = ChatStore(Interfering(1))
    [outcome] = import_threads(store, lines({"t": {"messages": numbered(3)}}))
    assert outcome.status is Status.CHANGED
    assert texts(store, "t") == ['{"role": "user", "content": "mine"}']


class Altering(MemoryBackend):
    """Memory that keeps something else than it is given."""

    async def append(self, key, drafts, **kwargs):  # type: ignore[no-untyped-def]
        return await super().append(
            key, [draft._replace(text='{"role": "user"}') for draft in drafts], **kwargs
        )


def test_what_is_written_is_read_back() -> None:
    [outcome] = import_threads(ChatStore(Altering()), lines({"t": {"messages": numbered(3)}}))
    assert (outcome.status, outcome.reason, outcome.digest) == (
        Status.CHANGED,
        "what was read back differs",
        None,
    )


def test_the_checksum_is_of_ids_and_messages_in_any_order_of_threads() -> None:
    def checksum(threads: dict[str, dict[str, Json]]) -> int:
        outcomes = list(import_threads(ChatStore(MemoryBackend()), lines(threads)))
        return sum(outcome.digest or 0 for outcome in outcomes)

    one: dict[str, dict[str, Json]] = {"a": {"messages": numbered(2)}, "b": {"messages": numbered(3)}}
    assert checksum(one) == checksum(dict(reversed(one.items())))
    assert checksum(one) != checksum({"a": one["b"], "b": one["a"]})
    assert checksum(one) != checksum({**one, "b": {"messages": numbered(3)[::-1]}})


def test_a_killed_import_goes_on_where_it_was(cli: Cli, tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/chat.db", tmp_path / "threads.jsonl"
    threads = {f"t{number}": {"messages": numbered(number % 7 + 1)} for number in range(200)}
    file.write_bytes(lines(threads).getvalue())
    total = sum(len(thread["messages"]) for thread in threads.values())
    killed_import(file, url, after=60)
    with chatstore.connect(url) as store:
        kept = sum(len(texts(store, thread.id)) for thread in store.iter_threads())
        assert 60 * 1 <= kept < total
        second = cli("import", file, "--to", url, "--json")
        assert second.code == 0
        assert second.rows[-1]["messages"] == total - kept
        assert cli("import", file, "--to", url, "--json").rows[-1]["messages"] == 0
        for id, thread in threads.items():
            assert texts(store, id) == [json.dumps(message) for message in thread["messages"]]


@pytest.mark.real_data
@pytest.mark.parametrize("where", ["service", "sqlite"])
def test_real_conversations(cli: Cli, taskmaster: Path, tmp_path: Path, where: str) -> None:
    kept_in, out = f"sqlite:///{tmp_path}/chat.db", tmp_path / "export.jsonl"
    if SOAK:
        with service(kept_in) if where == "service" else nullcontext(kept_in) as url:
            check_real_conversations(cli, taskmaster, url, kept_in, out, threads=1500, messages=18_141)
        return
    # To bring in each thread several times takes half a minute for all of them.
    one_in = 6 if where == "service" else 3
    some = tmp_path / "some.jsonl"
    some.write_bytes(b"".join(taskmaster.read_bytes().splitlines(keepends=True)[::one_in]))
    messages = sum(len(each) for each in sent(some).values())
    with service(kept_in) if where == "service" else nullcontext(kept_in) as url:
        check_real_conversations(cli, some, url, kept_in, out, threads=1500 // one_in, messages=messages)


def check_real_conversations(
    cli: Cli, file: Path, url: str, kept_in: str, out: Path, *, threads: int, messages: int
) -> None:
    after = threads * 3 // 10
    killed_import(file, url, after)
    assert cli("export", "--from", kept_in, "--out", out).code == 0
    kept = exported(out)
    assert after <= len(kept) < threads
    second = cli("import", file, "--to", url, "--json").rows[-1]
    assert second["messages"] == messages - sum(len(some) for some in kept.values())
    assert second["added"] == threads - len(kept)
    second_checksum = second["checksum"]
    again = cli("import", file, "--to", url, "--json")
    assert again.code == 0
    assert again.rows[-1] == {
        "added": 0,
        "resumed": 0,
        "unchanged": threads,
        "changed": 0,
        "bad": 0,
        "damaged": 0,
        "messages": 0,
        "checksum": second_checksum,
    }
    assert cli("export", "--from", url, "--out", out).code == 0
    assert exported(out) == sent(file)


def test_a_bad_line_is_skipped_or_ends_the_import(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "threads.jsonl"
    file.write_text('{"id": "a", "messages": []}\nnonsense\n{"id": "c", "messages": []}\n')
    skipping = cli("import", file, "--to", f"sqlite:///{tmp_path}/skip.db")
    assert (skipping.code, "2 added" in skipping.out) == (1, True)
    assert f"{file}, line 2" in skipping.err
    stopping = cli("import", file, "--to", f"sqlite:///{tmp_path}/stop.db", "--on-error", "stop", "--json")
    assert stopping.code == 1
    assert [row.get("status") for row in stopping.rows] == ["added", "bad", None]
    assert stopping.err == ""


def test_an_export_takes_the_place_of_a_file_whole_or_not_at_all(cli: Cli, tmp_path: Path) -> None:
    url, out = f"sqlite:///{tmp_path}/chat.db", tmp_path / "out.jsonl"
    out.write_text("old")
    with chatstore.connect(url) as store:
        store.append("t", {"role": "user", "content": "é"})
    assert cli("export", "--from", "http://127.0.0.1:1", "--out", out).code == 1
    assert out.read_text() == "old"
    done = cli("export", "--from", url, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert exported(out) == {"t": ['{"role": "user", "content": "\\u00e9"}']}
    assert cli("export", "--from", url).out == out.read_text()
    assert [path.name for path in tmp_path.glob("*out.jsonl*")] == ["out.jsonl"]


class Replacing(MemoryBackend):
    """Memory in which a thread's history is replaced when its first page has been read."""

    replaced = False

    async def read(self, key, span):  # type: ignore[no-untyped-def]
        page = await super().read(key, span)
        if not self.replaced and page.next is not None:
            self.replaced = True
            ChatStore(self).replace_all(key.id, numbered(1500)[::-1])
        return page


def test_an_exported_thread_is_one_history() -> None:
    store = ChatStore(Replacing())
    store.replace_all("t", numbered(1500), create=True)
    export = io.BytesIO()
    list(export_threads(store, export))
    [line] = export.getvalue().splitlines()
    assert [Message.from_dict(entry["message"]).content for entry in json.loads(line)["messages"]] == [
        str(number) for number in reversed(range(1500))
    ]
