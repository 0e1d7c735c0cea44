"""Operations on an owner as a whole. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from starlette.responses import Response

from chatstore.http.parameters import NoHeaders, NoQuery, OwnerPath
from chatstore.http.replies import reply
from chatstore.http.routing import Call

__all__ = ["erase"]


async def erase(call: Call[OwnerPath, NoQuery, NoHeaders, None]) -> Response:
    """Erase an owner

    Removes every thread of the owner with its messages, and the remembered results of requests about
    them, from the storage's free space too. Not one atomic step: after a failure, repeat it. The counts are
    of what this request removed.
    """
    erased = await call.store.erase(call.path.owner)
    body = {"threads": erased.threads, "messages": erased.messages, "requests": erased.requests}
    return reply(body, cost=erased.cost)
