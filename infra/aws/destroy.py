"""Takes a deployment down again. The threads stay where they are, unless they are to be deleted, too.

What a first deployment that failed has left is removed whole: its table has never held anything.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import boto3

from infra.aws.stack import HALF_MADE, Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("region")
    parser.add_argument("--delete-threads", action="store_true", help="delete the table, too, for ever")
    arguments = parser.parse_args()
    stack = Stack(arguments.stack, arguments.region)
    if stack.status is None:
        sys.exit(f"there is no stack {stack.name} in {stack.region}")
    table = stack.table
    unused = stack.status in HALF_MADE and table == stack.resource("Table")
    delete_stack(stack.name, stack.region)
    if table is None:
        print(f"Deleted the stack {stack.name}, which had no table.")
    elif arguments.delete_threads or (unused and is_empty(table, stack.region)):
        delete_table(table, stack.region)
        print(f"Deleted the stack {stack.name} and the table {table}.")
    else:
        print(
            f"Deleted the stack {stack.name}. The threads stay in the table {table}: a deployment with "
            f"PARAMETERS=ExistingTable={table} goes on with them."
        )


def delete_stack(stack: str, region: str) -> None:
    sam = Path(sys.executable).with_name("sam")
    subprocess.run([sam, "delete", "--no-prompts", "--stack-name", stack, "--region", region], check=True)


def is_empty(table: str, region: str) -> bool:
    found = boto3.client("dynamodb", region_name=region).scan(TableName=table, Limit=1, ConsistentRead=True)
    return not found["Items"]


def delete_table(table: str, region: str) -> None:
    dynamodb = boto3.client("dynamodb", region_name=region)
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)


if __name__ == "__main__":
    main()
