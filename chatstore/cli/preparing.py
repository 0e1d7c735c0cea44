"""``chatstore init``."""

from __future__ import annotations

import argparse

from chatstore.cli.output import Commands, write_line
from chatstore.opening import connect

__all__ = ["add_init"]

_INIT = """\
Creates what a store needs before its first use, such as a table in the cloud or a file. Then it waits until
the store answers. What exists already is not changed."""


def add_init(commands: Commands) -> None:
    """Add the command ``init``."""
    parser = commands.add_parser("init", description=_INIT, help="make the table or file that a store needs")
    parser.add_argument("store", metavar="URL", nargs="?", help="a store (default: CHATSTORE_URL)")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> int:
    with connect(arguments.store) as store:
        store.prepare()
        store.ping()
        write_line("ready")
    return 0
