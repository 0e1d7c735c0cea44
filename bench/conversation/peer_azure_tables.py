"""A long conversation through LlamaIndex's chat store for Azure. Runs in an environment of its own.

``python peer_azure_tables.py ENDPOINT ACCOUNT KEY`` prints a JSON object: the sums, the failures, and what
two writers left. Its blocking methods fail where a loop was closed, so one loop awaits the others.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # not this folder, whose modules hide the package

warnings.simplefilter("ignore")
from azure.core.credentials import AzureNamedKeyCredential  # noqa: E402
from azure.data.tables import TableServiceClient  # noqa: E402
from azure.data.tables.aio import TableServiceClient as AsyncTableServiceClient  # noqa: E402
from llama_index.core.llms import ChatMessage  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
from llama_index.storage.chat_store.azure import (  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
    AzureChatStore,
)

from bench import conversation  # noqa: E402 - after the path is set
from bench.conversation.traffic import TableTraffic  # noqa: E402


def main(endpoint: str, account: str, key: str) -> None:
    credential = AzureNamedKeyCredential(account, key)
    traffic = TableTraffic()
    with asyncio.Runner() as runner:
        store = AzureChatStore(
            TableServiceClient(endpoint, credential=credential),
            AsyncTableServiceClient(endpoint, credential=credential, **traffic.hooks),
        )
        found = _run(runner, store, traffic)
        runner.run(store._atable_service_client.close())
    package = "llama-index-storage-chat-store-azure"
    print(json.dumps({**found, "peer": f"{package} {version(package)}"}))


def _run(runner: asyncio.Runner, store: Any, traffic: TableTraffic) -> conversation.Found:  # noqa: C901 - one conversation, in its order
    runner.run(store.async_add_message("nothing", ChatMessage(role="user", content="")))  # makes the tables
    for name in traffic.sums:
        traffic.sums[name] = 0

    def say(turn: list[dict[str, str]]) -> None:
        read = runner.run(store.aget_messages(conversation.THREAD))
        assert len(read[-conversation.LAST :]) <= conversation.LAST
        for message in turn:
            runner.run(store.async_add_message(conversation.THREAD, ChatMessage(**message)))

    found = conversation.run(say, traffic.sums)

    def attempt(name: str, call: Coroutine[Any, Any, Any]) -> None:
        try:
            runner.run(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            found["failed"].append(f"{name}: {type(error).__name__}: {error}")

    two = [ChatMessage(**message) for message in conversation.turn(1)]
    attempt("replacing the messages", store.aset_messages(conversation.THREAD, two))
    attempt("deleting the messages", store.adelete_messages(conversation.THREAD))

    refused = 0

    async def write(writer: int) -> None:
        nonlocal refused
        for number in range(conversation.EACH):
            try:
                message = ChatMessage(role="user", content=f"{writer} {number}")
                await store.async_add_message(conversation.SHARED, message)
            except Exception:  # noqa: BLE001 - it is counted
                refused += 1

    async def write_all() -> None:
        await asyncio.gather(*(write(writer) for writer in range(conversation.WRITERS)))

    runner.run(write_all())
    if refused:
        found["failed"].append(f"adding with two writers: {refused} of the messages")
    return {**found, "there": len(runner.run(store.aget_messages(conversation.SHARED)))}


if __name__ == "__main__":
    main(*sys.argv[1:])
