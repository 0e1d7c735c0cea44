"""``make bench-cold-start``: how long a process takes from its start to its first answer.

Three functions take turns for 25 rounds: the artefact that `sam build` makes, a handler that makes one
botocore call and does nothing else, and FastAPI with boto3 and Mangum doing the same. DynamoDB is a server
on loopback that answers at once. Imports are compiled already, as in every round but the first.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from bench.cold_start import rounds
from bench.cold_start.rounds import KEY, KEYS, PATH

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ROUNDS = 25
GOALS = {"GET": {"bare": 1.35, "FastAPI": 0.6}, "POST": {"bare": 1.5, "FastAPI": 0.6}}


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
    return rounds.seconds(command, environ, sent)


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
    times = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
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
        sent = {method: event(method) for method in GOALS}
        rounds.compare(
            measured, lambda subject, method: seconds(subject, sent[method], endpoint), times, GOALS
        )


if __name__ == "__main__":
    main()
