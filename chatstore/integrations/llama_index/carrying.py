"""What JSON has no word for in a ChatMessage: bytes are carried, and what would be lost is refused."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from types import GeneratorType
from typing import TypeVar

from llama_index.core.base.llms.types import BaseContentBlock, ChatMessage
from pydantic import BaseModel

from chatstore.codec import Json
from chatstore.errors import InvalidMessage

__all__ = ["carried", "given_back"]

M = TypeVar("M", bound=BaseModel)

_BYTES = "chatstore:bytes"
_UNORDERED = (list, tuple, set, frozenset, deque, GeneratorType)


def carried(message: ChatMessage) -> ChatMessage:
    """`message` as LlamaIndex can write it, with bytes in its free fields as ``{"chatstore:bytes": base64}``.

    Raises InvalidMessage, with the place, for what would come back as something else without a word:
    NaN, infinities, a bytearray, two keys of one text.
    """
    return _model(message, "")


def given_back(value: Json) -> Json:
    """`value` with the bytes that were `carried` in it."""
    if isinstance(value, list):
        return [given_back(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_BYTES} and isinstance(value[_BYTES], str):
        try:
            return base64.b64decode(value[_BYTES], validate=True)
        except binascii.Error:
            return value
    return {name: given_back(item) for name, item in value.items()}


def _model(model: M, place: str) -> M:
    """A copy of a message or block. Its own binary fields are LlamaIndex's to write; all others are free."""
    fields = {**vars(model), **(model.__pydantic_extra__ or {})}
    return model.model_copy(
        update={
            name: value
            if isinstance(value, bytes) and name in vars(model)
            else _field(value, _at(place, name))
            for name, value in fields.items()
        }
    )


def _field(value: object, place: str) -> object:
    if isinstance(value, BaseContentBlock):
        return _model(value, place)
    if isinstance(value, Enum):
        return value  # such as a role, which LlamaIndex declares
    if isinstance(value, list):
        return [_field(item, f"{place}[{number}]") for number, item in enumerate(value)]
    return _plain(value, place)


def _plain(value: object, place: str) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidMessage(
            f"a ChatMessage holds {value} at {place}, which JSON cannot carry: use None or text"
        )
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, (bytearray, memoryview)):
        raise InvalidMessage(f"a ChatMessage holds a {type(value).__name__} at {place}: make it bytes")
    if isinstance(value, Enum):
        return _plain(value.value, place)
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return _mapping(value, place)
    if isinstance(value, _UNORDERED):
        items: Iterable[object] = value
        return [_plain(item, f"{place}[{number}]") for number, item in enumerate(items)]
    return value


def _mapping(value: Mapping[object, object], place: str) -> dict[object, object]:
    if value.keys() == {_BYTES}:
        raise InvalidMessage(
            f"a ChatMessage has the key {_BYTES!r} at {place}, which stands for bytes: rename it"
        )
    for key in value:
        if isinstance(key, bytes) or (isinstance(key, float) and not math.isfinite(key)):
            raise InvalidMessage(f"a ChatMessage has the key {key!r} at {place}: keys are text")
    if len({str(key) for key in value}) < len(value):
        raise InvalidMessage(f"a ChatMessage has keys at {place} that are the same as text")
    return {key: _plain(item, _at(place, str(key))) for key, item in value.items()}


def _at(place: str, name: str) -> str:
    return f"{place}.{name[:40]}" if place else name
