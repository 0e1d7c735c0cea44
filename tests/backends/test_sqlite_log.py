"""The write-ahead log stays short while readers overlap, in one process and in several."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

import chatstore
from chatstore.backends.sqlite import log

LIMIT = 256 << 10
"""Instead of megabytes, so that few writes reach it."""

READING = """
import sys
import chatstore
with chatstore.connect(sys.argv[1]) as store:
    print("ready", flush=True)
    while True:
        store.read("t", last=50)
"""


def message(size: int) -> dict[str, str]:
    return {"role": "user", "content": "x" * size}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(log, "LOG_BYTES", LIMIT)
    monkeypatch.setattr(log, "_AGAIN_BYTES", LIMIT // 4)
    return tmp_path / "chat.db"


def longest(store: chatstore.ChatStore, file: Path, appends: int) -> int:
    most = 0
    for _ in range(appends):
        store.append("u", message(4000))
        most = max(most, Path(f"{file}-wal").stat().st_size)
    return most


def test_readers_that_overlap_do_not_let_the_log_grow(file: Path) -> None:
    with chatstore.connect(f"sqlite:///{file}?synchronous=NORMAL") as store:
        store.append("t", *[message(2000)] * 50)
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                store.read("t", last=50)

        readers = [threading.Thread(target=read) for _ in range(3)]
        other = subprocess.Popen([sys.executable, "-c", READING, f"sqlite:///{file}"], stdout=subprocess.PIPE)
        try:
            assert other.stdout is not None
            other.stdout.readline()
            for reader in readers:
                reader.start()
            most = longest(store, file, 400)
        finally:
            stop.set()
            other.kill()
            other.communicate()
            for reader in readers:
                reader.join()
    # Some 12 MiB are written in all, several pages an append.
    assert most < 12 * LIMIT, most


def test_a_reader_that_stays_lets_it_grow_until_it_ends(file: Path) -> None:
    with chatstore.connect(f"sqlite:///{file}?synchronous=NORMAL") as store:
        store.append("t", message(10))
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM messages").fetchone()
            assert longest(store, file, 60) > LIMIT
            assert len(store.read("u")) == 60, "whatever the log's length, a write is a write"
            reader.execute("COMMIT")
        longest(store, file, 30)
        assert Path(f"{file}-wal").stat().st_size <= 2 * LIMIT
