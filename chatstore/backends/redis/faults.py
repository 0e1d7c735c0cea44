"""What the library raises, made into what the engine knows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from redis import exceptions

from chatstore.engines.fenced.port import Again
from chatstore.errors import StorageError

__all__ = ["faults", "is_unknown_script"]

_LATER = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.RedisClusterException,
    exceptions.ClusterError,
    exceptions.MasterDownError,
)
_LATER_CODES = (
    "BUSY",
    "LOADING",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "READONLY",
    "NOREPLICAS",
    "MOVED",
    "ASK",
)
_REFUSED = ("NOAUTH", "NOPERM", "WRONGPASS")


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Turn what the library raises inside into Again or a StorageError."""
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise StorageError("Redis refuses these credentials") from error
    except exceptions.NoPermissionError as error:
        raise StorageError("Redis does not permit this user what the store needs: see its page") from error
    except _LATER as error:
        raise Again from error
    except exceptions.OutOfMemoryError as error:
        raise StorageError("Redis has no memory left for what would be written") from error
    except exceptions.RedisError as error:
        code = _code(error)
        if code in _LATER_CODES:
            raise Again from error
        if code in _REFUSED:
            raise StorageError(f"Redis refuses these credentials ({code})") from error
        if code in ("OOM", "MISCONF"):
            raise StorageError(f"Redis cannot write for now ({code}): it is full, or cannot save") from error
        # The rest of its text may quote what was sent.
        raise StorageError(f"Redis answers {code}") from error
    except OSError as error:
        raise Again from error


def is_unknown_script(error: exceptions.ResponseError) -> bool:
    """Whether the server has to be sent the script's text."""
    return isinstance(error, exceptions.NoScriptError) or _code(error) == "NOSCRIPT"


def _code(error: Exception) -> str:
    """The word that a Redis puts in front of what it says."""
    first = str(error).partition(" ")[0]
    return first if first.isupper() and first.isascii() else type(error).__name__
