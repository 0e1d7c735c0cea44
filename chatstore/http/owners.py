"""Operations on an owner as a whole. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from chatstore import api_keys as keys
from chatstore.errors import InvalidArgument
from chatstore.http.parameters import NoHeaders, NoQuery, OwnerPath, TenantPath
from chatstore.http.replies import reply
from chatstore.http.routing import Call
from chatstore.models import Erased

__all__ = ["erase", "erase_tenant"]


async def erase(call: Call[OwnerPath, NoQuery, NoHeaders, None]) -> Response:
    """Erase an owner

    Removes every thread of the owner with its messages, what is remembered of requests about them, and the
    owner's API keys. Where the storage can, they go from its free space, too. Not one atomic step: after a
    failure, repeat it. The counts are of what this request removed.
    """
    forget = partial(call.service.forget_keys, call.store.tenant, call.path.owner)
    erased = await keys.erase(call.store, call.path.owner, by=call.identity.credential, forget=forget)
    return _erased(erased)


async def erase_tenant(call: Call[TenantPath, NoQuery, NoHeaders, None]) -> Response:
    """Erase the tenant

    The caller's own, which the path has to name, so that nobody does it by mistake: every thread, every
    remembered result of a request and every API key of it. Repeat it after a failure.
    """
    if call.path.tenant != call.store.tenant:
        raise InvalidArgument("the path names another tenant: a credential erases only its own")
    forget = partial(call.service.forget_keys, call.store.tenant, None)
    return _erased(await keys.erase_tenant(call.store, by=call.identity.credential, forget=forget))


def _erased(erased: Erased) -> Response:
    body = {
        "threads": erased.threads,
        "messages": erased.messages,
        "requests": erased.requests,
        "keys": erased.keys,
    }
    return reply(body, cost=erased.cost)
