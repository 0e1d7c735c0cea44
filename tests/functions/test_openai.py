"""OpenAI's clients against the service in Microsoft's worker library."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.azure_tables.azurite import ACCOUNT
from tests.functions.test_functions_worker import PACKAGES, WORKER, deployed
from tests.openai import scenarios
from tests.openai.gateway import Answered, gateway
from tests.openai.sdk import ENVIRON, Sdk, clients, secret
from tests.servers import ROOT, running, table_for


@pytest.fixture
def function(
    azurite: str, absent: Callable[[str, str], NoReturn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if not WORKER.exists():
        absent("azure-functions-runtime", "make .worker/.installed")
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={azurite}&client=blocking"
    for name, value in {**ENVIRON, "CHATSTORE_URL": url, "CHATSTORE_REQUESTS_PER_MINUTE": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FUNCTIONS_WORKER_RUNTIME", "python")
    python, packages = (one, [PACKAGES]) if (one := deployed()) else (sys.executable, [])
    program = ROOT / "tests/openai/worker.py"
    with running([python, "-I", program, "{port}", WORKER, *packages]) as port:

        def answer(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answered:
            asked = {
                "method": method,
                "path": path,
                "body": (body or b"").decode("latin-1"),
                "headers": headers,
            }
            with (
                socket.create_connection(("127.0.0.1", port)) as connection,
                connection.makefile("rwb") as file,
            ):
                file.write(json.dumps(asked).encode() + b"\n")
                file.flush()
                told = json.loads(file.readline())
            return Answered(told["status"], told["headers"], told["body"].encode("latin-1"))

        with gateway(answer) as address:
            yield address


def test_openais_clients_in_the_worker(function: str, absent: Callable[[str, str], NoReturn]) -> None:
    with clients(absent) as speakers:
        for kind in ("async", "javascript"):
            for scenario in scenarios.ALL:
                scenario(Sdk(speakers[kind], kind, function, secret("all")))
