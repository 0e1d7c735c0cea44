"""Lines that CloudWatch reads metrics from."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import given

from chatstore.http.access import Facts
from chatstore.http.telemetry.embedded import Embedded
from chatstore.http.telemetry.measurements import Sweep
from tests.telemetry.emf import Value, extracted
from tests.telemetry.test_prometheus import FACTS

REQUEST = Facts(
    tenant="acme", credential="porter", scheme="https", method="POST", route="/v1/threads", status=201,
    seconds=0.25, bytes=9, units={"wru": 3.0, "rru": 0.5}, retries=1, conflicts=2, error=None,
    cold_start=True,
)  # fmt: skip


@dataclass
class Lines:
    said: list[str]

    def of(self, *facts: Facts) -> list[str]:
        embedded = Embedded("chat", self.said.append, lambda: 1_772_000_000.25)
        for one in facts:
            embedded.end(embedded.begin({}), one)
        return self.said


def test_a_request_is_one_line_of_few_metrics() -> None:
    [line] = Lines([]).of(REQUEST)
    whole, one = (("service", "chat"),), (("service", "chat"), ("operation", "POST /v1/threads"))
    seconds = Value("chatstore", "Seconds", 0.25)
    assert extracted(line) == {
        ("http.server.request.duration", whole): seconds,
        ("http.server.errors", whole): Value("chatstore", "Count", 0),
        ("chatstore.storage.retries", whole): Value("chatstore", "Count", 1),
        ("chatstore.storage.conflicts", whole): Value("chatstore", "Count", 2),
        ("faas.coldstarts", whole): Value("chatstore", "Count", 1),
        ("http.server.request.duration", one): seconds,
        ("chatstore.storage.units.wru", one): Value("chatstore", "Count", 3),
        ("chatstore.storage.units.rru", one): Value("chatstore", "Count", 0.5),
    }
    assert json.loads(line)["_aws"]["Timestamp"] == 1_772_000_000_250
    assert "acme" not in line
    assert "porter" not in line


def test_a_sweep_is_one_line() -> None:
    said: list[str] = []
    embedded = Embedded("chat", said.append)
    swept = Sweep({"threads": 2, "messages": 30, "requests": 1}, True, 1.5, {"wru": 9}, 0, 0, None, False)
    embedded.swept(swept)
    embedded.swept(swept._replace(error="ClockUncertain", units={}))
    good, bad = ({name: value.value for (name, _), value in extracted(line).items()} for line in said)
    assert good["chatstore.sweep.backlog"] == 1
    assert (good["chatstore.sweep.removed.threads"], good["chatstore.sweep.removed.messages"]) == (2, 30)
    assert (good["chatstore.sweep.errors"], bad["chatstore.sweep.errors"]) == (0, 1)
    # Whether anything is left is not known of a run that failed.
    assert "chatstore.sweep.backlog" not in bad


@given(FACTS.map(lambda facts: facts._replace(units={"wru": 1})))
def test_whatever_happens_it_can_be_read(facts: Facts) -> None:
    [line] = Lines([]).of(facts)
    assert extracted(line)["http.server.errors", (("service", "chat"),)].value == int(
        (facts.status or 0) >= 500
    )
