"""AWS's Runtime Interface Emulator with the built artefact in AWS's own runtime, on free loopback ports."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx

from tests.lambda_.events import Answer, Make
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
RUNTIME = ROOT / ".venv-aws-runtime/bin/python"
TOOLS = ROOT / ".venv-aws-tools"
KEY = "cs_test_" + "a" * 43

MOST = {"http-api": 6_291_456, "function-url": 6_291_456, "rest-api": 6_291_456, "load-balancer": 1_000_000}
"""The most bytes that an event or an answer may have on its way."""


def require_tools(absent: Callable[[str, str], NoReturn]) -> None:
    for path in (RUNTIME, TOOLS / "bin/sam"):
        if not path.exists():
            absent("AWS's tools", f"make {path.relative_to(ROOT).parts[0]}/.installed")


class Function:
    """A function that is invoked as the platform invokes it."""

    def __init__(self, client: httpx.Client, log: Path) -> None:
        self._client = client
        self._log = log

    def invoke(self, event: Any) -> Any:
        """What the function answers to an event; an error comes as an answer, too."""
        # The platform writes an event's text as it is; json= would do the same, and costs another copy.
        text = json.dumps(event, ensure_ascii=False).encode()
        answer = self._client.post("/2015-03-31/functions/function/invocations", content=text)
        assert answer.status_code == 200
        self.answered = len(answer.content)
        return answer.json()

    def ask(
        self,
        kind: Make,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] = {},
        **options: Any,
    ) -> Answer:
        """What is at the other end of a gateway of this kind; with `body` as JSON, or as bytes."""
        sent = (
            body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
        )
        given = {"host": "chat.example.org", **credential(), **headers}
        given |= (
            {} if sent is None else {"content-type": "application/json", "content-length": str(len(sent))}
        )
        return Answer(self.invoke(kind(method, url, sent, given, **options)), kind)

    def log(self) -> str:
        return self._log.read_text()


def credential() -> dict[str, str]:
    return {"authorization": f"Bearer {KEY}"}


@contextmanager
def emulated(artefact: Path, log: Path, **environ: str) -> Iterator[Function]:
    """The function of `artefact` with exactly these variables, not yet started: the first event does that."""
    invoked, runtime = (f"127.0.0.1:{free_port()}" for _ in range(2))
    emulator = next(
        (TOOLS / "lib").glob(
            "python3.*/site-packages/samcli/local/rapid/aws-lambda-rie-"
            + {"arm64": "arm64"}.get(ARCHITECTURE, "x86_64")
        )
    )
    command: list[str | Path] = [
        emulator,
        "--runtime-interface-emulator-address",
        invoked,
        "--runtime-api-address",
        runtime,
    ]
    command += [RUNTIME, "-m", "awslambdaric", "handler.handler"]
    variables = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(artefact), "LAMBDA_TASK_ROOT": str(artefact),
        "AWS_LAMBDA_FUNCTION_NAME": "chatstore", "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", "PYTHONDONTWRITEBYTECODE": "1", **environ,
    }  # fmt: skip
    with (
        log.open("wb") as said,
        subprocess.Popen(
            command, cwd=artefact, env=variables, stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            transport = httpx.HTTPTransport(retries=8)
            with httpx.Client(base_url=f"http://{invoked}", transport=transport, timeout=60) as client:
                yield Function(client, log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
