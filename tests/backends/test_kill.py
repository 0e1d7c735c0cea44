"""A writer killed at any moment loses nothing that it acknowledged and leaves nothing half-written.

This proves that a write is atomic and outlives its process. It says nothing of a loss of power,
which needs a disk that can be cut off.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import chatstore

from . import killing

ROUNDS = 3000 if os.environ.get("CHATSTORE_SOAK") else 220


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_killed_writers(tmp_path: Path, synchronous: str) -> None:
    seed = random.randrange(2**32)
    url = f"sqlite:///{tmp_path}/chat.db?synchronous={synchronous}"
    command = [sys.executable, killing.__file__, url, str(ROUNDS), str(seed)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)

    with chatstore.connect(url) as store:
        parts = [
            (data["turn"], data["part"])
            for data in map(chatstore.Message.to_dict, store.iter_messages("log"))
        ]
        document = [message.to_dict()["version"] for message in store.iter_messages("document")]

    turns = len(parts) // killing.PARTS
    assert parts == [(turn, part) for turn in range(turns) for part in range(killing.PARTS)], f"seed {seed}"
    # The turn that was begun last may have landed or not; each before it was acknowledged in the end.
    assert turns - 1 in {told["acknowledged"], told["begun"]}, f"seed {seed}: {told}"
    assert told["kills"] >= ROUNDS
    assert told["acknowledged"] > ROUNDS
    if told["version"]:
        assert document == [document[0]] * killing.VERSION_LENGTH, f"seed {seed}"
        assert document[0] >= told["version"], f"seed {seed}: {told}"
