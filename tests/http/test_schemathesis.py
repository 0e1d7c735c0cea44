"""The running service against its own document, by schemathesis: every check, valid and invalid requests.

They carry an API key; that without it no operation answers but the public ones is one of the checks.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore.api_keys import digest, new_key
from tests.conftest import SOAK
from tests.http.serving import serving_process

HERE = Path(__file__).parent
EXAMPLES, SCENARIOS = (2000, 400) if SOAK else (25, 15)
RUNS = {
    "threads": ["--phases", "examples,coverage,fuzzing", "--exclude-path-regex", "messages"],
    "messages": ["--phases", "examples,coverage,fuzzing", "--include-path-regex", "messages"],
    "sequences": ["--phases", "stateful"],
    "conversations": ["--phases", "examples,coverage,fuzzing", "--include-path-regex", "conversations"],
    "chats": ["--phases", "examples,coverage,fuzzing", "--include-path-regex", "chat"],
}
FACES = {"conversations": "openai", "chats": "acs"}
RARELY = [pytest.param(run, marks=pytest.mark.soak) if run in FACES else run for run in RUNS]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("run", RARELY)
def test_the_service_is_what_its_document_says(run: str, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    id, key = new_key()
    kept = {"id": id, "sha256": digest(key), "tenant": "acme", "scopes": ["read", "write"]}
    kept |= {"owner": "ada"} if run == "chats" else {}
    settings = {"CHATSTORE_AUTH": "api-key", "CHATSTORE_API_KEYS": json.dumps([kept])}
    settings |= {"CHATSTORE_FACES": FACES[run]} if run in FACES else {}
    examples = SCENARIOS if run == "sequences" else EXAMPLES
    with serving_process("memory://", **settings) as base:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{base}/openapi.json", "--checks", "all", "--seed", "1", "--no-color"),
            *("--header", f"Authorization: Bearer {key}"),
            *("--max-examples", str(examples), *RUNS[run]),
        ]
        result = subprocess.run(
            command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True
        )
    assert result.returncode == 0, result.stdout + result.stderr
    generated, passed = re.findall(r"(\d+) generated, (\d+) passed", result.stdout)[0]
    assert generated == passed
