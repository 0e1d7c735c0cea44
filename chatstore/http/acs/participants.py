"""Operations on participants. Each docstring is the operation's text in the reference."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from chatstore.conditions import require_fitting
from chatstore.errors import ThreadNotFound
from chatstore.http.acs import forms, memberships
from chatstore.http.acs.asking import done, request_id, seen, settled, store_of, user_of
from chatstore.http.acs.bodies import Added
from chatstore.http.acs.forms import Given, event
from chatstore.http.acs.parameters import Repeating, Skipping, ThreadPath, Version
from chatstore.http.acs.receipts import paged
from chatstore.http.parameters import NoHeaders
from chatstore.http.replies import reply
from chatstore.http.routing import Call
from chatstore.store.properties import participants_of

__all__ = ["add", "list_participants", "remove"]


async def add(call: Call[ThreadPath, Version, Repeating, Added]) -> Response:
    """Add participants

    Those who take part already stay as they are. Somebody with a `shareHistoryTime` is not shown the history
    before it.
    """
    asked, user, store, repeated = call.body, user_of(call), store_of(call), request_id(call)

    async def attempt() -> None:
        thread = (await seen(call)).thread
        there = {one.id for one in thread.participants}
        new = [forms.member(one) for one in asked.participants if one.id not in there]
        everybody = participants_of([*thread.participants, *new])
        # What would be refused at the end leaves no memberships.
        require_fitting(replace(thread, participants=everybody), thread)
        # Who takes part is led there again: a thread that was deleted and restored leads nobody.
        await memberships.begin_all(store, thread.id, [one.id for one in asked.participants], by=user)
        if not new:
            return
        await store.append(
            thread.id,
            event("participantAdded", user, participants=forms.participants(new)),
            create=False,
            patch={"participants": everybody},
            if_thread=thread.etag,
            request_id=repeated,
        )

    await settled(attempt)
    return reply({"invalidParticipants": list(asked.invalid)}, 201)


async def remove(call: Call[ThreadPath, Version, Repeating, Given]) -> Response:
    """Remove a participant

    Any participant may, and each may leave. From then on the thread is not there for whoever was removed,
    nor for what they had under way.
    """
    gone, user, store, repeated = call.body.id, user_of(call), store_of(call), request_id(call)

    async def attempt() -> None:
        try:
            thread = (await seen(call)).thread
        except ThreadNotFound:
            if await done(call, repeated):
                return
            raise
        them = [one for one in thread.participants if one.id == gone]
        if not them:
            return
        mark = await memberships.mark(store, thread.id, gone)
        # It names what it changed, so that a repetition is no first result: what a participant who was added
        # again has since then is not taken away.
        await store.append(
            thread.id,
            event("participantRemoved", user, participants=forms.participants(them), of=thread.etag),
            create=False,
            patch={"participants": [one for one in thread.participants if one.id != gone]},
            if_thread=thread.etag,
            request_id=repeated,
        )
        await memberships.end(store, thread.id, gone, mark)

    await settled(attempt)
    return Response(status_code=204)


async def list_participants(call: Call[ThreadPath, Skipping, NoHeaders, None]) -> Response:
    """List participants"""
    found = await seen(call)
    return reply(
        paged(call, "participants", forms.participants(found.thread.participants)), cost=found.thread.cost
    )
