"""LlamaIndex's messages as chatstore keeps them, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llama_index.core.base.llms.types import ChatMessage, CitableBlock, CitationBlock
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from chatstore.codec import Json
from chatstore.errors import CorruptData, InvalidMessage
from chatstore.integrations.llama_index.carrying import carried, given_back
from chatstore.integrations.llama_index.parts import Parts, blocks_of
from chatstore.models import Message

__all__ = ["read", "write"]

_FAULTS_SHOWN = 3
_WITH_FILES = ("image", "audio", "video")
_OWN = ("role", "blocks", "content", "additional_kwargs", "chatstore")


def write(message: ChatMessage) -> Message:
    """The form that LlamaIndex itself writes: role, blocks and additional_kwargs, binary data as base64.

    Bytes in free fields come back as bytes. Dates, tuples and the like take the form that LlamaIndex gives
    them. Raises InvalidMessage for what has none, and for what it would silently turn into something else.
    """
    try:
        return Message.from_dict(carried(message).model_dump(mode="json"))
    except InvalidMessage:
        raise
    except (PydanticSerializationError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"a ChatMessage that cannot be written as JSON: {error}") from error


def read(messages: Iterable[Message]) -> list[ChatMessage]:
    """The messages that were written, new objects each time.

    A message of another origin is taken as far as LlamaIndex has words for it: a ``content`` becomes
    blocks, fields that LlamaIndex does not know go to `additional_kwargs`, and so does a ``content`` of
    which blocks cannot say all. Raises CorruptData for one
    that it cannot hold, such as one of a role that it does not know.
    """
    return [_read(message) for message in messages]


def _read(message: Message) -> ChatMessage:
    data: dict[str, Json] = message.to_dict()
    kwargs = given_back(data.get("additional_kwargs", {}))
    further = {name: value for name, value in data.items() if name not in _OWN}
    try:
        # Validated without them: of a key "images" LlamaIndex would make blocks, which are there already.
        own = {name: data[name] for name in ("role", "blocks") if data.get(name) is not None}
        found = ChatMessage.model_validate(given_back(_portable(own)))
        parts = blocks_of(data.get("content"))
        if found.blocks:
            parts = Parts(found.blocks, data.get("content") in (None, found.content))
        found.blocks = parts.blocks
        if not parts.whole:
            further["content"] = data["content"]
        found.additional_kwargs = {**further, **kwargs}
    except (ValidationError, TypeError) as error:
        raise CorruptData(
            f"message {message.id!r} is not one that LlamaIndex can hold{_where(error)}"
        ) from error
    _put_paths_back(found.blocks, data.get("blocks"))
    return found


def _where(error: ValidationError | TypeError) -> str:
    """Which fields do not fit, and of what kind the fault is: the rest of pydantic's text quotes them."""
    if not isinstance(error, ValidationError):
        return ""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    named = (f"{'.'.join(map(str, one['loc']))} ({one['type']})" for one in faults[:_FAULTS_SHOWN])
    return f": {', '.join(named)}"


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
