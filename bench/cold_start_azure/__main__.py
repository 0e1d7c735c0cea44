"""``make bench-cold-start-azure``: how long a function app takes from its start to its first answer.

Three function apps take turns in Microsoft's worker library for 15 rounds: the service, a function that makes
one call of azure-data-tables and does nothing else, and FastAPI with azure-identity doing the same. Azurite
has the tables, signed for with a key. The host and its channel are left out: everybody has them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableServiceClient

from tests.azure import azurite

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ROUNDS = 15
KEY = "cs_bench_" + "a" * 43
KEYS = [
    {"id": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "tenant": "acme", "scopes": ["admin"]}
]
PATH = "/v1/threads/first/messages"
GOALS = {"bare": 1.35, "FastAPI": 0.6}


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
    driver, worker = ROOT / "tests/azure/functions_worker.py", ROOT / ".worker"
    command: list[str | Path] = [subject.python, "-I", HERE / "first_answer.py", driver, worker, subject.app]
    environ = {"PATH": os.environ["PATH"], **subject.environ}
    began = time.perf_counter()
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sent)
        process.stdin.close()
        said = process.stdout.readline()
        taken = time.perf_counter() - began
    assert said.strip() in {b"200", b"201"}, f"{subject.app}: {said!r}"
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with azurite.running() as endpoint:
        credential = AzureNamedKeyCredential(azurite.ACCOUNT, azurite.KEY)
        with TableServiceClient(endpoint, credential=credential) as service:
            for table in ("chat", "bare", "usual"):
                service.create_table(table)
        measured = subjects(endpoint)
        print(f"{platform.system()}, {os.cpu_count()} processors, Python {platform.python_version()}")
        print(f"milliseconds from the start of a process to its first answer, {rounds} rounds\n")
        print(f"{'':8}{'':12}{'median':>8}{'minimum':>9}{'chatstore / it':>22}{'goal':>7}")
        # The first POST makes the thread, whose messages the GETs read.
        for method in ("POST", "GET"):
            for subject in measured.values():
                seconds(subject, method)
            taken: dict[str, list[float]] = {name: [] for name in measured}
            for _ in range(rounds):
                for name, subject in measured.items():
                    taken[name].append(seconds(subject, method) * 1000)
            ours = taken["chatstore"]
            for name, times in taken.items():
                line = f"{method:8}{name:12}{statistics.median(times):8.0f}{min(times):9.0f}"
                if name in GOALS:
                    median = statistics.median(ours) / statistics.median(times)
                    line += f"{median:14.2f}{min(ours) / min(times):8.2f}{GOALS[name]:7.2f}"
                print(line)


if __name__ == "__main__":
    main()
