"""LlamaIndex's chat stores in both of their faces, called in one way; and messages of every kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from chatstore.integrations.llama_index import LlamaIndexChatStore

COLOURS = ("blocking", "async")


class Face(Protocol):
    """A chat store as callers of either colour see it."""

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None: ...
    def get_messages(self, key: str) -> list[ChatMessage]: ...
    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None: ...
    def delete_messages(self, key: str) -> list[ChatMessage] | None: ...
    def delete_message(self, key: str, idx: int) -> ChatMessage | None: ...
    def delete_last_message(self, key: str) -> ChatMessage | None: ...
    def get_keys(self) -> list[str]: ...


class Awaited:
    """The asynchronous methods, each awaited on one loop and named as the blocking ones are."""

    def __init__(self, store: LlamaIndexChatStore, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, "async_add_message" if name == "add_message" else f"a{name}")
        return lambda *args: self._runner.run(method(*args))


@contextlib.contextmanager
def opened(url: str, **options: Any) -> Iterator[LlamaIndexChatStore]:
    """A store that is closed at the end."""
    store = LlamaIndexChatStore.from_url(url, **options)
    try:
        yield store
    finally:
        asyncio.run(store.aclose())


@contextlib.contextmanager
def face(url: str, colour: str) -> Iterator[Face]:
    """A store in one colour."""
    store = LlamaIndexChatStore.from_url(url)
    with asyncio.Runner() as runner:
        try:
            yield store if colour == "blocking" else Awaited(store, runner)
        finally:
            runner.run(store.aclose())


def said(text: str, role: str = "user", **kwargs: Any) -> ChatMessage:
    return ChatMessage(role=MessageRole(role), content=text, additional_kwargs=kwargs)


def texts(messages: list[ChatMessage]) -> list[str | None]:
    return [message.content for message in messages]


BLOCKS = {
    "text": TextBlock(text="“quoted” \\ \x00 \N{FAMILY}\r\n"),
    "empty text": TextBlock(text=""),
    "image bytes": ImageBlock(image=b"\x89PNG\r\n\x1a\n\x00\xff", image_mimetype="image/png", detail="low"),
    "image url": ImageBlock(url="https://example.com/a%20b.png?x=1#y"),
    "image path": ImageBlock(path=Path(__file__)),
    "document path": DocumentBlock(path="/nowhere/terms.pdf"),
    "audio bytes": AudioBlock(audio=b"RIFF\x00\x00\x00\x00WAVE", format="wav"),
    "audio url": AudioBlock(url="https://example.com/a.mp3", format="mp3"),
    "video bytes": VideoBlock(video=b"\x00\x00\x00\x18ftypmp42", video_mimetype="video/mp4", fps=30),
    "video url": VideoBlock(url="https://example.com/a.mp4"),
    "document bytes": DocumentBlock(data=b"%PDF-1.7\x00", title="Terms", document_mimetype="application/pdf"),
    "document url": DocumentBlock(url="https://example.com/terms.pdf", title="Terms"),
    "citable": CitableBlock(
        title="T", source="S", content=[TextBlock(text="cited"), ImageBlock(path=Path(__file__))]
    ),
    "citation": CitationBlock(
        cited_content=TextBlock(text="c"), source="s", title="t", additional_location_info={"page": 3}
    ),
    "thinking": ThinkingBlock(content="hm", num_tokens=7, additional_information={"signature": "abc"}),
    "tool call": ToolCallBlock(tool_call_id="call_1", tool_name="search", tool_kwargs={"q": ["a", 1, None]}),
    "tool call as text": ToolCallBlock(tool_call_id=None, tool_name="search", tool_kwargs='{"q": 1}'),
    "cache point": CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h")),
}
KWARGS: dict[str, Any] = {
    "": None,
    "numbers": [0, -1, 1.5, 2**63, 10**30, 1e300, True],
    "deep": {"tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": '{"x": "ü"}'}}]},
    "role": "not the message's",
    "content": "not the message's",
    "blocks": [1, 2],
    "id": "x",
}
