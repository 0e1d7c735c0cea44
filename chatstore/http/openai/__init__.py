"""OpenAI's Conversations API over the store, so that OpenAI's own clients keep conversations here.

Only translation: a conversation is a thread and an item is a message, which the native face shows too.
"""

from __future__ import annotations

from chatstore.http.faces import Face
from chatstore.http.openai.refusals import STATUSES, told
from chatstore.http.openai.routes import ROUTES
from chatstore.http.openai.tries import Tries

__all__ = ["FACE"]

FACE = Face(
    prefix="/v1/conversations",
    routes=ROUTES,
    tell=told,
    error="openai.described.ConversationsError",
    statuses=STATUSES,
    sends=(
        "OpenAI-Organization", "OpenAI-Project", "X-Stainless-Arch", "X-Stainless-Async", "X-Stainless-Lang",
        "X-Stainless-OS", "X-Stainless-Package-Version", "X-Stainless-Retry-Count", "X-Stainless-Runtime",
        "X-Stainless-Runtime-Version", "X-Stainless-Timeout",
    ),
    around=Tries,
)  # fmt: skip
