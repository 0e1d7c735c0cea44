"""Writers are killed, and the server is: what was acknowledged is there once, in order."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
import redis

import chatstore
from chatstore.errors import StorageError
from chatstore.testing.history import Turn, find_faults, marked
from tests.backends import killing
from tests.conftest import SOAK
from tests.redis import killed_writers
from tests.redis.proxy import wire_to
from tests.redis.servers import NEWEST, absence, prefixed, program
from tests.servers import free_port

KILLS = 240 if SOAK else 24
WRITERS, TURNS = (64, 60) if SOAK else (8, 25)


def test_killed_writers(redis_url: str, tmp_path: Path) -> None:
    killing.check(prefixed(redis_url, tmp_path), KILLS, 0, killed_writers.__file__)


class Killed:
    """A server with a log that is written to the disk at each change, which is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._lock = threading.Lock()
        self._log = (folder / "log").open("wb")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", self._folder]
        command = [program(NEWEST), "--bind", "127.0.0.1", "--port", str(self.port), *options]
        self._process = subprocess.Popen(list(map(str, command)), stdout=self._log, stderr=self._log)
        until = time.monotonic() + 60
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    assert time.monotonic() < until, (self._folder / "log").read_text()
                    time.sleep(0.02)

    def kill(self) -> None:
        """Kill it as a loss of its process would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def again(self) -> None:
        """Kill it and start it again; whoever comes meanwhile waits, and does so too."""
        with self._lock:
            self.kill()
            self.start()

    def close(self) -> None:
        """Let it go."""
        self.kill()
        self._log.close()


@pytest.fixture
def killed(absent: Callable[[str, str], NoReturn], tmp_path: Path) -> Iterator[Killed]:
    if program(NEWEST) is None:
        absent(*absence(NEWEST))
    server = Killed(tmp_path)
    yield server
    server.close()


def test_a_server_that_is_killed_keeps_what_was_acknowledged(killed: Killed) -> None:
    """It is killed at five requests: as they come to it, or as soon as they were sent on."""
    options = "durable=always&timeout=2"

    def write(writer: int) -> list[Turn]:
        turns = []
        with chatstore.connect(f"redis://127.0.0.1:{wire.port}/0?{options}") as store:
            for number in range(TURNS):
                turn = Turn(f"writer-{writer}", number)
                request = f"{turn.writer}-{number}"
                while True:
                    try:
                        store.append(f"t{writer % 3}", *marked(turn), request_id=request)
                        break
                    except StorageError:
                        continue
                turns.append(turn)
        return turns

    kills = [(number + 1) * WRITERS * TURNS // 7 for number in range(5)]
    with wire_to(killed.port) as wire, ThreadPoolExecutor(WRITERS) as pool:
        wire.strike(killed.again, before=kills[::2], behind=kills[1::2])
        turns = list(pool.map(write, range(WRITERS)))
        assert wire.struck == len(kills)
    with chatstore.connect(f"redis://127.0.0.1:{killed.port}/0?{options}") as store:
        for thread in range(3):
            mine = [turn for writer, told in enumerate(turns) if writer % 3 == thread for turn in told]
            assert not find_faults(mine, [], list(store.iter_messages(f"t{thread}")), complete=False)
