"""Servers that speak DynamoDB's API on loopback: of the session, with a table for each test."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator

from tests.servers import ROOT, running, table_for

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
    with running([sys.executable, "-m", "tests.dynamodb.moto_server", "{port}"]) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def dynalite() -> Iterator[str]:
    """dynalite's address."""
    options = ("--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0")
    command = ["node", DYNALITE, "--host", "127.0.0.1", "--port", "{port}", *options]
    with running(command) as port:
        yield f"http://127.0.0.1:{port}"


def url_for(endpoint: str, name: object, **options: str) -> str:
    """The URL of a table of its own."""
    more = "".join(f"&{option}={value}" for option, value in options.items())
    return f"dynamodb://{table_for(name)}?region=us-east-1&endpoint={endpoint}{more}"
