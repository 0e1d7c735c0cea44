"""A writer killed at any moment loses nothing that it acknowledged and leaves nothing half-written.

This proves that a write is atomic and outlives its process. It says nothing of a loss of power,
which needs a disk that can be cut off.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import killing

ROUNDS = 3000 if os.environ.get("CHATSTORE_SOAK") else 220


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_killed_writers(tmp_path: Path, synchronous: str) -> None:
    killing.check(f"sqlite:///{tmp_path}/chat.db?synchronous={synchronous}", ROUNDS, longest=0.004)
