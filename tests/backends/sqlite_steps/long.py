"""Threads that are long for steps as short as they can be, and what is to be seen of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import chatstore

LONG = 16
"""So many messages are many steps here, where each is as short as it can be."""


def large(number: int) -> dict[str, str]:
    return {"role": "user", "content": f"{number} " + "x" * 300_000}


def fill(
    store: chatstore.ChatStore, thread: str = "long", owner: str | None = None
) -> list[chatstore.Message]:
    return [store.append(thread, large(number), owner=owner).messages[0] for number in range(LONG)]


def told(store: chatstore.ChatStore, thread: str) -> list[int]:
    return [int(str(message.content).split()[0]) for message in store.iter_messages(thread)]


def rows(path: Path, table: str) -> int:
    counts = {"threads": "SELECT count(*) FROM threads", "messages": "SELECT count(*) FROM messages"}
    with sqlite3.connect(path) as database:
        [found] = database.execute(counts[table]).fetchone()
    database.close()
    return int(found)


async def killed(*_: object) -> None:
    """A process that ends behind a write, before it cleans up."""
