"""Histories as a whole: one that is begun, and one that takes the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from chatstore.conditions import created, require
from chatstore.contract import Cut, Draft, NewThread, ThreadKey, ThreadPatch
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.transactions import Tables
from chatstore.errors import ThreadNotFound
from chatstore.models import Appended

__all__ = ["begun", "replaced"]


async def begun(
    tables: Tables,
    key: ThreadKey,
    drafts: Sequence[Draft],
    create: NewThread | None,
    cut: Cut | None,
    patch: ThreadPatch | None,
    if_match: str | None,
    if_thread: str | None,
) -> tuple[Log, str | None]:
    """The log of a thread that an append makes, advanced, and the etag of its properties where it is told.

    Raises ThreadNotFound where the append may not make one, and Conflict.
    """
    require(if_match, None)
    require(if_thread, None)
    if create is None or cut is not None:
        raise ThreadNotFound(key.id)
    await tables.threads.create(key, create if patch is None else created(create, patch))
    log = cast("Log", await tables.threads.advance(key, len(drafts)))
    told = patch is not None or if_thread is not None
    return log, (await tables.threads.get(key)).etag if told else None


async def replaced(tables: Tables, key: ThreadKey, log: Log, drafts: Sequence[Draft]) -> Appended:
    """Make `drafts` the history, by adding what is new where the rest is there already."""
    kept = await tables.messages.kept(log, drafts)
    if kept is None:
        kept = 0
        log = log._replace(key=await tables.hidden.empty(log.key))
        log = await tables.threads.begin_epoch(log, emptied=True)
    if kept == len(drafts):
        return Appended((), log.etag, kept)
    await tables.messages.require_new_keys(key, log, drafts[kept:])
    moved = cast("Log", await tables.threads.advance(key, len(drafts) - kept))
    return await tables.messages.add(moved, drafts[kept:], kept)
