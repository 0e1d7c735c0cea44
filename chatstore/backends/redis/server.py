"""Where the servers are: one, those that Sentinels name, or a cluster, and how a client reaches them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from chatstore.backends.redis.links import AsyncClusterLink, AsyncLink, ClusterLink, Link
from chatstore.errors import ConfigurationError
from chatstore.settings import credential
from chatstore.urls import Url, shown

__all__ = ["OPTIONS", "Server"]

_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OPTIONS = ("prefix", "timeout", "replicas", "durable", "db", *_TLS)


class Server(NamedTuple):
    """How to reach what a URL names. `named` are arguments of the library's clients."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    service: str
    named: Mapping[str, Any]
    seconds: float

    @classmethod
    def of(cls, url: Url) -> Server:
        """Raises ConfigurationError for a URL that names no server, without repeating its password."""
        tls = {name: url.options[name] for name in _TLS if name in url.options}
        if tls and url.scheme != "rediss":
            raise ConfigurationError(f"{next(iter(tls))} is an option of rediss://, which uses TLS")
        who, _, where = url.host.rpartition("@")
        user, colon, password = who.partition(":")
        seconds = url.seconds("timeout", 5)
        named: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "username": unquote(user) or None,
            "password": unquote(password) if colon else credential("REDISCLI_AUTH") or None,
            **tls,
        }
        path = url.path.strip("/")
        if url.scheme == "unix":
            if where or not path:
                raise ConfigurationError("a socket is written with three slashes: unix:///var/run/redis.sock")
            return cls(url.scheme, (), "", {**named, "path": url.path, "db": _database(url, "")}, seconds)
        hosts = tuple(
            _host(one, url, 26379 if "sentinel" in url.scheme else 6379) for one in where.split(",")
        )
        service, _, database = path.partition("/") if "sentinel" in url.scheme else ("", "", path)
        if "sentinel" in url.scheme and not service:
            raise ConfigurationError(
                "the path names the service that Sentinels watch: redis+sentinel://HOST/mymaster"
            )
        if "cluster" in url.scheme and (database or "db" in url.options):
            raise ConfigurationError("a cluster has no databases: leave the path out")
        if len(hosts) > 1 and url.scheme in ("redis", "rediss"):
            raise ConfigurationError(
                f"{url.scheme}:// takes one host; redis+sentinel:// and redis+cluster:// several"
            )
        named |= {} if "cluster" in url.scheme else {"db": _database(url, database)}
        return cls(url.scheme, hosts, service, named, seconds)

    @contextlib.contextmanager
    def link(self) -> Iterator[Any]:
        """How commands are sent by threads, closed at the end."""
        import redis
        from redis import cluster, sentinel
        from redis.retry import Retry

        named = self._named(Retry)
        if "cluster" in self.scheme:
            client = cluster.RedisCluster(startup_nodes=self._nodes(cluster.ClusterNode), **named)
            link: Any = ClusterLink(client)
        else:
            client = self._client(redis, sentinel.Sentinel, named)
            link = Link(client.connection_pool.make_connection, self.seconds)
        try:
            yield link
        finally:
            client.close()
            link.close()

    @contextlib.asynccontextmanager
    async def async_link(self) -> AsyncIterator[Any]:
        """How commands are sent by the tasks of the running loop, closed at the end."""
        from redis import asyncio
        from redis.asyncio import cluster, sentinel
        from redis.asyncio.retry import Retry

        named = self._named(Retry)
        if "cluster" in self.scheme:
            client = cluster.RedisCluster(startup_nodes=self._nodes(cluster.ClusterNode), **named)
            link: Any = AsyncClusterLink(client)
        else:
            # The link has one timeout around all that a call waits for.
            client = self._client(asyncio, sentinel.Sentinel, named | {"socket_timeout": None})
            link = AsyncLink(client.connection_pool.make_connection, self.seconds)
        try:
            yield link
        finally:
            await client.aclose()
            await link.close()

    def _named(self, retry: Any) -> dict[str, Any]:
        """What connections are made with."""
        from redis.backoff import NoBackoff

        # The library would send again what may have been done: only the engine knows how to find that out.
        return {**self.named, "retry": retry(NoBackoff(), 0)}

    def _nodes(self, node: Any) -> list[Any]:
        return [node(*one) for one in self.hosts]

    def _client(self, library: Any, sentinel: Any, named: dict[str, Any]) -> Any:
        """A client of one of the library's two colours, for the connections that it makes."""
        # A connection that is told nothing unasked is one whose next bytes are the answer.
        named = {**named, "protocol": 2}
        if "sentinel" in self.scheme:
            shared = {"socket_timeout": self.seconds, "socket_connect_timeout": self.seconds}
            watched = sentinel(self.hosts, sentinel_kwargs={**shared, "retry": named["retry"]})
            return watched.master_for(self.service, **named)
        kinds = {"unix": library.UnixDomainSocketConnection, "rediss": library.SSLConnection}
        kind = kinds.get(self.scheme, library.Connection)
        where = {} if not self.hosts else {"host": self.hosts[0][0], "port": self.hosts[0][1]}
        return library.Redis.from_pool(library.ConnectionPool(connection_class=kind, **where, **named))


def _host(text: str, url: Url, port: int) -> tuple[str, int]:
    host, colon, digits = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    host = (host if colon else text).strip("[]")
    if not host or (colon and not digits.isdecimal()):
        raise ConfigurationError(f"{shown(url.text)!r} names no server: write {url.scheme}://HOST:PORT")
    return host, int(digits) if colon else port


def _database(url: Url, path: str) -> int:
    text = path or url.options.get("db", "0")
    if not text.isdecimal():
        raise ConfigurationError(
            f"a database of Redis is a number, such as {url.scheme}://HOST/0, not {text!r}"
        )
    return int(text)
