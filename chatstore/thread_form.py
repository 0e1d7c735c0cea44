"""A thread's properties as JSON that leaves the store: in answers, exports and backups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from chatstore.codec import Json
from chatstore.models import CHAT, Origin, Participant, Thread, rfc3339

__all__ = ["thread_form", "thread_of"]


def thread_form(thread: Thread) -> dict[str, Json]:
    """A thread's properties, without the revision and what only listings have."""
    return {
        "id": thread.id,
        "owner": thread.owner,
        "topic": thread.topic,
        "metadata": thread.metadata,
        "participants": [
            {"id": one.id, "display_name": one.display_name, "metadata": one.metadata}
            for one in thread.participants
        ],
        "created_at": rfc3339(thread.created_at),
        "active_at": rfc3339(thread.active_at),
        "expires_at": None if thread.expires_at is None else rfc3339(thread.expires_at),
        "kind": thread.kind,
        "sliding": None if thread.sliding is None else thread.sliding.total_seconds(),
        "forked_from": None if thread.forked_from is None else thread.forked_from._asdict(),
    }


def thread_of(form: Mapping[str, Json]) -> Thread:
    """The thread that such a form shows, with its revision and what listings have where these are there.

    Forms that were written before there were kinds, sliding expiry and origins have none of them.
    """
    expires, sliding, origin = form["expires_at"], form.get("sliding"), form.get("forked_from")
    return Thread(
        id=form["id"],
        owner=form["owner"],
        topic=form["topic"],
        metadata=form["metadata"],
        participants=tuple(Participant(**one) for one in form["participants"]),
        created_at=datetime.fromisoformat(form["created_at"]),
        active_at=datetime.fromisoformat(form["active_at"]),
        expires_at=None if expires is None else datetime.fromisoformat(expires),
        etag=form.get("etag", ""),
        kind=form.get("kind", CHAT),
        sliding=None if sliding is None else timedelta(seconds=sliding),
        forked_from=None if origin is None else Origin(**origin),
        message_count=form.get("message_count"),
        preview=form.get("preview"),
    )
