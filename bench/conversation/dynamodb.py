"""``python -m bench dynamodb``: a conversation of 1,000 turns on DynamoDB, beside LlamaIndex's store.

Against one dynalite. Units are counted at the wire by one meter for both.
"""

from __future__ import annotations

import sys

from bench import conversation
from bench.conversation.traffic import DynamoTraffic
from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb import DynamoBackend
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.contract import system_clock
from chatstore.store import ChatStore
from tests.dynamodb import servers

__all__ = ["main"]


def ours(endpoint: str) -> conversation.Found:
    """The sums of chatstore, and what two writers left."""

    def opened() -> tuple[ChatStore, Client]:
        client = Client("chatstore", "us-east-1", endpoint, 30.0)
        table = DynamoTable(BlockingCalls(client), client)
        return ChatStore(DynamoBackend(table, system_clock)), client

    store, client = opened()
    store.read("nothing")  # makes the table, as the peer's was made
    traffic = DynamoTraffic(client.client.meta.events)

    return conversation.ours(lambda: opened()[0], store, traffic.sums)


def main() -> None:
    if not servers.dynalite_is_there():
        sys.exit("run `make node_modules/.installed` first")
    with servers.dynalite() as endpoint:
        theirs = conversation.peer("peer_dynamodb.py", endpoint)
        mine = ours(endpoint)
    columns = {"write units": ("wru", 0), "read units": ("rru", 1), "calls": ("calls", 0)}
    conversation.report("dynalite", columns, mine, theirs)
