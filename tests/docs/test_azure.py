"""What the Azure page says of costs and parameters is what the project computes and has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from bench import azure_costs
from tests.azure_tables.test_cost import COSMOS_TABLE, TABLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/azure.md").read_text()


def test_the_costs_are_those_that_the_command_prints() -> None:
    command = [sys.executable, "-m", "bench.azure_costs"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"```\n{printed}```" in PAGE


def test_the_tables_of_requests_are_those_that_are_measured() -> None:
    said = re.findall(r"^\| ([^|`]+) \| ([0-9]+) \|$", PAGE, re.MULTILINE)
    assert {name: int(count) for name, count in said} == TABLE | COSMOS_TABLE


def test_they_rest_on_what_operations_cost_and_on_what_is_deployed() -> None:
    turn = azure_costs.Turn()
    assert turn.transactions == TABLE["first append of a new minute"] + TABLE["last 20"]
    host = json.loads((ROOT / "host.json").read_text())
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert sampling["maxTelemetryItemsPerSecond"] == azure_costs.LOG_ITEMS_A_SECOND
    template = (ROOT / "infra/azure/main.bicep").read_text()
    assert f"param memory int = {int(azure_costs.MEMORY_GB * 1024)}\n" in template
    assert "param redundancy string = 'Standard_ZRS'\n" in template


def test_every_parameter_is_explained() -> None:
    template = (ROOT / "infra/azure/main.bicep").read_text()
    named = set(re.findall(r"^param (\w+) ", template, re.MULTILINE))
    from_azd = {"environmentName", "location", "principalId"}
    assert named - from_azd == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_an_instance_that_is_always_ready_works_at_its_own_rate() -> None:
    price = azure_costs.Prices()
    busy_all_month = azure_costs.month(1_000_000_000, azure_costs.Turn(), price)["always ready"]
    idle = azure_costs.SECONDS * azure_costs.MEMORY_GB * price.ready_gb_second
    saved = azure_costs.SECONDS * azure_costs.MEMORY_GB * (price.gb_second - price.ready_busy_gb_second)
    assert abs(busy_all_month - (idle - saved)) < 0.01 * idle
    assert azure_costs.month(0, azure_costs.Turn(), price)["always ready"] == idle


def test_what_copies_in_other_regions_do_is_said() -> None:
    section = PAGE[PAGE.index("### Regions") : PAGE.index("### Releases")]
    template = (ROOT / "infra/azure/main.bicep").read_text()
    [allowed] = re.findall(r"@allowed\(\[('Standard_[^\]]*)\]\)", template)
    in_two = [name for name in re.findall(r"\w+", allowed) if "_G" in name]
    assert len(in_two) == 2
    for said in (*in_two, "`-secondary`", "Cosmos DB is deployed in one region", "backup.md"):
        assert said in section
    # One region is what makes its conditions hold.
    assert "locations: [{ locationName: location, failoverPriority: 0 }]" in template
    assert "azure.md#regions" in (ROOT / "docs/operating.md").read_text()
