"""What a message says, in words: for previews of threads, and for searches."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from chatstore.codec import Json, decode

__all__ = ["PREVIEW", "preview_of", "said", "snippet", "words"]

PREVIEW = 200
"""How many characters of a message a preview has."""

_AROUND = 60
_WORD = re.compile(r"\w+")


def said(text: str) -> str:
    """What the message of this JSON text says to people: its content, or the texts of its blocks."""
    try:
        data = decode(text)
    except (ValueError, RecursionError):
        return ""
    return " ".join(_texts(data.get("content"))) if isinstance(data, dict) else ""


def _texts(content: Json) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, str):
                yield block
            elif isinstance(block, dict) and isinstance(block.get("text"), str):
                yield block["text"]


def preview_of(text: str) -> str:
    """The first 200 characters of what a message says, white space drawn together."""
    return " ".join(said(text)[: PREVIEW * 8].split())[:PREVIEW]


def words(text: str) -> list[str]:
    """The words of a text as searches compare them: letters and digits, whatever their case and accents."""
    return _WORD.findall(_plain(text))


def snippet(text: str, wanted: Sequence[str]) -> str:
    """A part of a text around the first of the words that are wanted, at most 200 characters."""
    for found in _WORD.finditer(text):
        if _plain(found[0]) in wanted:
            start = max(0, found.start() - _AROUND)
            cut = " ".join(text[start : start + PREVIEW].split())
            return cut if start == 0 else f"…{cut}"[:PREVIEW]
    return " ".join(text[: PREVIEW * 2].split())[:PREVIEW]


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join([one for one in decomposed if not unicodedata.combining(one)]).casefold()
