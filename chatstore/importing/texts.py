"""A file's lines as UTF-8, whatever it was written in, each of a bounded length."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from chatstore.errors import InvalidArgument

__all__ = ["BLANK", "MAX_BYTES", "Line", "lines", "looks_like"]

MAX_BYTES = 512 * 1024 * 1024
"""How long a line may be, or a document over several lines: more than that is not held in memory."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = _BYTE_ORDER_MARK + b" \t\r\n"
"""What may stand around a JSON text."""

_CHUNK = 256 * 1024
_HEAD = 512
_TIMES_SKIPPED = 8  # how much longer than allowed a line may be until it is taken to have no end
_KINDS = (
    (b"PK\x03\x04", "a ZIP archive: unpack it, and import the conversations.json or the like that is in it"),
    (
        b"SQLite format 3\0",
        "an SQLite database: name LlamaIndex's as llama-index+sqlite:///PATH, and export chatstore's first",
    ),
    (b"(\xb5/\xfd", "compressed by zstd: `unzstd` it first"),
    (b"BZh", "compressed by bzip2: `bunzip2` it first"),
    (b"\xfd7zXZ", "compressed by xz: `unxz` it first"),
    (b"PAR1", "a Parquet file: write its rows as JSON Lines, a thread or a message each"),
    (b"%PDF", "a PDF, which holds pages and no messages: look for a JSON export of the same"),
    (b"\x80\x04", "a Python pickle: write the objects in it as JSON"),
    (b"\x80\x05", "a Python pickle: write the objects in it as JSON"),
    (
        b"<",
        "HTML or XML: an export of chats as HTML usually has a JSON file beside it, which can be imported",
    ),
)
_ENCODINGS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class Line(NamedTuple):
    """A line and its number from 1; its text is None where it was longer than allowed."""

    number: int
    text: bytes | None


def lines(source: BinaryIO, longest: int) -> Iterator[Line]:
    """The lines of `source`, without their ends; gzip is unpacked, UTF-16 and UTF-32 become UTF-8.

    At most `longest` bytes of a line are held in memory. Raises InvalidArgument for a file that is no
    text, that is damaged as a whole, or that has a line without an end.
    """
    number, size, kept = 1, 0, list[bytes]()
    for chunk in _text(_chunks(source)):
        start = 0
        while True:
            end = chunk.find(b"\n", start)
            piece = chunk[start:] if end < 0 else chunk[start:end]
            before, size = size, size + len(piece)
            if size <= longest:
                kept.append(piece)
            elif before <= longest:
                kept = []
                yield Line(number, None)
            elif size > longest * _TIMES_SKIPPED:
                raise InvalidArgument(f"line {number} has no end: nothing after it was read")
            if end < 0:
                break
            if size <= longest:
                yield Line(number, b"".join(kept))
            number, size, kept, start = number + 1, 0, [], end + 1
    if kept:
        yield Line(number, b"".join(kept))


def looks_like(line: bytes) -> str:
    """What a text that is not JSON looks like by its first line, and what can be done."""
    todo = "write it as JSON Lines, a thread or a message a line"
    for separator, name in ((b"\t", "tab-separated values"), (b",", "CSV"), (b";", "CSV")):
        if line.count(separator) > 1 and not line.lstrip(BLANK).startswith((b"{", b"[")):
            return f"looks like {name}: {todo}"
    if line.startswith((b"---", b"- ")) or line.rstrip(BLANK).endswith(b":"):
        return f"looks like YAML: {todo}"
    if line.startswith(b"#"):
        return f"looks like Markdown: {todo}"
    if line.lstrip(BLANK).startswith((b"{", b"[")):
        return "begins like JSON but is not JSON: check that it is complete, and that a JSON library wrote it"
    return f"is text, but not JSON: {todo}"


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    read = getattr(source, "read1", source.read)
    while chunk := read(_CHUNK):
        yield chunk


def _text(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    both = chain([head] if head else [], chunks)
    if head.startswith(b"\x1f\x8b"):
        return _text(_unzipped(both))
    for magic, kind in _KINDS:
        if head.lstrip(BLANK).startswith(magic) or head.startswith(magic):
            raise InvalidArgument(f"is {kind}")
    encoding = _encoding(head)
    if encoding is not None:
        return _decoded(both, encoding)
    if b"\0" in head:
        raise InvalidArgument("is binary data, not text: export it as JSON where it comes from")
    return both


def _encoding(head: bytes) -> str | None:
    """What `head` is written in, by its mark or by the zeros of its first, ASCII characters."""
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            return name
    if len(head) > 1 and head[0] and not head[1] and head[0] < 0x80:
        return "utf-32-le" if head[1:4] == b"\0\0\0" else "utf-16-le"
    if len(head) > 1 and not head[0] and 0 < head[1] < 0x80:
        return "utf-16-be"
    return "utf-32-be" if head[:3] == b"\0\0\0" and head[3:4].isascii() and head[3:4] > b"\0" else None


def _decoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode(errors="surrogatepass")
        decoder.decode(b"", True)
    except UnicodeError as error:
        raise InvalidArgument(
            f"is {encoding.upper()} and damaged or not whole: nothing after that point was read"
        ) from error


def _unzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    unzip = zlib.decompressobj(31)
    begun = False
    try:
        for chunk in chunks:
            left = chunk
            while left:
                begun = True
                yield unzip.decompress(left, _CHUNK)
                left = unzip.unconsumed_tail
                if unzip.eof:  # one file may be several in a row, and zeros may follow
                    left = unzip.unused_data.lstrip(b"\0")
                    unzip, begun = zlib.decompressobj(31), False
        if begun:
            yield unzip.flush()
    except zlib.error as error:
        raise InvalidArgument(f"is gzip and damaged ({error}): nothing after that point was read") from error
    if begun and not unzip.eof:
        raise InvalidArgument("is gzip and breaks off: nothing after that point was read; fetch it again")
