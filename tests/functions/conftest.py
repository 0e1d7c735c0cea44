from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.azure_tables.azurite import ACCOUNT
from tests.functions.test_functions_worker import PACKAGES, WORKER, deployed
from tests.openai.gateway import Answered, gateway
from tests.servers import ROOT, running, table_for

Hosting = Callable[[Mapping[str, str]], str]
"""Starts function_app.py in Microsoft's worker library with settings; the address of what calls it."""


@pytest.fixture
def hosting(
    azurite: str, absent: Callable[[str, str], NoReturn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosting]:
    if not WORKER.exists():
        absent("azure-functions-runtime", "make .worker/.installed")
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={azurite}&client=blocking"
    python, packages = (one, [PACKAGES]) if (one := deployed()) else (sys.executable, [])
    program = ROOT / "tests/openai/worker.py"
    with ExitStack() as stack:

        def host(environ: Mapping[str, str]) -> str:
            settings = {**environ, "CHATSTORE_URL": url, "CHATSTORE_REQUESTS_PER_MINUTE": "0"}
            for name, value in {**settings, "FUNCTIONS_WORKER_RUNTIME": "python"}.items():
                monkeypatch.setenv(name, value)
            port = stack.enter_context(running([python, "-I", program, "{port}", WORKER, *packages]))

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

            return stack.enter_context(gateway(answer))

        yield host
