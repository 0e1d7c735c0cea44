"""``make bench-cold-start-azure``: how long a function app takes from its start to its first answer.

Three function apps take turns in Microsoft's worker library for 15 rounds: the service, a function that makes
one call of azure-data-tables and does nothing else, and FastAPI with azure-identity doing the same. Azurite
has the tables, signed for with a key. The host and its channel are left out: everybody has them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableServiceClient

from bench.cold_start import rounds
from bench.cold_start.rounds import KEY, KEYS, PATH
from tests.azure_tables import azurite

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ROUNDS = 15
# The first POST makes the thread, whose messages the GETs read.
GOALS = {"POST": {"bare": 1.35, "FastAPI": 0.6}, "GET": {"bare": 1.35, "FastAPI": 0.6}}


class Subject(NamedTuple):
    """What is measured: a function app, and the interpreter whose packages it has."""

    python: Path
    app: Path
    environ: Mapping[str, str]


def subjects(endpoint: str) -> dict[str, Subject]:
    stock = ROOT / ".venv-bench-azure/bin/python"
    shared = {"AZURE_STORAGE_KEY": azurite.KEY, "FUNCTIONS_WORKER_RUNTIME": "python"}
    theirs = {**shared, "TABLES_ENDPOINT": endpoint, "TABLES_ACCOUNT": azurite.ACCOUNT}
    ours = {
        **shared,
        "CHATSTORE_URL": f"aztables://{azurite.ACCOUNT}/chat?endpoint={endpoint}&client=blocking",
        "CHATSTORE_AUTH": "api-key",
        "CHATSTORE_API_KEYS": json.dumps(KEYS),
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
    return {
        "chatstore": Subject(ROOT / ".venv/bin/python", ROOT, ours),
        "bare": Subject(stock, HERE / "bare", theirs),
        "FastAPI": Subject(stock, HERE / "usual", theirs),
    }


def seconds(subject: Subject, method: str) -> float:
    """From the start of a new process to its answer."""
    body = json.dumps({"role": "user", "content": "hello"}) if method == "POST" else ""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    sent = json.dumps([method, PATH, body, headers]).encode()
    driver, worker = ROOT / "tests/functions/functions_worker.py", ROOT / ".worker"
    command: list[str | Path] = [subject.python, "-I", HERE / "first_answer.py", driver, worker, subject.app]
    environ = {"PATH": os.environ["PATH"], **subject.environ}
    return rounds.seconds(command, environ, sent)


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with azurite.running() as endpoint:
        credential = AzureNamedKeyCredential(azurite.ACCOUNT, azurite.KEY)
        with TableServiceClient(endpoint, credential=credential) as service:
            for table in ("chat", "bare", "usual"):
                service.create_table(table)
        measured = subjects(endpoint)
        print(f"{platform.system()}, {os.cpu_count()} processors, Python {platform.python_version()}")
        rounds.compare(measured, seconds, times, GOALS)


if __name__ == "__main__":
    main()
