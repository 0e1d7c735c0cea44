"""Looks before a deployment for what would make it fail late, and after one that failed for what it left."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.aws.stack import HALF_MADE, Stack, parameters

KEPT_FREE = 100
"""How many concurrent executions AWS keeps for functions that reserve none."""

SCHEMA = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("region")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--failed", action="store_true", help="say what a deployment that failed has left")
    arguments = parser.parse_args()
    if arguments.failed:
        print(left(arguments.stack, arguments.region), file=sys.stderr)
        return
    faults = list(found(arguments.stack, arguments.region, arguments.parameters))
    for fault in faults:
        print(f"deploy-aws: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)


def found(name: str, region: str, said: list[str]) -> Iterator[str]:
    """What stands in the way, each with what to do; first what is seen without asking AWS."""
    given = {name: value.strip("\"'") for name, _, value in (one.partition("=") for one in said)}
    yield from of_the_name(name)
    yield from of_the_parameters(given)
    try:
        caller = boto3.client("sts", region_name=region).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        yield (
            f"AWS does not know who deploys ({error}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or sign in by `aws sso login`"
        )
        return
    print(f"Deploys {name} into account {caller['Account']}, {region}, as {caller['Arn']}.")
    for look in (of_the_stack, of_the_quota, of_the_table):
        try:
            stack = Stack(name, region)
            yield from look(stack, given)
        except (BotoCoreError, ClientError) as error:
            print(f"deploy-aws: not everything could be looked at beforehand: {error}", file=sys.stderr)


def of_the_name(name: str) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", name):
        yield f"{name!r} is no name of a stack: letters, digits and hyphens, a letter first; set STACK"


def of_the_parameters(given: dict[str, str]) -> Iterator[str]:
    known = parameters()
    for name, value in given.items():
        if name not in known:
            [nearest] = difflib.get_close_matches(name, known, n=1, cutoff=0)
            yield f"the template has no parameter {name}: did you mean {nearest}? docs/aws.md has all of them"
            continue
        allowed = re.findall(r"[^\[\],\s\"]+(?:,[^\[\],\s\"]+)*", known[name].get("AllowedValues", ""))
        if name == "Runtime" and value not in allowed:
            yield (
                f"AWS Lambda is deployed to with {', '.join(allowed)} only, and this Python is {value}: "
                f"say which to build with, as in `make deploy-aws PYTHON={allowed[-1]}`"
            )


def of_the_stack(stack: Stack, _given: dict[str, str]) -> Iterator[str]:
    state = stack.status or ""
    if state in HALF_MADE - {"REVIEW_IN_PROGRESS"}:
        yield (
            f"the first deployment of {stack.name} failed ({state}), and such a stack takes no other: "
            f"`make destroy-aws STACK={stack.name} AWS_REGION={stack.region}` removes all that it left"
        )
    elif state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS":
        yield f"the stack {stack.name} is being changed ({state}): wait until that has ended"


def of_the_quota(stack: Stack, given: dict[str, str]) -> Iterator[str]:
    functions = boto3.client("lambda", region_name=stack.region)
    limit = functions.get_account_settings()["AccountLimit"]
    wanted = int(given.get("Concurrency") or stack.parameter("Concurrency"))
    held = sum(
        functions.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
        for function in map(stack.resource, ("Function", "Sweeper"))
        if function
    )
    # Where the service reserves some, its sweeps reserve one.
    most = max(0, limit["UnreservedConcurrentExecutions"] + held - KEPT_FREE - 1)
    if wanted > most:
        instead = f"Concurrency={most}" if most else "Concurrency=0 (none is reserved)"
        yield (
            f"Concurrency={wanted} cannot be reserved: the account has "
            f"{limit['ConcurrentExecutions']} concurrent executions, and AWS keeps {KEPT_FREE} "
            f"for other functions. Deploy with PARAMETERS={instead}, "
            "or ask AWS for more (Service Quotas, Lambda, L-B99A9384)"
        )


def of_the_table(stack: Stack, given: dict[str, str]) -> Iterator[str]:
    name = given.get("ExistingTable") or stack.parameter("ExistingTable")
    if not name:
        return
    try:
        table = boto3.client("dynamodb", region_name=stack.region).describe_table(TableName=name)["Table"]
    except ClientError as error:
        yield f"ExistingTable={name} is not there in {stack.region}: {error}"
        return
    if table["KeySchema"] != SCHEMA:
        yield f"ExistingTable={name} is no table of chatstore's: its keys are {table['KeySchema']}"
    elif table["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        yield f"ExistingTable={name} is {table['TableStatus']}: wait until it is ACTIVE"


def left(name: str, region: str) -> str:
    stack = Stack(name, region)
    if stack.status is None:
        return "Nothing was made."
    if stack.status not in HALF_MADE:
        return f"The stack {name} is as it was before ({stack.status}); what holds threads was not touched."
    table = stack.resource("Table")
    leaves = f" and the empty table {table}" if table else ""
    return (
        f"The first deployment failed and leaves the stack {name} ({stack.status}){leaves}. "
        f"`make destroy-aws STACK={name} AWS_REGION={region}` removes all of it."
    )


if __name__ == "__main__":
    main()
