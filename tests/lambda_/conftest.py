from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import boto3
import httpx
import pytest

from tests.lambda_.emulator import ARCHITECTURE, KEY, ROOT, TOOLS, Function, emulated, require_tools
from tests.lambda_.template import REGION, deployable
from tests.servers import free_port

PORTER = json.dumps(
    [
        {
            "id": "test",
            "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
            "tenant": "acme",
            "scopes": ["admin"],
        }
    ]
)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str, str], NoReturn]) -> Path:
    """What `sam build` makes: a folder with template.yaml and the artefact, once for all workers."""
    require_tools(absent)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "sam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = shared / "sam"
        if not (target / "template.yaml").exists():
            sam_build(target, ARCHITECTURE, elsewhere=shared)
    return target


def sam_build(target: Path, architecture: str, elsewhere: Path) -> None:
    """Run `sam build` from a folder that is not the project's, as anybody may."""
    environ = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "ARCHITECTURE": architecture,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    subprocess.run(
        [TOOLS / "bin/sam", "build", "--template", ROOT / "infra/aws/template.yaml", "--build-dir", target,
         "--parameter-overrides", f"Architecture={architecture}"],
        cwd=elsewhere, env=environ, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def artefact(built: Path) -> Path:
    return built / "Function"


@pytest.fixture(scope="session")
def equipped(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact and SQLite: what stands before a function is tried with the storage that is fastest."""
    target = tmp_path_factory.mktemp("equipped") / "artefact"
    left_out = ("sql", "sqlite")
    shutil.copytree(artefact, target, copy_function=os.link, ignore=shutil.ignore_patterns(*left_out))
    for name in ("engines/sql", "backends/sqlite"):
        shutil.copytree(ROOT / "chatstore" / name, target / "chatstore" / name)
    return target


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the function keeps threads."""
    return f"sqlite:///{tmp_path_factory.mktemp('storage')}/chat.db"


@pytest.fixture(scope="module")
def function(equipped: Path, storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """One that knows the key of `emulator.credential`."""
    log = tmp_path_factory.mktemp("function") / "log"
    settings = {"CHATSTORE_URL": storage, "CHATSTORE_AUTH": "api-key", "CHATSTORE_API_KEYS": PORTER}
    with emulated(equipped, log, **settings, CHATSTORE_REQUESTS_PER_MINUTE="0") as function:
        yield function


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """moto, where all of AWS answers."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        stack.callback(process.kill)
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            client.get(f"http://127.0.0.1:{port}/moto-api/").raise_for_status()
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(aws: str) -> Callable[[str], Any]:
    session = boto3.Session("x", "x", region_name=REGION)
    return lambda service: session.client(service, endpoint_url=aws)


@pytest.fixture
def stack(client: Callable[[str], Any]) -> Iterator[dict[str, str]]:
    """The template as it is deployed; gives its outputs."""
    storage, formation = client("s3"), client("cloudformation")
    storage.create_bucket(Bucket="artefacts")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        packed.write(ROOT / "lambda/handler.py", "handler.py")
    storage.put_object(Bucket="artefacts", Key="code.zip", Body=code.getvalue())
    formation.create_stack(
        StackName="chatstore", TemplateBody=json.dumps(deployable()), Capabilities=["CAPABILITY_IAM"]
    )
    [made] = formation.describe_stacks(StackName="chatstore")["Stacks"]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    yield {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    formation.delete_stack(StackName="chatstore")
