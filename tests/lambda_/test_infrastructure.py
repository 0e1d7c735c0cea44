"""The template and what is built from it, by AWS's own tools, and deployed into moto's CloudFormation."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest

from bench.aws_costs import ALARMS
from bench.month import SWEEP_SECONDS
from chatstore.backends.dynamodb.client import Client
from chatstore.settings import Settings
from chatstore.store import ChatStore
from chatstore.sweeping import SWEEP_LOG
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.lambda_.conftest import PORTER
from tests.lambda_.emulator import ARCHITECTURE, ROOT, RUNTIME, TOOLS, emulated, require_tools
from tests.lambda_.events import SCHEDULED, function_url
from tests.lambda_.template import OFFLINE, REGION, TEMPLATE, properties, run, translated
from tests.postgres.servers import prepared

BACKEND = ROOT / "chatstore/backends/dynamodb"
ADMINISTRATION = {"CreateTable", "DescribeTable"}
"""Not the service's: its table is the template's."""

TRANSACTION = {"TransactWriteItems": {"PutItem", "ConditionCheckItem"}}
"""IAM knows no action for a transaction, but those that it is made of."""

NOTHING = {"Ref": "AWS::NoValue"}

MAKERS = {"x86_64": 62, "arm64": 183}
"""The number of each processor in the head of a shared library."""

UNUSED = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import handler, chatstore.http.aws, chatstore.http.app, chatstore.http.identity.tokens, chatstore.http.schemas
import chatstore.sweeping, chatstore.http.telemetry.sending
import botocore.session, jwt
from cryptography.hazmat.primitives.asymmetric import rsa
session = botocore.session.get_session()
session.set_credentials("x", "x")
client = session.create_client("dynamodb", region_name="us-east-1")
chatstore.http.telemetry.sending.OTLPSpanExporter()
client.generate_presigned_url("get_item", {"TableName": "t", "Key": {"pk": {"S": "x"}}})
key = rsa.generate_private_key(65537, 2048)
jwt.decode(jwt.encode({"sub": "ada"}, key, "RS256"), key.public_key(), ["RS256"])
there = {
    path.name.partition(".")[0] for path in pathlib.Path(sys.argv[1]).iterdir() if path.suffix != ".dist-info"
}
print(*there - {"__pycache__"} - {name.partition(".")[0] for name in sys.modules})
"""


@pytest.fixture(scope="module", autouse=True)
def tools(absent: Callable[[str, str], NoReturn]) -> None:
    require_tools(absent)


def operations() -> set[str]:
    """Those of DynamoDB's that the backend calls: it names them in its calls."""
    known = set(boto3.Session().client("dynamodb", region_name=REGION).meta.service_model.operation_names)
    said = {
        given.value
        for module in BACKEND.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        for given in node.args
        if isinstance(given, ast.Constant)
    }
    return known & said


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """What a policy allows where threads are in a table."""
    table, _, log = policy["PolicyDocument"]["Statement"]
    condition, allowed, otherwise = table["Fn::If"]
    assert (condition, otherwise) == ("UsesTable", NOTHING)
    return [allowed, log]


def test_cloudformations_rules_hold() -> None:
    done = run(TOOLS / "bin/cfn-lint", "--non-zero-exit-code", "informational", TEMPLATE)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
def test_checkovs_rules_hold_but_those_that_are_reasoned() -> None:
    checkov = ROOT / ".venv-azure-tools/bin/checkov"
    if not checkov.exists():
        pytest.skip("checkov is missing: make .venv-azure-tools/.installed")
    command = (checkov, "--framework", "cloudformation", "--skip-download", "--output", "json")
    found = json.loads(run(*command, "--file", TEMPLATE).stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] >= 14
    reasons = TEMPLATE.with_name("checkov.yaml").read_text()
    failed = {one["check_id"] for one in found["results"]["failed_checks"]}
    assert failed == set(re.findall(r"- (CKV\w+)", reasons))


def test_a_release_moves_the_alias_that_all_callers_meet() -> None:
    first, second = (
        {name for name, one in made["Resources"].items() if one["Type"] == "AWS::Lambda::Version"}
        for made in (translated(), translated(Build="2", Auth="jwt", Release="Canary10Percent5Minutes"))
    )
    # Another build is another version of the service and of its sweeps, and the ones before stay.
    assert (len(first), len(second), len(first | second)) == (2, 2, 4)
    assert translated()["Resources"][next(iter(first))]["DeletionPolicy"] == "Retain"
    alias = {"Ref": "FunctionAliaslive"}
    assert (properties("Url")["Qualifier"], properties("Integration")["IntegrationUri"]) == ("live", alias)
    assert [one["Arn"] for one in properties("SweeperSchedule")["Targets"]] == [{"Ref": "SweeperAliaslive"}]
    for name in ("UrlPermission", "UrlInvokePermission", "ApiPermission"):
        assert properties(name)["FunctionName"] == alias
    watched = properties("FunctionDeploymentGroup")["AlarmConfiguration"]["Fn::If"]
    assert watched[0] == "Gradual"
    assert [one["Name"]["Ref"] for one in watched[1]["Alarms"]] == ["FunctionFails", "ServiceFails"]
    made = translated(Build="2", Auth="jwt", Release="Canary10Percent5Minutes")["Resources"]
    chosen = made["FunctionDeploymentGroup"]["Properties"]["DeploymentConfigName"]
    assert "Canary10Percent5Minutes" in str(chosen)
    assert "$(date +%s)" in (ROOT / "Makefile").read_text().replace("$$", "$")


def test_who_is_let_through_how_often_and_at_what_price_are_parameters() -> None:
    resources = translated()["Resources"]
    assert properties("Url")["AuthType"] == {"Ref": "UrlAuth"}
    assert {resources[name]["Condition"] for name in ("UrlPermission", "UrlInvokePermission")} == {
        "HasOpenUrl"
    }
    assert resources["Budget"]["Condition"] == "HasBudget"
    assert properties("Budget")["Budget"]["BudgetLimit"]["Amount"] == {"Ref": "MonthlyBudget"}
    told = [one["Subscribers"] for one in properties("Budget")["NotificationsWithSubscribers"]]
    assert told == [[{"SubscriptionType": "SNS", "Address": {"Ref": "AlarmTopic"}}]] * 2
    [rule] = [one["Assert"] for one in translated()["Rules"]["BudgetIsHeardOf"]["Assertions"]]
    assert "AlarmTopic" in str(rule)


def test_sweeps_have_a_function_of_their_own() -> None:
    sweeper, service = properties("Sweeper"), properties("Function")
    assert sweeper["Timeout"] == SWEEP_SECONDS + 10
    assert (sweeper["Code"], sweeper["Handler"]) == (service["Code"], service["Handler"])
    # An account that has none to spare reserves none.
    reserved = {"Fn::If": ["Reserves", 1, {"Ref": "AWS::NoValue"}]}
    assert sweeper["ReservedConcurrentExecutions"] == reserved
    url = service["Environment"]["Variables"]["CHATSTORE_URL"]
    assert sweeper["Environment"]["Variables"]["CHATSTORE_URL"] == url
    assert properties("SweeperSchedule")["ScheduleExpression"] == "rate(1 hour)"
    # A sweep that failed is tried again, by Lambda and by who calls it.
    assert properties("SweeperEventInvokeConfig")["MaximumRetryAttempts"] == 2
    [target] = properties("SweeperSchedule")["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 1800}
    assert "build-Sweeper" in (ROOT / "lambda/Makefile").read_text()


def test_sweeps_that_leave_something_undone_are_counted_and_an_alarm_is_raised() -> None:
    counted, alarm = properties("Backlog"), properties("SweepFallsBehind")
    [metric] = counted["MetricTransformations"]
    assert counted["FilterPattern"] == f'{{ $.logger = "{SWEEP_LOG}" && $.more IS TRUE }}'
    assert counted["LogGroupName"] == properties("Sweeper")["LoggingConfig"]["LogGroup"]
    named = (metric["MetricNamespace"], metric["MetricName"])
    assert named == (alarm["Namespace"], alarm["MetricName"])
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (3600, 3)
    assert properties("SweepFails")["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Sweeper"}}]


def test_where_metrics_go_is_a_parameter() -> None:
    parameters = translated()["Parameters"]
    assert parameters["Telemetry"]["Default"] == "off"
    for value in parameters["Telemetry"]["AllowedValues"]:
        assert Settings.from_environment({"CHATSTORE_TELEMETRY": value}).telemetry == value
    collector = {
        name: {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}
        for name, condition, parameter in (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "HasCollector", "OtlpEndpoint"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "HasHeaders", "OtlpHeaders"),
        )
    }
    # Requests and sweeps are of one service.
    telemetry: dict[str, Any] = {
        "CHATSTORE_TELEMETRY": {"Ref": "Telemetry"},
        "OTEL_SERVICE_NAME": {"Ref": "AWS::StackName"},
    }
    telemetry |= collector
    variables = properties("Function")["Environment"]["Variables"]
    assert variables.items() >= telemetry.items()
    storage = {name: variables[name] for name in ("CHATSTORE_URL", "PGPASSWORD_SECRET")}
    assert properties("Sweeper")["Environment"]["Variables"] == storage | telemetry
    # Headers may hold a key of the collector's.
    assert parameters["OtlpHeaders"]["NoEcho"] is True
    [rule] = [one["Assert"] for one in translated()["Rules"]["CollectorIsNamed"]["Assertions"]]
    assert "OtlpEndpoint" in str(rule)


def test_threads_may_be_in_a_postgresql() -> None:
    parameters = translated()["Parameters"]
    for url, fits in (
        ("", True),
        ("postgresql://served@db.internal/app?sslmode=verify-full&pool=1", True),
        ("postgresql://served:" + "x" * 9 + "@db.internal/app", False),
        ("sqlite:///chat.db", False),
    ):
        assert bool(re.fullmatch(parameters["Database"]["AllowedPattern"], url)) is fits
    network = {"SubnetIds": {"Ref": "Subnets"}, "SecurityGroupIds": {"Ref": "SecurityGroups"}}
    for function, role in (("Function", "Role"), ("Sweeper", "SweeperRole")):
        made = properties(function)
        variables = made["Environment"]["Variables"]
        assert variables["CHATSTORE_URL"]["Fn::If"][::2] == ["UsesTable", {"Ref": "Database"}]
        # The password is Secrets Manager's, and in no variable: the function reads it, and that secret alone.
        named = {"Ref": "DatabaseSecret"}
        assert variables["PGPASSWORD_SECRET"] == {"Fn::If": ["HasSecret", named, NOTHING]}
        assert "PGPASSWORD" not in variables
        reads = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": named}
        [policy] = properties(role)["Policies"]
        _, secret, _ = policy["PolicyDocument"]["Statement"]
        assert secret == {"Fn::If": ["HasSecret", reads, NOTHING]}
        assert made["VpcConfig"] == {"Fn::If": ["InVpc", network, NOTHING]}
        condition, policies, otherwise = properties(role)["ManagedPolicyArns"]["Fn::If"]
        assert (condition, otherwise) == ("InVpc", NOTHING)
        assert [one["Fn::Sub"].rpartition("/")[2] for one in policies] == ["AWSLambdaVPCAccessExecutionRole"]
    rules = translated()["Rules"]
    assert "ExistingTable" in str(rules["OneStorage"])
    assert "Database" in str(rules["SecretIsOfADatabase"]["Assertions"])
    conditions = translated()["Conditions"]
    assert conditions["MakesTable"] == {
        "Fn::And": [{"Condition": "UsesTable"}, {"Condition": "NamesNoTable"}]
    }
    for name in ("WritesAreThrottled", "ReadsAreThrottled"):
        assert translated()["Resources"][name]["Condition"] == "UsesTable"
    assert "DATABASE" in (ROOT / "lambda/Makefile").read_text()


def test_sam_finds_the_template_valid() -> None:
    done = run(TOOLS / "bin/sam", "validate", "--template", TEMPLATE)
    assert done.returncode == 0, done.stderr


def test_the_function_may_do_what_it_does_and_nothing_else() -> None:
    roles = [name for name, one in translated()["Resources"].items() if one["Type"] == "AWS::IAM::Role"]
    assert roles == ["Role", "SweeperRole", "ReleaseRole"]
    assert "Policies" not in properties("ReleaseRole")
    [allowed] = properties("ReleaseRole")["ManagedPolicyArns"]
    assert allowed["Fn::Sub"].endswith("/AWSCodeDeployRoleForLambdaLimited")
    assert properties("Function")["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}
    [policy] = properties("Role")["Policies"]
    table, log = statements(policy)
    [sweeps] = properties("SweeperRole")["Policies"]
    assert properties("Sweeper")["Role"] == {"Fn::GetAtt": ["SweeperRole", "Arn"]}
    swept, logged = statements(sweeps)
    assert (swept["Resource"], logged) == (table["Resource"], log)
    assert set(table["Action"]) - set(swept["Action"]) == {"dynamodb:ConditionCheckItem"}
    called = operations() - ADMINISTRATION
    assert "PutItem" in called
    needed = set().union(*(TRANSACTION.get(one, {one}) for one in called))
    assert set(table["Action"]) == {f"dynamodb:{one}" for one in needed}
    condition, made, given = table["Resource"]["Fn::If"]
    assert (condition, made) == ("MakesTable", {"Fn::GetAtt": ["Table", "Arn"]})
    assert given["Fn::Sub"].endswith(":table/${ExistingTable}")
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert log["Resource"] == {"Fn::GetAtt": ["LogGroup", "Arn"]}


def test_sweeps_make_no_call_that_their_role_does_not_allow(
    stack: dict[str, str], aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    call, clock = Client.call, ManualClock()

    def noted(self: Client, operation: str, parameters: Any) -> dict[str, Any]:
        called.add(operation)
        return call(self, operation, parameters)

    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    url = f"{stack['Storage']}&endpoint={aws}"
    with ChatStore(open_backend(url, blocking=True, clock=clock)) as store:
        store.append("t", {"role": "user", "content": "a"}, owner="zoey", ttl=timedelta(days=1))
        store.append("t", {"role": "user", "content": "x" * 900_000}, expires_in=timedelta(hours=1))
        monkeypatch.setattr(Client, "call", noted)
        for hours in (3, 24, 26, 2, 4):
            clock.advance(timedelta(hours=hours))
            while store.sweep().more:
                pass
    [policy] = properties("SweeperRole")["Policies"]
    allowed = statements(policy)[0]["Action"]
    assert {f"dynamodb:{one}" for one in called} == set(allowed)


def test_the_table_is_safe() -> None:
    table = properties("Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert "TimeToLiveSpecification" not in table
    assert table["PointInTimeRecoverySpecification"] == {
        "PointInTimeRecoveryEnabled": True,
        "RecoveryPeriodInDays": {"Ref": "RecoveryDays"},
    }
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert translated()["Parameters"]["DeletionProtection"]["Default"] == "true"
    whole = translated()["Resources"]["Table"]
    assert whole["DeletionPolicy"] == whole["UpdateReplacePolicy"] == "Retain"


def test_the_outside_is_bounded_and_watched() -> None:
    resources = translated()["Resources"]
    assert properties("Stage")["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert "Concurrency" in str(properties("Function")["ReservedConcurrentExecutions"])
    assert properties("LogGroup")["RetentionInDays"] == {"Ref": "LogDays"}
    alarms = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert {"Errors", "Throttles", "Duration", "WriteThrottleEvents", "ReadThrottleEvents"} < {
        str(one["MetricName"]) for one in alarms
    }
    assert len(alarms) == ALARMS
    assert all("AlarmTopic" in str(one["AlarmActions"]) for one in alarms)
    for name, front in (("Url", "HasUrl"), ("Api", "HasApi"), ("Authorizer", "HasAuthorizer")):
        assert resources[name]["Condition"] == front


def test_what_the_platform_checks_is_named() -> None:
    [rule] = [one["Assert"] for one in translated()["Rules"]["PlatformChecksTokens"]["Assertions"]]
    assert all(f"'Ref': '{name}'" in str(rule) for name in ("Front", "JwtIssuer", "JwtAudience"))


def test_a_page_may_ask_without_a_token_whether_it_may_ask() -> None:
    resources = translated()["Resources"]
    checked = properties("Route")["AuthorizationType"]
    assert checked == {"Fn::If": ["HasAuthorizer", "JWT", "NONE"]}
    asked = properties("Preflight")
    assert (asked["RouteKey"], asked["AuthorizationType"]) == ("OPTIONS /{proxy+}", "NONE")
    assert asked["Target"] == properties("Route")["Target"]
    assert "AuthorizerId" not in asked
    condition = resources["Preflight"]["Condition"]
    assert {"Condition": "HasAuthorizer"} in translated()["Conditions"][condition]["Fn::And"]
    open_to_all = [name for name, one in resources.items() if "OPTIONS" in str(one)]
    assert open_to_all == ["Preflight"]


def test_all_of_it_is_tagged() -> None:
    deployed = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text())["default"]["deploy"]
    assert deployed["parameters"]["tags"] == "application=chatstore"
    for name in ("Table", "LogGroup", "Role", "SweeperRole", "Function", "Sweeper", "Api", "Stage"):
        tags = properties(name)["Tags"]
        pairs = tags.items() if isinstance(tags, dict) else {(one["Key"], one["Value"]) for one in tags}
        assert ("application", "chatstore") in pairs, name


def test_the_artefact_holds_what_is_used(artefact: Path) -> None:
    assert {path.name for path in (artefact / "botocore/data").iterdir()} == {
        "_retry.json", "dynamodb", "endpoints.json", "partitions.json", "sdk-default-configuration.json",
    }  # fmt: skip
    package = {path.name for path in (artefact / "chatstore").iterdir()}
    assert not package & {"cli", "testing", "integrations", "importing", "exporting.py", "__main__.py"}
    assert not {"bench", "tests", "infra", "docs"} & {path.name for path in artefact.iterdir()}
    # OpenTelemetry finds its own parts by what is in theirs.
    assert all(path.name.startswith("opentelemetry_") for path in artefact.rglob("*.dist-info"))
    done = run(RUNTIME, "-I", "-S", "-c", UNUSED, artefact)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_artefact_is_compiled(artefact: Path) -> None:
    modules = list(artefact.rglob("*.py"))
    assert len(modules) > 300
    for module in modules:
        head = Path(importlib.util.cache_from_source(str(module))).read_bytes()[:8]
        # The second word says: by hash, and never compared with the source.
        assert head == importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little"), module


@pytest.mark.parametrize("architecture", MAKERS)
def test_the_libraries_are_for_the_processor(architecture: str, artefact: Path, tmp_path: Path) -> None:
    if architecture != ARCHITECTURE:
        artefact = tmp_path / "artefact"
        done = run(
            sys.executable, ROOT / "infra/aws/artefact.py", "--architecture", architecture, artefact
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    libraries = [path for path in artefact.rglob("*.so*") if path.is_file()]
    assert len(libraries) >= 3
    for library in libraries:
        assert int.from_bytes(library.read_bytes()[18:20], "little") == MAKERS[architecture], library


def test_the_stack_is_made_and_taken_down(
    client: Callable[[str], Any], stack: dict[str, str], aws: str
) -> None:
    name = stack["TableName"]
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"},
    ]  # fmt: skip
    assert {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]} == {
        "pk": "S", "sk": "S",
    }  # fmt: skip
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert str(table["DeletionProtectionEnabled"]).lower() == "true"
    functions = client("lambda").list_functions()["Functions"]
    urls = [one["Environment"]["Variables"]["CHATSTORE_URL"] for one in functions]
    assert urls == [stack["Storage"]] * 2
    assert stack["Storage"] == f"dynamodb://{name}?region={REGION}"
    [group] = client("logs").describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 30

    down = run(TOOLS / "bin/python", "-m", "infra.aws.destroy", "chatstore", REGION, AWS_ENDPOINT_URL=aws)
    assert down.returncode == 0, down.stderr
    assert f"The threads stay in the table {name}" in down.stdout
    assert name in client("dynamodb").list_tables()["TableNames"]
    assert client("lambda").list_functions()["Functions"] == []

    # Only where it is asked for are the threads deleted, too, though they are protected.
    program = f"from infra.aws import destroy; destroy.delete_table({name!r}, {REGION!r})"
    gone = run(TOOLS / "bin/python", "-c", program, AWS_ENDPOINT_URL=aws)
    assert gone.returncode == 0, gone.stderr
    assert name not in client("dynamodb").list_tables()["TableNames"]


def test_the_artefact_serves_the_table_so_made(
    client: Callable[[str], Any], stack: dict[str, str], aws: str, artefact: Path, tmp_path: Path
) -> None:
    made = client("lambda").get_function_configuration(FunctionName=stack["FunctionName"])
    variables = {
        **made["Environment"]["Variables"],
        "CHATSTORE_API_KEYS": PORTER,
        "AWS_ENDPOINT_URL_DYNAMODB": aws,
    }
    with emulated(artefact, tmp_path / "log", **variables) as function:
        path = "/v1/threads/first/messages"
        for number in range(3):
            kept = function.ask(
                function_url, "POST", path, [{"role": "user", "n": number}, {"role": "assistant"}]
            )
            assert kept.status == 201, kept.body
            assert kept.headers["chatstore-cost"].startswith("dynamodb; ")
        read = function.ask(function_url, "GET", f"{path}?last=20").json()
        assert [one["message"].get("n") for one in read["items"]] == [0, None, 1, None, 2, None]
        assert function.invoke(SCHEDULED)["more"] is False
    assert client("dynamodb").scan(TableName=stack["TableName"])["Count"] > 0


def test_the_artefact_for_a_database_serves_it(
    client: Callable[[str], Any], aws: str, postgres: str, tmp_path: Path
) -> None:
    """What Database in the parameters has built besides is enough, for the password in a secret too."""
    made = client("secretsmanager").create_secret(Name="database", SecretString='{"password": "of nobody"}')
    artefact = tmp_path / "artefact"
    built = run(
        sys.executable, ROOT / "infra/aws/artefact.py", "--architecture", ARCHITECTURE, "--database", artefact
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    url = prepared(f"{postgres}?schema=of+a+function&pool=1")
    variables = {"CHATSTORE_URL": url, "CHATSTORE_AUTH": "api-key", "CHATSTORE_API_KEYS": PORTER}
    variables |= {"PGPASSWORD_SECRET": made["ARN"], "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws}
    with emulated(artefact, tmp_path / "log", **variables) as function:
        path = "/v1/threads/first/messages"
        kept = function.ask(function_url, "POST", path, [{"role": "user", "n": 1}])
        assert kept.status == 201, kept.body
        assert kept.headers["chatstore-cost"].startswith("postgresql; ")
        read = function.ask(function_url, "GET", f"{path}?last=20").json()
        assert [one["message"]["n"] for one in read["items"]] == [1]
        assert function.invoke(SCHEDULED)["more"] is False


@pytest.mark.parametrize("options", [[], ["--delete-threads"]])
def test_what_was_not_made_whole_is_taken_down(
    client: Callable[[str], Any], aws: str, options: list[str]
) -> None:
    """A first deployment that failed leaves a stack without a table and without outputs."""
    half = {"Resources": {"LogGroup": {"Type": "AWS::Logs::LogGroup"}}}
    client("cloudformation").create_stack(StackName="half", TemplateBody=json.dumps(half))
    down = run(
        TOOLS / "bin/python", "-m", "infra.aws.destroy", "half", REGION, *options, AWS_ENDPOINT_URL=aws
    )
    assert down.returncode == 0, down.stderr
    assert "which had no table" in down.stdout
    assert client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])["StackSummaries"] == []


def test_what_is_not_there_is_not_taken_down(aws: str) -> None:
    down = run(TOOLS / "bin/python", "-m", "infra.aws.destroy", "none", REGION, AWS_ENDPOINT_URL=aws)
    assert down.returncode == 1
    assert "there is no stack none" in down.stderr
