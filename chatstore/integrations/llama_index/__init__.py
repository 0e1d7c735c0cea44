"""LlamaIndex's chat stores on chatstore: `LlamaIndexChatStore` and `LlamaIndexAsyncDBChatStore`.

Needs the extra ``llama-index``. Importing it makes the first one known to LlamaIndex's
loader, so that a memory that was written with it can be read back.
"""

from llama_index.core.storage.chat_store.loading import RECOGNIZED_CHAT_STORES

from chatstore.integrations.llama_index.chat_store import LlamaIndexChatStore
from chatstore.integrations.llama_index.db_chat_store import LlamaIndexAsyncDBChatStore

__all__ = ["LlamaIndexAsyncDBChatStore", "LlamaIndexChatStore"]

RECOGNIZED_CHAT_STORES[LlamaIndexChatStore.class_name()] = LlamaIndexChatStore  # type: ignore[assignment]
