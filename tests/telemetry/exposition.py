"""Reads Prometheus' text format 0.0.4 strictly: what it does not allow is an error."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL})(?:,(?:{_LABEL}))*)\}})? (\S+)")
_PARTS = {"histogram": ("_bucket", "_sum", "_count")}


class Family(NamedTuple):
    kind: str
    help: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    """By name and labels."""

    def value(self, suffix: str = "", **labels: str) -> float:
        """The sum of the samples that have these labels, and maybe others."""
        return sum(
            value
            for (name, own), value in self.samples.items()
            if name.endswith(suffix) and labels.items() <= dict(own).items()
        )


def parsed(text: str) -> dict[str, Family]:
    """The metrics by name."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    told: dict[str, str] = {}
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _, _, name, meaning = line.split(" ", 3)
            assert name not in told
            told[name] = meaning
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert kind in {"counter", "gauge", "histogram"}
            assert current not in families
            families[current] = Family(kind, told[current], {})
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            name, family = found[1], families[current]
            assert name in {current + part for part in _PARTS.get(family.kind, ("",))}
            pairs = re.findall(_LABEL, found[2] or "")
            assert len({label for label, _ in pairs}) == len(pairs)
            key = name, frozenset(pairs)
            assert key not in family.samples, line
            family.samples[key] = float(found[7])
    for name, family in families.items():
        assert (family.kind == "counter") == name.endswith("_total")
        if family.kind == "histogram":
            _check_buckets(name, family)
    return families


def _check_buckets(name: str, family: Family) -> None:
    series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            rest = frozenset(one for one in labels if one[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in series.items():
        counts = [count for _, count in sorted(buckets)]
        assert counts == sorted(counts)
        assert max(buckets) == (float("inf"), family.samples[f"{name}_count", rest])
        assert (f"{name}_sum", rest) in family.samples
