"""What the security page names as proof is there, for each of the ten risks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (API\d+) .*\|([^|]*)\|$", PAGE, re.MULTILINE)


def test_each_risk_has_a_proof() -> None:
    assert [risk for risk, _ in ROWS] == [f"API{number}" for number in range(1, 11)]
    assert all(re.findall(r"`[^`]+\.py`", proofs) for _, proofs in ROWS)


def test_every_proof_is_there() -> None:
    named = set(re.findall(r"`((?:tests|chatstore)/[^`]+\.py)`", PAGE))
    assert {path for path in named if not (ROOT / path).is_file()} == set()
