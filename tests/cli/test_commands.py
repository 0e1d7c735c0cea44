"""Serving and showing: what is printed where, and how commands end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import chatstore
from chatstore.cli import main
from tests.cli.running import COMMAND, Cli, service

QUIET = {**os.environ, "CHATSTORE_LOG": "off"}
WEATHER = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"day": 5}'}}
    ],
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/chat.db"
    with chatstore.connect(url) as store:
        store.create_thread("t", topic="Te\x1b[31mst [b]bold[/b]", owner="ada")
        store.append("t", *({"role": "user", "content": f"number {number}"} for number in range(12)))
        store.append(
            "t", {"role": "user", "content": [{"type": "text", "text": "[i]block\x1b]0;x\x07"}]}, WEATHER
        )
        store.create_thread("other", owner="grace")
    return url


def test_threads(cli: Cli, url: str) -> None:
    table = cli("threads", "--from", url, "--owner", "ada")
    assert table.code == 0
    assert "Te\\x1b[31mst [b]bold[/b]" in table.out
    assert "grace" not in table.out
    assert [row["id"] for row in cli("threads", "--from", url, "--json").rows] == ["other", "t"]
    assert len(cli("threads", "--from", url, "--json", "--limit", 1).rows) == 1
    assert cli("threads", "--from", url, "--json", "--tenant", "acme").rows == []


def test_show_and_tail(cli: Cli, url: str) -> None:
    shown = cli("show", "t", "--from", url)
    assert shown.code == 0
    assert (
        shown.out.index("number 0") < shown.out.index("number 11") < shown.out.index("[i]block\\x1b]0;x\\x07")
    )
    assert '→ weather({"day": 5})' in shown.out
    rows = cli("show", "t", "--from", url, "--json").rows
    assert len(rows) == 14
    assert set(rows[0]) == {
        "id",
        "position",
        "created_at",
        "expires_at",
        "etag",
        "metadata",
        "key",
        "message",
    }
    assert rows[-1]["message"] == WEATHER
    assert cli("show", "t", "--from", url, "--json", "--last", 3).rows == rows[-3:]
    assert cli("show", "t", "--from", url, "--json", "--last", 5000).rows == rows
    assert cli("tail", "t", "--from", url, "--json").rows == rows[-10:]


def test_tail_follows_what_is_added_and_what_replaces_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with chatstore.connect(url) as store:
        store.append("t", {"role": "user", "content": "first"})
        command = [*COMMAND, "tail", "t", "--from", url, "--follow", "--interval", "0.01", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None

            def following() -> object:
                assert process.stdout is not None
                return json.loads(process.stdout.readline())["message"]["content"]

            assert following() == "first"
            store.append("t", {"role": "user", "content": "second"}, {"role": "user", "content": "third"})
            assert [following(), following()] == ["second", "third"]
            store.replace_all("t", [{"role": "user", "content": "anew"}])
            assert following() == "anew"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert process.stderr.read() == ""


def test_nobody_reads_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with chatstore.connect(url) as store:
        store.append("t", *({"role": "user", "content": "x" * 10_000} for _ in range(100)))
    for command in (["export"], ["show", "t"], ["show", "t", "--json"]):
        process = subprocess.Popen(
            [*COMMAND, *command, "--from", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.wait(20) == 141
            assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "none"], 1, "there is no thread 'none'"),
        (["tail", "none"], 1, "there is no thread 'none'"),
        (["show", "t", "--from", "nonsense"], 2, "'nonsense' is not a storage URL"),
        (["show", "t", "--from", "ftp://x"], 2, "no backend for ftp://"),
        (["show", "x" * 1025], 2, "at most 1,024 bytes"),
        (["threads", "--tenant", ""], 2, "tenant cannot be empty"),
        (["import", "/no/such/file"], 1, "/no/such/file: No such file or directory"),
        (["export", "--out", "/no/such/folder/file"], 1, "No such file or directory"),
        (["threads", "--from", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1 does not answer"),
        (["serve", "--host", "192.0.2.1"], 2, "on loopback only, not on 192.0.2.1"),
        (["serve", "--port", "70000"], 2, "a port is 0 to 65535, not 70000"),
    ],
)  # fmt: skip
def test_a_failure_is_one_clear_line(cli: Cli, url: str, arguments: list[str], code: int, said: str) -> None:
    if "--from" not in arguments and arguments[0] not in ("import", "serve"):
        arguments = [*arguments, "--from", url]
    failed = cli(*arguments)
    assert (failed.code, failed.out) == (code, "")
    assert failed.err.startswith("chatstore: ")
    assert said in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["nonsense"], ["threads", "--limit", "0"], ["show"]])
def test_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: chatstore" in capfd.readouterr().err


def test_the_exit_codes_are_in_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "exit codes: 0 done" in capfd.readouterr().out


def test_a_port_that_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = cli("serve", "--port", port, "--url", "memory://")
    assert (failed.code, failed.out) == (2, "")
    assert f"port {port} (Address already in use): choose another with --port" in failed.err


def test_the_service_says_where_it_is_and_ends_when_asked_to(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--port", "0", "--url", f"sqlite:///{tmp_path}/chat.db"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=QUIET
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [process.stdout.readline() for _ in range(9)]
        assert said[-1].endswith("/docs\n")
        address = said[0].split()[-1]
        assert f"{tmp_path}/chat.db" in said[1]
        example = "".join(said).partition("curl ")[2].partition("\n  curl")[0]
        done = subprocess.run(
            ["bash", "-c", f"curl -sf {example}"], capture_output=True, text=True, check=True
        )
        with chatstore.connect(address) as store:
            assert store.read("first").items[0].to_dict() == {"role": "user", "content": "hello"}
            assert json.loads(done.stdout)["items"][0]["message"] == {"role": "user", "content": "hello"}
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert process.stderr.read() == ""


def test_every_command_takes_a_service(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "threads.jsonl"
    file.write_text('{"id": "a/b", "topic": "T", "messages": [{"role": "user", "content": "hello"}]}\n')
    with service(f"sqlite:///{tmp_path}/chat.db") as address:
        assert cli("import", file, "--to", address, "--json").rows[-1]["added"] == 1
        assert cli("import", file, "--to", address, "--json").rows[-1]["unchanged"] == 1
        assert cli("threads", "--from", address, "--json").rows[0]["topic"] == "T"
        assert cli("show", "a/b", "--from", address, "--json").rows[0]["message"]["content"] == "hello"
        assert cli("tail", "a/b", "--from", address, "--json").rows[0]["message"]["content"] == "hello"
        assert cli("export", "--from", address).rows[0]["id"] == "a/b"


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    done = cli()
    assert (done.code, "usage: chatstore" in done.out, "serve a store" in done.out) == (2, True, True)


def test_a_list_says_that_there_is_more_than_it_shows(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/many.db"
    with chatstore.connect(url) as store:
        for number in range(3):
            store.create_thread(f"{number}-" + "i" * 38)
    for more in ((), ("--json",)):
        cut = cli("threads", "--from", url, "--limit", "2", *more)
        assert (cut.code, "there are more" in cut.err, cut.out.count("iiii" * 9)) == (0, True, 2)
        assert cli("threads", "--from", url, "--limit", "3", *more).err == ""


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_an_id_is_shown_in_one_piece(tmp_path: Path, columns: int) -> None:
    url, id = f"sqlite:///{tmp_path}/wide.db", "thread_" + "0123456789" * 4
    with chatstore.connect(url) as store:
        store.create_thread(id, topic="a topic of some length " * 3, owner="somebody")
    listed = subprocess.run(
        [sys.executable, "-m", "chatstore", "threads", "--from", url],
        env={**os.environ, "COLUMNS": str(columns)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert id in listed.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_console_that_lacks_a_character_shows_an_escape(tmp_path: Path, encoding: str) -> None:
    url = f"sqlite:///{tmp_path}/emoji.db"
    with chatstore.connect(url) as store:
        store.append(
            "t\u00e9\U0001f600", {"role": "user", "content": "\U0001f680 \u6587 \u2192"}, owner="\u017e"
        )
    for command in (["threads"], ["show", "t\u00e9\U0001f600"], ["tail", "t\u00e9\U0001f600", "--json"]):
        done = subprocess.run(
            [sys.executable, "-X", "utf8=0", "-m", "chatstore", *command, "--from", url],
            env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["threads", "--from", "http://127.0.0.1:1/v1"], "http://127.0.0.1:1"),
        (["threads", "--from", "http://127.0.0.1:1/chat/v1/threads"], "http://127.0.0.1:1/chat"),
        (["threads", "--from", "http://127.0.0.1:1/docs"], "ends before"),
        (["threads", "--from", "http://cs_key@127.0.0.1:1"], "CHATSTORE_TOKEN"),
        (["threads", "--from", "http://127.0.0.1:1?token=x"], "CHATSTORE_TOKEN"),
        (["import", "redis://127.0.0.1", "--to", "memory://"], "llama-index+redis://"),
        (["threads", "--from", "127.0.0.1:8080"], "sqlite:///chat.db"),
    ],
)
def test_a_url_of_a_wrong_form_is_told_the_right_one(cli: Cli, arguments: list[str], hint: str) -> None:
    done = cli(*arguments)
    assert done.code in {1, 2}
    assert hint in done.err
    assert "cs_key" not in done.err


def test_init_makes_the_file_and_is_ready_only_where_something_answers(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    for _ in range(2):
        done = cli("init", url)
        assert (done.code, done.out.strip()) == (0, "ready")
    assert cli("threads", "--from", url).code == 0
    for nowhere in (f"sqlite:///{tmp_path}/no/folder.db", "http://127.0.0.1:9", f"sqlite:///{tmp_path}"):
        done = cli("init", nowhere)
        assert done.code in {1, 2}
        assert "ready" not in done.out
    assert not (tmp_path / "no").exists()


def test_what_the_banner_says_to_type_can_be_typed(tmp_path: Path) -> None:
    """With authentication on, too: the commands run as they stand once the key is there."""
    url = f"sqlite:///{tmp_path}/asked.db"
    program = str(Path(sys.executable).parent / "chatstore")
    command = [program, "serve", "--port", "0", "--url", url]
    environ = {**QUIET, "CHATSTORE_AUTH": "api-key", "PATH": os.defpath}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            banner = ""
            for line in process.stdout:
                banner += line
                if "/docs" in line:
                    break
            make_key = re.findall(r"as this makes one: (.*)", banner)[0]
            made = subprocess.run(
                ["bash", "-c", make_key], capture_output=True, text=True, check=True, env=environ
            )
            key = re.findall(r"cs_\S+", made.stdout)[0]
            shown = re.findall(r"^  (?!export)(?:.*\\\n)?.*$", banner, re.MULTILINE)
            assert len(shown) == 3
            for typed in shown:
                subprocess.run(
                    ["bash", "-c", typed.replace("curl ", "curl -sf ")],
                    check=True, capture_output=True, env={**environ, "CHATSTORE_TOKEN": key},
                )  # fmt: skip
        finally:
            process.terminate()


def test_a_busy_port_s_advice_is_for_make_too(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        done = cli("serve", "--port", busy.getsockname()[1], "--url", "memory://")
    assert done.code == 2
    assert "CHATSTORE_PORT=8081 make run" in done.err
