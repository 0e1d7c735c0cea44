"""``chatstore sweep`` and ``chatstore erase``, killed and asked for confirmation as in real life."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

import chatstore
from chatstore import api_keys as keys
from tests.cli.running import COMMAND, Cli, service

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chat.db"


def fill(url: str, threads: int) -> None:
    with chatstore.connect(url) as store:
        for tenant in ("default", "acme"):
            for number in range(threads // 2):
                store.for_tenant(tenant).append(f"t{number}", *[HELLO] * 4, ttl=1e-6)
        store.append("kept", HELLO, HELLO, ttl=3600)


def test_sweep_removes_what_has_expired_of_every_tenant(cli: Cli, url: str) -> None:
    fill(url, 20)
    rows = cli("sweep", "--from", url, "--limit", 30, "--json").rows
    assert rows[-1] == {"threads": 20, "messages": 80, "requests": 0, "more": False}
    assert len(rows) == 4
    assert [row["more"] for row in rows[:-1]] == [True] * 3
    assert cli("sweep", "--from", url).out == "removed 0 threads, 0 messages, 0 results of requests\n"
    with chatstore.connect(url) as store:
        assert len(store.read("kept")) == 2


def test_a_sweep_stops_when_its_time_is_over(cli: Cli, url: str) -> None:
    fill(url, 4)
    stopped = cli("sweep", "--from", url, "--seconds", 0)
    assert (stopped.code, "there is more" in stopped.out) == (0, True)


def test_a_sweep_that_was_killed_is_run_again(cli: Cli, url: str) -> None:
    fill(url, 60)
    command = [*COMMAND, "sweep", "--from", url, "--limit", "3", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        steps = [json.loads(process.stdout.readline()) for _ in range(10)]
        process.kill()
        done = [*steps, *(json.loads(line) for line in process.stdout.read().splitlines())][-1]
    assert process.returncode == -signal.SIGKILL
    assert steps[-1]["more"]
    rest = cli("sweep", "--from", url, "--json").rows[-1]
    # What the last step before the kill removed may not have been told.
    told = done["threads"] + rest["threads"], done["messages"] + rest["messages"]
    assert 60 - 3 <= told[0] <= 60
    assert 240 - 3 <= told[1] <= 240
    assert not rest["more"]
    with chatstore.connect(url) as store:
        assert [thread.id for thread in store.iter_threads()] == ["kept"]
        assert len(store.read("kept")) == 2
        swept = store.sweep()
        assert (swept.threads, swept.messages) == (0, 0)


def test_an_interrupted_sweep_says_what_it_did(url: str) -> None:
    fill(url, 1000)
    with subprocess.Popen(
        [*COMMAND, "sweep", "--from", url, "--limit", "1", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["more"]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130


def test_a_service_is_swept_by_its_operator(cli: Cli, url: str) -> None:
    with service(url) as address:
        refused = cli("sweep", "--from", address)
    assert (refused.code, "SWEEP" in refused.err) == (1, True)


@pytest.mark.parametrize("far", [False, True])
def test_erase(cli: Cli, url: str, far: bool) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO, HELLO, owner="ada", request_id="r")
        store.append("u", HELLO, owner="bob")
        store.for_tenant("acme").append("t", HELLO, owner="ada")
    if far:
        with service(url) as address:
            erased = cli("erase", "--owner", "ada", "--from", address, "--yes", "--json")
    else:
        erased = cli("erase", "--owner", "ada", "--from", url, "--yes", "--json")
    assert erased.rows == [{"threads": 1, "messages": 2, "requests": 1, "keys": 0}]
    with chatstore.connect(url) as store:
        assert [thread.id for thread in store.iter_threads()] == ["u"]
        assert len(store.for_tenant("acme").read("t")) == 1
    acme = cli("erase", "--owner", "ada", "--tenant", "acme", "--from", url, "--yes")
    assert acme.out == "removed 1 threads, 1 messages, 0 results of requests, 0 API keys\n"


def test_erase_asks_nobody_only_when_told_so(url: str) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO, owner="ada")
    command = [*COMMAND, "erase", "--owner", "ada", "--from", url]
    refused = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    with chatstore.connect(url) as store:
        assert len(store.read("t")) == 1


@pytest.mark.parametrize(("answer", "left"), [("no", 1), ("", 1), ("yes", 0)])
def test_erase_asks_on_a_terminal(url: str, answer: str, left: int) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO, owner="ada\x1b[31m")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "erase", "--owner", "ada\x1b[31m", "--from", url],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.write(ours, f"{answer}\n".encode())
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"\x1b" not in err
    assert b"ada" in err
    assert process.returncode == (1 if left else 0)
    assert (b"nothing" in out) == bool(left)
    with chatstore.connect(url) as store:
        assert len(store.read("t")) == left


def test_what_a_key_writes_while_a_service_still_knows_it_is_erased_too(
    cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []

    def write_meanwhile(seconds: float) -> None:
        waited.append(seconds)
        with chatstore.connect(url) as store:
            store.append("back", {"role": "user"}, owner="grace")

    monkeypatch.setattr(time, "sleep", write_meanwhile)
    cli("keys", "create", "--owner", "grace", "--scopes", "write", "--from", url)
    erased = cli("erase", "--owner", "grace", "--from", url, "--yes")
    assert erased.code == 0
    assert f"{keys.KNOWN_SECONDS} s" in erased.err
    assert "removed 1 threads, 1 messages, 0 results of requests, 1 API keys" in erased.out
    assert waited == [keys.KNOWN_SECONDS]


def test_erasing_an_owner_revokes_the_owners_keys(
    cli: Cli, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "KNOWN_SECONDS", 0)
    for owner in ("ada-the-erased", "bob"):
        cli("keys", "create", "--owner", owner, "--scopes", "read", "--from", url)
    cli("keys", "create", "--tenant", "acme", "--owner", "ada-the-erased", "--scopes", "read", "--from", url)
    erased = cli("erase", "--owner", "ada-the-erased", "--from", url, "--yes", "--json")
    assert erased.rows == [{"threads": 0, "messages": 0, "requests": 0, "keys": 1}]
    left = [(key["tenant"], key["owner"]) for key in cli("keys", "list", "--from", url, "--json").rows]
    assert sorted(left) == [("acme", "ada-the-erased"), ("default", "bob")]
