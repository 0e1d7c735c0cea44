"""What a newcomer does in the first hour and no block of a document runs: a program, a mounted service."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.conftest import Installed
from tests.environments import ROOT
from tests.servers import running

README = ROOT / "README.md"
EXAMPLES = {
    "first_conversation.py": (README, ("assistant: Alfama is", "assistant: Alfama is")),
    "first_conversation_async.py": (README, ("assistant: ", "assistant: ")),
    "llama_index_chat.py": (
        ROOT / "docs" / "llama-index.md",
        ("of 10 messages are active, the others archived", "of 20 messages are active, the others archived"),
    ),
}
MOUNTED = ROOT / "docs" / "inside-your-app.md"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_runs_again(example: str, installed: Installed, tmp_path: Path) -> None:
    page, told = EXAMPLES[example]
    for expected in told:
        done = subprocess.run(
            [installed(page) / "python", "-I", "-W", "error", ROOT / "examples" / example],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


@contextmanager
def mounted(programs: Path, folder: Path) -> Iterator[str]:
    """The application of the page as the page starts it; its address."""
    assert "`uvicorn module:app`" in MOUNTED.read_text()
    [program] = re.findall(r"^```python\n(.*?)^```$", MOUNTED.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "module.py").write_text(program)
    command = [programs / "uvicorn", "module:app", "--port", "{port}", "--app-dir", folder]
    with running(command, cwd=folder) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_service_is_mounted_and_used_as_the_page_says(installed: Installed, tmp_path: Path) -> None:
    programs = installed(MOUNTED)
    [typed] = re.findall(r"`(chatstore threads --from http://127.0.0.1:8000/chat)`", MOUNTED.read_text())
    for times in (1, 2):
        with mounted(programs, tmp_path) as address:
            for path in ("/chat/v1/threads/t/messages", "/chat/docs", "/greeting/t"):
                body = b'{"role": "user", "content": "hello"}' if path.endswith("messages") else None
                headers = {"Content-Type": "application/json"}
                asked = urllib.request.Request(address + path, body, headers)  # noqa: S310 - on this machine
                with urllib.request.urlopen(asked) as answer:  # noqa: S310
                    assert answer.status in {200, 201}
            command = typed.replace("http://127.0.0.1:8000", address)
            shown = subprocess.run(
                [programs / command.split()[0], *command.split()[1:]],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert re.search(r"\bt\b", shown.stdout)
            with urllib.request.urlopen(f"{address}/chat/v1/threads/t/messages") as answer:  # noqa: S310
                assert answer.read().count(b"hello") == times
