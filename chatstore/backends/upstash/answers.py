"""What the REST API answers: a result, of which texts are base64, or an error."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from chatstore.backends.redis.scripts import UnknownScript
from chatstore.engines.fenced.port import Again
from chatstore.errors import StorageError

__all__ = ["result"]

_LATER: Final = ("BUSY", "LOADING", "TRYAGAIN", "READONLY", "MASTERDOWN", "UNKILLABLE")


def result(status: int, content: bytes, retry_after: str = "") -> Any:
    """The result that an answer holds.

    Raises UnknownScript, Again where trying again may help, and errors of ours otherwise.
    """
    if status == 429 or status >= 500:
        raise Again(float(retry_after) if retry_after.isdecimal() else 0.0)
    if status == 401:
        raise StorageError("Upstash refuses the token: set UPSTASH_REDIS_REST_TOKEN as the console shows it")
    try:
        answer = json.loads(content)
        if "error" not in answer:
            return _bytes(answer["result"])
        told = str(answer["error"])
    except (ValueError, KeyError, TypeError) as strange:
        if status == 200:
            # What it was asked to do may be done.
            raise Again from strange
        raise StorageError(f"Upstash answers HTTP {status}, but not in its own form") from strange
    raise _meant(told)


def _meant(told: str) -> Exception:
    """The error that a text means. It is not repeated, as it may quote what was sent."""
    code = told.partition(" ")[0]
    if code == "NOSCRIPT":
        return UnknownScript()
    if code in _LATER:
        return Again()
    if code in ("NOPERM", "NOAUTH", "WRONGPASS"):
        return StorageError(
            f"Upstash does not permit this token what the store needs ({code}): take the one that writes"
        )
    if "limit exceeded" in told or "size exceeded" in told:
        return StorageError(
            "Upstash refuses it, as a limit of the database's plan is reached: see its console"
        )
    if code == "OOM":
        return StorageError("Upstash has no room left for what would be written (OOM)")
    return StorageError(f"Upstash answers {code if code.isupper() and code.isascii() else 'an error'}")


def _bytes(found: Any) -> Any:
    """A result with its texts as they are in the database."""
    if isinstance(found, str):
        return base64.b64decode(found, validate=True)
    return [_bytes(one) for one in found] if isinstance(found, list) else found
