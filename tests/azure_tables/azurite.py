"""Azurite, Microsoft's emulator of Table Storage: a server of the session, a table for each test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from tests import servers

PROGRAM = servers.ROOT / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
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
    options = ["-s", "--inMemoryPersistence", "--disableTelemetry"]
    command = ["node", PROGRAM, "--tableHost", "127.0.0.1", "--tablePort", "{port}", *options]
    with servers.running(command) as port:
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
