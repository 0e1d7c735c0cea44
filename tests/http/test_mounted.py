"""The service inside somebody's own application, as the document shows it."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.serving import serving

PAGE = Path(__file__).parents[2] / "docs" / "inside-your-app.md"
DEADLINE_SECONDS = 30


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATSTORE_SWEEP_EVERY", "0.01")
    [program] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - the document's own
    return names["app"]


@pytest.fixture
def mounted(app: Any) -> Iterator[httpx.Client]:
    with serving(app) as base, httpx.Client(base_url=base, timeout=30) as client:
        yield client


def test_both_applications_answer(mounted: httpx.Client) -> None:
    sent = mounted.post("/chat/v1/threads/t/messages", json={"role": "user"})
    assert (sent.status_code, sent.json()["href"]) == (201, "/chat/v1/threads/t/messages")
    assert mounted.get("/greeting/t").json() == "1 read"
    assert mounted.get("/chat/docs").is_success
    [server] = mounted.get("/chat/openapi.json").json()["servers"]
    assert server["url"] == "/chat"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/chat/v1/threads/none", 404), ("/chat/nowhere", 404), ("/chat/v1/threads?limit=0", 422)],
)
def test_a_problem_s_type_leads_to_the_reference(mounted: httpx.Client, path: str, status: int) -> None:
    problem = mounted.get(path)
    assert problem.status_code == status
    page, _, anchor = problem.json()["type"].partition("#")
    assert page == "/chat/docs"
    assert f'id="{anchor}"' in mounted.get(page).text


def test_what_has_expired_is_removed(mounted: httpx.Client, tmp_path: Path) -> None:
    turn = {"messages": [{"role": "user"}], "ttl": 0.001}
    assert mounted.post("/chat/v1/threads/gone/messages", json=turn).status_code == 201
    until = time.monotonic() + DEADLINE_SECONDS
    with sqlite3.connect(f"file:{tmp_path}/chat.db?mode=ro", uri=True) as kept:
        while kept.execute("SELECT count(*) FROM threads").fetchone() != (0,):
            assert time.monotonic() < until, "never swept"
    kept.close()
