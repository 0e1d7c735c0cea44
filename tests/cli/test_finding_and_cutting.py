"""``chatstore search``, ``truncate``, ``delete``, and what ``threads`` can show, of a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
    assert "say --yes" in capsys.readouterr().err
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
