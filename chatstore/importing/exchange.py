"""Messages as programs pass them to each other, made chatstore's: a role, a content, and the rest.

A message that has a role already is kept exactly as it is. So is what another form says that has no place
in ours: it stays in the message under its own name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chatstore.codec import Json
from chatstore.importing.conversations import Drafted
from chatstore.importing.values import Unkept, fault

__all__ = ["drafted", "is_message"]

_ENTRY = {"id", "position", "created_at", "etag", "expires_at", "key", "metadata", "message"}
_LANGCHAIN = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "function"}
_SHAREGPT = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant",
    "bard": "assistant", "assistant": "assistant", "model": "assistant", "function_call": "assistant",
    "system": "system", "tool": "tool", "observation": "tool", "function_response": "tool",
}  # fmt: skip
_PYDANTIC_AI = {
    "system-prompt": "system", "user-prompt": "user", "tool-return": "tool", "retry-prompt": "user",
    "builtin-tool-return": "tool",
}  # fmt: skip


def is_message(value: Json) -> bool:
    """Whether `value` is a message in one of the forms that are known."""
    return isinstance(value, dict) and (
        "role" in value
        or _is_entry(value)
        or _langchain(value) is not None
        or (isinstance(value.get("from"), str) and "value" in value)
        or (value.get("kind") in ("request", "response") and isinstance(value.get("parts"), list))
    )


def drafted(items: Sequence[Json]) -> Iterator[Drafted]:
    """The messages of a thread, in chatstore's form. A request of Pydantic AI may hold several."""
    for number, item in enumerate(items, 1):
        place = f"message {number}"
        if not isinstance(item, dict) or "role" in item:
            yield Drafted(place, _assistants(item))
        elif _is_entry(item):
            yield Drafted(
                place,
                item["message"],
                item.get("expires_at"),
                beside={name: item[name] for name in ("key", "metadata") if item.get(name)},
            )
        elif item.get("kind") in ("request", "response") and isinstance(item.get("parts"), list):
            yield from _pydantic_ai(place, item)
        elif isinstance(item.get("from"), str) and "value" in item:
            yield Drafted(place, _sharegpt(item))
        elif (data := _langchain(item)) is not None:
            yield Drafted(place, data)
        elif "message" in item:
            beside = ", ".join(repr(name) for name in item if name != "message") or "nothing"
            reason = (
                f"it has no role, but a 'message' and beside it {beside}: "
                "write the message itself, with all that belongs to it"
            )
            yield Drafted(place, item, refused=reason)
        else:
            yield Drafted(place, item)


def _is_entry(item: dict[str, Json]) -> bool:
    """Whether it is what an export of chatstore writes of a message."""
    return (
        item.keys() <= _ENTRY
        and "message" in item
        and all(isinstance(item.get(name), str) for name in ("id", "position"))
    )


def _assistants(item: Json) -> Json:
    """A message of the Assistants API says its text one level deeper than any other."""
    if not isinstance(item, dict) or item.get("object") != "thread.message":
        return item
    content = item.get("content")
    return {**item, "content": [_part(part) for part in content]} if isinstance(content, list) else item


def _part(part: Json) -> Json:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, dict) or not isinstance(text.get("value"), str):
        return part
    further = {name: value for name, value in text.items() if name != "value" and value != []}
    return {**part, "text": text["value"], **further}


def _sharegpt(item: dict[str, Json]) -> Json:
    said = item["from"]
    role = _SHAREGPT.get(said.lower(), said)
    rest = {name: value for name, value in item.items() if name not in ("from", "value")}
    plain = said in ("human", "gpt", role)
    return {"role": role, "content": item["value"], **rest, **({} if plain else {"from": said})}


def _langchain(item: dict[str, Json]) -> dict[str, Json] | None:
    """A message as LangChain writes it: by ``messages_to_dict``, by ``dumpd``, or as the model itself."""
    if isinstance(item.get("kwargs"), dict) and item.get("lc") == 1:
        name = item["id"][-1] if isinstance(item.get("id"), list) and item["id"] else ""
        data = item["kwargs"]
        kind = data.get("type") or str(name).removesuffix("Chunk").removesuffix("Message").lower()
    elif isinstance(item.get("data"), dict) and isinstance(item.get("type"), str):
        data, kind = item["data"], item["type"]
    elif isinstance(item.get("type"), str) and "content" in item and "role" not in item:
        data, kind = item, item["type"]
    else:
        return None
    if not isinstance(kind, str) or "content" not in data:
        return None
    kind = kind.removesuffix("MessageChunk").lower()
    role = data.get("role") if kind == "chat" else _LANGCHAIN.get(kind)
    if not isinstance(role, str):
        return None
    return {"role": role, **{name: value for name, value in data.items() if name not in ("role", "type")}}


def _pydantic_ai(place: str, item: dict[str, Json]) -> Iterator[Drafted]:
    """A request is a message for each of its parts; a response is one, its tool calls beside its content."""
    about = {name: value for name, value in item.items() if name != "parts"}
    parts: list[Json] = item["parts"]
    if item["kind"] == "response":
        yield Drafted(place, {**_response(parts), "pydantic_ai": about})
        return
    for number, part in enumerate(parts, 1):
        where = place if len(parts) == 1 else f"{place}, part {number}"
        role = _PYDANTIC_AI.get(str(part.get("part_kind"))) if isinstance(part, dict) else None
        if role is None:
            reason = (
                fault(part) if isinstance(part, (Unkept, dict)) else None
            ) or "its part_kind is not one of a request"
            yield Drafted(where, None, refused=reason)
            continue
        if part["part_kind"] == "retry-prompt" and part.get("tool_name"):
            role = "tool"
        yield Drafted(where, {"role": role, **part, **({"pydantic_ai": about} if number == 1 else {})})
    if not parts and item.get("instructions"):
        yield Drafted(place, {"role": "system", "content": item["instructions"], "pydantic_ai": about})


def _response(parts: Sequence[Json]) -> dict[str, Json]:
    content: list[Json] = []
    calls: list[Json] = []
    for part in parts:
        kind = part.get("part_kind") if isinstance(part, dict) else None
        if kind == "tool-call":
            rest = {
                name: value
                for name, value in part.items()
                if name not in ("tool_name", "args", "tool_call_id")
            }
            function = {"name": part.get("tool_name"), "arguments": part.get("args")}
            calls.append({"id": part.get("tool_call_id"), "type": "function", "function": function, **rest})
        elif kind == "text":
            content.append({"type": "text", "text": part.get("content"), **_further(part)})
        else:
            content.append({"type": kind, **part} if isinstance(part, dict) else part)
    plain = (
        len(content) == 1 and content[0].keys() == {"type", "text"}
        if content and isinstance(content[0], dict)
        else False
    )
    message: dict[str, Json] = {
        "role": "assistant",
        "content": content[0]["text"] if plain else content or None,
    }
    return {**message, "tool_calls": calls} if calls else message


def _further(part: dict[str, Json]) -> dict[str, Json]:
    return {
        name: value
        for name, value in part.items()
        if name not in ("content", "part_kind") and value is not None
    }
