"""Azurite, Microsoft's emulator of Table Storage: a server of the session, a table for each test."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
ACCOUNT = "devstoreaccount1"
# Everybody's: Azurite knows no other.
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"  # pragma: allowlist secret
    "/K1SZFPTOtr/KBHBeksoGMGw=="  # pragma: allowlist secret
)
HOW_TO_GET_IT = "install Node 20 with npm, then make node_modules/.installed"


def there() -> bool:
    """Whether it can be run."""
    return PROGRAM.exists() and shutil.which("node") is not None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Its address, as an endpoint of the account."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["node", str(PROGRAM), "--tableHost", "127.0.0.1", "--tablePort", str(port)]
    server = subprocess.Popen(
        [*command, "-s", "--inMemoryPersistence", "--disableTelemetry"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert server.poll() is None, "Azurite ended by itself"
            assert time.monotonic() < until, "Azurite does not answer"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
    finally:
        server.kill()
        server.wait()


def table_for(name: object) -> str:
    """A table's name of its own for anything."""
    return "t" + hashlib.sha256(str(name).encode()).hexdigest()[:30]
