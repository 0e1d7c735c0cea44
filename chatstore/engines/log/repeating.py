"""What a repetition of a request is answered: the first result, from the slot that it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from chatstore import records
from chatstore.contract import Draft, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import look
from chatstore.engines.log.making import grown
from chatstore.engines.log.planning import Forgotten
from chatstore.engines.log.port import Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import EMPTY, Header, Slot
from chatstore.engines.log.staging import arranged
from chatstore.models import Appended

__all__ = ["first_result"]


async def first_result(
    table: Table,
    reader: Reader,
    key: ThreadKey,
    slot: Slot,
    drafts: Sequence[Draft],
    request_id: str,
    now: int,
) -> records.Result:
    """What the request that wrote `slot` was answered.

    Raises Forgotten where it is no longer known, and RequestExpired where it shows what has expired.
    """
    if slot.result is not None:
        brought = bool(drafts)
        if not drafts and slot.entries:
            text = await reader.text(layout.thread_partition(key), slot.entries[0])
            if text is None:
                raise Forgotten
            drafts = [Draft(text)]
        first = records.remembered(slot.result, drafts, request_id, brought=brought)
        expires = None
        if first.shows:
            # What is known of the thread may be from before its expiry was changed.
            header = (await look(table, layout.thread_partition(key))).header
            expires = None if header is None else header.shown_until(slot)
        return first.given(request_id, now, expires)
    if not slot.seals:
        entries = slot.arranged(drafts[slot.kept :])
        etag = slot.totals.etag(slot.epoch)
        return Appended(tuple(entry.message() for entry in entries), etag, slot.kept, slot.told)
    header = cast("Header", slot.header)
    slots = arranged(header.epoch, drafts, slot.token, slot.at, EMPTY)
    entries = tuple(entry for one in slots for entry in one.entries)
    etag = grown(header.base, drafts).etag(header.epoch)
    return Appended(tuple(entry.message() for entry in entries), etag, thread_etag=slot.told)
