"""``python -m bench azure-tables``: a conversation of 1,000 turns, beside LlamaIndex's store for Azure.

Against one Azurite. Each request is a transaction that Azure bills, a group of changes too.
"""

from __future__ import annotations

import sys

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient

from bench import conversation
from bench.conversation.traffic import TableTraffic
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
from chatstore.contract import system_clock
from chatstore.store import ChatStore
from tests.azure_tables import azurite

__all__ = ["main"]


def ours(endpoint: str) -> conversation.Found:
    """The sums of chatstore, and what two writers left."""
    traffic = TableTraffic()

    def opened() -> ChatStore:
        key = AzureNamedKeyCredential(azurite.ACCOUNT, azurite.KEY)
        driver = BlockingDriver(
            lambda: TableClient(endpoint, "chatstore", credential=key, retry_total=0, **traffic.hooks)
        )
        return ChatStore(AzureTablesBackend(driver, TABLES, system_clock))

    store = opened()
    store.append("nothing", {"role": "user", "content": ""})  # makes the table, as the peer's was made
    for name in traffic.sums:
        traffic.sums[name] = 0

    found = conversation.ours(opened, store, traffic.sums)
    # What the peer is asked for at the end as well.
    store.replace_all(conversation.THREAD, conversation.turn(1))
    store.delete_thread(conversation.THREAD)
    return found


def main() -> None:
    if not azurite.PROGRAM.exists():
        sys.exit("run `make node_modules/.installed` first")
    with azurite.running() as endpoint:
        theirs = conversation.peer("peer_azure_tables.py", endpoint, azurite.ACCOUNT, azurite.KEY)
        mine = ours(endpoint)
    conversation.report("Azurite", {"transactions": ("transactions", 0)}, mine, theirs)
