"""Which form a JSON value has, and the threads that are in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chatstore.codec import Json
from chatstore.importing.chats import chatgpt, claude, listing, oldest_first
from chatstore.importing.conversations import BadThread, Draft
from chatstore.importing.exchange import drafted, is_message
from chatstore.importing.values import Unkept

__all__ = ["Loose", "Unknown", "described", "loose", "recognised", "thread_of"]

_THREAD_KEYS = (
    "thread_id", "threadId", "conversation_id", "conversationId", "session_id", "sessionId", "SessionId",
    "chat_id", "chatId",
)  # fmt: skip
_SHAREGPT = ("conversations", "conversation", "items")


class Unknown(BadThread):
    """A value of no form that is known: `reason` says what it looks like."""

    __slots__ = ()


class Loose:
    """A message that stands alone, and the id of its thread, where it says one."""

    __slots__ = ("message", "thread_id")

    def __init__(self, message: Json, thread_id: str | None) -> None:
        self.message = message
        self.thread_id = thread_id


def recognised(value: Json, within: str = "") -> Iterator[Draft | BadThread]:
    """The threads in one JSON value, each with where in it they stand."""
    if isinstance(value, list):
        if any(is_message(item) for item in value):
            yield from _grouped(value, within)
        else:
            for number, item in enumerate(value, 1):
                yield from recognised(item, f"{within}, item {number}")
    elif not isinstance(value, dict):
        what = f"a value that {value.reason}" if isinstance(value, Unkept) else described(value)
        yield Unknown(within, f"it is {what}: a thread is a JSON object with a list of messages")
    else:
        yield from _of_object(value, within)


def _of_object(value: dict[str, Json], within: str) -> Iterator[Draft | BadThread]:
    if "messages" in value:
        yield _thread(value, within)
    elif isinstance(value.get("store"), dict):
        for key, messages in value["store"].items():
            yield _thread({"id": key, "messages": messages}, f"{within}, key {key!a}")
    elif isinstance(value.get("mapping"), dict):
        yield from _inside(chatgpt(value), within)
    elif isinstance(value.get("chat_messages"), list):
        yield from _inside(claude(value), within)
    elif value.get("object") == "list" and isinstance(value.get("data"), list):
        several = listing(value)
        for name, items, missing in several:
            yield thread_of(
                items, name, f"{within}, thread {name!a}" if len(several) > 1 else within, missing
            )
    elif (name := _sharegpt(value)) is not None:
        yield _renamed(value, name, within)
    elif is_message(value):
        yield thread_of([value], None, within)
    else:
        yield Unknown(
            within,
            f"it is {described(value)}, of no form that is known: "
            "a thread is a JSON object with a list of messages",
        )


def loose(value: Json) -> Loose | None:
    """A message that is a line of its own; None for anything else."""
    if not isinstance(value, dict) or "messages" in value:
        return None
    name = next((value[key] for key in _THREAD_KEYS if isinstance(value.get(key), (str, int))), None)
    wrapped = value.get("message")
    if name is not None and value.keys() <= {*_THREAD_KEYS, "message"} and isinstance(wrapped, dict):
        return Loose(wrapped, str(name))
    if not is_message(value) or _sharegpt(value) is not None:
        return None
    return Loose(value, None if name is None else str(name))


def thread_of(items: Sequence[Json], thread_id: Json, within: str, damage: Sequence[str] = ()) -> Draft:
    """A thread of nothing but messages."""
    return Draft(within, {"id": thread_id}, list(drafted(oldest_first(items))), damage)


def described(value: Json) -> str:
    """What a value looks like, for an error."""
    if isinstance(value, dict):
        names = ", ".join(ascii(name[:40]) for name in list(value)[:8])
        return f"an object with the fields {names}" if names else "an empty object"
    return {list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


def _thread(form: dict[str, Json], within: str) -> Draft | BadThread:
    messages = form["messages"]
    if not isinstance(messages, list):
        reason = messages.reason if isinstance(messages, Unkept) else f"is {described(messages)}"
        return BadThread(
            within, f"a thread is a JSON object with a list of messages, and its 'messages' {reason}"
        )
    return Draft(within, form, list(drafted(oldest_first(messages))))


def _grouped(items: Sequence[Json], within: str) -> Iterator[Draft]:
    """A list of messages is one thread, or as many as they name."""
    named: dict[str | None, list[Json]] = {}
    for item in items:
        found = loose(item)
        named.setdefault(None if found is None else found.thread_id, []).append(item)
    for name, messages in named.items():
        yield thread_of(messages, name, within if len(named) == 1 else f"{within}, thread {name!a}")


def _sharegpt(value: dict[str, Json]) -> str | None:
    for name in _SHAREGPT:
        items = value.get(name)
        if isinstance(items, list) and any(is_message(item) for item in items):
            return name
    return None


def _renamed(value: dict[str, Json], name: str, within: str) -> Draft:
    """ShareGPT's conversation, whose system prompt stands beside it, as the first message."""
    items: list[Json] = value[name]
    system = value.get("system")
    form = {key: item for key, item in value.items() if key not in (name, "id")}
    if isinstance(system, str):
        del form["system"]
        items = [{"role": "system", "content": system}, *items] if system else items
    thread_id = value.get("id")
    form["id"] = (
        str(thread_id) if isinstance(thread_id, int) and not isinstance(thread_id, bool) else thread_id
    )
    return Draft(within, form, list(drafted(items)))


def _inside(drafts: Iterator[Draft], within: str) -> Iterator[Draft]:
    for draft in drafts:
        yield Draft(within + draft.within, draft.form, draft.messages, draft.damage)
