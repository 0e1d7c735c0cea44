"""Makes a table of what a stack's table held at a moment, with the same protection, and says how to go on.

A restore brings back items and keys alone: that the new table can be restored in its turn, and refuses to be
deleted, is set here. It may be interrupted and run again with the same name.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.aws.stack import Stack

PAUSE_SECONDS = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("region")
    parser.add_argument("at", help="2026-03-01T09:30:00Z, or 'latest'")
    parser.add_argument("--to", default="", help="the new table's name (default: one with the present time)")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    stack = Stack(arguments.stack, arguments.region)
    if stack.table is None:
        sys.exit(f"there is no stack {stack.name} with a table in {stack.region}")
    target = arguments.to or f"{stack.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    dynamodb = boto3.client("dynamodb", region_name=stack.region)
    if status(dynamodb, target) is None:
        start(dynamodb, stack.table, target, arguments.at)
        print(
            f"Restores {stack.table} as of {arguments.at} to {target}; this takes minutes to hours.",
            flush=True,
        )
    while status(dynamodb, target) != "ACTIVE":
        time.sleep(arguments.pause)
    protect(dynamodb, target, int(stack.parameter("RecoveryDays")))
    print(
        f"{target} is ready and protected. Check it (docs/operating.md), then switch to it by\n"
        f"  make deploy-aws STACK={stack.name} AWS_REGION={stack.region} PARAMETERS=ExistingTable={target}\n"
        f"{stack.table} stays as it is."
    )


def start(dynamodb: Any, source: str, target: str, at: str) -> None:
    moment: dict[str, Any] = {"UseLatestRestorableTime": True}
    if at != "latest":
        try:
            when = datetime.fromisoformat(at)
        except ValueError:
            sys.exit(f"{at!r} is no time: write 2026-03-01T09:30:00Z, or latest")
        moment = {"RestoreDateTime": when if when.tzinfo else when.replace(tzinfo=UTC)}
    try:
        dynamodb.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=target, **moment)
    except ClientError as error:
        sys.exit(f"{source} cannot be restored as of {at}: {error}")


def status(dynamodb: Any, table: str) -> str | None:
    try:
        return str(dynamodb.describe_table(TableName=table)["Table"]["TableStatus"])
    except dynamodb.exceptions.ResourceNotFoundException:
        return None


def protect(dynamodb: Any, table: str, days: int) -> None:
    dynamodb.update_continuous_backups(
        TableName=table,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days},
    )
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "application", "Value": "chatstore"}])


if __name__ == "__main__":
    main()
