"""What comes in paths, queries and headers, by the names that OpenAI's API has for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, NamedTuple

from chatstore import paths, store
from chatstore.codec import Json
from chatstore.http.forms import Parameter
from chatstore.http.openai.refusals import Unfit
from chatstore.http.parameters import KEY

__all__ = [
    "ConversationPath",
    "ConversationsQuery",
    "CutQuery",
    "Including",
    "ItemPath",
    "ItemsQuery",
    "Trying",
    "item_name",
    "tries_of",
]

MOST_LISTED, USUALLY_LISTED = 100, 20

_USUAL_TIMEOUT = 600
"""Seconds that the clients wait for an answer, unless they are told otherwise."""
_MOST_PAUSE = timedelta(minutes=1)
_LONGEST = timedelta(hours=1)

_COUNT: Mapping[str, Json] = {
    "default": USUALLY_LISTED,
    "maximum": MOST_LISTED,
    "minimum": 1,
    "type": "integer",
}
_NAME: Mapping[str, Json] = {"maxLength": 2048, "minLength": 1, "type": "string"}
_ORDER: Mapping[str, Json] = {"default": "desc", "enum": ["asc", "desc"], "type": "string"}
_OWNER: Mapping[str, Json] = {"maxLength": store.MAX_OWNER_BYTES, "minLength": 1, "type": "string"}
_UNBRACKETED = r"^[^\[\]]+$"


def _limit(value: str) -> int:
    if not re.fullmatch("-?[0-9]{1,18}", value):
        raise Unfit(
            f"Invalid type for 'limit': expected an integer, but got {value[:20]!r} instead.",
            "limit",
            "invalid_type",
        )
    number = int(value)
    for wrong, end, sign, code in (
        (number > MOST_LISTED, MOST_LISTED, "<=", "integer_above_max_value"),
        (number < 1, 1, ">=", "integer_below_min_value"),
    ):
        if wrong:
            side = "above maximum" if sign == "<=" else "below minimum"
            raise Unfit(
                f"Invalid 'limit': integer {side} value. Expected a value {sign} {end}, but got {number} "
                "instead.",
                "limit",
                code,
            )
    return number


def _ascending(value: str) -> bool:
    if value not in {"asc", "desc"}:
        raise Unfit(
            f"Invalid value: {value[:40]!r}. Supported values are: 'asc' and 'desc'.",
            "order",
            "invalid_value",
        )
    return value == "asc"


def item_name(item_id: str) -> str:
    """The name of a message that an item's id holds behind its type's prefix; empty where there is none."""
    return item_id.partition("_")[2]


_CONVERSATION = Parameter(
    {"pattern": paths.THREAD_PATTERN, "type": "string"},
    "The conversation's id: that of a thread, as the native API writes it in paths.",
    paths.thread_id,
)


class ConversationPath(NamedTuple):
    """Names a conversation."""

    id: Annotated[str, _CONVERSATION]


class ItemPath(NamedTuple):
    """Names an item of a conversation."""

    id: Annotated[str, _CONVERSATION]
    item_id: Annotated[str, Parameter(_NAME, "The item's id, as an answer gave it.")]


_INCLUDE = Parameter(
    {"items": _NAME, "type": "array"},
    "Accepted and without effect: items are answered whole, as they were sent.",
    name="include[]",
)
_INCLUDE_PLAIN = _INCLUDE._replace(name="include")


class Including(NamedTuple):
    """What an answer is to include."""

    include: Annotated[tuple[str, ...], _INCLUDE] = ()
    include_plain: Annotated[tuple[str, ...], _INCLUDE_PLAIN] = ()


class ItemsQuery(NamedTuple):
    """Which items to list."""

    limit: Annotated[int, Parameter(_COUNT, "The most items in an answer.", _limit)] = USUALLY_LISTED
    ascending: Annotated[
        bool, Parameter(_ORDER, "Which items come first: `asc` the oldest.", _ascending, name="order")
    ] = False
    after: Annotated[str | None, Parameter(_NAME, "An item's id: those behind it, in this order.")] = None
    include: Annotated[tuple[str, ...], _INCLUDE] = ()
    include_plain: Annotated[tuple[str, ...], _INCLUDE_PLAIN] = ()


class CutQuery(NamedTuple):
    """Where a conversation is cut."""

    after: Annotated[str | None, Parameter(_NAME, "The item behind which all are taken away, by its id.")] = (
        None
    )
    from_: Annotated[
        str | None, Parameter(_NAME, "The first item to be taken away, by its id.", name="from")
    ] = None


class ConversationsQuery(NamedTuple):
    """Which conversations to list."""

    limit: Annotated[int, Parameter(_COUNT, "The most conversations in an answer.", _limit)] = USUALLY_LISTED
    ascending: Annotated[
        bool,
        Parameter(_ORDER, "Which come first: `desc` those that were active last.", _ascending, name="order"),
    ] = False
    after: Annotated[
        str | None,
        Parameter({"format": "thread-cursor", "type": "string"}, "The `last_id` of the page before."),
    ] = None
    owner: Annotated[str | None, Parameter(_OWNER, "Only the conversations of this owner.")] = None
    metadata: Annotated[
        Mapping[str, str],
        Parameter(
            {
                "additionalProperties": {"type": "string"},
                "propertyNames": {"pattern": _UNBRACKETED},
                "type": "object",
            },
            "`metadata[KEY]=VALUE`: only conversations that have this value under this key.",
        ),
    ] = MappingProxyType({})


def tries_of(value: str) -> int:
    """How often a client says that it has sent a request before."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0


def _seconds(value: str) -> float | None:
    return float(value) if re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,6})?", value) else None


_TIMEOUT = Parameter(
    {"type": "string"},
    "How many seconds the client waits for an answer; OpenAI's clients say so.",
    _seconds,
    name="X-Stainless-Timeout",
)


class Trying(NamedTuple):
    """What makes a request safe to repeat."""

    tries: Annotated[
        int | None,
        Parameter(
            {"type": "string"},
            "How often the client has sent this request before; OpenAI's clients say so.",
            tries_of,
            name="X-Stainless-Retry-Count",
        ),
    ] = None
    key: Annotated[
        str | None,
        Parameter(
            {"pattern": KEY, "type": "string"},
            "Makes the request safe to repeat in any case: the same key gives the first answer again.",
            name="Idempotency-Key",
        ),
    ] = None
    timeout: Annotated[float | None, _TIMEOUT] = None
    read_timeout: Annotated[float | None, _TIMEOUT._replace(name="X-Stainless-Read-Timeout")] = None

    @property
    def request_id(self) -> str | None:
        """The key, without its quotes."""
        return None if self.key is None else self.key.strip('"')

    @property
    def repeated(self) -> bool:
        """Whether the client says that it has sent this request before."""
        return bool(self.tries)

    @property
    def since_first(self) -> timedelta:
        """How long ago the first try may have been sent: the client's wait and a pause, for each since."""
        told = [one for one in (self.timeout, self.read_timeout) if one is not None]
        wait = timedelta(seconds=max(told, default=_USUAL_TIMEOUT)) + _MOST_PAUSE
        return min((self.tries or 0) * wait, _LONGEST)
