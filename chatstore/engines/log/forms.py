"""How rows are stored: a line of JSON, and behind it the messages' texts as they are.

The whole is compressed where that saves a billed unit.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chatstore.engines.log.port import Row
from chatstore.errors import CorruptData
from chatstore.models import CHAT, Origin, Participant, Thread, from_micros, to_micros
from chatstore.wire import micros_of

__all__ = ["packed", "thread", "thread_of", "unpacked"]

UNIT = 1024
_PLAIN, _DEFLATED = b"\0", b"\1"


def thread(thread: Thread) -> list[Any]:
    """The form of a thread's properties."""
    form = [
        thread.id,
        thread.owner,
        thread.topic,
        thread.metadata,
        [[one.id, one.display_name, one.metadata] for one in thread.participants],
        to_micros(thread.created_at),
        None if thread.expires_at is None else to_micros(thread.expires_at),
        thread.etag,
    ]
    unusual = _unusual(thread)
    return [*form, unusual] if unusual else form


def thread_of(form: list[Any]) -> Thread:
    """The properties that a form holds."""
    id, owner, topic, metadata, participants, created, expires, etag, *unusual = form
    more: dict[str, Any] = unusual[0] if unusual else {}
    return Thread(
        id,
        owner,
        topic,
        metadata,
        tuple(Participant(*fields) for fields in participants),
        from_micros(created),
        from_micros(created),
        None if expires is None else from_micros(expires),
        etag,
        more.get("kind", CHAT),
        timedelta(microseconds=more["sliding"]) if "sliding" in more else None,
        Origin(*more["from"]) if "from" in more else None,
    )


def _unusual(thread: Thread) -> dict[str, Any]:
    """What few threads have, so that others are no longer for it."""
    unusual: dict[str, Any] = {} if thread.kind == CHAT else {"kind": thread.kind}
    if thread.sliding is not None:
        unusual["sliding"] = micros_of(thread.sliding)
    if thread.forked_from is not None:
        unusual["from"] = thread.forked_from
    return unusual


def packed(form: dict[str, Any], texts: Sequence[str], overhead: int = 0) -> bytes:
    """The body of a row; the row has `overhead` bytes beside it."""
    line = json.dumps(form, ensure_ascii=False, separators=(",", ":"))
    body = "".join((line, "\n", *texts)).encode()
    if (overhead + len(body)) > UNIT:
        small = zlib.compress(body, 6)
        if -(-(overhead + len(small)) // UNIT) < -(-(overhead + len(body)) // UNIT):
            return _DEFLATED + small
    return _PLAIN + body


def unpacked(row: Row) -> tuple[dict[str, Any], bytes]:
    """The line and the texts of a row. Raises CorruptData."""
    body = row["b"]
    if not isinstance(body, bytes) or body[:1] not in (_PLAIN, _DEFLATED):
        raise CorruptData(f"the row {row['sk']!r} was not written by chatstore, or by a newer one")
    try:
        plain = zlib.decompress(body[1:]) if body[:1] == _DEFLATED else body[1:]
        line, _, texts = plain.partition(b"\n")
        return json.loads(line), texts
    except (zlib.error, ValueError) as error:
        raise CorruptData(f"the row {row['sk']!r} cannot be read") from error
