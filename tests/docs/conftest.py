"""What a page says to install, installed: environments that the tests of a run share."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.environments import ROOT, built, fresh

Installed: TypeAlias = Callable[[Path], Path]
"""Gives the programs of a document's environment."""


def extras_of(document: Path) -> list[str]:
    """What each line of a page that installs chatstore asks for."""
    return re.findall(r"pip install '\.\[([^\]]+)\]'", document.read_text())


def told(document: Path) -> tuple[list[str], list[str]]:
    """The extras and the other packages that a page says to install; where it says none, README.md does."""
    extras = extras_of(document)
    others = re.findall(r"pip install ([a-z][\w-]*)", document.read_text())
    return (extras[0].split(","), others) if extras else told(ROOT / "README.md")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Makes each environment once, whichever process of the run needs it first."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "environments"
    shared.mkdir(exist_ok=True)

    def programs(document: Path) -> Path:
        extras, others = told(document)
        folder = shared / "-".join([*extras, *others])
        with (shared / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            wheels = list(shared.glob("*.whl")) or [built(shared)]
            if not folder.exists():
                fresh(folder, wheels[0], extras, others)
        return folder / "bin"

    return programs
