"""``python -m bench.redis_losses``: how many acknowledged messages a Redis loses that is killed or replaced.

Eight writers append, and the server is killed with SIGKILL. Then it is started again, or its replica takes
its place, which had kept up, or had stood still for a second before. Printed are sums of five rounds: what
was acknowledged, and what of it was not there afterwards. Last comes how long after its answer a change is on
the disk of a server with ``appendfsync everysec``: a loss of power takes what was answered in that time.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

import chatstore
from chatstore.errors import StorageError
from tests.redis.servers import program
from tests.servers import free_port

WRITERS, ROUNDS, TURNS = 8, 5, 400
STILL_SECONDS = 1.0
RELEASE = "Redis 8.2"


class Server:
    """A server whose files are in a folder."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        self._command = [str(program(RELEASE)), "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self._command += ["--dir", str(folder), *map(str, options)]
        self.client: Any = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until(lambda: bool(self.client.ping()))

    def kill(self) -> None:
        """Kill it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def round_of(main: Server, before: Callable[[], None], after: Callable[[], int]) -> tuple[int, int]:
    """Write until the server is killed: how much was acknowledged, and how much of it was lost."""
    told: list[set[str]] = [set() for _ in range(WRITERS)]

    def write(writer: int) -> None:
        with chatstore.connect(f"redis://127.0.0.1:{main.port}/0?timeout=1") as store:
            for number in range(100_000):
                text = f"{writer} {number}"
                try:
                    store.append(f"t{writer}", {"role": "user", "content": text})
                except StorageError:
                    return
                told[writer].add(text)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for one in writers:
        one.start()
    while sum(map(len, told)) < TURNS:
        time.sleep(0.01)
    before()
    main.kill()
    for one in writers:
        one.join()
    lost = 0
    with chatstore.connect(f"redis://127.0.0.1:{after()}/0") as store:
        for writer, mine in enumerate(told):
            there = {str(one.to_dict()["content"]) for one in store.iter_messages(f"t{writer}")}
            lost += len(mine - there)
    return sum(map(len, told)), lost


def restarted(folder: Path, fsync: str) -> tuple[int, int]:
    """A server with a log, started again."""
    main = Server(folder, "--appendonly", "yes", "--appendfsync", fsync)
    with contextlib.ExitStack() as stack:
        stack.callback(main.kill)

        def again() -> int:
            main.start()
            return main.port

        return round_of(main, lambda: None, again)


def replaced(folder: Path, *, still: bool) -> tuple[int, int]:
    """A server without a disk, whose replica takes its place."""
    main = Server(folder)
    replica = Server(folder / "replica", "--replicaof", "127.0.0.1", main.port)
    with contextlib.ExitStack() as stack:
        stack.callback(replica.kill)
        _until(lambda: replica.client.info("replication")["master_link_status"] == "up")

        def stop() -> None:
            if still:
                replica.process.send_signal(signal.SIGSTOP)
                time.sleep(STILL_SECONDS)

        def promoted() -> int:
            replica.process.send_signal(signal.SIGCONT)
            replica.client.replicaof("NO", "ONE")
            return replica.port

        return round_of(main, stop, promoted)


def windows(folder: Path) -> list[float]:
    """Seconds from an answer to when the change is on the disk, with ``appendfsync everysec``."""
    main = Server(folder, "--appendonly", "yes", "--appendfsync", "everysec")
    seen = []
    try:
        for number in range(20):
            main.client.rpush("list", number)
            began = time.perf_counter()
            main.client.execute_command("WAITAOF", 1, 0, 5000)
            seen.append(time.perf_counter() - began)
    finally:
        main.kill()
    return seen


def main() -> None:
    """Print the sums."""
    cases: dict[str, Callable[[Path], tuple[int, int]]] = {
        "killed, appendfsync always": lambda folder: restarted(folder, "always"),
        "killed, appendfsync everysec": lambda folder: restarted(folder, "everysec"),
        "failover, the replica had kept up": lambda folder: replaced(folder, still=False),
        "failover, the replica stood still": lambda folder: replaced(folder, still=True),
    }
    for name, case in cases.items():
        sums = [case(folder) for folder in _folders()]
        print(f"{name}: {sum(told for told, _ in sums):,} acknowledged, {sum(lost for _, lost in sums)} lost")
    seen = windows(next(_folders()))
    print(f"everysec, to the disk: median {statistics.median(seen):.2f} s, at most {max(seen):.2f} s")


def _folders() -> Iterator[Path]:
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(redis.RedisError):
            if holds():
                return
        assert time.monotonic() < until, "the server does not come up"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
