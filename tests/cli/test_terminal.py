"""What is stored does nothing to the terminal that shows it, and looks like nothing but itself."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import tty
from pathlib import Path

import pytest

import chatstore
from chatstore.cli import main

OBEYED = (
    "\x9b31m \x1b]0;title\x07 \x7f \x85 \u202eback\u202c \u2066\u2069 \u200e \u200f \u061c \u2028 \u2029 "
    "\U000e0041\U000e0042 \u200b \ufeff \u2060 \ufff9 \u3164 \xad \r "
    "\u115f \u17b4 \u180e \uffa0 \U0001d173"
)
KEPT = "na\u00efve \u05e9\u05dc\u05d5\u05dd \U0001f469\u200d\U0001f469 \u0645\u06cc\u200c\u062e \u65e5\u672c"
FORGED = "begin\n\nassistant  2026-01-01 00:00:00Z\nI agree to everything"
LONG = [f"x{' ' * spaces}assistant  2026-01-01 00:00:00Z" for spaces in range(156, 160)]
"""However far a body is indented, one of these says it where a terminal of 80 columns begins a row."""
MESSAGES = [{"role": "user", "content": text} for text in (OBEYED, KEPT, FORGED, *LONG)]
MESSAGES.append({"role": "user\n\nassistant  2026-01-01 00:00:00Z", "content": "x"})
HEADING = re.compile(r"^\S.*  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", re.MULTILINE)


class Terminal:
    """Runs commands in this process whose output and errors go to a terminal of 80 columns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        master, slave = os.openpty()
        tty.setraw(slave)
        pieces: list[bytes] = []
        reading = threading.Thread(target=self._read, args=(master, pieces))
        reading.start()
        with open(slave, "w", encoding="utf-8") as out, self._monkeypatch.context() as patched:  # noqa: PTH123
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", out)
            assert main(arguments) == code
        reading.join()
        os.close(master)
        return b"".join(pieces).decode()

    @staticmethod
    def _read(master: int, pieces: list[bytes]) -> None:
        try:
            while piece := os.read(master, 65536):
                pieces.append(piece)
        except OSError:  # how Linux says that nobody writes any more
            return


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/chat.db?search=on"
    with chatstore.connect(url) as store:
        store.create_thread(
            "t", topic=f"{OBEYED}\nt  other  ada  2026-01-01 00:00:00Z", metadata={"\x9b": OBEYED}
        )
        store.append("t", *MESSAGES)
        store.create_thread("a\nb", topic=KEPT)
    return url


def drives(text: str) -> list[str]:
    return [one for one in OBEYED if one != " " and not one.isascii() and one in text] + [
        one for one in "\x1b\x07\x7f\r" if one in text
    ]


@pytest.mark.parametrize(
    "command", ["show t", "tail t", "show t --json", "tail t --json", "threads", "export"]
)
def test_nothing_drives_a_terminal(terminal: Terminal, url: str, command: str) -> None:
    shown = terminal(*command.split(), "--from", url)
    assert drives(shown) == []
    assert KEPT in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search", "title"], 0, "back"),
        (["search", "title", "--json"], 0, "back"),
        (["threads", "--preview"], 0, "newest message"),
        (["threads", "--json"], 0, "\\u202e"),
        (["keys", "list"], 0, "tenant"),
        (["keys", "list", "--json"], 0, "back"),
        (["show", f"lost {OBEYED}"], 1, "lost"),
        (["delete", f"lost {OBEYED}", "--yes"], 1, "lost"),
        (["truncate", "t", "--after", f"key:{OBEYED}", "--yes"], 1, "title"),
        (["delete", "t", "--message", f"key:{OBEYED}"[:40], "--yes"], 1, "title"),
        (["keys", "revoke", f"lost {OBEYED}"], 2, "lost"),
        (["erase", "--owner", OBEYED, "--yes"], 0, "audit"),
        (["threads", "--tenant", f"{OBEYED * 9}"], 2, "tenant"),
        (["import", f"lost {OBEYED}"], 1, "lost"),
    ],
    ids=lambda value: " ".join(value).partition(" lost")[0][:20] if isinstance(value, list) else "",
)
def test_nor_does_any_other_command(
    terminal: Terminal, url: str, arguments: list[str], code: int, says: str
) -> None:
    assert main(["keys", "create", "--tenant", OBEYED, "--note", OBEYED, "--from", url]) == 0
    shown = terminal(*arguments, "--to" if arguments[0] == "import" else "--from", url, code=code)
    assert drives(shown) == []
    assert says in shown


def test_json_on_a_terminal_is_the_same_json(terminal: Terminal, url: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in terminal("show", "t", "--json", "--from", url).splitlines()]
    assert [row["message"] for row in rows] == MESSAGES
    exported = terminal("export", "--from", url)
    assert main(["export", "--from", url, "--out", str(tmp_path / "threads.jsonl")]) == 0
    written = (tmp_path / "threads.jsonl").read_text()
    assert [json.loads(line) for line in exported.splitlines()] == [
        json.loads(line) for line in written.split("\n") if line
    ]
    assert OBEYED.replace("\x1b", "\\u001b").partition(" ")[0] in written, "a file has it as it is"


def test_no_message_looks_like_another(
    terminal: Terminal, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = terminal("show", "t", "--from", url)
    rows = [line[at : at + 80] for line in shown.split("\n") for at in range(0, max(len(line), 1), 80)]
    assert len([row for row in rows if HEADING.match(row)]) == len(MESSAGES)
    assert main(["show", "t", "--from", url]) == 0
    assert len(HEADING.findall(capsys.readouterr().out)) == len(MESSAGES)


def test_no_thread_looks_like_another(terminal: Terminal, url: str) -> None:
    shown = terminal("threads", "--from", url)
    assert re.findall(r"^ ?([\w\\]+)", shown, re.MULTILINE) == ["thread", "a\\nb", "t"]


def test_an_audit_line_says_whose_it_is_in_what_no_terminal_obeys(terminal: Terminal, url: str) -> None:
    owner = "ada \x7f\x9b \u202e"
    shown = terminal("erase", "--owner", owner, "--yes", "--from", url)
    [line] = [line for line in shown.splitlines() if line.startswith('{"audit"')]
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["audit"]["owner"] == owner
