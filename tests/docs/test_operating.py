"""The runbook names what is there: alarms, commands, and places in other pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.measurements import INSTRUMENTS, LOST
from chatstore.http.telemetry.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operating.md").read_text()


def test_it_reads_from_deploying_to_leaving() -> None:
    sections = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert sections == [
        "Deploy", "Watch", "Alarms", "Restore", "Rotate", "Roll back", "Leave", "Known vulnerabilities",
    ]  # fmt: skip


def test_every_alarm_says_what_to_do() -> None:
    aws = (ROOT / "infra/aws/template.yaml").read_text()
    azure = (ROOT / "infra/azure/main.bicep").read_text()
    made = re.findall(r"^  (\w+):\n    Type: AWS::(?:CloudWatch::Alarm|Budgets::Budget)$", aws, re.MULTILINE)
    made += re.findall(
        r"^resource (\w+) '\S+/(?:scheduledQueryRules|metricAlerts|budgets)@", azure, re.MULTILINE
    )
    assert len(made) >= 10
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    explained = re.findall(r"`(\w+)`", " ".join(rows))
    assert [one for one in made if one not in explained] == []


def test_every_metric_is_there_and_the_examples_ask_for_some() -> None:
    told = dict(re.findall(r"^\| `([a-z.]+)` \| (counter|gauge|histogram) \|", PAGE, re.MULTILINE))
    assert told == {one.name: one.kind for one in (*INSTRUMENTS, LOST)}
    for given in re.findall(r"--metric-name (\S+)", PAGE):
        assert given in told
    prometheus = Prometheus(Losses())
    names = re.findall(r"^# TYPE (\S+)", prometheus.text(), re.MULTILINE)
    asked = set(re.findall(r"\b((?:http|chatstore|faas)_[a-z_]+?)(?:_bucket|_count|_sum)?(?=[`{\[])", PAGE))
    assert len(asked) >= 2
    assert asked <= set(names)


def test_every_command_of_make_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", PAGE))
    assert {"deploy-aws", "rollback-aws", "restore-aws", "destroy-aws", "deploy-azure"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_place_in_a_page_is_there(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([\w-]+)\)", page.read_text()):
        headings = re.findall(
            r"^#+ (.*)$", ((page.parent / name) if name else page).read_text(), re.MULTILINE
        )
        places = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in places, f"{name}#{anchor}"
