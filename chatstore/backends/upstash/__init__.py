"""Upstash's Redis over its REST API, in the layout of `chatstore.backends.redis`: each reads the other's.

``upstash://HOST``, of which the console says the name; its token is ``UPSTASH_REDIS_REST_TOKEN`` of the
environment. Options:

``prefix``
    What the names of all keys begin with; ``chatstore:`` by default.
``timeout``
    Seconds to wait for an answer before trying again; 5 by default.

What runs on this machine is asked over plain HTTP, anything else over HTTPS.
"""

from __future__ import annotations

import re
from typing import Final

from chatstore.backends.clients import beside_loops
from chatstore.backends.redis.driver import RedisDriver
from chatstore.backends.upstash.callers import AsyncRestCaller, BlockingRestCaller, Database
from chatstore.clocks import followed
from chatstore.contract import Capability, Clock
from chatstore.engines.fenced import Dialect, FencedBackend
from chatstore.errors import ConfigurationError
from chatstore.settings import credential
from chatstore.urls import Url, shown

__all__ = ["UpstashBackend", "open_upstash"]

_GROUPS: Final = Dialect(ordered=True, group_bytes=2_700_000)
"""Binary takes up to twice its room in a command, and a command up to 10 MB."""

_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
_TOKEN: Final = re.compile(r"[!-~]+")


class UpstashBackend(FencedBackend):
    """Threads in the sorted sets of an Upstash database."""

    name = "upstash"
    # Its failover may lose what was acknowledged.
    capabilities = FencedBackend.capabilities - {Capability.DURABLE}


def open_upstash(url: Url, *, blocking: bool, clock: Clock) -> UpstashBackend:
    """The database that `url` names."""
    url.allow("prefix", "timeout")
    if not _HOST.fullmatch(url.host) or url.path.strip("/"):
        raise ConfigurationError(
            f"{shown(url.text)!r} names no database: write upstash://NAME.upstash.io, as the console says, "
            "and put the token into UPSTASH_REDIS_REST_TOKEN"
        )
    token = credential("UPSTASH_REDIS_REST_TOKEN")
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            "Upstash needs a token: set UPSTASH_REDIS_REST_TOKEN, as the console shows it"
        )
    clock = followed(clock)
    database = Database(
        url.host, token, url.options.get("prefix", "chatstore:"), url.seconds("timeout", 5), clock
    )
    caller = BlockingRestCaller(database) if blocking else AsyncRestCaller(database)
    backend = UpstashBackend(RedisDriver(caller), _GROUPS, clock)
    backend.beside = beside_loops(blocking=blocking)
    return backend
