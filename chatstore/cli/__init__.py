"""The command line: ``chatstore serve``, ``import``, ``export``, ``keys`` and others, one module a kind."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from chatstore import __version__
from chatstore.cli import (
    backing,
    changing,
    keys,
    preparing,
    reading,
    retention,
    searching,
    serving,
    tokens,
    transfer,
)
from chatstore.cli.output import readable
from chatstore.errors import ChatStoreError, ConfigurationError, InvalidArgument
from chatstore.extras import how_to_install
from chatstore.urls import shown

__all__ = ["main"]

_DESCRIPTION = "Keeps conversations: serves them, and moves and shows what a store or a running service has."
_EPILOG = """\
A URL names a store (sqlite:///chat.db) or a running service (http://127.0.0.1:8080); without one,
CHATSTORE_URL does, and sqlite:///chat.db otherwise. A service with authentication is sent
CHATSTORE_TOKEN, an API key or a token. Write -- in front of a thread id that begins with -.

exit codes: 0 done
            1 something failed or was left out: an import met bad, damaged or changed threads, a restore
              met changed ones, or an export left out other tenants
            2 a mistake in the command, a URL or a setting
            130 interrupted
            141 nobody reads the output any more
"""
_EXTRAS = {
    "rich": "cli",
    "httpx": "cli",
    "uvicorn": "server",
    "httptools": "server",
    "starlette": "server",
    "pydantic": "server",
}


_URL_AS_FILE = "; this is no file: of URLs, import reads llama-index+redis://… and its likes"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, of the process's own arguments by default, and return its exit code.

    Raises SystemExit for ``--help`` and for arguments that do not fit.
    """
    parser = _parser()
    given = sys.argv[1:] if argv is None else argv
    _show_escapes()
    if not given:
        parser.print_help()
        return 2
    arguments = parser.parse_args(given)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except ChatStoreError as error:
        return _failed(str(error), 2 if isinstance(error, (ConfigurationError, InvalidArgument)) else 1)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        return _failed(f"{error.name} is not installed: {how_to_install(_EXTRAS[error.name])}", 2)
    except OSError as error:
        return _failed(_of_file(error), 1)
    return code


def _show_escapes() -> None:
    """A console that lacks a character shows an escape in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_file(error: OSError) -> str:
    """What is wrong with a file, without the password that may be in what is no file's name but a URL."""
    name = "" if error.filename is None else str(error.filename)
    url = ":/" in name or ("@" in name and ":" in name)
    named = f"{shown(name) if url else name}: " if name else ""
    return f"{named}{error.strerror or error}{_URL_AS_FILE if url else ''}"


def _failed(reason: str, code: int) -> int:
    sys.stderr.write(f"chatstore: {readable(reason, lines=False)}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "chatstore",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"chatstore {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        serving.add_serve,
        preparing.add_init,
        transfer.add_import,
        transfer.add_export,
        backing.add_backup,
        backing.add_restore,
        backing.add_copy,
        reading.add_threads,
        reading.add_show,
        reading.add_tail,
        searching.add_search,
        changing.add_truncate,
        changing.add_delete,
        keys.add_keys,
        tokens.add_tokens,
        retention.add_sweep,
        retention.add_erase,
    ):
        add(commands)
    return parser
