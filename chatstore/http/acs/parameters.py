"""What comes in paths, queries and headers, by the names that Azure Communication Services has for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

from chatstore.codec import Json
from chatstore.http.forms import Parameter
from chatstore.http.parameters import time_of

__all__ = ["MessagePath", "Messages", "Repeating", "Skipping", "ThreadPath", "Threads", "Version"]

_NAME: Mapping[str, Json] = {"maxLength": 1024, "minLength": 1, "type": "string"}
_TEXT: Mapping[str, Json] = {"maxLength": 2048, "minLength": 1, "type": "string"}
_COUNT: Mapping[str, Json] = {"maximum": 2**31 - 1, "minimum": 1, "type": "integer"}
_VERSION = Parameter(
    {"examples": ["2025-03-15"], "pattern": r"^\d{4}-\d\d-\d\d(-[A-Za-z0-9.]+)?$", "type": "string"},
    "The version of the API that the client speaks; any of them is served alike.",
    name="api-version",
)
_PAGE = Parameter(
    _COUNT,
    "The most that an answer holds; the service's own limit, where it asks for more.",
    name="maxPageSize",
)
_SINCE = Parameter(
    {"format": "date-time", "type": "string"}, "Nothing that is older than this.", time_of, name="startTime"
)


def _cursor(form: str) -> Parameter:
    schema: Mapping[str, Json] = {**_TEXT, "format": form}
    return Parameter(schema, "Where the page before ended, as its `nextLink` has it.")


_THREAD = Parameter(_NAME, "The thread's id, as an answer gave it.")


class ThreadPath(NamedTuple):
    """Names a thread."""

    id: Annotated[str, _THREAD]


class MessagePath(NamedTuple):
    """Names a message of a thread."""

    id: Annotated[str, _THREAD]
    message_id: Annotated[str, Parameter(_NAME, "The message's id, as an answer gave it.")]


class Version(NamedTuple):
    """Which API is meant."""

    api_version: Annotated[str | None, _VERSION] = None


class Threads(NamedTuple):
    """Which part of a list of threads."""

    api_version: Annotated[str | None, _VERSION] = None
    max_page_size: Annotated[int | None, _PAGE] = None
    start_time: Annotated[datetime | None, _SINCE] = None
    cursor: Annotated[str | None, _cursor("thread-cursor")] = None


class Messages(NamedTuple):
    """Which part of a list of messages, which goes back in time."""

    api_version: Annotated[str | None, _VERSION] = None
    max_page_size: Annotated[int | None, _PAGE] = None
    start_time: Annotated[datetime | None, _SINCE] = None
    cursor: Annotated[str | None, _cursor("message-cursor")] = None


class Skipping(NamedTuple):
    """Which part of a list that is read from a place on."""

    api_version: Annotated[str | None, _VERSION] = None
    max_page_size: Annotated[int | None, _PAGE] = None
    skip: Annotated[
        int, Parameter({"maximum": 2**31 - 1, "minimum": 0, "type": "integer"}, "How many to leave out.")
    ] = 0


class Repeating(NamedTuple):
    """What makes a request safe to repeat."""

    client_request_id: Annotated[
        str | None,
        Parameter(
            _TEXT,
            "The same in every try of a client, which makes it: under it a request is carried out once.",
            name="x-ms-client-request-id",
        ),
    ] = None
    repeatability_request_id: Annotated[
        str | None,
        Parameter(
            _TEXT,
            "The idempotency token of a creation, which then counts in the other's place.",
            name="Repeatability-Request-ID",
        ),
    ] = None
    repeatability_first_sent: Annotated[
        str | None,
        Parameter(_TEXT, "Accepted and without effect.", name="Repeatability-First-Sent"),
    ] = None
