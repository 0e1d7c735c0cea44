"""The running service against its own document, by schemathesis: every check, valid and invalid requests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.serving import serving_process

HERE = Path(__file__).parent
EXAMPLES = 2000 if os.environ.get("CHATSTORE_SOAK") else 200
SCENARIOS = EXAMPLES // 5
RUNS = {
    "threads": ["--phases", "examples,coverage,fuzzing", "--exclude-path-regex", "messages"],
    "messages": ["--phases", "examples,coverage,fuzzing", "--include-path-regex", "messages"],
    "sequences": ["--phases", "stateful"],
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("run", RUNS)
def test_the_service_is_what_its_document_says(run: str, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    examples = SCENARIOS if run == "sequences" else EXAMPLES
    with serving_process("memory://") as base:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{base}/openapi.json", "--checks", "all", "--seed", "1", "--no-color"),
            *("--max-examples", str(examples), *RUNS[run]),
        ]
        result = subprocess.run(
            command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True
        )
    assert result.returncode == 0, result.stdout + result.stderr
    generated, passed = re.findall(r"(\d+) generated, (\d+) passed", result.stdout)[0]
    assert generated == passed
