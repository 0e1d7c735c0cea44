"""``python -m bench.redis [RELEASE]``: appends and reads on Redis, beside two floors and LlamaIndex's store.

A Redis starts on loopback, without a disk. One turn of one message of 300 characters is appended, and the
last 20 are read, at three lengths of a thread. One floor pushes the same JSON to a list and reads its end.
The other is a script that promises a part of what the store does: an id, a number in the thread's order, and
when the thread was active. Printed are medians in milliseconds of calls that take turns, their ratios, the
commands that an append runs, which Upstash bills, and the memory that a message takes.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

import chatstore
from chatstore.backends.redis.rows import keys_of
from chatstore.engines.fenced import layout
from tests.integrations.sources import PYTHON as PEERS
from tests.redis.servers import redis_server

LENGTHS = (100, 10_000, 100_000)
ROUNDS = 300
CONTENT = "word " * 60
MESSAGE = {"role": "user", "content": CONTENT}
TEXT = json.dumps(MESSAGE)

APPEND = """
local place = redis.call('HINCRBY', KEYS[1], 'tail', 1)
redis.call('XADD', KEYS[2], place .. '-0', 'id', ARGV[1], 'text', ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4])
return place
"""

PEER = """
import json, statistics, sys, time
from llama_index.core.llms import ChatMessage
from llama_index.storage.chat_store.redis import RedisChatStore
url, lengths, rounds, content = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
store = RedisChatStore(redis_url=url)
message = ChatMessage(role="user", content=content)
def timed(call):
    times = []
    for _ in range(rounds):
        began = time.perf_counter(); call(); times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3
for length in lengths:
    key = f"peer{length}"
    store.set_messages(key, [message] * length)
    added = timed(lambda: store.add_message(key, message))
    print(json.dumps([added, timed(lambda: store.get_messages(key)[-20:])]), flush=True)
"""


class Compared:
    """A server, the store on it, and what is written by hand beside it."""

    def __init__(self, client: redis.Redis, store: chatstore.ChatStore) -> None:
        self.client: Any = client
        self.store = store
        self._digest = client.script_load(APPEND)

    def push(self, thread: str) -> object:
        return self.client.rpush(thread, TEXT)

    def end(self, thread: str) -> object:
        return [json.loads(one) for one in self.client.lrange(thread, -20, -1)]

    def by_script(self, thread: str) -> object:
        keys = f"hand:{{{thread}}}", f"hand:{{{thread}}}:m", "hand:active"
        text = json.dumps(MESSAGE)
        return self.client.evalsha(self._digest, 3, *keys, chatstore.uuid7(), text, int(time.time()), thread)

    def end_of_stream(self, thread: str) -> object:
        found = self.client.xrevrange(f"hand:{{{thread}}}:m", count=20)
        return [(id, fields[b"id"], json.loads(fields[b"text"])) for id, fields in found]

    def append(self, thread: str) -> object:
        return self.store.append(thread, MESSAGE)

    def last(self, thread: str) -> object:
        return [one.to_dict() for one in self.store.read(thread, last=20)]

    def fill(self, thread: str, length: int) -> None:
        """Make the thread in all three ways."""
        for start in range(0, length, 50):
            self.store.append(thread, *[MESSAGE] * min(50, length - start))
        self.client.rpush(thread, *[TEXT] * length)
        with self.client.pipeline(transaction=False) as together:
            for number in range(1, length + 1):
                fields = {"id": chatstore.uuid7(), "text": TEXT}
                together.xadd(f"hand:{{{thread}}}:m", fields, id=f"{number}-0")
            together.hset(f"hand:{{{thread}}}", "tail", length)
            together.execute()

    def ran(self, call: Callable[[str], object], thread: str) -> int:
        """How many commands the server runs for a call, those in scripts too."""
        before = self._commands()
        call(thread)
        return sum((self._commands() - before).values())

    def size(self, *keys: str) -> float:
        """Bytes of memory, of 1,000 messages each."""
        return sum(self.client.memory_usage(key, samples=0) or 0 for key in keys) / 1000

    def _commands(self) -> Counter[str]:
        told = self.client.info("commandstats")
        return Counter({name: seen["calls"] for name, seen in told.items() if name != "cmdstat_info"})


def times(compared: Compared) -> None:
    """Print how long appends and reads take."""
    columns = ("ours", "list", "ratio", "script", "ratio")
    print(f"{'messages':>9} {'':>8}", *(f"{name:>8}" for name in columns))
    for length in LENGTHS:
        thread = f"t{length}"
        compared.fill(thread, length)
        for name, *calls in (
            ("append", compared.append, compared.push, compared.by_script),
            ("last 20", compared.last, compared.end, compared.end_of_stream),
        ):
            own, plain, script = _beside(thread, *calls)
            print(
                f"{length:>9,} {name:>8} {own:>8.3f} {plain:>8.3f} {own / plain:>8.2f} "
                f"{script:>8.3f} {own / script:>8.2f}"
            )


def commands(compared: Compared) -> None:
    """Print what an append, and a read, runs on the server."""
    thread = "t100"
    for name, own, script in (
        ("append", compared.append, compared.by_script),
        ("last 20", compared.last, compared.end_of_stream),
    ):
        own(thread)
        mine, least = (compared.ran(call, thread) for call in (own, script))
        print(f"commands, {name}: {mine}, by the script written by hand: {least}, by a list: 1")


def memory(compared: Compared) -> None:
    """Print what a message takes."""
    for size, label in ((1, "one message a turn"), (2, "two messages a turn")):
        thread = f"memory{size}"
        for _ in range(1000 // size):
            compared.store.append(thread, *[MESSAGE] * size)
        compared.client.rpush(thread, *[TEXT] * 1000)
        own = compared.size(*keys_of("chatstore:", layout.partition("default", thread)))
        floor = compared.size(thread)
        print(f"memory a message, {label}: {own:.0f} bytes, a list's {floor:.0f}: {own / floor:.2f}")


def peer(port: int) -> None:
    """Print what LlamaIndex's store takes, where it is installed."""
    if not PEERS.exists():
        print("LlamaIndex's store is not installed: make .venv-peers-llama-index/.installed")
        return
    sent = [f"redis://127.0.0.1:{port}/0", json.dumps(LENGTHS), "3", CONTENT]
    done = subprocess.run([str(PEERS), "-c", PEER, *sent], capture_output=True, text=True, check=True)
    for length, line in zip(LENGTHS, done.stdout.splitlines(), strict=True):
        appended, read = json.loads(line)
        print(f"{length:>9,} LlamaIndex's RedisChatStore: append {appended:.3f}, last 20 {read:.3f}")


def main(release: str = "6.2") -> None:
    """Print the tables."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, Redis {release}"
    print(f"{machine}, one caller, {ROUNDS} rounds, medians in ms")
    with redis_server(release=release) as port:
        client = redis.Redis(port=port)
        with chatstore.connect(f"redis://127.0.0.1:{port}/0") as store:
            compared = Compared(client, store)
            times(compared)
            commands(compared)
            memory(compared)
        peer(port)


def _beside(thread: str, *calls: Callable[[str], object]) -> tuple[float, ...]:
    """The median of each, taken in turn."""
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, seen in zip(calls, spent, strict=True):
            began = time.perf_counter()
            call(thread)
            seen.append((time.perf_counter() - began) * 1000)
    return tuple(statistics.median(seen) for seen in spent)


if __name__ == "__main__":
    main(*sys.argv[1:])
