"""A cluster of three servers, and the move of a slot from one to another while others write."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.redis.servers import redis_server

__all__ = ["Cluster", "cluster_in"]

SLOTS = 16384
_SECONDS = 60


class Cluster:
    """Three servers, which have a third of the slots each."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.nodes: list[Any] = [redis.Redis(port=port) for port in ports]
        names = [node.execute_command("CLUSTER", "MYID").decode() for node in self.nodes]
        self._names = names
        for place, node in enumerate(self.nodes):
            mine = range(place * SLOTS // 3, (place + 1) * SLOTS // 3)
            node.execute_command("CLUSTER", "ADDSLOTS", *mine)
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for port in ports[1:]:
            self.nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        self._wait()

    def _wait(self) -> None:
        """Until every server knows that all slots are served by three."""
        until = time.monotonic() + _SECONDS
        while not all(self._is_whole(node) for node in self.nodes):
            assert time.monotonic() < until, [node.execute_command("CLUSTER", "INFO") for node in self.nodes]
            time.sleep(0.05)

    def _is_whole(self, node: Any) -> bool:
        told = node.execute_command("CLUSTER", "INFO")
        state = told.get("cluster_state") if isinstance(told, dict) else str(told)
        size = told.get("cluster_known_nodes") if isinstance(told, dict) else "3"
        if "ok" not in str(state) or str(size) != "3":
            return False
        ranges = node.execute_command("CLUSTER", "SLOTS")
        covered: int = sum(last - first + 1 for first, last, *_ in ranges)
        return covered == SLOTS

    def owner(self, slot: int) -> int:
        """Which server has a slot."""
        for place, node in enumerate(self.nodes):
            with contextlib.suppress(redis.ResponseError):
                node.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
            if slot in self._mine(node):
                return place
        raise AssertionError("nobody has the slot")

    def _mine(self, node: Any) -> set[int]:
        me = node.execute_command("CLUSTER", "MYID").decode()
        found: set[int] = set()
        for first, last, master, *_ in node.execute_command("CLUSTER", "SLOTS"):
            if master[2].decode() == me:
                found |= set(range(first, last + 1))
        return found

    def move(self, key: str) -> None:
        """Give the slot of a key, and all keys in it, to another server."""
        slot = self.nodes[0].execute_command("CLUSTER", "KEYSLOT", key)
        source = self.owner(slot)
        target = (source + 1) % 3
        old, new = self.nodes[source], self.nodes[target]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._names[source])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self._names[target])
        while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10):
            old.execute_command("MIGRATE", "127.0.0.1", self.ports[target], "", 0, 5000, "KEYS", *keys)
        for node in (new, old, *self.nodes):
            node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self._names[target])


@contextlib.contextmanager
def cluster_in(folder: Path, release: str) -> Iterator[Cluster]:
    """A cluster whose servers keep their configuration in `folder`."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(3):
            place = folder / str(number)
            place.mkdir()
            options = ["--cluster-enabled", "yes", "--dir", place, "--cluster-node-timeout", "5000"]
            ports.append(stack.enter_context(redis_server(*options, release=release)))
        yield Cluster(ports)
