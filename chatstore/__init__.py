"""chatstore keeps conversations: threads of ordered messages, the same on every storage.

::

    store = chatstore.connect("sqlite:///chat.db")
    store.append("thread-1", {"role": "user", "content": "hello"})
    store.read("thread-1", last=20)

`connect` gives a `ChatStore` for callers that block, `aconnect` an `AsyncChatStore` with the same
methods awaited. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore.contract import UNSET, Backend, Capability
    from chatstore.errors import (
        ChatStoreError,
        ClockUncertain,
        ConfigurationError,
        Conflict,
        CorruptData,
        CursorExpired,
        InvalidArgument,
        InvalidCursor,
        InvalidMessage,
        MessageExists,
        MessageNotFound,
        MessageTooLarge,
        NotFound,
        RequestExpired,
        RequestMismatch,
        StorageError,
        ThreadExists,
        ThreadNotFound,
        Unavailable,
        Unsupported,
    )
    from chatstore.ids import uuid7
    from chatstore.models import (
        Appended,
        Cost,
        Cursor,
        Deleted,
        Found,
        Message,
        Origin,
        Page,
        Participant,
        Swept,
        Thread,
        Window,
    )
    from chatstore.opening import aconnect, connect
    from chatstore.store import AsyncChatStore, ChatStore, RequestId

__version__ = "0.1.0"

_HOMES = {
    "contract": ("UNSET", "Backend", "Capability"),
    "errors": (
        "ChatStoreError",
        "ClockUncertain",
        "ConfigurationError",
        "Conflict",
        "CorruptData",
        "CursorExpired",
        "InvalidArgument",
        "InvalidCursor",
        "InvalidMessage",
        "MessageExists",
        "MessageNotFound",
        "MessageTooLarge",
        "NotFound",
        "RequestExpired",
        "RequestMismatch",
        "StorageError",
        "ThreadExists",
        "ThreadNotFound",
        "Unavailable",
        "Unsupported",
    ),
    "ids": ("uuid7",),
    "models": (
        "Appended",
        "Cost",
        "Cursor",
        "Deleted",
        "Found",
        "Message",
        "Origin",
        "Page",
        "Participant",
        "Swept",
        "Thread",
        "Window",
    ),
    "opening": ("aconnect", "connect"),
    "store": ("AsyncChatStore", "ChatStore", "RequestId"),
}
_MODULES = {name: f"chatstore.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
    "UNSET",
    "Appended",
    "AsyncChatStore",
    "Backend",
    "Capability",
    "ChatStore",
    "ChatStoreError",
    "ClockUncertain",
    "ConfigurationError",
    "Conflict",
    "CorruptData",
    "Cost",
    "Cursor",
    "CursorExpired",
    "Deleted",
    "Found",
    "InvalidArgument",
    "InvalidCursor",
    "InvalidMessage",
    "Message",
    "MessageExists",
    "MessageNotFound",
    "MessageTooLarge",
    "NotFound",
    "Origin",
    "Page",
    "Participant",
    "RequestExpired",
    "RequestId",
    "RequestMismatch",
    "StorageError",
    "Swept",
    "Thread",
    "ThreadExists",
    "ThreadNotFound",
    "Unavailable",
    "Unsupported",
    "Window",
    "__version__",
    "aconnect",
    "connect",
    "uuid7",
]


if not TYPE_CHECKING:  # for a checker, a name that is not imported above is none

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'chatstore' has no attribute {name!r}")
        value: object = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
