"""What commands write, and options that several of them take; nothing here needs a package."""

from __future__ import annotations

import argparse
import getpass
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from chatstore.audit import AUDIT, AuditFormatter
from chatstore.codec import Json
from chatstore.exporting import json_line
from chatstore.models import Message

__all__ = [
    "Commands",
    "add_json",
    "add_source",
    "audited",
    "positive",
    "readable",
    "write_aside",
    "write_entry",
    "write_json",
    "write_line",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command is added to."""

# Control characters, which could drive a terminal, and those that turn the direction of text.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def readable(text: str, *, lines: bool = True) -> str:
    """`text` with what a terminal would obey or cannot show written as an escape; one line if not `lines`."""
    shown = _UNREADABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown if lines else " ".join(shown.split())


def write_line(text: str) -> None:
    """Write a line for people, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_aside(text: str) -> None:
    """Write a line for people that is no part of the output, to stderr."""
    sys.stdout.flush()
    sys.stderr.write(f"chatstore: {text}\n")


def write_json(value: Json) -> None:
    """Write a line for machines: JSON in UTF-8, whatever the terminal's encoding is, at once."""
    _write_bytes(json_line(value))


def write_entry(message: Message) -> None:
    """Write a message as such a line, its text exactly as the store keeps it."""
    _write_bytes(message.entry_text().encode() + b"\n")


def _write_bytes(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def add_source(parser: argparse.ArgumentParser, flag: str = "--from") -> None:
    """Add the options that say which store: a URL under `flag`, and the tenant."""
    parser.add_argument(
        flag, dest="store", metavar="URL", help="a store or a service (default: CHATSTORE_URL)"
    )
    parser.add_argument("--tenant", help="whose threads (default: CHATSTORE_TENANT, or default)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="write JSON lines instead of text for people")


@contextmanager
def audited() -> Iterator[str]:
    """While it lasts, the audit trail goes to stderr; gives the operator's name for it."""
    handler = logging.StreamHandler()
    handler.setFormatter(AuditFormatter())
    logger = logging.getLogger(AUDIT)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield f"operator {_operator()}"
    finally:
        logger.removeHandler(handler)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in a container whose user has no name
        return "unknown"


def positive(text: str) -> int:
    """An option's value that is a whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number
