"""What bodies hold, checked as OpenAI's service checks it and refused in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chatstore import store
from chatstore.codec import Json, Writer
from chatstore.contract import UNSET, Draft, Unset
from chatstore.http.openai import forms
from chatstore.http.openai.refusals import Unfit

__all__ = ["NewConversation", "NewItems", "Update", "drafted", "new_conversation", "new_items", "update"]

MOST_ITEMS, MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 20, 16, 64, 512

_TYPES = {
    dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer",
    float: "a decimal", type(None): "null",
}  # fmt: skip


class NewItems(NamedTuple):
    """Items to be added together."""

    items: Sequence[Any]


class NewConversation(NamedTuple):
    """A conversation to be made, with its first items. `owner`, `ttl` and `sliding` are of this service."""

    items: Sequence[Any]
    metadata: dict[str, Json]
    owner: str | None = None
    ttl: float | Unset | None = UNSET
    sliding: bool = False


class Update(NamedTuple):
    """What becomes of a conversation: its metadata as a whole, and when it expires."""

    metadata: dict[str, Json]
    ttl: float | Unset | None = UNSET
    sliding: bool = False

    @property
    def lifetime(self) -> dict[str, Any]:
        """The expiry, by the names that the store has for it; nothing where it stays."""
        return {} if isinstance(self.ttl, Unset) else {"ttl": self.ttl, "sliding": self.sliding}


def new_items(value: Json) -> NewItems:
    """The body of ``items.create``. Raises Unfit."""
    given = _fields(value, {"items"})
    if "items" not in given:
        raise _missing("items")
    return NewItems(_items(given["items"], least=1))


def new_conversation(value: Json) -> NewConversation:
    """The body of ``conversations.create``, where nothing is needed. Raises Unfit."""
    given = _fields(value, {"items", "metadata", "owner", "ttl", "sliding"})
    items, owner = given.get("items"), given.get("owner")
    if owner is not None and not (
        isinstance(owner, str) and 0 < len(owner.encode()) <= store.MAX_OWNER_BYTES
    ):
        raise Unfit(
            f"Invalid 'owner': expected a string of 1 to {store.MAX_OWNER_BYTES} bytes.", "owner",
            "invalid_value",
        )  # fmt: skip
    return NewConversation(
        [] if items is None else _items(items), _metadata(given.get("metadata")), owner, *_expiry(given)
    )


def update(value: Json) -> Update:
    """The body of ``conversations.update``. Raises Unfit."""
    given = _fields(value, {"metadata", "ttl", "sliding"})
    if "metadata" not in given:
        raise _missing("metadata")
    return Update(_metadata(given["metadata"]), *_expiry(given))


def drafted(checked: Any, write: Writer) -> Any:
    """A checked body with its items as messages that are to be stored."""
    return checked._replace(items=[Draft(write(forms.stored(item))) for item in checked.items])


def _fields(value: Json, known: set[str]) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong_type(None, "an object", value)
    for name in value:
        if name not in known:
            raise Unfit(f"Unknown parameter: '{name[:200]}'.", name[:200], "unknown_parameter")
    return value


def _items(items: Json, least: int = 0) -> list[dict[str, Json]]:
    if not isinstance(items, list):
        raise _wrong_type("items", "an array", items)
    if len(items) < least:
        raise Unfit(
            "Invalid 'items': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.", "items", "empty_array",
        )  # fmt: skip
    if len(items) > MOST_ITEMS:
        raise Unfit(
            f"Invalid 'items': array too long. Expected an array with maximum length {MOST_ITEMS}, but got "
            f"an array with length {len(items)} instead.", "items", "array_above_max_length",
        )  # fmt: skip
    for index, item in enumerate(items):
        _check_item(f"items[{index}]", item)
    return items


def _check_item(place: str, item: Json) -> None:
    if not isinstance(item, dict):
        raise _wrong_type(place, "an object", item)
    kind = item.get("type", "message")
    if not isinstance(kind, str) or not kind:
        raise _wrong_type(f"{place}.type", "a string", kind)
    if kind == "item_reference":
        raise Unfit(
            f"Invalid '{place}': an item reference is not kept here. Send the item itself.", place,
            "invalid_value",
        )  # fmt: skip
    if kind != "message":
        return
    # Messages of chat completions have calls of tools in place of a content.
    for name, one_of in (("role", {"role"}), ("content", {"content", "tool_calls"})):
        if not one_of & set(item):
            raise _missing(f"{place}.{name}")
    if not isinstance(item["role"], str) or not item["role"]:
        raise _wrong_type(f"{place}.role", "a string", item["role"])
    if not isinstance(item.get("content"), (str, list, type(None))):
        raise _wrong_type(f"{place}.content", "a string or an array", item["content"])


def _metadata(given: Json) -> dict[str, Json]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _wrong_type("metadata", "an object", given)
    if len(given) > MOST_PAIRS:
        raise Unfit(
            f"Invalid 'metadata': too many properties. Expected an object with at most {MOST_PAIRS} "
            f"properties, but got an object with {len(given)} properties instead.", "metadata",
            "object_above_max_properties",
        )  # fmt: skip
    for key, value in given.items():
        place = f"metadata.{key[:LONGEST_KEY]}"
        if len(key) > LONGEST_KEY:
            raise _too_long("metadata", "property name", LONGEST_KEY, len(key))
        if not isinstance(value, str):
            raise _wrong_type(place, "a string", value)
        if len(value) > LONGEST_VALUE:
            raise _too_long(place, "string", LONGEST_VALUE, len(value))
    return given


def _expiry(given: dict[str, Json]) -> tuple[float | Unset | None, bool]:
    ttl, sliding = given.get("ttl", UNSET), given.get("sliding", False)
    most = store.MAX_TTL.total_seconds()
    if type(ttl) in (int, float) and not 0 < ttl <= most:
        raise Unfit(f"Invalid 'ttl': expected seconds from now, up to {most:.0f}.", "ttl", "invalid_value")
    if type(ttl) not in (int, float) and ttl is not None and not isinstance(ttl, Unset):
        raise _wrong_type("ttl", "a number of seconds", ttl)
    if type(sliding) is not bool:
        raise _wrong_type("sliding", "a boolean", sliding)
    if sliding and not isinstance(ttl, (int, float)):
        raise _missing("ttl")
    return ttl, sliding


def _missing(place: str) -> Unfit:
    return Unfit(f"Missing required parameter: '{place}'.", place, "missing_required_parameter")


def _wrong_type(place: str | None, wanted: str, given: Json) -> Unfit:
    got = next((name for kind, name in _TYPES.items() if type(given) is kind), "a decimal")
    of = "the body" if place is None else f"'{place}'"
    return Unfit(f"Invalid type for {of}: expected {wanted}, but got {got} instead.", place, "invalid_type")


def _too_long(place: str, what: str, most: int, got: int) -> Unfit:
    return Unfit(
        f"Invalid '{place}': {what} too long. Expected a {what} with maximum length {most}, but got one with "
        f"length {got} instead.", place, "string_above_max_length",
    )  # fmt: skip
