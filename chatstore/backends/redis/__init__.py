"""Redis and Valkey, from version 6.2 on: one server, a Sentinel's, or a cluster.

``redis://HOST/0``, ``rediss://`` with TLS, ``unix:///PATH``, ``redis+sentinel://HOST,HOST/SERVICE`` and
``redis+cluster://HOST,HOST``. A user stands in front of the host; the password does, too, or is
``REDISCLI_AUTH`` of the environment. Options:

``prefix``
    What the names of all keys begin with; ``chatstore:`` by default.
``timeout``
    Seconds to wait for an answer before trying again; 5 by default.
``replicas``
    How many replicas must have a write before it is acknowledged; none by default. Not on a cluster.
``durable``
    ``always`` says that the server writes each change to its disk before it answers (``appendonly yes`` and
    ``appendfsync always``). With ``confirmed`` the server is asked after each write to say when it is on its
    disk, and on that of each of the `replicas`; that needs Redis 7.2, and is not for a cluster. Only with one
    of these the store declares that what it wrote is durable.
``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``
    Files for TLS.

A thread is three keys in one slot. Every change to it is one script, on condition of its header's etag.
"""

from __future__ import annotations

from chatstore.backends.clients import beside_loops
from chatstore.backends.redis.callers import AsyncCaller, BlockingCaller
from chatstore.backends.redis.calling import Terms
from chatstore.backends.redis.driver import RedisDriver
from chatstore.backends.redis.server import OPTIONS, Server
from chatstore.clocks import followed
from chatstore.contract import Capability, Clock
from chatstore.engines.fenced import Dialect, FencedBackend
from chatstore.errors import ConfigurationError
from chatstore.urls import Url

__all__ = ["RedisBackend", "open_redis"]

GROUPS = Dialect(ordered=True, group_bytes=2_700_000)


class RedisBackend(FencedBackend):
    """Threads in the streams, hashes and sorted sets of a Redis."""

    name = "redis"


def open_redis(url: Url, *, blocking: bool, clock: Clock) -> RedisBackend:
    """The server that `url` names."""
    url.allow(*OPTIONS)
    durable = url.options.get("durable", "no")
    if durable not in ("no", "always", "confirmed"):
        raise ConfigurationError("durable is always, or confirmed, or left out")
    if durable == "confirmed" and "cluster" in url.scheme:
        raise ConfigurationError(
            "durable=confirmed is not for a cluster: its servers can be set to durable=always"
        )
    replicas = url.options.get("replicas", "0")
    if not replicas.isdecimal() or (replicas != "0" and "cluster" in url.scheme):
        raise ConfigurationError(
            "replicas= is the number of replicas that confirm a write, and is not for a cluster"
        )
    server = Server.of(url)
    clock = followed(clock)
    prefix, seconds = url.options.get("prefix", "chatstore:"), url.seconds("timeout", 5)
    terms = Terms(prefix, int(replicas), seconds, clock, durable == "confirmed")
    caller = BlockingCaller(server.link, terms) if blocking else AsyncCaller(server.async_link, terms)
    backend = RedisBackend(RedisDriver(caller), GROUPS, clock)
    if durable == "no":
        backend.capabilities = backend.capabilities - {Capability.DURABLE}
    backend.beside = beside_loops(blocking=blocking)
    return backend
