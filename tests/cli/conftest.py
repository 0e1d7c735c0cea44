from __future__ import annotations

import pytest

from tests.cli.running import Cli


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command in this process, which has no settings and no terminal."""
    for name in ("URL", "TENANT", "HOST", "PORT"):
        monkeypatch.delenv(f"CHATSTORE_{name}", raising=False)
    return Cli(capfd)
