"""The commands backup, restore and copy, and that no command makes a store by reading it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore import api_keys as keys
from chatstore.backup import file
from tests.cli.running import COMMAND, Cli, service

HELLO = {"role": "user", "content": "hello é 🙂"}


@pytest.fixture
def filled(cli: Cli, tmp_path: Path) -> str:
    """A store with two tenants, an API key and a message that expires."""
    url = f"sqlite:///{tmp_path}/chat.db"
    with chatstore.connect(url, tenant="acme") as store:
        store.append("t", HELLO, owner="ada", expires_in=3600)
        store.append("t", HELLO)
    with chatstore.connect(url, tenant="beta") as store:
        store.create_thread("u", topic="x", owner="bob")
    cli("keys", "create", "--tenant", "beta", "--note", "n", "--from", url)
    return url


def test_what_is_backed_up_is_restored(cli: Cli, filled: str, tmp_path: Path) -> None:
    out, target = tmp_path / "b.jsonl", f"sqlite:///{tmp_path}/new.db"
    done = cli("backup", "--from", filled, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "3 threads with 2 messages" in done.out
    assert all(json.loads(line)["kind"] for line in out.read_bytes().splitlines())
    first, again = (cli("restore", out, "--to", target, "--json").rows for _ in range(2))
    assert (first[0]["added"], first[0]["messages"]) == (3, 2)
    assert (again[0]["unchanged"], again[0]["messages"]) == (3, 0)
    for row in (first[1], again[1]):
        assert row["equal"]
        assert row["source_sha256"] == row["target_sha256"]
    with chatstore.connect(filled, tenant="acme") as store, chatstore.connect(target, tenant="acme") as new:
        old = list(store.iter_messages("t"))
        assert [(one.id, one.text, one.created_at, one.expires_at) for one in new.iter_messages("t")] == [
            (one.id, one.text, one.created_at, one.expires_at) for one in old
        ]
        assert old[0].expires_at is not None
    assert cli("keys", "list", "--from", target, "--json").rows[0]["note"] == "n"


def test_a_part(cli: Cli, filled: str, tmp_path: Path) -> None:
    out = tmp_path / "b.jsonl"
    for options, threads in (
        (["--tenant", "beta"], 2), (["--tenant", "beta", "--without-keys"], 1), (["--owner", "ada"], 1),
        (["--tenant", "beta", "--owner", "ada", "--allow-empty"], 0),
    ):  # fmt: skip
        assert cli("backup", "--from", filled, "--out", out, *options, "--json").rows[0]["threads"] == threads
    cli("backup", "--from", filled, "--out", out)
    target = f"sqlite:///{tmp_path}/new.db"
    assert cli("restore", out, "--to", target, "--tenant", "acme", "--json").rows[0]["added"] == 1
    assert cli("keys", "list", "--from", target, "--json").rows == []


@pytest.mark.parametrize(
    "command",
    [
        ("export", "--out", "{out}"), ("backup", "--out", "{out}"), ("threads",), ("show", "t"),
        ("tail", "t"),
        ("erase", "--owner", "ada", "--yes"), ("erase", "--all-owners", "--tenant", "a", "--yes"), ("sweep",),
        ("keys", "list"), ("keys", "revoke", "a"),
    ],
)  # fmt: skip
def test_what_only_reads_makes_no_store(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    out, missing = tmp_path / "out.jsonl", tmp_path / "cht.db"
    out.write_text("old")
    done = cli(*[part.format(out=out) for part in command], "--from", f"sqlite:///{missing}")
    assert (done.code, str(missing) in done.err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl"]
    assert out.read_text() == "old"
    missing.touch()
    assert cli(*[part.format(out=out) for part in command], "--from", f"sqlite:///{missing}").code == 2
    assert missing.stat().st_size == 0


@pytest.mark.parametrize("source", ["sqlite:///{}/cht.db", "sqlite:///{}", "sqlite:///{}/none/cht.db"])
def test_a_copy_of_what_is_not_there_makes_no_store_on_either_side(
    cli: Cli, tmp_path: Path, source: str
) -> None:
    for options in ((), ("--mirror",), ("--estimate",)):
        done = cli("copy", source.format(tmp_path), f"sqlite:///{tmp_path}/new.db", *options)
        assert (done.code, "there is no store at" in done.err) == (2, True)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["export", "backup"])
def test_nothing_takes_the_place_of_something(cli: Cli, tmp_path: Path, command: str) -> None:
    url, out = f"sqlite:///{tmp_path}/chat.db", tmp_path / "out.jsonl"
    with chatstore.connect(url) as store:
        store.append("t", HELLO)
        store.delete_thread("t")
    out.write_text("old")
    done = cli(command, "--from", url, "--out", out)
    assert (done.code, "--allow-empty" in done.err, out.read_text()) == (2, True, "old")
    assert sorted(path.suffix for path in tmp_path.glob("*out*")) == [".jsonl"]
    assert cli(command, "--from", url, "--out", out, "--allow-empty").code == 0
    assert out.read_text() != "old"


def test_an_export_says_which_tenants_it_leaves_out(cli: Cli, filled: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = cli("export", "--from", filled, "--out", out)
    assert done.code == 1
    assert "'acme'" in done.err
    assert "'beta'" in done.err
    assert "backup" in done.err
    assert "chatstore:" not in done.err
    named = cli("export", "--from", filled, "--out", out, "--tenant", "acme")
    assert (named.code, named.err) == (0, "")
    [thread] = map(json.loads, out.read_bytes().splitlines())
    assert [entry["expires_at"] is None for entry in thread["messages"]] == [False, True]


def test_what_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    url, out = f"sqlite:///{tmp_path}/chat.db", tmp_path / "out.jsonl"
    out.write_text("old")
    with chatstore.connect(url) as store:
        for number in range(100):
            store.append(f"{number}", *[HELLO] * 200)
    with subprocess.Popen([*COMMAND, "backup", "--from", url, "--out", str(out)]) as process:
        until = time.monotonic() + 30
        while not list(tmp_path.glob(".out.jsonl.*")) and time.monotonic() < until:
            time.sleep(0.001)
        process.terminate()
        assert process.wait(30) in {143, 0}
    if process.returncode == 143:
        assert out.read_text() == "old"
    assert list(tmp_path.glob(".out.jsonl.*")) == []


def test_a_thread_that_is_another_is_reported_and_left_alone(cli: Cli, filled: str, tmp_path: Path) -> None:
    out, target = tmp_path / "b.jsonl", f"sqlite:///{tmp_path}/new.db"
    cli("backup", "--from", filled, "--out", out)
    with chatstore.connect(target, tenant="acme") as store:
        store.append("t", HELLO)
        before = list(store.iter_messages("t"))
        done = cli("restore", out, "--to", target)
        assert (done.code, "'t'" in done.err, list(store.iter_messages("t"))) == (1, True, before)


def test_other_files_are_refused(cli: Cli, filled: str, tmp_path: Path) -> None:
    export, target = tmp_path / "out.jsonl", tmp_path / "new.db"
    cli("export", "--from", filled, "--out", export, "--tenant", "acme")
    done = cli("restore", export, "--to", f"sqlite:///{target}")
    assert (done.code, "chatstore import" in done.err, target.exists()) == (2, True, False)


def test_a_line_without_end_is_not_read(
    cli: Cli, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, endless = tmp_path / "backup.jsonl", tmp_path / "endless.jsonl"
    cli("backup", "--from", filled, "--out", whole)
    monkeypatch.setattr(file, "LONGEST_LINE", whole.stat().st_size)
    assert cli("restore", whole, "--to", f"sqlite:///{tmp_path}/new.db").code == 0
    with endless.open("wb") as sparse:
        sparse.truncate(whole.stat().st_size + 1)
    done = cli("restore", endless, "--to", f"sqlite:///{tmp_path}/none.db")
    assert (done.code, "a line is too long" in done.err) == (2, True)


def test_to_a_service_and_from_one(cli: Cli, filled: str, tmp_path: Path) -> None:
    out, kept = tmp_path / "b.jsonl", f"sqlite:///{tmp_path}/served.db"
    cli("backup", "--from", filled, "--out", out, "--tenant", "acme")
    named = ["--tenant", "acme", "--without-keys"]
    with service(kept) as address:
        # The service serves the tenant that it is set to, and is told here to be meant as acme.
        url = f"{address}?tenant=acme"
        assert cli("restore", out, "--to", url, *named).code == 0
        again = tmp_path / "again.jsonl"
        assert cli("backup", "--from", url, "--out", again, *named).code == 0
        assert again.read_bytes().splitlines()[1:-1] == out.read_bytes().splitlines()[1:-1]
        cli("backup", "--from", filled, "--out", out)
        refused = cli("restore", out, "--to", address)
        assert (refused.code, "--without-keys" in refused.err) == (2, True)


def test_a_live_store_is_copied_caught_up_with_and_switched_to(cli: Cli, tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"
    acknowledged: dict[str, list[str]] = {}
    stop = threading.Event()

    def write(number: int) -> None:
        with chatstore.connect(source) as store:
            for turn in range(10_000):
                if stop.is_set():
                    return
                thread = f"{number}-{turn % 7}"
                [message] = store.append(thread, {"role": "user", "content": f"{turn}"}).messages
                acknowledged.setdefault(thread, []).append(message.id or "")
                if turn % 11 == 3:
                    gone = acknowledged[thread].pop(0)
                    store.delete_message(thread, gone)
                if turn % 50 == 30:
                    store.delete_thread(thread)
                    acknowledged[thread] = []

    with chatstore.connect(source) as store:
        store.create_thread("first")
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            assert cli("copy", source, target, "--mirror").code in {0, 1}
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    last = cli("copy", source, target, "--mirror", "--verify")
    assert (last.code, "both sides are the same" in last.out) == (0, True)
    with chatstore.connect(target) as store:
        there = {
            thread.id: [one.id for one in store.iter_messages(thread.id)] for thread in store.iter_threads()
        }
    assert {id: ids for id, ids in there.items() if ids} == {
        id: ids for id, ids in acknowledged.items() if ids
    }


def test_a_copy_keeps_to_its_rate(cli: Cli, tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/old.db"
    with chatstore.connect(source) as store:
        for number in range(6):
            store.append(f"{number}", *[HELLO] * 10)
    began = time.monotonic()
    assert cli("copy", source, f"sqlite:///{tmp_path}/new.db", "--rate", "50").code == 0
    assert time.monotonic() - began >= timedelta(seconds=50 / 50).total_seconds()
    assert cli("copy", source, f"sqlite:///{tmp_path}/x.db", "--estimate").code == 0
    assert not (tmp_path / "x.db").exists()


def test_an_erasure_and_keys_leave_an_audit_line(
    cli: Cli, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "KNOWN_SECONDS", 0)

    def audited(*arguments: object) -> list[dict[str, object]]:
        done = cli(*arguments, "--from", filled)
        assert done.code == 0
        return [json.loads(line)["audit"] for line in done.err.splitlines() if line.startswith("{")]

    [made] = audited("keys", "create", "--tenant", "acme", "--owner", "ada")
    assert (made["action"], made["tenant"], made["owner"]) == ("create-key", "acme", "ada")
    # Where a key was revoked, it is erased once more when no service knows the key any longer.
    revoked, erased, again = audited("erase", "--owner", "ada", "--tenant", "acme", "--yes")
    assert (again["action"], again["threads"]) == ("erase-owner", 0)
    assert (revoked["action"], revoked["key"]) == ("revoke-key", made["key"])
    assert {name: erased[name] for name in ("action", "owner", "threads", "messages", "keys")} == {
        "action": "erase-owner", "owner": "ada", "threads": 1, "messages": 2, "keys": 1,
    }  # fmt: skip
    assert str(erased["by"]).startswith("operator ")
    *_, whole, _ = audited("erase", "--all-owners", "--tenant", "beta", "--yes")
    assert (whole["action"], whole["threads"], whole["keys"]) == ("erase-tenant", 1, 1)
    assert cli("erase", "--all-owners", "--yes", "--from", filled).code == 2
