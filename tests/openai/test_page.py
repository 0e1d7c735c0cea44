"""The examples of docs/openai.md run as they stand, but for address and key."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

from tests.openai.sdk import Speaker, secret
from tests.servers import ROOT

PAGE = (ROOT / "docs/openai.md").read_text()


def blocks(language: str, address: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(found).replace("http://127.0.0.1:8080", address).replace("cs_…", secret("ada"))


def test_the_pages_examples_run(python: Speaker, served: Callable[[str], str]) -> None:
    address = served("sqlite")
    told = python.ask({"do": "run", "kind": "sync", "program": blocks("py", address)})
    assert told == {"ok": "user Hello\n"}
    command = ["node", "--input-type=module", "-e", blocks("js", address)]
    environ = {**os.environ, "OPENAI_API_KEY": secret("ada")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "user Hello\n"), done.stderr
