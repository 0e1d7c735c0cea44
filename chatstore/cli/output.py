"""What commands write, and options that several of them take; nothing here needs a package."""

from __future__ import annotations

import argparse
import codecs
import getpass
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from chatstore.audit import AUDIT, AuditFormatter
from chatstore.codec import Json
from chatstore.exporting import json_line
from chatstore.models import Message

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Commands",
    "add_json",
    "add_source",
    "audited",
    "cell",
    "for_json",
    "positive",
    "readable",
    "write_aside",
    "write_entry",
    "write_json",
    "write_line",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command is added to."""

# Control characters, which could drive a terminal, what turns the direction of text or breaks its lines, and
# what is not seen: marks, fillers, tags and their likes. Joiners stay, of which emoji and scripts are made.
_OBEYED = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_UNREADABLE = re.compile(f"[{_OBEYED}]")
_OF_MORE_LINES = re.compile(f"[\t\n{_OBEYED}]")


def readable(text: str, *, lines: bool = True) -> str:
    """`text` with what a terminal would obey or cannot show written as an escape; one line if not `lines`."""
    shown = _UNREADABLE.sub(_escape, text)
    return shown if lines else " ".join(shown.split())


def cell(text: str) -> str:
    """`text` for a terminal, on one line: what could control it is escaped, spaces stay."""
    return _OF_MORE_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class JsonOnTerminal(io.BufferedIOBase):
    """Takes JSON for `file`, a terminal, and writes what one would obey as JSON's own escapes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Buffer) -> int:
        """Write a piece, which may end within a character."""
        text = self._decoder.decode(bytes(data))
        self._file.write(_UNREADABLE.sub(lambda found: json.dumps(found[0])[1:-1], text).encode())
        return len(bytes(data))

    def flush(self) -> None:
        """Let it be seen."""
        self._file.flush()


def for_json(file: BinaryIO) -> BinaryIO:
    """`file`, as JSON may be written to it, whether it is a terminal or not."""
    return cast("BinaryIO", JsonOnTerminal(file)) if file.isatty() else file


def write_line(text: str) -> None:
    """Write a line for people, at once."""
    sys.stdout.write(f"{readable(text)}\n")
    sys.stdout.flush()


def write_aside(text: str) -> None:
    """Write a line for people to stderr, apart from the output."""
    sys.stdout.flush()
    sys.stderr.write(f"chatstore: {readable(text)}\n")


def write_json(value: Json) -> None:
    """Write a line for machines: JSON in UTF-8, whatever the terminal's encoding is, at once."""
    _write_json(json_line(value))


def write_entry(message: Message) -> None:
    """Write a message as such a line, its text exactly as the store keeps it."""
    _write_json(message.entry_text().encode() + b"\n")


def _write_json(line: bytes) -> None:
    out = for_json(sys.stdout.buffer)
    out.write(line)
    out.flush()


def add_source(parser: argparse.ArgumentParser, flag: str = "--from") -> None:
    """Add the options that say which store: a URL under `flag`, and the tenant."""
    parser.add_argument(
        flag, dest="store", metavar="URL", help="a store or a service (default: CHATSTORE_URL)"
    )
    parser.add_argument("--tenant", help="the tenant (default: CHATSTORE_TENANT, or default)")


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
