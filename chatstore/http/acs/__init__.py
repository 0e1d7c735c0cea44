"""The chat API of Azure Communication Services over the store, so that its own clients chat here.

Only translation: a chat thread is a thread with participants and a chat message is a message, which the
native face shows too.
"""

from __future__ import annotations

from chatstore.http.acs.refusals import STATUSES, told
from chatstore.http.acs.routes import ROUTES
from chatstore.http.faces import Face

__all__ = ["FACE"]

FACE = Face(
    prefix="/chat/threads",
    routes=ROUTES,
    tell=told,
    error="acs.described.Error",
    statuses=STATUSES,
    sends=(
        "x-ms-client-request-id",
        "x-ms-useragent",
        "repeatability-request-id",
        "repeatability-first-sent",
    ),
)
