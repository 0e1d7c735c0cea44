"""Thread ids in paths: as they are where every gateway leaves them alone, else in base64url.

Gateways decode ``%2F``, resolve ``.`` and ``..``, and differ about the rest, so percent-encoding does
not carry an id unharmed. Each id has exactly one form in a path.
"""

from __future__ import annotations

import base64
import re

__all__ = ["MESSAGE_PATTERN", "THREAD_PATTERN", "message_id", "segment", "thread_id"]

_PREFIX = "b64:"
_PLAIN = re.compile(r"[A-Za-z0-9._~@:-]{1,1024}")

THREAD_PATTERN = r"^(b64:[A-Za-z0-9_-]{0,1366}|[A-Za-z0-9._~@:-]{1,1024})$"
"""What a thread's path segment looks like."""

MESSAGE_PATTERN = r"^[A-Za-z0-9._~@:-]{1,1024}$"
"""What a message's path segment looks like."""


def segment(id: str) -> str:
    """The path segment that names thread `id`."""
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
    """The message id that a path segment names; raises ValueError for what is no such id."""
    if not _PLAIN.fullmatch(text):
        raise ValueError("a message id consists of letters, digits and ._~@:-")
    return text


def _decoded(text: str) -> str:
    encoded = text.removeprefix(_PREFIX)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ValueError("what follows b64: is the thread id's UTF-8 in base64url without padding") from error
