"""Servers that speak DynamoDB's API on loopback: of the session, with a table for each test."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DYNALITE = ROOT / "node_modules" / "dynalite" / "cli.js"
HOW_TO_GET_IT = "install Node 20 with npm, then make node_modules/.installed"

# Any will do; without some, nothing would be signed.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # pragma: allowlist secret
for _name, _value in CREDENTIALS.items():
    os.environ.setdefault(_name, _value)


def dynalite_is_there() -> bool:
    """Whether it can be run."""
    return DYNALITE.exists() and shutil.which("node") is not None


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """moto's address."""
    with _running([sys.executable, "-m", "tests.dynamodb.moto_server"], "{port}") as address:
        yield address


@contextlib.contextmanager
def dynalite() -> Iterator[str]:
    """dynalite's address."""
    options = ("--host", "127.0.0.1", "--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0")
    with _running(["node", str(DYNALITE), *options], "--port", "{port}") as address:
        yield address


@contextlib.contextmanager
def _running(command: list[str], *more: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*command, *(part.format(port=port) for part in more)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as server:
        try:
            until = time.monotonic() + 60
            while True:
                with (
                    contextlib.suppress(ConnectionRefusedError),
                    socket.create_connection(("127.0.0.1", port)),
                ):
                    break
                assert server.poll() is None, f"{command[0]} ended by itself"
                assert time.monotonic() < until, f"{command[0]} does not answer"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def table_for(name: object) -> str:
    """A table's name of its own for anything."""
    return "t" + hashlib.sha256(str(name).encode()).hexdigest()[:30]


def url_for(endpoint: str, name: object, **options: str) -> str:
    """The URL of a table of its own."""
    more = "".join(f"&{option}={value}" for option, value in options.items())
    return f"dynamodb://{table_for(name)}?region=us-east-1&endpoint={endpoint}{more}"
