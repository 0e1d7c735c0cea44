"""What a repetition of a request is answered: the first result, from the slot that it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from chatstore import records
from chatstore.contract import Draft, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.making import grown
from chatstore.engines.log.planning import Forgotten
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import EMPTY, Header, Slot
from chatstore.engines.log.staging import arranged
from chatstore.models import Appended

__all__ = ["first_result"]


async def first_result(
    reader: Reader, key: ThreadKey, slot: Slot, drafts: Sequence[Draft], request_id: str, now: int
) -> records.Result:
    """What the request that wrote `slot` was answered. Raises Forgotten where it is no longer known."""
    if slot.result is not None:
        brought = bool(drafts)
        if not drafts and slot.effect is not None:
            text = await reader.text(layout.thread_partition(key), slot.entries[0])
            if text is None:
                raise Forgotten
            drafts = [Draft(text)]
        return records.again(slot.result, drafts, now, request_id, brought=brought)
    if not slot.seals:
        entries = slot.arranged(drafts[slot.kept :])
        etag = slot.totals.etag(slot.epoch)
        return Appended(tuple(entry.message() for entry in entries), etag, slot.kept, slot.told)
    header = cast("Header", slot.header)
    slots = arranged(header.epoch, drafts, slot.token, slot.at, EMPTY)
    entries = tuple(entry for one in slots for entry in one.entries)
    etag = grown(header.base, drafts).etag(header.epoch)
    return Appended(tuple(entry.message() for entry in entries), etag, thread_etag=slot.told)
