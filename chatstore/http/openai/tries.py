"""Which requests this process has not answered, so that their repetitions are known for what they are.

OpenAI's clients say how often they have sent a request before, and not which one it is. But a process knows
the tries that it has refused, failed or still has in hand. A repetition with the same body, path and
credential belongs to one of these. It is carried out under that one's word, so the storage tells whether it
had been carried out already. What has been answered is forgotten. If the answer was lost, its repetition
meets nothing here.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.http.openai.parameters import tries_of
from chatstore.recent import Recent

__all__ = ["Sent", "Tries", "sent"]

_REPEATED = frozenset({408, 409, 429})
"""Statuses that clients repeat a request after, beside 500 and above."""

_SECONDS = 660.0
"""How long a repetition may come after the try that failed: the clients' ten minutes, and a pause."""
_MOST, _ALIKE = 10_000, 20
"""How many bodies are remembered, and how many requests of one."""

_SENT: ContextVar[Sent | None] = ContextVar("sent", default=None)


class Sent:
    """A request of which this process has answered no try yet.

    `word` is random, and the same for all of its tries; `body` is a digest. `first` says whether its first
    try was here. `in_hand` is how many of its tries are under way. When none is, it is kept `until` a time of
    the process's clock.
    """

    def __init__(self, body: str, *, first: bool, late: Recent[str, str]) -> None:
        self.word = secrets.token_hex(16)
        self.body = body
        self.first = first
        self.in_hand = 0
        self.until = 0.0
        self._late = late

    def came_behind(self, written: str) -> bool:
        """Whether this first try came behind its repetition, whose write this names.

        Only one can have: the next one that says the same is told that it has not.
        """
        if self._late.get(written) not in (None, self.word):
            return False
        self._late.put(written, self.word)
        return True


def sent() -> Sent | None:
    """The request that is being carried out; None where the client does not count its tries."""
    return _SENT.get()


class Tries:
    """Stands around the application, where also what is refused early passes by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._unanswered: Recent[bytes, list[Sent]] = Recent(_MOST)
        self._late: Recent[str, str] = Recent(_MOST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers, making = Headers(scope=scope), scope["path"].endswith(("/conversations", "/items"))
        counted = headers.get("x-stainless-retry-count")
        if counted is None or "idempotency-key" in headers or scope["method"] != "POST" or not making:
            await self._app(scope, receive, send)
            return
        tries, body = tries_of(counted), hashlib.sha256()
        found: tuple[bytes, Sent] | None = None
        ended, status = False, 500

        def end() -> None:
            nonlocal ended
            if found is not None and not ended:
                ended = True
                self._ended(*found, answered=status < 500 and status not in _REPEATED)

        async def heard() -> Message:
            nonlocal found
            message = await receive()
            if message["type"] == "http.request" and found is None:
                body.update(message.get("body", b""))
                if not message.get("more_body", False):
                    found = self._begun(scope, tries, body.hexdigest())
                    _SENT.set(found[1])
            return message

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                # Before the client can know, and repeat it.
                status = message["status"]
                end()
            await send(message)

        before = _SENT.set(None)
        try:
            await self._app(scope, heard, answered)
        finally:
            _SENT.reset(before)
            end()

    def _begun(self, scope: Scope, tries: int, body: str) -> tuple[bytes, Sent]:
        """The request that this is a try of, and its key; a new one where none is known that it may be."""
        path: str = scope["path"]
        credential = Headers(scope=scope).get("authorization", "")
        key = hashlib.sha256("\0".join((path, credential, body)).encode()).digest()
        now = time.monotonic()
        alike = self._unanswered.get(key) or []
        known = [one for one in alike if one.in_hand or now < one.until][-_ALIKE:]
        # A conversation is made for one: a try that is still in hand may be about to be answered with it.
        shared = path.endswith("/items")
        fitting = [one for one in known if tries and (shared or not one.in_hand)]
        if fitting:
            one = min(fitting, key=lambda other: other.in_hand)
        else:
            one = Sent(body, first=not tries, late=self._late)
            known.append(one)
        one.in_hand += 1
        self._unanswered.put(key, known)
        return key, one

    def _ended(self, key: bytes, one: Sent, *, answered: bool) -> None:
        """Forget a request that is answered, else keep it for its repetition."""
        one.in_hand -= 1
        one.until = time.monotonic() + _SECONDS
        left = [other for other in self._unanswered.pop(key) or [] if other is not one or not answered]
        if left:
            self._unanswered.put(key, left)
