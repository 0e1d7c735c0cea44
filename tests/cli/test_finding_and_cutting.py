"""``chatstore search``, ``truncate``, ``delete``, and what ``threads`` can show, of a running service."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.cli import main
from chatstore.http.app import create_app
from chatstore.store import AsyncChatStore, ChatStore
from tests.http.serving import serving


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatStore]:
    with serving(create_app(AsyncChatStore(MemoryBackend()))) as address, chatstore.connect(address) as store:
        monkeypatch.setenv("CHATSTORE_URL", address)
        for n, said in enumerate(("a flight", "a train", "another flight")):
            store.append("trip", {"role": "user", "content": said}, key=f"k{n}", topic="Lisbon")
        store.append("state", {"role": "user", "content": "x"}, kind="state")
        yield store


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_search(served: ChatStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "flight", "--json"]) == 0
    assert [one["key"] for one in lines(capsys)] == ["k2", "k0"]
    assert main(["search", "a", "FLIGHT", "--limit", "1"]) == 0
    assert "a flight" in capsys.readouterr().out
    assert main(["search", "flight", "--limit", "1"]) == 0
    shown = capsys.readouterr()
    assert ("another flight" in shown.out, "there are more" in shown.err) == (True, True)


def test_threads(served: ChatStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["threads", "--json"]) == 0
    assert [one["id"] for one in lines(capsys)] == ["trip"]
    assert main(["threads", "--json", "--kind", "*", "--oldest-first", "--preview"]) == 0
    assert [(one["id"], one["message_count"], one["preview"]) for one in lines(capsys)] == [
        ("trip", 3, "another flight"), ("state", 1, "x"),
    ]  # fmt: skip
    assert main(["threads", "--preview", "--topic", "Lis"]) == 0
    assert "another flight" in capsys.readouterr().out


def test_truncate(served: ChatStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["truncate", "trip", "--after", "key:k0"]) == 2
    assert "pass --yes" in capsys.readouterr().err
    assert main(["truncate", "trip", "--from-message", "key:k2", "--yes", "--json"]) == 0
    [told] = lines(capsys)
    assert told == {"thread_id": "trip", "etag": served.read("trip").etag}
    assert main(["truncate", "trip", "--after", "key:k0", "--yes"]) == 0
    assert [message.key for message in served.read("trip")] == ["k0"]
    assert main(["truncate", "trip", "--after", "key:k2", "--yes"]) == 1
    assert "k2" in capsys.readouterr().err


def test_delete(served: ChatStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", "trip", "--message", "key:k1", "--yes"]) == 0
    assert [message.key for message in served.read("trip")] == ["k0", "k2"]
    assert main(["delete", "trip"]) == 2
    assert main(["delete", "trip", "--yes", "--json"]) == 0
    capsys.readouterr()
    assert main(["delete", "trip", "--yes"]) == 1
    assert "trip" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Somebody who answers a question."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "command",
    [
        ["truncate", "trip", "--after", "key:k0"],
        ["delete", "trip"],
        ["delete", "trip", "--message", "key:k0"],
    ],
)
def test_who_is_asked_may_say_no(
    served: ChatStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert main(command) == 1
    shown = capsys.readouterr()
    assert "for ever? Type yes:" in shown.err
    assert "nothing was removed" in shown.out
    assert len(served.read("trip")) == 3
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    assert main(command) == 0
    assert "removed" in capsys.readouterr().out
    assert len(served.read("trip")) < 3


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["truncate", "trip", "--yes"], "--after"),
        (["truncate", "trip", "--after", "key:k0", "--from-message", "key:k1", "--yes"], "not allowed with"),
        (["search"], "WORDS"),
        (["delete"], "THREAD"),
    ],
)
def test_a_wrong_command_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], command: list[str], word: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("command", ["search", "truncate", "delete"])
def test_each_has_a_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: chatstore {command}" in shown
    assert {"--from", "--tenant", "--json"} <= set(shown.replace("[", " ").replace("]", " ").split())


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["truncate", "none", "--after", "key:k0", "--yes"], "none"),
        (["delete", "trip", "--message", "key:none", "--yes"], "key:none"),
        (["delete", "none", "--message", "key:k0", "--yes"], "none"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_removed(
    served: ChatStore, capsys: pytest.CaptureFixture[str], command: list[str], word: str
) -> None:
    assert main([*command, "--json"]) == 1
    shown = capsys.readouterr()
    assert (word in shown.err, shown.out) == (True, "")
    assert len(served.read("trip")) == 3


def test_what_was_deleted_is_told_as_json(served: ChatStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", "trip", "--message", "key:k1", "--yes", "--json"]) == 0
    assert main(["delete", "trip", "--yes", "--json"]) == 0
    assert lines(capsys) == [
        {"thread_id": "trip", "message": "key:k1"},
        {"thread_id": "trip", "message": None},
    ]


def test_a_search_that_finds_nothing_or_cannot_be_made(
    served: ChatStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["search", "submarine", "--json"]) == 0
    assert lines(capsys) == []
    chatstore.connect(f"sqlite:///{tmp_path}/chat.db").append("t", {"role": "user", "content": "a flight"})
    assert main(["search", "flight", "--from", f"sqlite:///{tmp_path}/chat.db"]) == 1
    assert "search=on" in capsys.readouterr().err
    assert main(["search", "flight", "--from", f"sqlite:///{tmp_path}/chat.db?search=on"]) == 0
    assert "a flight" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["search", "x"], ["truncate", "t", "--after", "x", "--yes"], ["delete", "t", "--yes"]]
)
def test_no_store_is_made(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]) -> None:
    assert main([*command, "--from", f"sqlite:///{tmp_path}/none.db"]) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
