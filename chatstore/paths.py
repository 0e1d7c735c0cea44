"""Ids of threads and names of messages in paths: as they are where gateways let them be, else in base64url.

Gateways decode ``%2F``, resolve ``.`` and ``..``, and differ about the rest, so percent-encoding does
not carry an id unharmed. Each id has exactly one form in a path.
"""

from __future__ import annotations

import base64
import re

from chatstore.models import NAMED_BY_KEY

__all__ = ["MESSAGE_PATTERN", "THREAD_PATTERN", "message_id", "segment", "thread_id"]

_PREFIX = "b64:"
_PLAIN = re.compile(r"[A-Za-z0-9._~@:-]{1,1024}")

THREAD_PATTERN = r"^(b64:[A-Za-z0-9_-]{0,1366}|[A-Za-z0-9._~@:-]{1,1024})$"
"""What a thread's path segment looks like."""

MESSAGE_PATTERN = THREAD_PATTERN
"""What a message's path segment looks like."""


def segment(id: str) -> str:
    """The path segment that names a thread by its id, or a message by its id or key."""
    if _PLAIN.fullmatch(id) and id not in {".", ".."} and not id.startswith(_PREFIX):
        return id
    return _PREFIX + base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def thread_id(text: str) -> str:
    """The id that a path segment names; raises ValueError for any form but the one `segment` gives."""
    id = _decoded(text) if text.startswith(_PREFIX) else text
    right = segment(id)
    if right != text:
        raise ValueError(f"this thread id is written {right} in a path")
    return id


def message_id(text: str) -> str:
    """The message's id, or ``key:`` and its key, that a path segment names; raises ValueError for no such.

    A key may be percent-encoded, too, where whatever stands in between leaves that alone.
    """
    if text.startswith(_PREFIX):
        id = _decoded(text)
        if segment(id) == text:
            return id
    elif _PLAIN.fullmatch(text) or text.startswith(NAMED_BY_KEY):
        return text
    raise ValueError(f"this message is written {segment(text)} in a path")


def _decoded(text: str) -> str:
    encoded = text.removeprefix(_PREFIX)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ValueError("what follows b64: is the id's UTF-8 in base64url without padding") from error
