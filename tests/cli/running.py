"""The commands as they are run: in this process, or in one of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatstore.cli import main

COMMAND = [sys.executable, "-m", "chatstore"]


class Finished:
    """What a command gave back."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """Runs commands in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *arguments: object) -> Finished:
        self._capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = self._capfd.readouterr()
        return Finished(code, captured.out, captured.err)


@contextmanager
def service(url: str) -> Iterator[str]:
    """``chatstore serve`` over the store at `url`; gives its address."""
    command = [*COMMAND, "serve", "--port", "0", "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()
            process.wait(20)


def killed_import(file: Path | str, url: str, after: int) -> None:
    """Import `file`, and kill the process when it has reported `after` threads."""
    command = [*COMMAND, "import", str(file), "--to", url, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            assert json.loads(process.stdout.readline())["status"] == "added"
        process.kill()


def exported(path: Path) -> dict[str, list[str]]:
    """The messages of each thread of an export, as JSON text, which tells 1, 1.0 and true apart."""
    threads = [json.loads(line) for line in path.read_bytes().splitlines()]
    return {
        thread["id"]: [json.dumps(entry["message"]) for entry in thread["messages"]] for thread in threads
    }


def sent(path: Path) -> dict[str, list[str]]:
    """The same of a file that was imported."""
    threads = [json.loads(line) for line in path.read_bytes().splitlines()]
    return {thread["id"]: [json.dumps(message) for message in thread["messages"]] for thread in threads}
