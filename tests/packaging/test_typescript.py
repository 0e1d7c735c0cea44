"""Types that are generated from the served document compile, and a small client with them."""

from __future__ import annotations

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
def said(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str, str], NoReturn]) -> list[str]:
    """What the compiler says of the client, and of one that is wrong, with types made without any option."""
    if not (TOOLS / "openapi-typescript").exists():
        absent("openapi-typescript", "npm ci")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "openapi.json").write_bytes(openapi.encoded(openapi.document(ROUTES, Settings())))
    subprocess.run(
        [TOOLS / "openapi-typescript", "openapi.json", "-o", "api.d.ts"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    right = CLIENT.read_text()
    (folder / "client.ts").write_text(right)
    (folder / "wrong.ts").write_text(
        right.replace('{ topic: "x" }', "{ topic: 5 }").replace("entry.message", "entry.text")
    )
    # Both at once: most of the time goes into the library's types.
    command = [str(TOOLS / "tsc"), "--strict", "--noEmit", "--target", "es2022", "client.ts", "wrong.ts"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    ).stdout.splitlines()


def test_a_client_compiles(said: list[str]) -> None:
    assert [line for line in said if not line.startswith((" ", "wrong.ts("))] == []


def test_what_the_document_forbids_does_not(said: list[str]) -> None:
    assert sum(line.startswith("wrong.ts(") and "error TS" in line for line in said) == 2
