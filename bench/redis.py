"""``python -m bench.redis``: appends and reads on Redis, beside plain lists written by hand.

A Redis starts on loopback, without a disk. One turn of one message of 300 characters is appended, and the
last 20 are read, at three lengths of a thread. The floor pushes the same JSON to a list and reads its end
with the same library. Printed are medians in milliseconds, their ratio, and the memory that a message takes.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable

import redis

import chatstore
from chatstore.engines.fenced import layout
from tests.redis.servers import redis_server

LENGTHS = (100, 10_000, 100_000)
ROUNDS = 300
MESSAGE = {"role": "user", "content": "word " * 60}


def main() -> None:
    """Print the table."""
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, one caller, {ROUNDS} rounds, medians in ms")
    with redis_server() as port:
        client = redis.Redis(port=port)
        text = json.dumps(MESSAGE)
        columns = ("append", "floor", "ratio", "last 20", "floor", "ratio")
        print(f"{'messages':>9}", *(f"{name:>8}" for name in columns))
        with chatstore.connect(f"redis://127.0.0.1:{port}/0") as store:
            for length in LENGTHS:
                thread = f"t{length}"
                for start in range(0, length, 50):
                    store.append(thread, *[MESSAGE] * min(50, length - start))
                client.rpush(thread, *[text] * length)

                def append(thread: str = thread) -> object:
                    return store.append(thread, MESSAGE)

                def push(thread: str = thread) -> object:
                    return client.rpush(thread, text)

                def read(thread: str = thread) -> object:
                    return [one.to_dict() for one in store.read(thread, last=20)]

                def last(thread: str = thread) -> object:
                    return [json.loads(one) for one in client.lrange(thread, -20, -1)]

                own, floor = _beside(append, push)
                mine, least = _beside(read, last)
                print(
                    f"{length:>9,} {own:>8.3f} {floor:>8.3f} {own / floor:>8.2f} "
                    f"{mine:>8.3f} {least:>8.3f} {mine / least:>8.2f}"
                )
            for size, label in ((1, "one message a turn"), (2, "two messages a turn")):
                thread = f"memory{size}"
                for _ in range(1000 // size):
                    store.append(thread, *[MESSAGE] * size)
                client.rpush(thread, *[text] * 1000)
                key = f"chatstore:{{{layout.partition('default', thread)}}}"
                own, floor = ((client.memory_usage(name, samples=0) or 0) / 1000 for name in (key, thread))
                print(f"memory a message, {label}: {own:.0f} bytes, a list's {floor:.0f}: {own / floor:.2f}")


def _beside(*calls: Callable[[], object]) -> tuple[float, ...]:
    """The median of each, taken in turn."""
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, times in zip(calls, spent, strict=True):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1000)
    return tuple(statistics.median(times) for times in spent)


if __name__ == "__main__":
    main()
