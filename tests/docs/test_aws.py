"""What the AWS page says of costs, sizes and parameters is what the project computes and has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from chatstore.http import aws

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/aws.md").read_text()


def test_the_costs_are_those_that_the_command_prints() -> None:
    command = [sys.executable, "-m", "bench.aws_costs"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"```\n{printed}```" in PAGE


def test_the_sizes_are_those_that_hold() -> None:
    rows = {
        cells[0]: cells[1:]
        for cells in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    }
    for name, kind in (
        ("HTTP API", aws.HTTP_API), ("function URL", aws.FUNCTION_URL), ("REST API", aws.REST_API),
        ("load balancer", aws.LOAD_BALANCER),
    ):  # fmt: skip
        assert rows[name] == (f"{kind.body:,}", f"{kind.page:,}")


def test_every_parameter_is_explained() -> None:
    template = (ROOT / "infra/aws/template.yaml").read_text()
    section = template[template.index("\nParameters:") : template.index("\nRules:")]
    named = set(re.findall(r"^  (\w+):$", section, re.MULTILINE))
    assert named == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
