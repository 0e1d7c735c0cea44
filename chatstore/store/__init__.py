"""The store: what callers use, and the one place where arguments are checked.

`AsyncChatStore` holds the source; `ChatStore` is the same methods stepped to their end without an
event loop, and differs in nothing else.
"""

from chatstore.store.arguments import (
    DEFAULT_LIMIT,
    MAX_KEY_BYTES,
    MAX_KIND_BYTES,
    MAX_LIMIT,
    MAX_MESSAGE_BYTES,
    MAX_METADATA_BYTES,
    MAX_OWNER_BYTES,
    MAX_PARTICIPANTS,
    MAX_REQUEST_ID_BYTES,
    MAX_TENANT_BYTES,
    MAX_THREAD_ID_BYTES,
    MAX_TOPIC_BYTES,
    MAX_TTL,
    MessageLike,
    RequestId,
    Ttl,
)
from chatstore.store.asynchronous import AsyncChatStore
from chatstore.store.stepped import ChatStore

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_KEY_BYTES",
    "MAX_KIND_BYTES",
    "MAX_LIMIT",
    "MAX_MESSAGE_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_OWNER_BYTES",
    "MAX_PARTICIPANTS",
    "MAX_REQUEST_ID_BYTES",
    "MAX_TENANT_BYTES",
    "MAX_THREAD_ID_BYTES",
    "MAX_TOPIC_BYTES",
    "MAX_TTL",
    "AsyncChatStore",
    "ChatStore",
    "MessageLike",
    "RequestId",
    "Ttl",
]
