"""Items as they are stored, and messages as items.

An item with a role is a message as it was sent. One without is kept whole inside of one:
``{"role": "assistant" | "tool", "chatstore": {"item": …}}``. An answer has the item as it was sent, under an
id of the store's, with what the clients' models need besides.
"""

from __future__ import annotations

from chatstore.codec import Json, encode
from chatstore.models import Message, Thread, rfc3339
from chatstore.paths import segment

__all__ = ["conversation", "item", "item_id", "listed", "page", "stored"]

_PREFIXES = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "file_search_call": "fs",
    "web_search_call": "ws", "image_generation_call": "ig", "computer_call": "cu",
    "computer_call_output": "cuo", "tool_search_call": "tsc", "tool_search_output": "tso",
    "additional_tools": "at", "configuration_update": "cfg", "reasoning": "rs", "program": "prog",
    "program_output": "progo", "compaction": "cmp", "code_interpreter_call": "ci", "local_shell_call": "lsh",
    "local_shell_call_output": "lsho", "shell_call": "sh", "shell_call_output": "sho",
    "apply_patch_call": "apc", "apply_patch_call_output": "apco", "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr", "mcp_approval_response": "mcpa", "mcp_call": "mcp",
    "custom_tool_call": "ctc", "custom_tool_call_output": "ctco",
}  # fmt: skip
"""How the ids of items begin, by type; others begin with `item`."""

_STATED = frozenset(
    {
        "message", "function_call", "function_call_output", "file_search_call", "web_search_call",
        "image_generation_call", "computer_call", "computer_call_output", "tool_search_call",
        "tool_search_output", "program_output", "code_interpreter_call", "local_shell_call", "shell_call",
        "shell_call_output", "apply_patch_call", "apply_patch_call_output",
    }
)  # fmt: skip
"""Types whose answers always have a status, and whose requests need not."""

_ROLES = frozenset({"user", "assistant", "system", "critic", "discriminator", "developer", "tool"})


def stored(item: dict[str, Json]) -> dict[str, Json]:
    """An item as the message that it is stored as."""
    role = item.get("role")
    if isinstance(role, str) and role:
        return item
    spoken = "tool" if item["type"].endswith(("_output", "_response")) else "assistant"
    return {"role": spoken, "chatstore": {"item": item}}


def item(message: Message) -> dict[str, Json]:
    """A message as an item. Raises CorruptData where its text is damaged."""
    data = message.to_dict()
    inner = data.get("chatstore")
    sent = inner["item"] if isinstance(inner, dict) and isinstance(inner.get("item"), dict) else data
    kind = sent.get("type")
    kind = kind if isinstance(kind, str) and kind else "message"
    shown: dict[str, Json] = {**sent, "id": item_id(kind, message), "type": kind}
    if kind in _STATED and shown.get("status") is None:
        shown["status"] = "completed"
    if kind == "message":
        role = sent.get("role")
        shown["role"] = role if role in _ROLES else "unknown"
        shown["content"] = _parts(shown.get("content"), role)
    return shown


def item_id(kind: str, message: Message) -> str:
    """The id of an item of this type."""
    return f"{_PREFIXES.get(kind, 'item')}_{message.id}"


def page(messages: list[Message], *, more: bool) -> str:
    """Items as a list, as JSON text."""
    items = [item(message) for message in messages]
    return listed(
        [encode(one, "an item") for one in items],
        items[0]["id"] if items else None,
        items[-1]["id"] if items else None,
        more=more,
    )


def listed(texts: list[str], first: str | None, last: str | None, *, more: bool) -> str:
    """Texts of what is listed as a list, as JSON text."""
    ends = encode({"first_id": first, "last_id": last, "has_more": more}, "a list")
    return f'{{"object":"list","data":[{",".join(texts)}],{ends[1:]}'


def conversation(thread: Thread, *, whole: bool = False) -> dict[str, Json]:
    """A thread as a conversation; a `whole` one has what OpenAI's has not, too."""
    shown: dict[str, Json] = {
        "id": segment(thread.id),
        "object": "conversation",
        "created_at": int(thread.created_at.timestamp()),
        "metadata": dict(thread.metadata),
    }
    if whole:
        expires = thread.expires_at
        shown |= {
            "owner": thread.owner,
            "topic": thread.topic,
            "active_at": rfc3339(thread.active_at),
            "expires_at": None if expires is None else rfc3339(expires),
        }
    return shown


def _parts(content: Json, role: Json) -> list[Json]:
    """A message's content as parts: text becomes the part that OpenAI's service makes of it."""
    if content is None:
        return []
    if isinstance(content, list):
        return [_part(one, role) for one in content]
    return [_text(content if isinstance(content, str) else encode(content), role)]


def _part(part: Json, role: Json) -> Json:
    """A part with what the clients' models need, where it was left out."""
    if isinstance(part, str):
        return _text(part, role)
    if isinstance(part, dict) and part.get("type") == "output_text":
        return {"annotations": [], "logprobs": [], **part}
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"detail": "auto", **part}
    return part


def _text(text: str, role: Json) -> dict[str, Json]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
