"""What the store takes and gives: messages, threads, participants, pages, cursors, costs.

All of them are immutable snapshots: nothing that is done to one changes what is stored.
"""

from __future__ import annotations

from chatstore.models.cost import Cost
from chatstore.models.message import Message, message_text
from chatstore.models.outcomes import Appended, Deleted, Erased, Swept
from chatstore.models.pages import Entries, Found, Page, Window
from chatstore.models.places import NAMED_BY_KEY, Cursor, Place, ThreadCursor
from chatstore.models.thread import CHAT, Origin, Participant, Thread
from chatstore.wire import from_micros, rfc3339, to_micros

__all__ = [
    "CHAT",
    "NAMED_BY_KEY",
    "Appended",
    "Cost",
    "Cursor",
    "Deleted",
    "Entries",
    "Erased",
    "Found",
    "Message",
    "Origin",
    "Page",
    "Participant",
    "Place",
    "Swept",
    "Thread",
    "ThreadCursor",
    "Window",
    "from_micros",
    "message_text",
    "rfc3339",
    "to_micros",
]
