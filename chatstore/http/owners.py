"""Operations on an owner as a whole. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from starlette.responses import Response

from chatstore.http.parameters import NoHeaders, NoQuery, OwnerPath
from chatstore.http.replies import reply
from chatstore.http.routing import Call
from chatstore.keys import erase as erase_owner

__all__ = ["erase"]


async def erase(call: Call[OwnerPath, NoQuery, NoHeaders, None]) -> Response:
    """Erase an owner

    Removes every thread of the owner with its messages, the remembered results of requests about them, and
    the owner's API keys, from the storage's free space too. Not one atomic step: after a failure, repeat it.
    The counts are of what this request removed.
    """
    erased = await erase_owner(call.store, call.path.owner)
    body = {
        "threads": erased.threads,
        "messages": erased.messages,
        "requests": erased.requests,
        "keys": erased.keys,
    }
    return reply(body, cost=erased.cost)
