"""LlamaIndex's own chat stores, in the environment that has them.

Each line of stdin is a job, ``{"kind", "target", "calls": [[method, argument, …], …]}``: the calls are made
on the store of that kind, and the line that is printed says what it then has, ``{key: [message, …]}``, with
null for a thread that it cannot read itself. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")


def peer(name: str) -> Any:
    return importlib.import_module(f"llama_index.storage.chat_store.{name}")


def store(kind: str, target: str) -> Any:
    sqlalchemy = target.replace("postgresql:", "postgresql+psycopg:", 1)
    match kind:
        case "sqlite":
            return peer("sqlite").SQLiteChatStore.from_params(database=target)
        case "sqlalchemy":
            from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

            return SQLAlchemyChatStore("llama_index_memory", async_database_uri=sqlalchemy)
        case "simple":
            from llama_index.core.storage.chat_store import SimpleChatStore

            return SimpleChatStore.from_persist_path(target)
        case "redis":
            return peer("redis").RedisChatStore(redis_url=target)
        case "redis with a lifetime":
            return peer("redis").RedisChatStore(redis_url=target, ttl=3600)
        case "dynamodb":
            return peer("dynamodb").DynamoDBChatStore("chats", resource_kwargs={"endpoint_url": target})
        case "dynamodb with a lifetime":
            return peer("dynamodb").DynamoDBChatStore(
                "chats", resource_kwargs={"endpoint_url": target}, ttl_seconds=3600
            )
        case "azure":
            return peer("azure").AzureChatStore.from_connection_string(target)
        case "postgres" | "postgres with jsonb":
            return peer("postgres").PostgresChatStore.from_params(
                connection_string=sqlalchemy,
                async_connection_string=target.replace("postgresql:", "postgresql+asyncpg:", 1),
                use_jsonb=kind.endswith("jsonb"),
            )
        case "yugabytedb":
            return peer("yugabytedb").YugabyteDBChatStore.from_params(connection_string=sqlalchemy)
        case _:
            raise ValueError(kind)


def awaitable(kind: str, name: str) -> str:
    """What a method is called: Azure's fails where it is not awaited, and SQLAlchemy's knows no other."""
    if kind != "azure":
        return name
    return "async_add_message" if name == "add_message" else f"a{name}"


async def called(target: Any, name: str, arguments: list[Any]) -> Any:
    from llama_index.core.llms import ChatMessage

    def message(value: Any) -> Any:
        if isinstance(value, list):
            return [message(item) for item in value]
        return ChatMessage.model_validate(value) if isinstance(value, dict) else value

    found = getattr(target, name)(*(message(argument) for argument in arguments))
    return await found if inspect.isawaitable(found) else found


async def done(kind: str, target: str, calls: list[list[Any]]) -> dict[str, Any]:
    opened = store(kind, target)
    for name, *arguments in calls:
        await called(opened, awaitable(kind, name), arguments)
    if kind == "simple":
        opened.persist(target)
    everything = [None] if kind == "sqlalchemy" else []
    found: dict[str, Any] = {}
    for key in await called(opened, awaitable(kind, "get_keys"), []):
        try:
            messages = await called(opened, awaitable(kind, "get_messages"), [key, *everything])
            found[key] = [message.model_dump(mode="json") for message in messages]
        except ValueError:
            found[key] = None
    return found


def main() -> None:
    for line in sys.stdin:
        try:
            found = asyncio.run(done(**json.loads(line)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            print(json.dumps({"failed": repr(error)}), flush=True)
        else:
            print(json.dumps({"found": found}), flush=True)


if __name__ == "__main__":
    main()
