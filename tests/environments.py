"""Environments as a newcomer has them: the built wheel, what some of its extras ask for, and nothing else.

Nothing is fetched: what is asked for is linked from the environment that the tests run in.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PathDistribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["built", "fresh"]

ROOT = Path(__file__).parents[1]
_SCRIPT = """\
#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def built(folder: Path) -> Path:
    """The project's wheel, made into `folder`."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = folder.glob("*.whl")
    return wheel


def fresh(folder: Path, wheel: Path, extras: Iterable[str], others: Iterable[str] = ()) -> Path:
    """The programs of a new environment with the wheel and its extras, and other packages by their names."""
    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    [ours] = site.glob("serverless_chatstore-*.dist-info")
    programs = folder / "bin"
    project = PathDistribution(ours)
    for found in _closure(project, set(extras), others):
        if found is not project:
            _link(found, site)
        for script in found.entry_points.select(group="console_scripts"):
            named = {"python": programs / "python", "module": script.module, "function": script.attr}
            (programs / script.name).write_text(_SCRIPT.format(**named))
            (programs / script.name).chmod(stat.S_IRWXU)
    return programs


def _closure(project: Distribution, extras: set[str], others: Iterable[str]) -> list[Distribution]:
    """All that is needed for some extras of the project, and itself."""
    found: dict[str, Distribution] = {project.name: project}
    done: dict[str, set[str]] = {}
    waiting = [(project.name, extras | {""}), *((name, {""}) for name in others)]
    while waiting:
        name, wanted = waiting.pop()
        new = wanted - done.setdefault(name, set())
        if not new:
            continue
        done[name] |= new
        dist = found.setdefault(name, project if name == project.name else distribution(name))
        for line in dist.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in new):
                waiting.append((needed.name, {"", *needed.extras}))
    return list(found.values())


def _link(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if ".." in file.parts or not source.is_file():
            continue
        _put(source, site / file)
        if source.suffix == ".py":
            # Compiled already, for the same time of the same file.
            compiled = Path(cache_from_source(str(source)))
            _put(compiled, Path(cache_from_source(str(site / file))))


def _put(source: Path, target: Path) -> None:
    if target.exists() or not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)  # on another file system
