"""What the library raises, made into what the engine knows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from redis import exceptions

from chatstore.backends.redis.scripts import UnknownScript
from chatstore.engines.fenced.port import Again
from chatstore.errors import StorageError

__all__ = ["faults"]

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
_CONFIRMING = "Command # 2 (WAITAOF"
"""How the library names what is sent behind a write."""

_REFUSED = ("NOAUTH", "NOPERM", "WRONGPASS")


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Turn what the library raises inside into UnknownScript, Again or a StorageError."""
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise StorageError("Redis refuses these credentials") from error
    except _LATER as error:
        raise Again from error
    except exceptions.RedisError as error:
        raise _meaning(error) from error
    except OSError as error:
        raise Again from error


def _meaning(error: exceptions.RedisError) -> Exception:
    """What an answer of the server's means. The rest of its text may quote what was sent."""
    code = _code(error)
    if isinstance(error, exceptions.NoScriptError) or code == "NOSCRIPT":
        return UnknownScript()
    if isinstance(error, exceptions.NoPermissionError):
        return StorageError("Redis does not permit this user what the store needs: see its page")
    if isinstance(error, exceptions.OutOfMemoryError):
        return StorageError("Redis has no memory left for what would be written")
    if code in _LATER_CODES:
        return Again()
    if code in _REFUSED:
        return StorageError(f"Redis refuses these credentials ({code})")
    if code in ("OOM", "MISCONF"):
        return StorageError(f"Redis cannot write for now ({code}): it is full, or cannot save")
    if str(error).startswith(_CONFIRMING):
        return StorageError(
            "durable=confirmed needs Redis 7.2 or newer with appendonly yes: "
            "what was written is not confirmed"
        )
    return StorageError(f"Redis answers {code}")


def _code(error: Exception) -> str:
    """The word that a Redis puts in front of what it says."""
    first = str(error).partition(" ")[0]
    return first if first.isupper() and first.isascii() else type(error).__name__
