"""Identifiers: time-ordered ones for messages, threads and requests, random tokens for revisions."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime, timedelta

__all__ = ["is_message_id", "time_of", "token", "uuid7"]

_UUID7 = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", re.IGNORECASE)
_MESSAGE_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9]{10}[0-9A-Za-z]*-[0-9a-f]+"
)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # pragma: allowlist secret
_FIRST_MILLISECOND = 1_451_606_400_000
_END_MILLISECOND = 4_102_444_800_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(milliseconds: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): sorts by its time, 74 random bits behind it.

    `milliseconds` since 1970 in UTC; the present by default.
    """
    at = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    time_, random = f"{at:012x}", secrets.token_hex(10)
    variant = "89ab"[int(random[3], 16) & 3]
    return f"{time_[:8]}-{time_[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[8:]}"


def token() -> str:
    """Fourteen random hexadecimal digits: enough that an old revision is never met again."""
    return secrets.token_hex(7)


def is_message_id(text: str) -> bool:
    """Whether `text` is written as ids of messages are: a UUID, or a position and a token."""
    return _MESSAGE_ID.fullmatch(text) is not None


def time_of(text: str) -> datetime | None:
    """The time that a UUIDv7 or a ULID carries; None for any other text.

    A text of a ULID's shape counts as one only if its time lies between 2016, when ULIDs were first
    described, and 2100. Other keys of letters and digits are opaque.
    """
    if _UUID7.fullmatch(text):
        milliseconds = int(text.replace("-", "")[:12], 16)
    elif _ULID.fullmatch(text):
        milliseconds = 0
        for digit in text[:10]:
            milliseconds = milliseconds * 32 + _CROCKFORD.index(digit)
    else:
        return None
    if not _FIRST_MILLISECOND <= milliseconds < _END_MILLISECOND:
        return None
    return _EPOCH + timedelta(milliseconds=milliseconds)
