"""How log records are written: one line of JSON each, or text for people, and never what was said.

The text of an error may hold what a caller sent, so a traceback names only places and classes. The errors
about storage and configuration keep their texts, which are our own.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import TypeVar

from chatstore.audit import AUDIT
from chatstore.codec import Json, writer
from chatstore.errors import ConfigurationError, StorageError
from chatstore.sweeping import SWEEP_LOG
from chatstore.wire import stamp

__all__ = [
    "ACCESS",
    "JsonFormatter",
    "TextFormatter",
    "Throttle",
    "configure",
    "configure_within",
    "invocation",
    "request_id",
    "without_content",
]

T = TypeVar("T")

ACCESS = "chatstore.access"
"""The logger of the line that every request has; its records carry their `fields`."""

_written = writer(str, ascii_only=True)
_AT_ONCE, _WHILE_SECONDS = 10, 60.0
_KINDS, _KIND_CHARACTERS = 1000, 200

request_id: ContextVar[str | None] = ContextVar("chatstore_request_id", default=None)
"""The id of the request that is being answered."""


invocation: ContextVar[Mapping[str, str]] = ContextVar("chatstore_invocation", default={})  # noqa: B039 - read only
"""What the platform calls the event that is being worked on, by the platform's own word for it."""

_OURS_AND_OF_WHOM_WE_CALL = ("chatstore", "asyncio", "azure.core", "azure.data", "azure.identity", "msal")

_log = logging.getLogger(__name__)


def configure(form: str) -> None:
    """Write the process's log to stderr as `form` says: "json", "text", or "off" for errors alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(form))
    handler.addFilter(Throttle())
    # Of no use in a line, and dear to find for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _set_levels(form)


def configure_within(form: str) -> None:
    """The same for a process whose log is a host's: its handlers stay, and get each record as one line.

    Azure Functions' worker is such a host. It takes all that is of level INFO, and the Azure SDK writes two
    such records for each of its requests: none of them comes through.
    """
    handler = _HandingOn()
    handler.setFormatter(_formatter(form))
    for name in _OURS_AND_OF_WHOM_WE_CALL:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    _set_levels(form)


def _formatter(form: str) -> logging.Formatter:
    return JsonFormatter() if form == "json" else TextFormatter()


def _set_levels(form: str) -> None:
    logging.getLogger(ACCESS).setLevel(logging.WARNING if form == "off" else logging.INFO)
    # Alarms are raised by these lines, or by their absence.
    for name in (AUDIT, SWEEP_LOG):
        logging.getLogger(name).setLevel(logging.INFO)


class _HandingOn(logging.Handler):
    """Gives a record to the root's handlers as the line that it is here, whatever their own form is."""

    def emit(self, record: logging.LogRecord) -> None:
        line = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, self.format(record), None, None
        )
        logging.getLogger().handle(line)


def without_content(what: str, work: Callable[[], T]) -> T:
    """What `work` gives; an error is logged, and raised anew without its cause, and without a text not ours.

    For what a platform calls, and writes whole: a text may quote what was said.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - it is raised below, where it has no context
        _log.error("%s failed", what, exc_info=error)
        failed = (
            type(error)(str(error))
            if isinstance(error, (StorageError, ConfigurationError))
            else RuntimeError(f"{what} failed with {type(error).__qualname__}: the log says where")
        )
    raise failed


class Throttle(logging.Filter):
    """Lets the first few of each of the server's lines through in a while, and says later how many came.

    Anybody can break the rules on a connection, and what the server says of that would fill the disk. The
    service's own lines all pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; adds to it how many of its kind were not."""
        if record.name.startswith("chatstore"):
            return True
        kind = record.name, record.levelno, str(record.msg)[:_KIND_CHARACTERS]
        now = self._clock()
        since, count = self._said.get(kind, (now, 0))
        kept_back = max(0, count - _AT_ONCE)
        if now - since >= _WHILE_SECONDS:
            since, count = now, 0
        if len(self._said) >= _KINDS:
            self._said.clear()
        self._said[kind] = since, count + 1
        if count or not kept_back:
            return count < _AT_ONCE
        record.msg, record.args = f"{record.getMessage()} (and {kept_back:,} times before)", ()
        return True


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: what every record has, then its fields or its message, then its traceback."""
        line: dict[str, Json] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": request_id.get(),
            **invocation.get(),
        }
        fields = getattr(record, "fields", None)
        line |= {"message": record.getMessage().strip()} if fields is None else fields
        if record.exc_info is not None and record.exc_info[1] is not None:
            line["traceback"] = "".join(_traceback(record.exc_info[1]))
        return _written(line)


class TextFormatter(logging.Formatter):
    """A record as text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it."""
        fields: dict[str, Json] = getattr(record, "fields", {"message": record.getMessage().strip()})
        said = " ".join(f"{name}={json.dumps(value, default=str)}" for name, value in fields.items())
        said = " ".join([*(f"{name}={value}" for name, value in invocation.get().items()), said])
        # JSON leaves one control character of ASCII as it is.
        said = said.replace("\x7f", "\\u007f")
        line = f"{_time(record)} {record.levelname} {record.name} {request_id.get() or '-'} {said}"
        if record.exc_info is None or record.exc_info[1] is None:
            return line
        return f"{line}\n{''.join(_traceback(record.exc_info[1]))}".rstrip()


def _time(record: logging.LogRecord) -> str:
    return stamp(round(record.created * 1_000_000))


def _traceback(error: BaseException) -> Iterator[str]:
    """Where `error` and what caused it were raised, innermost last."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _traceback(cause)
    yield from traceback.format_tb(error.__traceback__)
    told = f": {error}" if isinstance(error, (StorageError, ConfigurationError, OSError)) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{told}\n"
