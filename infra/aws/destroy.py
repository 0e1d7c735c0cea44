"""Takes a deployment down again. The threads stay where they are, unless they are to be deleted, too."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("region")
    parser.add_argument("--delete-threads", action="store_true", help="delete the table, too, for ever")
    arguments = parser.parse_args()
    table = table_of(arguments.stack, arguments.region)
    delete_stack(arguments.stack, arguments.region)
    if table is None:
        print(f"Deleted the stack {arguments.stack}, which had no table.")
    elif arguments.delete_threads:
        delete_table(table, arguments.region)
        print(f"Deleted the stack {arguments.stack} and the table {table}.")
    else:
        print(f"Deleted the stack {arguments.stack}. The threads stay in the table {table}.")


def table_of(stack: str, region: str) -> str | None:
    """The stack's table; None where there is none, as after a first deployment that failed."""
    cloudformation = boto3.client("cloudformation", region_name=region)
    try:
        found = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    except ClientError as error:
        sys.exit(f"there is no stack {stack} in {region}: {error}")
    tables = (
        str(one["PhysicalResourceId"])
        for one in found
        if one["LogicalResourceId"] == "Table"
        and one.get("PhysicalResourceId")
        and one["ResourceStatus"] != "DELETE_COMPLETE"
    )
    return next(tables, None)


def delete_stack(stack: str, region: str) -> None:
    sam = Path(sys.executable).with_name("sam")
    subprocess.run([sam, "delete", "--no-prompts", "--stack-name", stack, "--region", region], check=True)


def delete_table(table: str, region: str) -> None:
    dynamodb = boto3.client("dynamodb", region_name=region)
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)


if __name__ == "__main__":
    main()
