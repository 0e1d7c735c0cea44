"""The server that Sentinels watch is killed: its replica takes over, with all that it had confirmed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
import redis

import chatstore
from chatstore.errors import StorageError
from chatstore.testing.history import Turn, find_faults, marked
from tests.redis.servers import absence, program, redis_server
from tests.servers import free_port

_SECONDS = 60


class Watched(NamedTuple):
    """A server that can be killed, and the port of the Sentinel that watches it."""

    main: subprocess.Popen[bytes]
    replica: int
    sentinel: int


@pytest.fixture
def watched(absent: Callable[[str, str], NoReturn], tmp_path: Path) -> Iterator[Watched]:
    if program() is None:
        absent(*absence())
    log = (tmp_path / "log").open("wb")
    port = free_port()
    command = [
        str(program()),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    with contextlib.ExitStack() as stack:
        stack.callback(log.close)
        main = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(main.kill)
        _until(lambda: _asked(port, "PING"), tmp_path)
        replica = stack.enter_context(redis_server("--replicaof", "127.0.0.1", port, "--dir", tmp_path))
        _until(lambda: "slave0" in str(_asked(port, "INFO", "replication")), tmp_path)
        settings = tmp_path / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor chats 127.0.0.1 {port} 1\n"
            "sentinel down-after-milliseconds chats 400\nsentinel failover-timeout chats 2000\n"
        )
        own = free_port()
        watch = [str(program()), str(settings), "--sentinel", "--bind", "127.0.0.1", "--port", str(own)]
        sentinel = stack.enter_context(subprocess.Popen(watch, stdout=log, stderr=log))
        stack.callback(sentinel.kill)
        _until(lambda: str(replica) in str(_asked(own, "SENTINEL", "REPLICAS", "chats")), tmp_path)
        yield Watched(main, replica, own)


def test_a_failover_keeps_what_a_replica_confirmed(watched: Watched, tmp_path: Path) -> None:
    url = f"redis+sentinel://127.0.0.1:{watched.sentinel}/chats?replicas=1&timeout=1"
    over = threading.Event()
    told: dict[int, list[Turn]] = {}

    def write(writer: int) -> None:
        told[writer] = []
        with chatstore.connect(url) as store:
            number = 0
            while not over.is_set():
                turn = Turn(f"writer-{writer}", number)
                with contextlib.suppress(StorageError):
                    store.append("t", *marked(turn), request_id=f"{turn.writer}-{number}")
                    told[writer].append(turn)
                    number += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in writers:
        one.start()
    try:
        _until(lambda: all(len(told.get(number, ())) > 5 for number in range(4)), tmp_path)
        watched.main.send_signal(signal.SIGKILL)
        _until(
            lambda: "role:master" in str(_asked(watched.replica, "INFO", "replication", raw=True)), tmp_path
        )
    finally:
        over.set()
        for one in writers:
            one.join()
    with chatstore.connect(url.replace("replicas=1", "replicas=0")) as store:
        there = list(store.iter_messages("t"))
        assert store.append("t", *marked(Turn("after", 0))).messages
    turns = [turn for mine in told.values() for turn in mine]
    faults = find_faults(turns, [], there, complete=False)
    assert not [one for one in faults if one.kind != "unknown"]


def _asked(port: int, *command: str, raw: bool = False) -> object:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        answer = client.execute_command(*command)
        return f"role:{answer['role']}" if raw and isinstance(answer, dict) else answer
    return None


def _until(holds: Callable[[], object], folder: Path) -> None:
    until = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.05)
