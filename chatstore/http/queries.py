"""Queries that find threads and messages, and the one that says where a history is cut."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, NamedTuple

from chatstore import store
from chatstore.codec import Json
from chatstore.http.forms import Parameter
from chatstore.http.parameters import time_of
from chatstore.models import CHAT

__all__ = ["ChangesQuery", "CountQuery", "CutQuery", "SearchQuery", "ThreadsQuery"]

_UNBRACKETED = r"^[^\[\]]+$"
_A_WORD = r"^[\s\S]*\S[\s\S]*$"
_TIME: Mapping[str, Json] = {"format": "date-time", "type": "string"}
_NAME: Mapping[str, Json] = {"maxLength": store.MAX_THREAD_ID_BYTES, "minLength": 1, "type": "string"}


def _flag(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("this is true or false")
    return value == "true"


def _oldest_first(value: str) -> bool:
    if value not in {"newest", "oldest"}:
        raise ValueError("this is newest or oldest")
    return value == "oldest"


def _newest_first(value: str) -> bool:
    if value not in {"newest", "best"}:
        raise ValueError("this is newest or best")
    return value == "newest"


def _limit(what: str) -> Parameter:
    count: Mapping[str, Json] = {"maximum": store.MAX_LIMIT, "minimum": 1, "type": "integer"}
    return Parameter({"default": store.DEFAULT_LIMIT, **count}, f"The most {what} in an answer.")


def _kind(default: str) -> Parameter:
    schema: Mapping[str, Json] = {
        "default": default,
        "maxLength": store.MAX_KIND_BYTES,
        "minLength": 1,
        "type": "string",
    }
    return Parameter(schema, "Only threads of this kind; `*` for every kind.")


def _owner(what: str) -> Parameter:
    schema: Mapping[str, Json] = {
        "description": "Up to 256 bytes of UTF-8.",
        "maxLength": store.MAX_OWNER_BYTES,
        "minLength": 1,
        "type": "string",
    }
    return Parameter(schema, what)


_OF_A_LISTING: Mapping[str, Json] = {"format": "thread-cursor", "type": "string"}


class ThreadsQuery(NamedTuple):
    """Which threads to list."""

    limit: Annotated[int, _limit("threads")] = store.DEFAULT_LIMIT
    cursor: Annotated[str | None, Parameter(_OF_A_LISTING, "The `next` of the page before.")] = None
    owner: Annotated[str | None, _owner("Only the threads of this owner.")] = None
    active_since: Annotated[
        datetime | None,
        Parameter(_TIME, "Only threads with messages, or created, since then.", time_of),
    ] = None
    active_before: Annotated[
        datetime | None,
        Parameter(_TIME, "Only threads whose newest message, or creation, is before then.", time_of),
    ] = None
    created_since: Annotated[
        datetime | None, Parameter(_TIME, "Only threads created since then.", time_of)
    ] = None
    created_before: Annotated[
        datetime | None, Parameter(_TIME, "Only threads created before then.", time_of)
    ] = None
    topic_prefix: Annotated[
        str | None,
        Parameter(
            {"maxLength": store.MAX_TOPIC_BYTES, "type": "string"}, "Only threads whose topic begins so."
        ),
    ] = None
    kind: Annotated[str, _kind(CHAT)] = CHAT
    forked_from: Annotated[
        str | None, Parameter(_NAME, "Only forks of the thread with this id, which stands as it is.")
    ] = None
    oldest_first: Annotated[
        bool,
        Parameter(
            {"default": "newest", "enum": ["newest", "oldest"], "type": "string"},
            "Which activity comes first.",
            _oldest_first,
            name="order",
        ),
    ] = False
    preview: Annotated[
        bool,
        Parameter(
            {"default": False, "type": "boolean"},
            "Whether each thread comes with its `message_count` and the first 200 characters of its newest "
            "message, which is read for it. A page then holds at most 100 threads.",
            _flag,
        ),
    ] = False
    metadata: Annotated[
        Mapping[str, str],
        Parameter(
            {
                "additionalProperties": {"type": "string"},
                "propertyNames": {"pattern": _UNBRACKETED},
                "type": "object",
            },
            "`metadata[KEY]=VALUE`: only threads whose metadata has this text under this key.",
        ),
    ] = MappingProxyType({})


class CountQuery(NamedTuple):
    """Which threads to count."""

    owner: Annotated[str | None, _owner("Only the threads of this owner.")] = None
    kind: Annotated[str, _kind(CHAT)] = CHAT


class ChangesQuery(NamedTuple):
    """Where to go on with what changed."""

    cursor: Annotated[
        str | None,
        Parameter(
            _OF_A_LISTING, "The `next` of the answer before; without one it begins with the oldest thread."
        ),
    ] = None
    limit: Annotated[int, _limit("threads")] = store.DEFAULT_LIMIT
    kind: Annotated[str, _kind("*")] = "*"


class SearchQuery(NamedTuple):
    """Which messages to look for."""

    text: Annotated[
        str,
        Parameter(
            {"maxLength": store.MAX_TOPIC_BYTES, "minLength": 1, "pattern": _A_WORD, "type": "string"},
            "Words that a message has, all of them, whatever their case and accents.",
        ),
    ]
    owner: Annotated[str | None, _owner("Only in the threads of this owner.")] = None
    newest_first: Annotated[
        bool,
        Parameter(
            {"default": "newest", "enum": ["newest", "best"], "type": "string"},
            "Which messages come first.",
            _newest_first,
            name="order",
        ),
    ] = True
    limit: Annotated[
        int,
        Parameter(
            {"default": 20, "maximum": 100, "minimum": 1, "type": "integer"},
            "The most messages in an answer.",
        ),
    ] = 20
    cursor: Annotated[
        str | None,
        Parameter({"format": "search-cursor", "type": "string"}, "The `next` of the page before."),
    ] = None


class CutQuery(NamedTuple):
    """Where a history is cut."""

    after: Annotated[
        str | None,
        Parameter(_NAME, "The message behind which all are taken away: its id, or `key:` and its key."),
    ] = None
    from_: Annotated[
        str | None,
        Parameter(_NAME, "The message that is the first to be taken away, named alike.", name="from"),
    ] = None
