"""The nodes of a YugabyteDB cluster, over which a process spreads its connections.

The cluster itself says which nodes it has. Each new connection goes to one at random, among those of the
placement that is preferred; to one of the next placement where none of them answers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from chatstore.backends.postgres.address import Address
from chatstore.backends.postgres.links import Link
from chatstore.errors import ConfigurationError

__all__ = ["Nodes"]

_REFRESH_SECONDS, _FAILED_SECONDS = 300.0, 5.0
_ASK = b"SELECT host, port, cloud, region, zone FROM yb_servers()"


class _Node(NamedTuple):
    host: str
    port: int
    placement: tuple[str, ...]


class _Key(NamedTuple):
    rank: int
    placement: tuple[str, ...]

    def covers(self, node: _Node) -> bool:
        return all(mine in ("*", its) for mine, its in zip(self.placement, node.placement, strict=True))


class Nodes:
    """What is known of a cluster's nodes; `keys` are ``CLOUD.REGION.ZONE``, with ``:RANK``, and commas."""

    def __init__(self, keys: str) -> None:
        self._keys = [_key(text.strip()) for text in keys.split(",") if text.strip()]
        self._nodes: list[_Node] = []
        self._known_until = 0.0
        self._failed: dict[_Node, float] = {}

    async def connect(self, connect: Callable[[Address], Awaitable[Link]], address: Address) -> Link:
        """A connection to a node. Raises what the last one raised where none answers."""
        if time.monotonic() > self._known_until:
            await self._ask(connect, address)
        failure: psycopg.Error | None = None
        for node in self._chosen():
            conninfo = make_conninfo(address.conninfo, host=node.host, port=node.port)
            try:
                return await connect(replace(address, conninfo=conninfo))
            except psycopg.OperationalError as error:
                failure = error
                self._failed[node] = time.monotonic() + _FAILED_SECONDS
        self._known_until = 0.0
        if failure is not None:
            raise failure
        return await connect(address)

    async def _ask(self, connect: Callable[[Address], Awaitable[Link]], address: Address) -> None:
        link = await connect(address)
        try:
            rows, _ = await link.fetch(_ASK)
        finally:
            link.close()
        self._nodes = [_Node(host, int(port), tuple(placement)) for host, port, *placement in rows]
        self._known_until = time.monotonic() + _REFRESH_SECONDS

    def _chosen(self) -> list[_Node]:
        """The nodes in the order in which they are tried: what failed just now comes last."""
        now = time.monotonic()

        def place(node: _Node) -> tuple[bool, int, float]:
            failed = self._failed.get(node, 0.0) > now
            rank = min((key.rank for key in self._keys if key.covers(node)), default=len(self._keys) + 10)
            return failed, rank, random.random()  # noqa: S311 - it spreads connections

        return sorted(self._nodes, key=place)


def _key(text: str) -> _Key:
    placement, _, rank = text.partition(":")
    parts = tuple(placement.split("."))
    if len(parts) != 3 or not all(parts) or not (rank or "1").isdecimal():
        raise ConfigurationError(f"topology_keys={text} is not CLOUD.REGION.ZONE, or CLOUD.REGION.*:2")
    return _Key(int(rank or 1), parts)
