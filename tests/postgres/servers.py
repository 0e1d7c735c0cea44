"""A PostgreSQL of the tests, and a schema of each kind in it that every test finds empty."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg

from chatstore.contract import system_clock
from chatstore.urls import open_backend

__all__ = ["SCHEMA", "Emptied", "await_postgres", "prepared"]

SCHEMA = '"of ""postgresql"""'
"""The schema of `Emptied`, as it is written in statements."""

_made: set[str] = set()
_last: dict[str, Path] = {}


class Emptied:
    """A schema of the server, emptied for every folder that it is asked for."""

    def __init__(self, server: str, scheme: str = "postgresql") -> None:
        self._server = server
        self._schema = f'of "{scheme}"'
        self._url = f"{scheme}:{server.partition(':')[2]}?schema={self._schema.replace(' ', '%20')}"

    def url(self, folder: Path) -> str:
        if self._url not in _made:
            prepared(self._url)
            _made.add(self._url)
        if _last.get(self._url) != folder:
            name = self._schema.replace('"', '""')
            with psycopg.connect(self._server, autocommit=True) as connection:
                for table in ("threads", "messages", "requests"):
                    connection.execute(f'DELETE FROM "{name}".{table}'.encode())  # noqa: S608
            _last[self._url] = folder
        return self._url


def await_postgres(url: str) -> None:
    """Wait until a server that listens already lets somebody in."""
    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.05)


def prepared(url: str) -> str:
    """The URL, whose tables are there now."""
    asyncio.run(open_backend(url, blocking=False, clock=system_clock).prepare())
    return url
