"""Gives callers back the version before the present one, with its code and its settings.

Requests under way end on the version that they began on. A release that is still going on is stopped.
"""

from __future__ import annotations

import argparse
import sys

import boto3

from infra.aws.stack import Stack

ALIAS = "live"
GOING_ON = ["Created", "Queued", "InProgress", "Ready"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("region")
    parser.add_argument("--to", default="", help="the version (default: the one before the present one)")
    arguments = parser.parse_args()
    stack = Stack(arguments.stack, arguments.region)
    function = stack.resource("Function")
    if function is None:
        sys.exit(f"there is no stack {stack.name} with a function in {stack.region}")
    stop_release(stack)
    functions = boto3.client("lambda", region_name=stack.region)
    present = functions.get_alias(FunctionName=function, Name=ALIAS)["FunctionVersion"]
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    numbers = [one["Version"] for page in pages for one in page["Versions"]]
    versions = sorted((one for one in numbers if one.isdigit()), key=int)
    earlier = [one for one in versions if int(one) < int(present)]
    target = arguments.to or (earlier[-1] if earlier else "")
    if target not in versions:
        sys.exit(
            f"{target or 'an earlier version'} is not there: callers meet {present} of {', '.join(versions)}"
        )
    functions.update_alias(
        FunctionName=function,
        Name=ALIAS,
        FunctionVersion=target,
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    print(f"Callers now reach version {target} of {function} instead of {present}.")


def stop_release(stack: Stack) -> None:
    """A release that goes on would move the alias again."""
    application, group = (
        stack.resource(one) for one in ("ServerlessDeploymentApplication", "FunctionDeploymentGroup")
    )
    if application is None or group is None:
        return
    releases = boto3.client("codedeploy", region_name=stack.region)
    going_on = releases.list_deployments(
        applicationName=application, deploymentGroupName=group, includeOnlyStatuses=GOING_ON
    )
    for one in going_on["deployments"]:
        releases.stop_deployment(deploymentId=one, autoRollbackEnabled=False)
        print(f"Stopped the release {one}.")


if __name__ == "__main__":
    main()
