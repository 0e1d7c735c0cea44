"""What the programs here ask of a deployed stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

TEMPLATE = Path(__file__).with_name("template.yaml")
HALF_MADE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "REVIEW_IN_PROGRESS"}
"""States of a stack whose first deployment failed: its table has never held anything."""


class Stack:
    """The stack `name` in `region`, whether it is there or not."""

    def __init__(self, name: str, region: str) -> None:
        self.name = name
        self.region = region
        self._formation = boto3.client("cloudformation", region_name=region)
        self._said: dict[str, Any] | None = None
        try:
            self._said = self._formation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise

    @property
    def status(self) -> str | None:
        """As CloudFormation says it; None where there is no such stack."""
        return None if self._said is None else str(self._said["StackStatus"])

    def parameter(self, name: str) -> str:
        """What the stack was deployed with, and otherwise what the template says."""
        for one in (self._said or {}).get("Parameters", ()):
            if one["ParameterKey"] == name:
                return str(one["ParameterValue"])
        return parameters()[name].get("Default", "")

    def resource(self, logical: str) -> str | None:
        """The name of what the stack made by that name, or made and left behind; None where it made none."""
        if self._said is None:
            return None
        found = self._formation.describe_stack_resources(StackName=self.name)["StackResources"]
        names = (
            str(one["PhysicalResourceId"])
            for one in found
            if one.get("LogicalResourceId") == logical
            and one.get("PhysicalResourceId")
            and one["ResourceStatus"] != "DELETE_COMPLETE"
        )
        return next(names, None)

    @property
    def table(self) -> str | None:
        """The table that holds its threads; None where a first deployment failed before it made one."""
        return (self._said and self.parameter("ExistingTable")) or self.resource("Table")


def parameters() -> dict[str, dict[str, str]]:
    """The template's parameters by name, each with what is said of it in a line of its own."""
    text = TEMPLATE.read_text()
    section = text[text.index("\nParameters:\n") : text.index("\nRules:\n")]
    parts = re.split(r"^  (\w+):\n", section, flags=re.MULTILINE)[1:]
    return {
        name: {key: value.strip('"') for key, value in re.findall(r"^    (\w+): (.*)$", body, re.MULTILINE)}
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
