"""LlamaIndex's chat engine and its agents' memory on chatstore, with its mock model: no API key is needed."""

import asyncio

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import ChatMemoryBuffer, Memory

from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore, LlamaIndexChatStore

# A chat engine, whose memory is a list of messages under a key.
chat_store = LlamaIndexChatStore.from_url("sqlite:///chat.db")  # was: SimpleChatStore()
engine = SimpleChatEngine.from_defaults(
    llm=MockLLM(max_tokens=4),
    memory=ChatMemoryBuffer.from_defaults(chat_store=chat_store, chat_store_key="ada"),
)
for question in ("What is there to see in Lisbon?", "And what does the tram cost?"):
    print(f"user: {question}\nassistant: {engine.chat(question)}")

# Another process, another day: the conversation is where it was.
later = LlamaIndexChatStore.from_url("sqlite:///chat.db")
assert [message.role for message in later.get_messages("ada")][-4:] == ["user", "assistant"] * 2


async def main() -> None:
    # Today's memory, which archives what no longer fits its window.
    db_chat_store = LlamaIndexAsyncDBChatStore.from_url("sqlite:///chat.db")
    memory = Memory.from_defaults(session_id="bob", chat_store=db_chat_store, token_limit=40)
    for number in range(10):
        await memory.aput(ChatMessage(role="user", content=f"This is message number {number}."))
    active = await db_chat_store.count_messages("bob")
    everything = await db_chat_store.count_messages("bob", status=None)
    print(f"{active} of {everything} messages are active, the others archived")
    await db_chat_store.aclose()


asyncio.run(main())
