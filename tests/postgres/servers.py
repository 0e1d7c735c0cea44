"""A PostgreSQL of the tests, and a schema of each kind in it that every test finds empty."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from chatstore.contract import system_clock
from chatstore.urls import open_backend
from tests.integrations import sources as peers
from tests.servers import ROOT, free_port, running

__all__ = ["SCHEMA", "Emptied", "Killable", "await_postgres", "bouncer_there", "bouncing", "prepared"]

SCHEMA = '"of ""postgresql"""'
"""The schema of `Emptied`, as it is written in statements."""

BOUNCER = ROOT / ".pgbouncer"
HOW_TO_GET_BOUNCER = "make .pgbouncer/.installed"

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


class Killable:
    """A server in a folder and at a port of its own."""

    def __init__(self, folder: str) -> None:
        self.port = free_port()
        self._folder = folder
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, *, primary: int | None = None) -> None:
        """Start it, the first time as the standby of a server at that port if there is one."""
        program = Path(peers.__file__).with_name("postgresql.py")
        self._process = subprocess.Popen(
            [
                *(peers.PYTHON, program, self._folder, str(self.port)),
                *(() if primary is None else [str(primary)]),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await_postgres(self.url)

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


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


def bouncer_there() -> bool:
    """Whether there is a pgbouncer: on the path, or where the Makefile puts Debian's."""
    return _bouncer() is not None


def _bouncer() -> Path | None:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:{BOUNCER}/usr/sbin:/usr/sbin")
    return None if found is None else Path(found)


@contextlib.contextmanager
def bouncing(server: str, options: str = "") -> Iterator[str]:
    """The same server behind a pgbouncer, which gives out its four connections for one transaction each."""
    program, port = _bouncer(), urlsplit(server).port
    assert program is not None
    # Not in a folder of pytest's: it does not run as root, and pytest closes its folders to other users.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        own = free_port()
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {own}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 500\n{options}"
        )
        libraries = f"LD_LIBRARY_PATH={BOUNCER}/usr/lib/{platform.machine()}-linux-gnu"
        user = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        with running(["env", libraries, *user, program, folder / "ini"], listens=own):
            yield server.replace(f":{port}/", f":{own}/")


def prepared(url: str) -> str:
    """The URL, whose tables are there now."""

    async def prepare() -> None:
        backend = open_backend(url, blocking=False, clock=system_clock)
        await backend.prepare()
        await backend.close()

    asyncio.run(prepare())
    return url
