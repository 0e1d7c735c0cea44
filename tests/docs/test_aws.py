"""What the AWS page says of costs, sizes and parameters is what the project computes and has."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bench import aws_costs, month
from chatstore.contract import Backend
from chatstore.http import aws
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.costs import clock_in_an_hour
from tests.dynamodb.servers import url_for
from tests.log.memory_table import LogInMemory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/aws.md").read_text()


def test_the_costs_are_those_that_the_command_prints() -> None:
    command = [sys.executable, "-m", "bench.aws_costs"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"```\n{printed}```" in PAGE


def test_they_rest_on_what_operations_cost(moto: str, tmp_path: Path) -> None:
    clock = clock_in_an_hour()
    backend: Backend = open_backend(url_for(moto, tmp_path), blocking=True, clock=clock)

    def append() -> tuple[float, float]:
        cost = store.append("t", {"role": "user"}, {"role": "assistant"}).cost
        assert cost is not None
        return cost.units["wru"], cost.units["rru"]

    with ChatStore(backend) as store:
        store.append("another", {"role": "user"})
        first, _ = append()
        clock.advance(timedelta(minutes=2))
        assert append() == (1 + aws_costs.NEW_MINUTE, 0)
        clock.advance(timedelta(hours=2))
        append()
        clock.advance(timedelta(hours=2))
        assert append() == (1 + aws_costs.NEW_HOUR, aws_costs.UNKNOWN)
    assert first - 1 <= aws_costs.NEW_HOUR


def test_what_expires_is_counted_as_it_is_swept() -> None:
    """`python -m bench.month` compares a whole month; this is 25 threads whose turns are an hour apart."""
    clock, table, threads = ManualClock(), month.Priced(), 25
    store = ChatStore(LogInMemory(table, clock))
    clock.advance(timedelta(minutes=70 - clock.now.minute))
    later = month.TTL, timedelta(hours=25), timedelta(hours=1), timedelta(hours=3)
    waits = [timedelta(hours=1)] * month.TURNS + list(later)
    for number, wait in enumerate(waits):
        table.who = "turns"
        for thread in range(threads if number < month.TURNS else 0):
            said = {"role": "user", "content": "x" * 1200}
            store.append(f"t{thread}", said, owner=f"o{thread}", ttl=month.TTL)
        clock.advance(wait)
        table.who = "sweeps"
        while store.sweep().more:
            pass
    turns = threads * month.TURNS
    assert table.units["sweeps wru"] == pytest.approx(aws_costs.EXPIRY_WRITES * turns, rel=0.15)
    assert table.units["sweeps rru"] == pytest.approx(aws_costs.EXPIRY_READS * turns, rel=0.15)


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


def test_what_copies_in_other_regions_do_is_said() -> None:
    section = PAGE[PAGE.index("### Regions") : PAGE.index("## What is made")]
    # The template makes a table of one region, and so does a restore.
    assert "AWS::DynamoDB::GlobalTable" not in (ROOT / "infra/aws/template.yaml").read_text()
    for said in ("Do not make the table a global table", "`chatstore backup`", "`ExistingTable`"):
        assert said in section
    assert "aws.md#regions" in (ROOT / "docs/operating.md").read_text()
