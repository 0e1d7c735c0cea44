"""What checks/bicep_types.py finds in a template: every kind of mistake, seeded one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from checks.bicep_types import FACTS, NO_FACTS, ROOT, Template, checked

MAIN = (ROOT / "infra/azure/main.bicep").read_text()
FOUND = json.loads(FACTS.read_text())


def replaced(old: str, new: str) -> Callable[[], str]:
    assert old in MAIN
    return lambda: MAIN.replace(old, new, 1)


def test_the_templates_hold_and_the_facts_name_their_source() -> None:
    faults, used, count = checked(MAIN, FOUND["facts"])
    assert faults == []
    assert count >= 17
    assert len(used) >= 13
    assert FOUND["source"].startswith("npm @azure/mcp-linux-x64@")
    assert FOUND["date"] >= "2026-11-28"


@pytest.mark.parametrize(
    ("seeded", "told"),
    [
        (replaced("httpsOnly: true", "httpOnly: true"), "has no property httpOnly"),
        (replaced("minTlsVersion: '1.2'", "minTlsVersion: '1.4'"), "minTlsVersion is "),
        (replaced("instanceMemoryMB: memory", "instanceMemoryMB: '512'"), "is int, not string"),
        (replaced("httpsOnly: true", "httpsOnly: 1"), "is bool, not int"),
        (replaced("sites@2024-11-01", "sites@2024-11-02"), "the facts are of 2024-11-01"),
        (replaced("  sku: { name: redundancy }\n", ""), "lacks sku"),
        (replaced("kind: 'StorageV2'", "kind: 'Storage2'"), "kind is "),
        (replaced("serverFarmId: plan.id", "serverFarmId: plan.id\n    state: 'Running'"), "is read only"),
        (
            replaced("alwaysReady: (", "alwaysReady: { name: 'http' }\n        other: ("),
            "has no property other",
        ),
        (replaced("name: 'appsettings'", "name: 'appsetting'"), "name is one of "),
        (replaced("Microsoft.Web/serverfarms@", "Microsoft.Web/serverfarm@"), "is no type"),
        (replaced("{ type: 'SystemAssigned' }", "{ kind: 'SystemAssigned' }"), "has no property kind"),
        (replaced("actions: [{ act", "x: [{ act"), ""),
    ],
)
def test_a_mistake_is_found(seeded: Callable[[], str], told: str) -> None:
    faults, _, _ = checked(seeded(), FOUND["facts"])
    if told:
        assert [one for one in faults if told in one], faults
    else:
        assert faults == []  # of these types nothing is known, which the page on Azure says


def test_what_nothing_is_known_of_is_listed() -> None:
    kinds = {one.type for one in Template(MAIN).resources}
    assert kinds - set(FOUND["facts"]) == NO_FACTS
