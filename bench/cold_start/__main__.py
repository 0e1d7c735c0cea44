"""``make bench-cold-start``: how long a process takes from its start to its first answer.

Three functions take turns for 25 rounds: the artefact that `sam build` makes, a handler that makes one
botocore call and does nothing else, and FastAPI with boto3 and Mangum doing the same. DynamoDB is a server
on loopback that answers at once. Imports are compiled already, as in every round but the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ROUNDS = 25
KEY = "cs_bench_" + "a" * 43
KEYS = [
    {"id": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "tenant": "acme", "scopes": ["admin"]}
]
PATH = "/v1/threads/first/messages"
GOALS = {"bare": {"GET": 1.35, "POST": 1.5}, "FastAPI": {"GET": 0.6, "POST": 0.6}}


class Subject(NamedTuple):
    """What is measured: a module in some folders, run by an interpreter."""

    python: Path
    module: str
    folders: tuple[Path, ...]
    environ: Mapping[str, str]


class DynamoDB(BaseHTTPRequestHandler):
    """Answers that nothing is there, and that whatever is put has been."""

    protocol_version = "HTTP/1.1"
    # A head and a body are two packets, and the second would wait 40 ms for the first to be received.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers["x-amz-target"].rpartition(".")[2]
        body = json.dumps(
            {"Items": [], "Count": 0, "ScannedCount": 0} if operation == "Query" else {}
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def dynamodb() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), DynamoDB) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def event(method: str) -> bytes:
    message = json.dumps({"role": "user", "content": "hello"})
    made: dict[str, Any] = {
        "version": "2.0", "routeKey": "$default", "rawPath": PATH, "rawQueryString": "",
        "headers": {"host": "x", "authorization": f"Bearer {KEY}", "content-type": "application/json"},
        "requestContext": {
            "domainName": "id.lambda-url.us-east-1.on.aws", "stage": "$default",
            "http": {"method": method, "path": PATH, "sourceIp": "192.0.2.1"},
        },
        "body": None if method == "GET" else message, "isBase64Encoded": False,
    }  # fmt: skip
    return json.dumps(made).encode()


def seconds(subject: Subject, sent: bytes, endpoint: str) -> float:
    """From the start of a new process to its answer."""
    environ = {
        "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", **subject.environ,
    }  # fmt: skip
    command: list[str | Path] = [
        subject.python,
        "-I",
        HERE / "first_answer.py",
        subject.module,
        *subject.folders,
    ]
    began = time.perf_counter()
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sent)
        process.stdin.close()
        said = process.stdout.readline()
        taken = time.perf_counter() - began
    assert said.strip() in {b"200", b"201"}, f"{subject.module}: {said!r}"
    return taken


def subjects(built: Path) -> dict[str, Subject]:
    stock = ROOT / ".venv-bench-fastapi/bin/python"
    environ = {
        "CHATSTORE_URL": "dynamodb://t?region=us-east-1", "CHATSTORE_AUTH": "api-key",
        "CHATSTORE_API_KEYS": json.dumps(KEYS),
        "AWS_LAMBDA_FUNCTION_NAME": "f", "PYDANTIC_DISABLE_PLUGINS": "__all__", "CHATSTORE_LOG": "off",
    }  # fmt: skip
    return {
        "chatstore": Subject(ROOT / ".venv-aws-runtime/bin/python", "handler", (built,), environ),
        "bare": Subject(stock, "bare", (HERE,), {}),
        "FastAPI": Subject(stock, "fastapi_app", (HERE,), {}),
    }


def sizes(artefact: Path) -> str:
    """How large the artefact is, and how large it is packed."""
    files = [path for path in artefact.rglob("*") if path.is_file()]
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(artefact))
        size = packed.tell()
    whole = sum(path.stat().st_size for path in files)
    return f"{whole / 1e6:.1f} MB in {len(files):,} files, {size / 1e6:.1f} MB packed"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with tempfile.TemporaryDirectory() as folder, dynamodb() as endpoint:
        artefact = Path(folder, "artefact")
        build: list[str | Path] = [
            sys.executable,
            ROOT / "infra/aws/artefact.py",
            "--architecture",
            machine,
            artefact,
        ]
        subprocess.run(build, check=True)
        size = sizes(artefact)
        measured = subjects(artefact)
        print(
            f"{platform.system()} {machine}, {os.cpu_count()} processors, Python {platform.python_version()}"
        )
        print(f"the artefact: {size}")
        print(f"milliseconds from the start of a process to its first answer, {rounds} rounds\n")
        print(f"{'':8}{'':12}{'median':>8}{'minimum':>9}{'chatstore / it':>22}{'goal':>7}")
        for method in ("GET", "POST"):
            sent = event(method)
            for subject in measured.values():
                seconds(subject, sent, endpoint)
            taken: dict[str, list[float]] = {name: [] for name in measured}
            for _ in range(rounds):
                for name, subject in measured.items():
                    taken[name].append(seconds(subject, sent, endpoint) * 1000)
            ours = taken["chatstore"]
            for name, times in taken.items():
                line = f"{method:8}{name:12}{statistics.median(times):8.0f}{min(times):9.0f}"
                if name in GOALS:
                    median = statistics.median(ours) / statistics.median(times)
                    line += f"{median:14.2f}{min(ours) / min(times):8.2f}{GOALS[name][method]:7.2f}"
                print(line)


if __name__ == "__main__":
    main()
