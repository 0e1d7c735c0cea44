"""The documents' examples run as they stand, and their links lead somewhere.

``python`` blocks of a document run in order in one process, in a folder of their own. In ``console``
blocks every ``$`` line runs against a service that was started for the purpose, and prints what the document
says, where … stands for anything. Both run in a fresh environment of the built wheel with what the document
itself says to install, and nothing else; what is met in the first hour runs twice in a row.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatstore.urls import _SCHEMES
from tests.docs.conftest import Installed

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FIRST_HOUR = [ROOT / "README.md", ROOT / "docs" / "command-line.md"]
"""Of those with commands."""

ADDRESS = "127.0.0.1:8080"


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def having(language: str) -> list[Path]:
    return [document for document in DOCUMENTS if blocks(document, language)]


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.fixture
def service(request: pytest.FixtureRequest, installed: Installed, tmp_path: Path) -> Iterator[str]:
    """The address of a service over an empty store, from the document's own environment."""
    document: Path = request.getfixturevalue("document")
    programs = installed(document)
    faces = re.search(r"CHATSTORE_FACES=(\S+) chatstore serve", document.read_text())
    command = [
        str(programs / "chatstore"),
        "serve",
        "--port",
        "0",
        "--url",
        f"sqlite:///{tmp_path}/service.db",
    ]
    environ = {**os.environ, **({"CHATSTORE_FACES": faces[1]} if faces else {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    try:
        found = re.search(r"http://(\S+)", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.mark.parametrize("document", having("python"), ids=name)
def test_python_examples_run_and_run_again(document: Path, installed: Installed, tmp_path: Path) -> None:
    program = "\n".join(blocks(document, "python"))
    for _ in range(2):
        finished = subprocess.run(
            [installed(document) / "python", "-I", "-W", "error", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("document", having("console"), ids=name)
def test_console_examples_print_what_they_say(
    document: Path, installed: Installed, service: str, tmp_path: Path
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{installed(document)}:{os.environ['PATH']}"
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks(document, "console")), re.MULTILINE)
    for again in (False, True) if document in FIRST_HOUR else (False,):
        for command, expected in commands:
            finished = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command.replace(ADDRESS, service)],
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
            assert finished.returncode == 0, f"{command}\n{finished.stderr}"
            pattern = re.escape(expected.strip()).replace("…", ".*")
            printed = (finished.stdout or finished.stderr).strip()
            # What is there already makes another number, and no failure.
            assert again or re.fullmatch(pattern, printed, re.DOTALL), f"{command}\n{printed}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "docs" / "backends.md"], ids=name)
@pytest.mark.parametrize("opener", sorted({source.opener for source in _SCHEMES.values()}))
def test_a_table_has_every_backend(opener: str, document: Path) -> None:
    tables = "".join(re.findall(r"^\|.*\n", document.read_text(), re.MULTILINE))
    schemes = [scheme for scheme, source in _SCHEMES.items() if source.opener == opener]
    told = any(f"{scheme}://" in tables for scheme in schemes)
    assert told, f"add {schemes[0]}:// to the table in {name(document)}"
