"""`/readyz` says soon that the storage is gone, and by itself that it is back."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.http.running import served, started
from tests.http.serving import serving
from tests.servers import free_port

TURN = {"role": "user", "content": "hello"}

SOON = 5
"""Seconds: what it says, and what a crowded machine takes besides. A storage's own patience is 30."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


@pytest.fixture
def http(folder: Path) -> Iterator[httpx.Client]:
    app = create_app(settings=Settings(url=f"sqlite:///{folder}/chat.db"))
    with serving(app) as base, httpx.Client(base_url=base, timeout=20) as client:
        assert client.post("/v1/threads/t/messages", json=TURN).status_code == 201
        assert becomes_ready(client)
        yield client


def ready(http: httpx.Client) -> bool:
    began = time.perf_counter()
    answer = http.get("/readyz")
    assert time.perf_counter() - began < SOON
    assert http.get("/healthz").status_code == 200
    assert answer.status_code in {200, 503}
    return answer.status_code == 200


def becomes_ready(http: httpx.Client) -> bool:
    """Where the machine is crowded, a storage that is back may not answer the first time within a second."""
    until = time.perf_counter() + 20
    while not ready(http):
        if time.perf_counter() > until:
            return False
    return True


def count(http: httpx.Client) -> int:
    return len(http.get("/v1/threads/t/messages").json()["items"])


def test_a_folder_that_is_moved_away_and_back(http: httpx.Client, folder: Path) -> None:
    away = folder.with_name("away")
    folder.rename(away)
    assert not ready(http)
    for refused in (http.post("/v1/threads/t/messages", json=TURN), http.get("/v1/threads/t/messages")):
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    away.rename(folder)
    assert becomes_ready(http)
    assert http.post("/v1/threads/t/messages", json=TURN).status_code == 201
    assert count(http) == 2


def test_a_file_that_is_deleted_is_not_made_anew(http: httpx.Client, folder: Path) -> None:
    (folder / "chat.db").unlink()
    assert not ready(http)
    assert http.post("/v1/threads/t/messages", json=TURN).status_code == 503
    assert not ready(http)


def test_a_folder_that_is_replaced(http: httpx.Client, folder: Path) -> None:
    away = folder.with_name("away")
    folder.rename(away)
    folder.mkdir()
    assert not ready(http)
    folder.rmdir()
    away.rename(folder)
    assert becomes_ready(http)
    assert count(http) == 1


def test_a_file_that_is_something_else_now(http: httpx.Client, folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.mkdir()
    (folder / "chat.db").write_text("something else, and long enough to be taken for a database" * 20)
    assert not ready(http)
    (folder / "chat.db").unlink()
    folder.rmdir()
    folder.with_name("away").rename(folder)
    assert becomes_ready(http)


def test_a_file_that_another_process_holds_locked(http: httpx.Client, folder: Path) -> None:
    other = sqlite3.connect(folder / "chat.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert not ready(http)
    assert count(http) == 1
    other.execute("ROLLBACK")
    other.close()
    assert becomes_ready(http)


def test_a_disk_that_is_full(folder: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may make a small disk")
    try:
        app = create_app(settings=Settings(url=f"sqlite:///{folder}/chat.db"))
        with serving(app) as base, httpx.Client(base_url=base, timeout=20) as client:
            assert becomes_ready(client)
            (folder / "filling").write_bytes(b"x" * (7 << 19))
            assert not ready(client)
            (folder / "filling").unlink()
            assert becomes_ready(client)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_file_that_may_not_grow(folder: Path) -> None:
    with served(f"sqlite:///{folder}/chat.db") as (base, process), httpx.Client(base_url=base) as client:
        assert client.post("/v1/threads/t/messages", json=TURN).status_code == 201
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        assert client.post("/v1/threads/t/messages", json=TURN).status_code == 503
        assert not ready(client)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert becomes_ready(client)
        assert client.post("/v1/threads/t/messages", json=TURN).status_code == 201
        assert count(client) == 2


def test_a_service_over_another_that_is_stopped(tmp_path: Path) -> None:
    port, url = free_port(), f"sqlite:///{tmp_path}/chat.db"
    app = create_app(settings=Settings(url=f"http://127.0.0.1:{port}"))
    process = started(url, port)
    try:
        with serving(app) as base, httpx.Client(base_url=base, timeout=20) as client:
            assert becomes_ready(client)
            process.kill()
            process.wait(20)
            assert not ready(client)
            process = started(url, port)
            assert becomes_ready(client)
    finally:
        process.kill()
        process.wait(20)
