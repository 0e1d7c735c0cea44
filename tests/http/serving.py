"""Real servers on loopback, for tests that speak HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from chatstore.cli.connections import connections
from chatstore.settings import Settings


def listening() -> socket.socket:
    """A socket that already accepts, so that a client waits for the server instead of asking again."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Asyncio would ask for it, but not on a socket whose number is all that it was given.
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.bind(("127.0.0.1", 0))
    server.listen(128)
    server.set_inheritable(True)
    return server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """`app` in a thread of this process, read as ``chatstore serve`` reads; gives its address."""
    http = connections(Settings())
    with listening() as server:
        runner = uvicorn.Server(uvicorn.Config(app, http=http, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [server]})
        thread.start()
        try:
            yield address(server)
        finally:
            runner.should_exit = True
            thread.join()


@contextmanager
def serving_process(url: str, **settings: str) -> Iterator[str]:
    """The service over the store at `url` in a process of its own; gives its address."""
    environ = {**os.environ, "CHATSTORE_URL": url, **settings}
    with listening() as server:
        fd = server.fileno()
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            "chatstore.http.app:create_app",
            "--fd",
            str(fd),
        ]
        with subprocess.Popen([*command, "--log-level", "error"], env=environ, pass_fds=[fd]) as process:
            try:
                yield address(server)
            finally:
                process.terminate()
                process.wait(20)
