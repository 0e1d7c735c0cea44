"""The example runs as it stands, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_runs_and_runs_again(tmp_path: Path) -> None:
    program = ROOT / "examples" / "llama_index_chat.py"
    for messages in (10, 20):
        done = subprocess.run(
            [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("assistant: text text text text") == 2
        assert f"of {messages} messages are active, the others archived" in done.stdout
