"""How many values JSON text holds, told without making them."""

from __future__ import annotations

__all__ = ["has_more_values"]


def has_more_values(text: bytes, most: int) -> bool:
    """Whether the part of `text` that is JSON holds more than `most` values, keys not counted.

    Each value but the outermost has a comma or the opening of its container in front of it. An empty
    container is written without a space, or counts twice.
    """
    if _openings(text) < most:
        return False
    # Only now, as it takes longer: what is inside of strings is left out.
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 4 * most:
        # A string has two, and with each value there is one key at most.
        return True
    # One character stands for a string: a container that holds an empty one is not empty.
    return _openings(b"0".join(bare.split(b'"')[::2])) >= most


def _openings(text: bytes) -> int:
    openings = sum(map(text.count, (b",", b"[", b"{")))
    return openings - text.count(b"[]") - text.count(b"{}")
