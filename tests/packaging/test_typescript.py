"""Types that are generated from the served document compile, and a small client with them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from chatstore.http import openapi
from chatstore.http.routes import ROUTES
from chatstore.settings import Settings

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "node_modules" / ".bin"
CLIENT = Path(__file__).parent / "typescript" / "client.ts"


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str, str], NoReturn]) -> Path:
    """A folder with the document's types, made without any option, and the client."""
    if not (TOOLS / "openapi-typescript").exists():
        absent("openapi-typescript", "npm ci")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "openapi.json").write_bytes(openapi.encoded(openapi.document(ROUTES, Settings())))
    subprocess.run(
        [TOOLS / "openapi-typescript", "openapi.json", "-o", "api.d.ts"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    shutil.copy(CLIENT, folder)
    return folder


def compiled(folder: Path) -> str:
    command = [str(TOOLS / "tsc"), "--strict", "--noEmit", "--target", "es2022", "client.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_a_client_compiles(types: Path) -> None:
    assert compiled(types) == ""


def test_what_the_document_forbids_does_not(types: Path) -> None:
    client = types / "client.ts"
    client.write_text(
        CLIENT.read_text().replace('{ topic: "x" }', "{ topic: 5 }").replace("entry.message", "entry.text")
    )
    said = compiled(types)
    assert said.count("error TS") == 2
