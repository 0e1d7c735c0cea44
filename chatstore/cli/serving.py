"""``chatstore serve``."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from chatstore.cli.output import Commands, write_line
from chatstore.errors import ConfigurationError
from chatstore.opening import connect
from chatstore.settings import Settings
from chatstore.urls import Url

__all__ = ["add_serve"]

_BACKLOG = 2048
_SWITCH_SECONDS = 0.0005
_HIGHEST_PORT = 65535
_WELCOME = """\
chatstore listens on {address}
Threads are kept in {place}. Ctrl-C stops it. Try:

{login}  curl {address}/v1/threads/first/messages -H 'Content-Type: application/json'{shown} \\
    -d '{{"messages": [{{"role": "user", "content": "hello"}}]}}'
  curl '{address}/v1/threads/first/messages?last=20'{shown}
  {program} threads --from {address}

The API is described at {address}/docs"""


def add_serve(commands: Commands) -> None:
    """Add the command ``serve``."""
    text = "Serves a store over HTTP until it is interrupted; beyond this machine only with CHATSTORE_AUTH."
    parser = commands.add_parser("serve", description=text, help="serve a store over HTTP")
    parser.add_argument("--host", help="the address to listen on (default: CHATSTORE_HOST, or 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="the port, 0 for any that is free (default: CHATSTORE_PORT, or 8080)"
    )
    parser.add_argument("--url", help="where threads are kept (default: CHATSTORE_URL, or sqlite:///chat.db)")
    parser.add_argument(
        "--sweep-every",
        type=float,
        metavar="SECONDS",
        help="how often to remove what has expired, 0 for never (default: CHATSTORE_SWEEP_EVERY, or 3600)",
    )
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    import uvicorn

    from chatstore.cli.connections import BACKLOG, connections
    from chatstore.http import logs
    from chatstore.http.app import create_app
    from chatstore.http.exposure import require_loopback
    from chatstore.http.identity import asks_nobody
    from chatstore.http.service import telemetry_of

    given = {name: getattr(arguments, name) for name in ("host", "port", "url", "sweep_every")}
    settings = replace(
        Settings.from_environment(), **{name: value for name, value in given.items() if value is not None}
    )
    if asks_nobody(settings):
        require_loopback(settings.host)
    with connect(settings.url) as store:
        store.ping()
    app = create_app(settings=settings)
    config = uvicorn.Config(
        app,
        http=connections(settings),
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.grace_seconds,
        log_config=None,
        log_level="warning",
        access_log=False,
        # By default uvicorn believes whoever connects from this machine.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
    )
    with _listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        write_line(_welcome(f"http://{host}:{port}", settings, asked=not asks_nobody(settings)))
        logs.configure(settings.log)
        telemetry = telemetry_of(settings)
        if telemetry is not None:
            telemetry.start_sending()
        # uvicorn raises the signal again when it has stopped, which is what was asked for, and no failure.
        signal.signal(signal.SIGTERM, _stop)
        # So that the event loop soon has the processor again where threads work beside it.
        sys.setswitchinterval(_SWITCH_SECONDS)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _welcome(address: str, settings: Settings, *, asked: bool) -> str:
    program = _program()
    login = ""
    if asked and "api-key" in settings.auth:
        store = f" --from {shlex.quote(settings.url)}" if settings.url.startswith("sqlite:") else ""
        keys = f"{program} keys create{store} --tenant {shlex.quote(settings.tenant)} --scopes read,write"
        login = f"  export CHATSTORE_TOKEN=…  # a key, as this makes one: {keys}\n"
    elif asked:
        login = "  export CHATSTORE_TOKEN=…  # a token, as the service is set up to take them\n"
    shown = ' -H "Authorization: Bearer $CHATSTORE_TOKEN"' if asked else ""
    return _WELCOME.format(
        address=address, place=_place(settings.url), login=login, shown=shown, program=program
    )


def _program() -> str:
    """What to type for the program that runs here."""
    typed = Path(sys.argv[0])
    if typed.name != "chatstore":
        return f"{shlex.quote(sys.executable)} -m chatstore"
    found = shutil.which("chatstore")
    if found is not None and Path(found).resolve() == typed.resolve():
        return "chatstore"
    path = typed.absolute()
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections already: what is sent before the application runs waits."""
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigurationError(f"a port is 0 to {_HIGHEST_PORT}, not {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # An address that is not found has a number of its own kind, below zero.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ConfigurationError(
            f"cannot listen on {host}, port {port} ({reason}): choose another with --port, or with "
            "CHATSTORE_PORT, as in CHATSTORE_PORT=8081 make run"
        ) from error
    # The connections inherit it: without it an answer's body waits 40 ms for its head to be received.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _place(url: str) -> str:
    """Where a URL keeps its threads, without the credentials that it may hold."""
    parsed = Url.parse(url)
    if parsed.scheme == "memory":
        return "this process's memory, and gone with it"
    if parsed.scheme == "sqlite":
        return str(Path(parsed.path.removeprefix("/")).absolute())
    return f"{parsed.scheme}://{urlsplit(url).hostname or ''}{parsed.path}"
