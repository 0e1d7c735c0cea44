"""What `make run` installs is enough for every storage that it may be given."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from chatstore.urls import _SCHEMES

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LOCKED = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/server.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_make_run_installs_what_a_storage_needs(scheme: str) -> None:
    extra = _SCHEMES[scheme].extra
    if extra is None:
        return
    assert extra in EXTRAS, f"add the extra {extra} to pyproject.toml"
    needed = {re.split(r"[\[>=<~!;]", one)[0] for one in EXTRAS[extra]}
    assert needed <= LOCKED, f"add --extra {extra} to requirements/server.txt in checks/locks.py: make lock"
    everything = set(re.findall(r"[\w-]+", " ".join(EXTRAS["all"])))
    assert extra in everything, f"add {extra} to the extra `all` in pyproject.toml"
