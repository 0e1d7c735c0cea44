"""Contents that other clients write as a list of parts, as LlamaIndex's blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llama_index.core.base.llms.types import ContentBlock
from pydantic import TypeAdapter

from chatstore.codec import Json

__all__ = ["Parts", "blocks_of"]

_NESTED = ("image_url", "source", "input_audio")
_SAID = {
    "type", "text", "image_url", "image_url.url", "image_url.detail", "detail", "source.type", "source.url",
    "source.media_type", "source.data", "title", "input_audio.data", "input_audio.format",
}  # fmt: skip
"""What a part's block says again; a part that says more is kept too."""

_BLOCKS: TypeAdapter[ContentBlock] = TypeAdapter(ContentBlock)


class Parts(NamedTuple):
    """The blocks of a content, and whether they say all of it."""

    blocks: list[ContentBlock]
    whole: bool


def blocks_of(content: Json) -> Parts:
    """A block for each part that LlamaIndex has a word for: text, images, audio, thinking, tool calls."""
    if isinstance(content, str):
        content = [content]
    if not isinstance(content, list):
        return Parts([], content is None)
    found: list[ContentBlock] = []
    whole = True
    for part in content:
        form, says_all = _form(part)
        block = None if form is None else _block(form)
        if block is not None:
            found.append(block)
        whole = whole and says_all and block is not None
    return Parts(found, whole)


def _block(form: dict[str, Json]) -> ContentBlock | None:
    try:
        return _BLOCKS.validate_python(form)
    except (ValueError, TypeError, OSError):
        return None


def _form(part: Json) -> tuple[dict[str, Json] | None, bool]:
    """A part as the fields of a block, and whether these are all that it says."""
    if isinstance(part, str):
        return {"block_type": "text", "text": part}, True
    kind = part.get("type") if isinstance(part, dict) else None
    form = _FORMS[kind](part) if isinstance(kind, str) and kind in _FORMS else None
    if form is None:
        return None, False
    said = {"type", "id", "name", "input"} if kind == "tool_use" else _SAID
    return form, kind == "thinking" or _names(part) <= said


def _names(part: dict[str, Json]) -> set[str]:
    names: set[str] = set()
    for name, value in part.items():
        nested = name in _NESTED and isinstance(value, dict)
        names |= {f"{name}.{each}" for each in value} if nested else {name}
    return names


def _text(part: Json) -> dict[str, Json]:
    return {"block_type": "text", "text": part.get("text")}


def _image(part: Json) -> dict[str, Json] | None:
    image = part.get("image_url")
    if not isinstance(image, dict):
        image = {"url": image, "detail": part.get("detail")}
    return (
        {"block_type": "image", "url": image.get("url"), "detail": image.get("detail")}
        if image.get("url")
        else None
    )


def _source(part: Json) -> dict[str, Json] | None:
    source = part.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("base64", "url"):
        return None
    kind, data = part["type"], "image" if part["type"] == "image" else "data"
    carried = {"url": source.get("url")} if source["type"] == "url" else {data: _bytes(source.get("data"))}
    named = {"title": part["title"]} if kind == "document" and part.get("title") else {}
    return {"block_type": kind, f"{kind}_mimetype": source.get("media_type"), **carried, **named}


def _audio(part: Json) -> dict[str, Json] | None:
    audio = part.get("input_audio")
    if not isinstance(audio, dict):
        return None
    return {"block_type": "audio", "audio": _bytes(audio.get("data")), "format": audio.get("format")}


def _bytes(text: Json) -> Json:
    return text.encode() if isinstance(text, str) else text


def _thinking(part: Json) -> dict[str, Json]:
    further = {name: value for name, value in part.items() if name not in ("type", "thinking")}
    return {"block_type": "thinking", "content": part.get("thinking"), "additional_information": further}


def _call(part: Json) -> dict[str, Json]:
    return {
        "block_type": "tool_call",
        "tool_call_id": part.get("id"),
        "tool_name": part.get("name"),
        "tool_kwargs": part.get("input"),
    }


_FORMS: dict[str, Callable[[Json], dict[str, Json] | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "image_url": _image,
    "input_image": _image,
    "image": _source,
    "document": _source,
    "input_audio": _audio,
    "thinking": _thinking,
    "tool_use": _call,
}
