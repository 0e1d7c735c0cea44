"""The examples of docs/openai.md run as they stand, but for address and key."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

from tests.openai.sdk import PYTHON, Speaker, secret
from tests.servers import ROOT

PAGE = (ROOT / "docs/openai.md").read_text()


def blocks(language: str, address: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(found).replace("http://127.0.0.1:8080", address).replace("cs_…", secret("ada"))


def test_the_pages_examples_run(speakers: dict[str, Speaker], served: Callable[[str], str]) -> None:
    address = served("sqlite")
    environ = {**os.environ, "CHATSTORE_KEY": secret("ada")}
    for command in (
        [str(PYTHON), "-c", blocks("py", address)],
        ["node", "--input-type=module", "-e", blocks("js", address)],
    ):
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "user Hello\n"), done.stderr
