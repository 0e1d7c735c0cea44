"""What the SDK raises, made into what the driver's callers know: one table of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from http.client import HTTPException

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from chatstore.engines.fenced.port import Again, BeingDeleted, NoTable, Overtaken
from chatstore.errors import StorageError

__all__ = ["faults", "is_no_row"]

_LATER = frozenset({408, 429, 500, 502, 503, 504})
_CONDITIONS = frozenset({409, 412})
_LATER_CODES = frozenset({"OperationTimedOut", "ServerBusy", "InternalError"})
_NO_ROW = frozenset({"ResourceNotFound", "EntityNotFound"})


@contextlib.contextmanager
def faults(*, writing: bool = False) -> Iterator[None]:
    """Turn what the SDK raises inside into NoTable, Overtaken, Again or a StorageError."""
    try:
        yield
    except (ServiceRequestError, ServiceResponseError, IncompleteReadError) as error:
        raise Again from error
    except HttpResponseError as error:
        raise _meaning(error, writing=writing) from error
    except AzureError as error:
        # What came was no answer of the service's, so it says nothing about what was done.
        raise Again from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, HTTPException) as error:
        # How the SDK fails on an answer to a group that is cut off or garbled.
        raise Again from error


def is_no_row(error: HttpResponseError) -> bool:
    """Whether the service says that there is no such row: another 404 is of something before it."""
    return error.status_code == 404 and _code(error) in _NO_ROW


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code or ""))


def _meaning(error: HttpResponseError, *, writing: bool) -> Exception:
    code = _code(error)
    status = error.status_code
    if code == "TableNotFound":
        return NoTable()
    if code == "TableBeingDeleted":
        return BeingDeleted()
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return StorageError(f"the table's account refuses these credentials ({code or status})")
    if status in _LATER or code in _LATER_CODES or status is None or status < 400:
        return Again(_retry_after(error))
    if writing and (status in _CONDITIONS or is_no_row(error)):
        return Overtaken()
    # The rest of its text may quote what was sent.
    return StorageError(f"the table's account answers {status} {code}".rstrip())


def _retry_after(error: HttpResponseError) -> float:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    milliseconds = headers.get("x-ms-retry-after-ms", "")
    if milliseconds.isdecimal():
        return int(milliseconds) / 1000
    seconds = headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0
