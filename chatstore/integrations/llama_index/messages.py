"""LlamaIndex's messages as chatstore keeps them, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from llama_index.core.base.llms.types import ChatMessage, CitableBlock, CitationBlock
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from chatstore.codec import Json
from chatstore.errors import CorruptData, InvalidMessage
from chatstore.models import Message

__all__ = ["read", "write"]

_WITH_FILES = ("image", "audio", "video")
_OWN = ("role", "blocks", "content", "additional_kwargs", "chatstore")


def write(message: ChatMessage) -> Message:
    """The form that LlamaIndex itself writes: role, blocks and additional_kwargs, binary data as base64.

    Dates, tuples and the like in `additional_kwargs` take the form that LlamaIndex gives them. Raises
    InvalidMessage for what has none, and for NaN and infinities, which it would turn into null.
    """
    _require_finite(message)
    try:
        return Message.from_dict(message.model_dump(mode="json"))
    except (PydanticSerializationError, AttributeError, TypeError) as error:
        raise InvalidMessage(f"a ChatMessage that cannot be written as JSON: {error}") from error


def _require_finite(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidMessage(f"a ChatMessage holds {value}, which JSON cannot carry: use None or a string")
    if isinstance(value, BaseModel):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _require_finite(item)


def read(messages: Iterable[Message]) -> list[ChatMessage]:
    """The messages that were written, new objects each time.

    A message of another origin is taken as far as LlamaIndex has words for it: a ``content`` becomes a
    text block, fields that LlamaIndex does not know go to `additional_kwargs`. Raises CorruptData for one
    that it cannot hold, such as one of a role that it does not know.
    """
    return [_read(message) for message in messages]


def _read(message: Message) -> ChatMessage:
    data: dict[str, Json] = message.to_dict()
    kwargs = data.get("additional_kwargs", {})
    further = {name: value for name, value in data.items() if name not in _OWN}
    try:
        # Validated without them: of a key "images" LlamaIndex would make blocks, which are there already.
        found = ChatMessage.model_validate(
            {
                name: _portable(data[name])
                for name in ("role", "blocks", "content")
                if data.get(name) is not None
            }
        )
        found.additional_kwargs = {**further, **kwargs}
    except (ValidationError, TypeError) as error:
        raise CorruptData(f"message {message.id!r} is not one that LlamaIndex can hold: {error}") from error
    _put_paths_back(found.blocks, data.get("blocks"))
    return found


def _portable(value: Json) -> Json:
    """Blocks without the paths of files, which LlamaIndex refuses where there is no such file."""
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if isinstance(value, dict):
        return {name: _portable(item) for name, item in value.items() if not _is_path(value, name)}
    return value


def _is_path(block: dict[str, Json], name: str) -> bool:
    return name == "path" and block.get("block_type") in _WITH_FILES and block[name] is not None


def _put_paths_back(blocks: Iterable[object], data: Json) -> None:
    for block, form in zip(blocks, data if isinstance(data, list) else [data], strict=False):
        if not isinstance(form, dict):
            continue
        if "path" in form and _is_path(form, "path"):
            block.path = Path(form["path"])  # type: ignore[attr-defined]
        if isinstance(block, CitableBlock):
            _put_paths_back(block.content, form["content"])
        elif isinstance(block, CitationBlock):
            _put_paths_back([block.cited_content], form["cited_content"])
