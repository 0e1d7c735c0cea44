"""What the library raises, made into what the engine knows."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from redis import exceptions

from chatstore.backends.redis.scripts import UnknownScript
from chatstore.engines.fenced.port import Again
from chatstore.errors import StorageError

__all__ = ["FAULTS", "meant"]

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
_REFUSED = ("NOAUTH", "WRONGPASS")


class _Faults:
    """Turns what the library raises inside into what `meant` says.

    Not a generator: it is entered for each call.
    """

    def __enter__(self) -> None:
        """There is nothing to begin."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            found = meant(error)
            if found is not error:
                raise found from error


FAULTS: Final = _Faults()


def meant(error: BaseException) -> BaseException:
    """UnknownScript, Again or a StorageError for what the library raises; anything else as it is."""
    if isinstance(error, exceptions.AuthenticationError):
        return StorageError("Redis refuses these credentials")
    if isinstance(error, (*_LATER, OSError)):
        return Again()
    return _meaning(error) if isinstance(error, exceptions.RedisError) else error


def _meaning(error: exceptions.RedisError) -> Exception:
    """What an answer of the server's means. The rest of its text may quote what was sent."""
    code = _code(error)
    if isinstance(error, exceptions.NoScriptError) or code == "NOSCRIPT":
        return UnknownScript()
    if isinstance(error, exceptions.NoPermissionError) or code == "NOPERM":
        return StorageError("Redis does not permit this user what the store needs: see its page")
    if isinstance(error, exceptions.OutOfMemoryError) or code == "OOM":
        return StorageError("Redis has no memory left for what would be written")
    if code in _LATER_CODES:
        return Again()
    if code in _REFUSED:
        return StorageError(f"Redis refuses these credentials ({code})")
    if code == "MISCONF":
        return StorageError("Redis cannot write for now (MISCONF): it cannot save")
    return StorageError(f"Redis answers {code}")


def _code(error: Exception) -> str:
    """The word that a Redis puts in front of what it says."""
    first = str(error).partition(" ")[0]
    return first if first.isupper() and first.isascii() else type(error).__name__
