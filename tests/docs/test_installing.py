"""What pages, banners and errors tell people to install is there to be installed.

The name of the package on the index is another's, so every line installs from the checkout.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = [path for kind in ("chatstore", "examples", "infra", "lambda") for path in (ROOT / kind).rglob("*.*")]
READ = [
    *PAGES,
    *sorted(path for path in CODE if path.suffix in {".py", ".md", ".yaml", ".bicep"}),
    ROOT / "Makefile",
    ROOT / "function_app.py",
]
OTHERS = {"fastapi"}
"""What a page asks for that is not chatstore's, under names that are their own."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", READ, ids=name)
def test_what_is_to_be_installed_is_there(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"(?<!serverless-)\bchatstore\[", text), "an extra of somebody else's package"
    for what in re.findall(r"\bpip install ([^`\n]*)", text):
        local = re.findall(r"'\.\[([^\]']*)\]'", what)
        assert local or what == "." or what.split()[0].strip("'") in OTHERS or what.startswith("-"), what
        for extras in local:
            assert "{" in extras or set(extras.split(",")) <= EXTRAS.keys(), extras


def test_the_name_is_ours_and_the_extra_all_has_all() -> None:
    assert PROJECT["name"] == "serverless-chatstore"
    named = {extra for one in EXTRAS["all"] for extra in re.findall(r"[\w-]+", one.partition("[")[2])}
    reached = named | {
        extra for name in named for one in EXTRAS[name] if one.startswith(PROJECT["name"])
        for extra in re.findall(r"[\w-]+", one.partition("[")[2])
    }  # fmt: skip
    assert reached == EXTRAS.keys() - {"all"}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_that_installs_says_from_where(path: Path) -> None:
    for found in re.finditer(r"pip install '\.", path.read_text()):
        before = path.read_text()[max(0, found.start() - 500) : found.end() + 200]
        assert "checkout" in before, f"{name(path)} does not say that it is run in a checkout"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_make_is_told_what_it_knows(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"`make ([a-z-]+)", path.read_text(), re.MULTILINE))
    assert told <= targets
