"""What an operator does with a deployment: look before it, restore its table and go over to it, roll back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest

import chatstore
from infra.aws import destroy, preflight, restore, rollback
from infra.aws.stack import Stack, parameters
from tests.lambda_.emulator import ROOT, TOOLS
from tests.lambda_.template import OFFLINE, REGION, deployable

FITTING = ["Architecture=arm64", "Runtime=python3.13", "Concurrency=0"]
NEW = {"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}}


@pytest.fixture(scope="module", autouse=True)
def tools(absent: Callable[[str, str], None]) -> None:
    if not (TOOLS / "bin/sam").exists():
        absent("AWS's tools", f"make {TOOLS.name}/.installed")


@pytest.fixture
def at_aws(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs, in this process, ask moto."""
    for name, value in {**OFFLINE, "AWS_ENDPOINT_URL": aws}.items():
        monkeypatch.setenv(name, value)


class Answering(BaseHTTPRequestHandler):
    """An API of AWS that answers with JSON, and prints nothing."""

    def answer(self, found: object) -> None:
        """Send what was asked for."""
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Quota(Answering):
    """Lambda as far as moto does not go: what the account may run at once, here a new one's."""

    def do_GET(self) -> None:
        held = {"ReservedConcurrentExecutions": 1 if "Sweeper" in self.path else 95}
        self.answer(NEW if "account-settings" in self.path else held)


@pytest.fixture
def new_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Quota) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def run(main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["program", *arguments])
    main()


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("1st", FITTING, "'1st' is no name of a stack"),
        ("a_b", FITTING, "set STACK"),
        ("chat", [*FITTING, "Runtime=python3.14"], "python3.12, python3.13 only, .* PYTHON=python3.13"),
        ("chat", [*FITTING, "LogDay=7"], "no parameter LogDay: did you mean LogDays"),
        ("chat", [*FITTING, "ExistingTable=none"], "ExistingTable=none is not there"),
        ("chat", [*FITTING, "ExistingTable=strange"], "no table of chatstore's"),
        ("chat", FITTING[:2], r"Concurrency=20 cannot .* has 10 concurrent .* PARAMETERS=Concurrency=0 "),
        ("chat", [*FITTING[:2], 'Concurrency="20"'], "Concurrency=20 cannot"),
    ],
)
@pytest.mark.usefixtures("at_aws", "new_account")
def test_what_would_fail_late_is_told_first_with_what_to_do(name: str, given: list[str], told: str) -> None:
    tables = boto3.client("dynamodb")
    if "strange" not in tables.list_tables()["TableNames"]:
        key = [{"AttributeName": "id", "KeyType": "HASH"}]
        attributes = [{"AttributeName": "id", "AttributeType": "S"}]
        tables.create_table(
            TableName="strange", KeySchema=key, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
        )
    [fault] = preflight.found(name, REGION, given)
    assert re.search(told, fault), fault


@pytest.mark.usefixtures("at_aws", "new_account")
def test_what_the_stack_holds_already_counts_as_free(stack: dict[str, str]) -> None:
    """The functions have 95 and 1 of 106: the service may keep up to 5, as 100 stay for others."""
    assert list(preflight.found("chatstore", REGION, [*FITTING[:2], "Concurrency=5"])) == []
    [fault] = preflight.found("chatstore", REGION, [*FITTING[:2], "Concurrency=6"])
    assert "PARAMETERS=Concurrency=5" in fault
    assert stack["TableName"] == Stack("chatstore", REGION).table


def test_without_credentials_the_build_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(SystemExit) as ended:
        run(preflight.main, monkeypatch, "chat", REGION, *FITTING)
    assert ended.value.code == 1
    assert "AWS does not know who deploys" in capsys.readouterr().err


@pytest.mark.usefixtures("at_aws")
@pytest.mark.parametrize("options", [[], ["--delete-threads"]])
def test_what_a_first_deployment_left_is_told_and_removed_by_one_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stack: dict[str, str],
    options: list[str],
) -> None:
    """moto rolls nothing back: the state and the table that is left are those of a failed creation."""
    monkeypatch.setattr(Stack, "status", "ROLLBACK_FAILED")
    [fault] = preflight.found("chatstore", REGION, FITTING)
    assert "`make destroy-aws STACK=chatstore AWS_REGION=us-east-1` removes all" in fault
    run(preflight.main, monkeypatch, "chatstore", REGION, "--failed")
    assert f"leaves the stack chatstore (ROLLBACK_FAILED) and the empty table {stack['TableName']}" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr(destroy, "delete_stack", lambda *_: None)  # sam's own, which another test runs
    run(destroy.main, monkeypatch, "chatstore", REGION, *options)
    assert stack["TableName"] not in boto3.client("dynamodb").list_tables()["TableNames"]


@pytest.mark.usefixtures("at_aws")
def test_a_table_is_restored_adopted_and_gone_over_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: dict[str, str], aws: str
) -> None:
    tables, formation = boto3.client("dynamodb"), boto3.client("cloudformation")
    with chatstore.connect(f"{stack['Storage']}&endpoint={aws}") as store:
        store.append("kept", {"role": "user", "content": "before"})
        run(restore.main, monkeypatch, "chatstore", REGION, "latest", "--to", "restored", "--pause", "0")
        assert "PARAMETERS=ExistingTable=restored" in capsys.readouterr().out
        store.append("kept", {"role": "user", "content": "after"})
    # Restored, and as well protected as the one that the template makes.
    held = tables.describe_continuous_backups(TableName="restored")["ContinuousBackupsDescription"]
    assert held["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    described = tables.describe_table(TableName="restored")["Table"]
    assert described["DeletionProtectionEnabled"] is True
    assert tables.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"] == [
        {"Key": "application", "Value": "chatstore"}
    ]
    with chatstore.connect(f"dynamodb://restored?region={REGION}&endpoint={aws}") as store:
        assert [one.content for one in store.read("kept")] == ["before"]
    # Run again it goes on from there.
    run(restore.main, monkeypatch, "chatstore", REGION, "latest", "--to", "restored", "--pause", "0")

    assert list(preflight.of_the_table(Stack("chatstore", REGION), {"ExistingTable": "restored"})) == []
    chosen = [{"ParameterKey": "ExistingTable", "ParameterValue": "restored"}]
    formation.update_stack(StackName="chatstore", TemplateBody=json.dumps(deployable()), Parameters=chosen)
    functions = boto3.client("lambda").list_functions()["Functions"]
    urls = [one["Environment"]["Variables"]["CHATSTORE_URL"] for one in functions]
    assert urls == [f"dynamodb://restored?region={REGION}"] * 2
    assert Stack("chatstore", REGION).table == "restored"
    # The old one is as it was.
    assert stack["TableName"] in tables.list_tables()["TableNames"]
    destroy.delete_table("restored", REGION)


@pytest.mark.usefixtures("at_aws")
def test_a_moment_that_cannot_be_restored_is_told(
    monkeypatch: pytest.MonkeyPatch, stack: dict[str, str]
) -> None:
    with pytest.raises(SystemExit, match="write 2026-03-01T09:30:00Z, or latest"):
        run(restore.main, monkeypatch, "chatstore", REGION, "yesterday")
    with pytest.raises(SystemExit, match="there is no stack other"):
        run(restore.main, monkeypatch, "other", REGION, "latest")
    assert stack["TableName"]


@pytest.mark.usefixtures("at_aws")
def test_callers_are_given_back_the_version_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: dict[str, str]
) -> None:
    functions = boto3.client("lambda")
    name, sweeper = stack["FunctionName"], Stack("chatstore", REGION).resource("Sweeper")
    for one in (name, sweeper):
        for number in range(3):
            functions.update_function_configuration(FunctionName=one, Description=str(number))
            functions.publish_version(FunctionName=one)
        functions.create_alias(FunctionName=one, Name="live", FunctionVersion="3")
    run(rollback.main, monkeypatch, "chatstore", REGION)
    told = capsys.readouterr().out
    assert f"Callers meet version 2 of {name}, and no longer 3." in told
    assert f"Sweeps are made by version 2 of {sweeper}, and no longer 3." in told
    for one in (name, sweeper):
        assert functions.get_alias(FunctionName=one, Name="live")["FunctionVersion"] == "2"
    run(rollback.main, monkeypatch, "chatstore", REGION, "--to", "3")
    assert functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "3"
    with pytest.raises(SystemExit, match="9 is not there: callers meet 3 of 1, 2, 3"):
        run(rollback.main, monkeypatch, "chatstore", REGION, "--to", "9")


class Releases(Answering):
    """CodeDeploy, which moto's CloudFormation makes nothing of, with one release that is going on."""

    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((operation, given))
        self.answer({"deployments": ["d-1"]} if operation == "ListDeployments" else {})


@pytest.mark.usefixtures("at_aws")
def test_a_release_that_is_going_on_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Stack("chatstore", REGION)
    monkeypatch.setattr(made, "resource", lambda logical: f"the {logical}")
    Releases.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Releases) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_CODEDEPLOY", f"http://127.0.0.1:{server.server_port}")
        rollback.stop_release(made)
        server.shutdown()
    (looked, group), (stopped, release) = Releases.asked
    assert (looked, stopped) == ("ListDeployments", "StopDeployment")
    assert group["deploymentGroupName"] == "the FunctionDeploymentGroup"
    assert {"InProgress", "Ready"} <= set(group["includeOnlyStatuses"])
    assert (release["deploymentId"], release["autoRollbackEnabled"]) == ("d-1", False)
    assert "Stopped the release d-1." in capsys.readouterr().out


def test_make_looks_before_it_builds() -> None:
    built = ROOT / ".aws-sam/build/template.yaml"
    before = built.stat().st_mtime_ns if built.exists() else None
    done = subprocess.run(
        ["make", "deploy-aws", "STACK=1st"], cwd=ROOT, env={**os.environ, **OFFLINE}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "'1st' is no name of a stack" in done.stderr
    assert before == (built.stat().st_mtime_ns if built.exists() else None)


def test_the_parameters_are_read_from_the_template() -> None:
    known = parameters()
    assert (known["Concurrency"]["Default"], known["ExistingTable"]["Default"]) == ("20", "")
    assert set(known) == set(deployable()["Parameters"])
