"""What whoever deploys may do, as docs/aws.md lists it, against the template and the programs beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NoReturn

import boto3
import pytest

from tests.lambda_.emulator import ROOT, require_tools
from tests.lambda_.template import REGION, translated

SECTION = "### What whoever deploys may do"

MAKING = {
    "AWS::ApiGatewayV2": "apigateway:POST GET PATCH DELETE",
    "AWS::Budgets::Budget": "budgets:ModifyBudget ViewBudget",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm DescribeAlarms DeleteAlarms",
    "AWS::CodeDeploy": (
        "codedeploy:CreateApplication DeleteApplication CreateDeploymentGroup UpdateDeploymentGroup "
        "DeleteDeploymentGroup GetDeploymentGroup CreateDeployment GetDeployment GetDeploymentConfig "
        "RegisterApplicationRevision"
    ),
    "AWS::DynamoDB::Table": (
        "dynamodb:CreateTable DescribeTable UpdateTable DeleteTable DescribeContinuousBackups "
        "UpdateContinuousBackups DescribeTimeToLive DescribeContributorInsights TagResource UntagResource "
        "ListTagsOfResource GetResourcePolicy"
    ),
    "AWS::Events::Rule": "events:PutRule DescribeRule DeleteRule PutTargets RemoveTargets ListTargetsByRule",
    "AWS::IAM::Role": (
        "iam:CreateRole GetRole DeleteRole UpdateRole UpdateAssumeRolePolicy PassRole TagRole UntagRole "
        "PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies "
        "AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies"
    ),
    "AWS::Lambda": (
        "lambda:CreateFunction GetFunction DeleteFunction UpdateFunctionCode UpdateFunctionConfiguration "
        "PublishVersion CreateAlias UpdateAlias AddPermission RemovePermission CreateFunctionUrlConfig "
        "PutFunctionEventInvokeConfig PutFunctionConcurrency TagResource"
    ),
    "AWS::Logs::MetricFilter": "logs:PutMetricFilter DescribeMetricFilters DeleteMetricFilter",
    "AWS::Logs::LogGroup": (
        "logs:CreateLogGroup DescribeLogGroups DeleteLogGroup PutRetentionPolicy TagResource UntagResource "
        "ListTagsForResource"
    ),
}
"""What CloudFormation calls with the deployer's rights to make, change and remove each kind of resource.

As AWS's documentation has it in November 2026."""

SAM = {"cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet", "s3:CreateBucket", "s3:PutObject"}

RESTORING = {
    f"dynamodb:{name}"
    for name in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchWriteItem")
}
"""What a restore does on the new table with the rights of whoever asks for it."""

KEYS = {"dynamodb:BatchGetItem"}
NO_RIGHT = {"sts:GetCallerIdentity"}
"""Anybody may ask who they are."""


@pytest.fixture(scope="module", autouse=True)
def tools(absent: Callable[[str, str], NoReturn]) -> None:
    require_tools(absent)


def listed() -> set[str]:
    """The rights that the page names; a name without a service is of the one before it."""
    page = (ROOT / "docs/aws.md").read_text()
    section = page[page.index(SECTION) : page.index("### Regions")]
    rights, service = set(), ""
    for service_named, action in re.findall(r"`(?:([a-z0-9]+):)?([A-Z][A-Za-z]+\*?|\*)`", section):
        service = service_named or service
        rights.add(f"{service}:{action}")
    return rights


def needed_to_make() -> set[str]:
    needed = set()
    for one in translated()["Resources"].values():
        [said] = [actions for kind, actions in MAKING.items() if one["Type"].startswith(kind)]
        service, _, names = said.partition(":")
        needed |= {f"{service}:{name}" for name in names.split()}
    return needed


def called() -> set[str]:
    """What the programs beside the template call, by the names that are methods of AWS's clients."""
    names: dict[str, set[str]] = {}
    for service in ("cloudformation", "codedeploy", "dynamodb", "lambda", "sts"):
        for method, operation in boto3.client(
            service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        ).meta.method_to_api_mapping.items():
            names.setdefault(method, set()).add(f"{service}:{operation}")
    found: set[str] = set()
    for program in (ROOT / "infra/aws").glob("*.py"):
        for node in ast.walk(ast.parse(program.read_text())):
            named = (
                node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            )
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = node.value  # a paginator's
            found |= names.get(named, set())
    return found - NO_RIGHT


def test_whoever_deploys_may_do_what_it_takes() -> None:
    rights = listed()
    assert {"dynamodb:DeleteTable", "codedeploy:StopDeployment", "lambda:GetAccountSettings"} <= called()
    needed = needed_to_make() | called() | SAM | RESTORING
    lacking = {one for one in needed if not any(fnmatchcase(one, right) for right in rights)}
    assert lacking == set()


def test_and_nothing_else() -> None:
    needed = needed_to_make() | called() | SAM | RESTORING | KEYS
    superfluous = {right for right in listed() if not any(fnmatchcase(one, right) for one in needed)}
    assert superfluous == set()
