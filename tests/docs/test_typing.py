"""What pages, banners, errors and helps tell people to type is there to be typed.

Of pages, code spans and blocks are read; of the code every string, whatever it is shown by.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from chatstore.cli import _parser
from chatstore.settings import Settings
from chatstore.urls import _SCHEMES
from tests.docs.conftest import extras_of
from tests.environments import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = [
    *sorted(
        path
        for folder in ("chatstore", "infra", "lambda", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ),
    ROOT / "function_app.py",
]
FROM_NPM = json.loads((ROOT / "package.json").read_text())["devDependencies"]
"""What is in node_modules once it is installed."""
MAKEFILE = ROOT / "Makefile"
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE.read_text(), re.MULTILINE))
PROSE = {
    "and", "behind", "beside", "cannot", "did", "does", "keeps", "listens", "needs", "raises", "serves",
    "service", "writes",
}  # fmt: skip
"""What stands behind the name in sentences that say what chatstore does."""

ELSEWHERE = {"awslambdaric", "--config", "--factory", "--fd"}
"""What is typed for others' programs, in the environments that are made for them."""

FOR_TESTS = {
    "CHATSTORE_SOAK",
    "CHATSTORE_TEST_DYNAMODB",
    "CHATSTORE_TEST_POSTGRES",
    "CHATSTORE_TEST_TABLESTORE",
    "CHATSTORE_SEED",
    "CHATSTORE_HISTORIES",
}
VARIABLES = {f"CHATSTORE_{one.name.upper()}" for one in fields(Settings)}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    return {
        named: one
        for action in parser._actions if isinstance(action, argparse._SubParsersAction)
        for named, one in action.choices.items()
    }  # fmt: skip


def options(parser: argparse.ArgumentParser) -> set[str]:
    """All that begins with two dashes and is taken by a parser or its commands."""
    own = {option for action in parser._actions for option in action.option_strings}
    return own.union(*(options(one) for one in commands(parser).values()))


PARSER = _parser()
COMMANDS = commands(PARSER)


def typed(page: Path) -> list[str]:
    """The code spans of a page, each on one line, and the lines of its blocks, continued ones as one."""
    text = page.read_text()
    blocks = re.findall(r"^```(?:console|sh|)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`]+)`(?!`)", bare)
    return [re.sub(r"^\$ |\s+", lambda found: " " * (found[0][0] != "$"), one) for one in [*spans, *lines]]


def strings(path: Path) -> Iterator[str]:
    """Every string of a file; what an f-string puts in is … there."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def ours(text: str) -> Iterator[tuple[str, str]]:
    """Each command of ours that a text names, and what follows it."""
    for found in re.finditer(r"(?<![\w./-])chatstore ([\w-]+)([^`\n]*)", text):
        yield found[1], found[2]


def check_options(command: str, rest: str) -> None:
    # Up to where another sentence or another program begins.
    told = re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", re.split(r"[|;>]|\. ", rest)[0])
    assert set(told) <= options(COMMANDS[command]), f"chatstore {command}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_tells_nobody_to_type_what_is_not_there(page: Path) -> None:
    for one in typed(page):
        bare = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", one)
        program, _, rest = bare.partition(" ")
        if program == "chatstore" and re.match(r"[a-z]", rest):
            command = re.split(r"\W", rest)[0]
            if command in PROSE:
                continue
            assert command in COMMANDS, one
            check_options(command, rest[len(command) :])
            if " " in rest and not re.search(r"[…\[|]| \\|[A-Z]{3}", rest):
                PARSER.parse_args(shlex.split(re.split(r" [>|&]", rest)[0]))
        elif program == "make" and re.match(r"[a-z]", rest):
            target = rest.split()[0]
            assert target in TARGETS or f"\n{target}:" in MAKEFILE.read_text(), one
        elif program in {"node", "pytest", "uvicorn"} and rest:
            paths = [part for part in rest.split() if "/" in part and not part.startswith("-")]
            assert all((ROOT / path).exists() or path.split("/")[1] in FROM_NPM for path in paths), one
        for module in re.findall(r"\bpython3? -m ([\w.]+)", one):
            assert module in ELSEWHERE or importlib.util.find_spec(module) is not None, one


@pytest.mark.parametrize("path", [*PAGES, *CODE, MAKEFILE], ids=name)
def test_every_variable_is_one_that_is_read(path: Path) -> None:
    told = set(re.findall(r"\bCHATSTORE_[A-Z_]*[A-Z]\b(?!_)", path.read_text()))
    assert told <= VARIABLES | FOR_TESTS


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_banner_error_or_help_tells_anybody_to_type_what_is_not_there(path: Path) -> None:
    known = options(PARSER) | ELSEWHERE
    for text in strings(path):
        for command, rest in ours(text):
            assert command in COMMANDS or command in PROSE, text
            if command in COMMANDS:
                check_options(command, rest)
        if path.is_relative_to(ROOT / "chatstore"):
            told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-]|: )", text))
            assert told <= known or ":root" in text, text
        for target in re.findall(r"(?:`|=\S* )make ([a-z-]+)", text):
            assert target in TARGETS, text


def needs(command: str, rest: str) -> set[str]:
    """The extras without which a command says what is missing."""
    needed = {"server"} if command == "serve" else set()
    if command in {"keys", "show", "tail"} or (command == "threads" and "--json" not in rest):
        needed.add("cli")
    for scheme in re.findall(r"([a-z-]+)://", rest):
        if scheme in _SCHEMES and (extra := _SCHEMES[scheme].extra):
            needed.add(extra)
    return needed


@pytest.mark.parametrize("page", [page for page in PAGES if extras_of(page)], ids=name)
def test_what_a_page_says_to_install_is_enough_for_what_it_says_to_type(page: Path) -> None:
    installed = {extra for extras in extras_of(page) for extra in extras.split(",")}
    for one in typed(page):
        for command, rest in ours(one):
            if command in COMMANDS:
                assert needs(command, rest) <= installed, one


def test_the_reading_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for wrong in (
        "`chatstore exprot --out x`", "`chatstore export --output x`",
        "```\nchatstore threads --form x\n```\n", "`make lunch`",
        "`pytest tests/http/test_nothing.py`", "`python -m chatstore_missing`",
        "```console\n$ chatstore copy sqlite:///a.db\n…\n```\n",
    ):  # fmt: skip
        page.write_text(wrong)
        with pytest.raises((AssertionError, SystemExit)):
            test_a_page_tells_nobody_to_type_what_is_not_there(page)
