"""``python -m bench dynamodb``: a conversation of 1,000 turns on DynamoDB, beside LlamaIndex's store.

A turn reads the last 20 messages and adds a question and an answer, against one dynalite. Units are
counted at the wire by one meter for both.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import conversation
from chatstore.backends.dynamodb import DynamoBackend
from chatstore.backends.dynamodb.client import BlockingCalls, Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.contract import system_clock
from chatstore.store import ChatStore
from tests.dynamodb import servers

PEER = Path(__file__).parents[1] / ".venv-peers-llama-index" / "bin" / "python"


def ours(endpoint: str) -> dict[str, Any]:
    """The sums of chatstore, and what two writers left."""

    def opened() -> tuple[ChatStore, Client]:
        client = Client("chatstore", "us-east-1", endpoint, 30.0)
        table = DynamoTable(BlockingCalls(client), client)
        return ChatStore(DynamoBackend(table, system_clock)), client

    store, client = opened()
    store.read("nothing")  # makes the table, as the peer's was made
    traffic = conversation.Traffic(client.client.meta.events)

    def say(turn: list[dict[str, str]]) -> None:
        assert len(store.read(conversation.THREAD, last=conversation.LAST)) <= conversation.LAST
        store.append(conversation.THREAD, *turn)

    found = conversation.run(say, traffic)

    def write(writer: int) -> None:
        mine, _ = opened()
        for number in range(50):
            mine.append("shared", {"role": "user", "content": f"{writer} {number}"})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    return {**found, "of 100": len(list(store.iter_messages("shared")))}


def main() -> None:
    if not PEER.exists() or not servers.dynalite_is_there():
        sys.exit("run `make .venv-peers-llama-index/.installed node_modules/.installed` first")
    with servers.dynalite() as endpoint:
        finished = subprocess.run(
            [PEER, Path(__file__).with_name("llama_index_dynamodb.py"), endpoint],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        theirs = json.loads(finished.stdout)
        mine = ours(endpoint)
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}; dynalite\n"
        f"chatstore beside {theirs['peer']}, sums after so many turns\n"
    )
    print(f"{'':11}{'turns':>6}{'write units':>13}{'read units':>12}{'calls':>8}{'MB':>9}{'seconds':>9}")
    for name, found in (("chatstore", mine), ("LlamaIndex", theirs)):
        for turns, sums in found["told"].items():
            print(
                f"{name:11}{int(turns):>6,}{sums['wru']:>13,.0f}{sums['rru']:>12,.1f}{sums['calls']:>8,.0f}"
                f"{sums['bytes'] / 1e6:>9,.2f}{sums['seconds']:>9,.1f}"
            )
        if found["failed"] is not None:
            turns, error = found["failed"]
            print(f"{'':11}{turns:>6,}  fails: {error}")
        print(f"{'':11}of 100 messages by two writers at once {found['of 100']} are there\n")
