"""``python -m bench.redis [RELEASE [FOLDER]]``: Redis, beside two programs by hand and LlamaIndex's stores.

RELEASE is 6.2, 8.2 or Valkey's 9.1. It starts on loopback, without a disk. With a FOLDER on a disk, it
writes each change there before it answers, and only times are compared. One turn of one message of 300
characters is appended, and the last 20 are read, at three lengths of a thread. Those that are compared take
turns. Printed are medians in microseconds, ratios, and the processor's time on both sides: on a machine
that does other work, that is what can be compared.

The *list* pushes text that is JSON already to a list, and reads its end. The program *by hand* does what a
store of chats cannot do without: it writes and reads JSON, gives messages ids, times, and numbers that are
never used again, keeps when a thread was active, and gives dictionaries. It is a list of JSON, too. *Once*
means with a request id, whose first result is remembered for a day. Both use redis-py as it comes, which
looks whether a connection of its pool lives.

Then come the commands that Upstash would bill, over the tests' proxy before that Redis, and the memory that a
message takes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

import chatstore
from chatstore.backends.redis.rows import keys_of
from chatstore.engines.fenced import layout
from tests.integrations.sources import PYTHON as PEERS
from tests.redis.servers import RELEASES, redis_server
from tests.upstash.proxy import TOKEN, Proxy, proxy_to

LENGTHS = (100, 10_000, 100_000)
ROUNDS = 300
CONTENT = "word " * 60
MESSAGE = {"role": "user", "content": CONTENT}
TEXT = json.dumps(MESSAGE)

APPEND = """
local place = redis.call('HINCRBY', KEYS[1], 'tail', 1)
redis.call('RPUSH', KEYS[2], '[' .. place .. ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
return place
"""
APPEND_ONCE = """
local first = redis.call('GET', KEYS[4])
if first then return first end
local place = redis.call('HINCRBY', KEYS[1], 'tail', 1)
redis.call('RPUSH', KEYS[2], '[' .. place .. ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
local result = cjson.encode({place, ARGV[2], ARGV[4], ARGV[5]})
redis.call('SET', KEYS[4], result, 'EX', 86400)
return result
"""

PEER = """
import json, statistics, sys, time
from llama_index.core.llms import ChatMessage
kind, url, token, lengths, rounds, content = sys.argv[1:4] + [json.loads(one) for one in sys.argv[4:7]]
if kind == "redis":
    from llama_index.storage.chat_store.redis import RedisChatStore
    store = RedisChatStore(redis_url=url)
else:
    from llama_index.storage.chat_store.upstash import UpstashChatStore
    store = UpstashChatStore(redis_url=url, redis_token=token)
message = ChatMessage(role="user", content=content)
def timed(call):
    times = []
    for _ in range(rounds):
        began = time.perf_counter(); call(); times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
for length in lengths:
    key = f"{kind}{length}"
    store.set_messages(key, [message] * length)
    added = timed(lambda: store.add_message(key, message))
    print(json.dumps([added, timed(lambda: store.get_messages(key)[-20:])]), flush=True)
"""


class ByHand:
    """A store of one tenant's threads, with no more than any has to have."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._append, self._once = client.script_load(APPEND), client.script_load(APPEND_ONCE)

    def append(self, thread: str, message: dict[str, Any]) -> dict[str, Any]:
        id, at = str(uuid.uuid4()), time.time()
        record = f',"{id}",{at},{json.dumps(message)}]'
        place = self._client.evalsha(self._append, 3, *_keys(thread), record, at, thread)
        return {"id": id, "position": place, "created_at": _time(at), "message": message}

    def append_once(self, thread: str, message: dict[str, Any], request: str) -> dict[str, Any]:
        id, at, text = str(uuid.uuid4()), time.time(), json.dumps(message)
        digest = hashlib.sha256(text.encode()).hexdigest()
        keys = *_keys(thread), f"hand:{{{thread}}}:r:{request}"
        record = f',"{id}",{at},{text}]'
        found = self._client.evalsha(self._once, 4, *keys, record, at, thread, id, digest)
        place, made, first, asked = json.loads(found)
        assert asked == digest
        return {"id": first, "position": place, "created_at": _time(float(made)), "message": message}

    def last(self, thread: str) -> list[dict[str, Any]]:
        found = [json.loads(one) for one in self._client.lrange(f"hand:{{{thread}}}:m", -20, -1)]
        return [
            {"id": id, "position": place, "created_at": _time(at), "message": message}
            for place, id, at, message in found
        ]

    def fill(self, thread: str, length: int) -> None:
        """Make a thread of that length."""
        for start in range(1, length + 1, 10_000):
            numbers = range(start, min(start + 10_000, length + 1))
            records = [f'[{number},"{uuid.uuid4()}",{time.time()},{TEXT}]' for number in numbers]
            self._client.rpush(f"hand:{{{thread}}}:m", *records)
        self._client.hset(f"hand:{{{thread}}}", "tail", length)


class Compared:
    """A server, the store on it, and the floors beside it."""

    def __init__(self, client: redis.Redis, store: chatstore.ChatStore) -> None:
        self.client: Any = client
        self.store = store
        self.by_hand = ByHand(client)
        self.pid = int(client.info("server")["process_id"])

    def fill(self, thread: str, length: int) -> None:
        """Make a thread of that length in all three ways."""
        for start in range(0, length, 50):
            self.store.append(thread, *[MESSAGE] * min(50, length - start))
        for start in range(0, length, 10_000):
            self.client.rpush(thread, *[TEXT] * min(10_000, length - start))
        self.by_hand.fill(thread, length)

    def calls(self, thread: str) -> dict[str, dict[str, Callable[[], object]]]:
        """What is compared, by what it does and who does it."""
        store, client, by_hand = self.store, self.client, self.by_hand
        return {
            "append": {
                "list": lambda: client.rpush(thread, TEXT),
                "by hand": lambda: by_hand.append(thread, MESSAGE),
                "chatstore": lambda: store.append(thread, MESSAGE),
            },
            "append once": {
                "by hand": lambda: by_hand.append_once(thread, MESSAGE, chatstore.uuid7()),
                "chatstore": lambda: store.append(thread, MESSAGE, request_id=chatstore.uuid7()),
            },
            "last 20": {
                "list": lambda: [json.loads(one) for one in client.lrange(thread, -20, -1)],
                "by hand": lambda: by_hand.last(thread),
                "chatstore": lambda: [one.to_dict() for one in store.read(thread, last=20)],
            },
        }

    def taken(self, calls: dict[str, Callable[[], object]]) -> dict[str, dict[str, float]]:
        """Microseconds of each call: medians, and the processor's time of this process and the server's."""
        times: dict[str, list[float]] = {name: [] for name in calls}
        worked: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            call()
        for _ in range(ROUNDS):
            for name, call in calls.items():
                there, here, began = _ran(self.pid), time.thread_time_ns(), time.perf_counter_ns()
                call()
                times[name].append(time.perf_counter_ns() - began)
                worked[name].append(time.thread_time_ns() - here + _ran(self.pid) - there)
        return {
            kind: {name: statistics.median(seen) / 1000 for name, seen in found.items()}
            for kind, found in (("", times), (" CPU", worked))
        }


def compare(compared: Compared) -> None:
    """Print how long calls take."""
    for length in LENGTHS:
        thread = f"t{length}"
        compared.fill(thread, length)
        for what, calls in compared.calls(thread).items():
            for kind, seen in compared.taken(calls).items():
                print(f"{length:>7} {what + kind:>15}: {_row(seen)}", flush=True)


def commands(compared: Compared, proxy: Proxy, port: int) -> None:
    """Print what Upstash would bill for a call, counted at the Redis behind the proxy."""
    os.environ["UPSTASH_REDIS_REST_TOKEN"] = TOKEN
    with chatstore.connect(f"upstash://127.0.0.1:{port}?prefix=upstash:") as store:
        compared.store, thread = store, "billed"
        compared.fill(thread, 100)
        for what, calls in compared.calls(thread).items():
            seen = {}
            for who, call in calls.items():
                call()
                before = sum(proxy.billed().values())
                call()
                seen[who] = float(sum(proxy.billed().values()) - before)
            print(f"commands, {what:>12}: {_row(seen)}")
        with chatstore.connect(f"upstash://127.0.0.1:{port}?prefix=upstash:") as cold:
            before = sum(proxy.billed().values())
            cold.append(thread, MESSAGE)
            # One tells the time, which is asked for once a minute.
            print(f"commands of an append, cold: {sum(proxy.billed().values()) - before - 1}")


def memory(compared: Compared) -> None:
    """Print what a message takes."""
    for size, label in ((1, "one message a turn"), (2, "two messages a turn")):
        thread = f"memory{size}"
        for _ in range(1000 // size):
            compared.store.append(thread, *[MESSAGE] * size)
        compared.client.rpush(thread, *[TEXT] * 1000)
        own = _size(compared.client, *keys_of("chatstore:", layout.partition("default", thread)))
        floor = _size(compared.client, thread)
        print(f"memory a message, {label}: {own:.0f} bytes, a list's {floor:.0f}: {own / floor:.2f}")


def peer(kind: str, url: str, lengths: tuple[int, ...]) -> None:
    """Print what LlamaIndex's store takes, where it is installed."""
    if not PEERS.exists():
        print("LlamaIndex's stores are not installed: make .venv-peers-llama-index/.installed")
        return
    sent = [kind, url, TOKEN, json.dumps(lengths), "3", json.dumps(CONTENT)]
    done = subprocess.run([str(PEERS), "-c", PEER, *sent], capture_output=True, text=True, check=True)
    for length, line in zip(lengths, done.stdout.splitlines(), strict=True):
        appended, read = json.loads(line)
        print(f"{length:>7} LlamaIndex's store on {kind}: append {appended:.0f}, last 20 {read:.0f}")


def on_disk(name: str, folder: str) -> None:
    """Print how long calls take of which each change is on the disk before it is acknowledged."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        options = ["--appendonly", "yes", "--appendfsync", "always", "--dir", place]
        with (
            redis_server(*options, release=name) as port,
            chatstore.connect(f"redis://127.0.0.1:{port}/0?durable=always") as store,
        ):
            compare(Compared(redis.Redis(port=port), store))


def main(release: str = "6.2", folder: str | None = None) -> None:
    """Print the tables."""
    name = next(one for one in RELEASES if one.endswith(release))
    print(f"{platform.machine()}, Python {platform.python_version()}, {name}, {ROUNDS} rounds")
    if folder is not None:
        on_disk(name, folder)
        return
    with redis_server(release=name) as port, proxy_to(f"redis://127.0.0.1:{port}/0") as (proxy, rest):
        client = redis.Redis(port=port)
        with chatstore.connect(f"redis://127.0.0.1:{port}/0") as store:
            compared = Compared(client, store)
            compare(compared)
            memory(compared)
            commands(compared, proxy, rest)
        peer("redis", f"redis://127.0.0.1:{port}/0", LENGTHS)
        before = proxy.billed()
        peer("upstash", f"http://127.0.0.1:{rest}", LENGTHS[:2])
        # Each of the two threads is filled one by one, and has three calls of each kind.
        billed = {name: count - before.get(name, 0) for name, count in proxy.billed().items()}
        print("commands of LlamaIndex's store on Upstash:", {one: n for one, n in billed.items() if n})


def _keys(thread: str) -> tuple[str, str, str]:
    return f"hand:{{{thread}}}", f"hand:{{{thread}}}:m", f"hand:{{{thread}}}:active"


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _ran(pid: int) -> int:
    """Nanoseconds that a process of this machine has run; 0 where that is not known."""
    told = Path(f"/proc/{pid}/schedstat")
    return int(told.read_text().split()[0]) if told.exists() else 0


def _size(client: Any, *keys: str) -> float:
    """Bytes of memory, of 1,000 messages each."""
    return sum(client.memory_usage(key, samples=0) or 0 for key in keys) / 1000


def _row(seen: dict[str, float]) -> str:
    own = seen["chatstore"]
    figures = "  ".join(f"{who} {figure:5.0f}" for who, figure in seen.items())
    of = ", ".join(f"{own / figure:.2f} of {who}" for who, figure in seen.items() if who != "chatstore")
    return f"{figures}  ({of})"


if __name__ == "__main__":
    main(*sys.argv[1:])
