"""The route table: every operation of the native API, with the models of what comes in and goes out."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from chatstore.errors import ChatStoreError, Unavailable
from chatstore.http import bodies, finding, messages, owners, threads
from chatstore.http.identity import Scope
from chatstore.http.parameters import (
    IfMatch,
    IfNoneMatch,
    MessagePath,
    Mutation,
    NoHeaders,
    NoPath,
    NoQuery,
    OwnerPath,
    TenantPath,
    ThreadPath,
)
from chatstore.http.problems import NoSuchPath
from chatstore.http.queries import (
    ChangesQuery,
    CountQuery,
    CutQuery,
    MessagesQuery,
    SearchQuery,
    ThreadsQuery,
)
from chatstore.http.receiving import Body
from chatstore.http.replies import reply
from chatstore.http.routing import Answer, AnyRoute, Call, Route

__all__ = ["ROUTES"]

PING_SECONDS = 0.9
_DOCUMENTS_AT_MOST = 16
_MERGE_PATCH = "application/merge-patch+json"
_HTML = "text/html"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Plain = Call[NoPath, NoQuery, NoHeaders, None]


async def healthz(call: Plain) -> Response:  # noqa: ARG001 - asks nothing of anybody
    """Is the process alive?"""
    return reply({"status": "ok"})


async def readyz(call: Plain) -> Response:
    """Does the storage answer?

    Within a second; else 503.
    """
    try:
        await asyncio.wait_for(call.service.store.ping(), PING_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"no answer to a ping within {PING_SECONDS:g} s") from error
    except ChatStoreError as error:
        raise Unavailable(f"the storage does not answer: {error}") from error
    return reply({"status": "ok"})


async def metrics(call: Plain) -> Response:
    """Get what this process has measured

    In Prometheus' text format, of all tenants and naming none; where `CHATSTORE_TELEMETRY` has `prometheus`.
    """
    telemetry = call.service.telemetry
    if telemetry is None or telemetry.prometheus is None:
        raise NoSuchPath(
            "metrics are off: whoever runs the service can add prometheus to CHATSTORE_TELEMETRY"
        )
    return Response(telemetry.prometheus.text(), media_type=_PROMETHEUS)


async def openapi_json(call: Plain) -> Response:
    """Get the OpenAPI document"""
    return _document(call, "application/json")


async def docs(call: Plain) -> Response:
    """Get the reference for people"""
    from chatstore.http import reference

    response = _document(call, _HTML)
    response.headers["Content-Security-Policy"] = reference.CONTENT_SECURITY_POLICY
    return response


def _document(call: Plain, media: str) -> Response:
    made = call.service.documents
    if (call.base, media) not in made:
        # Few instances are ever asked for these, and fewer are mounted in more than one place.
        if len(made) >= _DOCUMENTS_AT_MOST:
            made.clear()
        from chatstore.http import openapi, reference

        service = call.service
        document = openapi.document(service.routes, service.settings, call.base, service.faces)
        made[call.base, "application/json"] = openapi.encoded(document)
        made[call.base, _HTML] = reference.page(document).encode()
    return Response(made[call.base, media], media_type=media)


READ, WRITE = Scope.READ, Scope.WRITE
_COST = "Chatstore-Cost"
_A_THREAD = Answer("The thread.", "Thread", ("ETag", _COST))
_A_NEW_THREAD = Answer("The new thread.", "Thread", ("Location", "ETag", _COST))
_AN_ENTRY = Answer("The message.", "Entry", ("ETag", _COST))
_AN_OLD_ENTRY = Answer("The message as it was.", "Entry", (_COST,))
_A_PAGE = Answer("A page of messages.", "MessagePage", ("Link", "ETag", _COST))
_STORED = Answer("What was stored.", "Appended", ("ETag", _COST))
_TAKEN = Answer("What was taken of it.", "Appended", ("ETag", _COST))
_GONE = Answer("It is gone.", "Deleted", (_COST,))
_CLEARED = Answer("They are gone.", "ClearedOrCut", ("ETag", _COST))
_SAME = Answer("What the caller holds is current.", None, ("ETag",))
_OK = Answer("Yes.", "Health")

ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST", path="/v1/threads", scope=WRITE, tag="Threads", handler=threads.create,
        parameters=NoPath, query=NoQuery, headers=Mutation, body=Body("thread", optional=True),
        answers={201: _A_NEW_THREAD}, problems=(409, 412),
    ),
    Route(
        method="GET", path="/v1/threads", scope=READ, tag="Threads", handler=threads.list_threads,
        parameters=NoPath, query=ThreadsQuery, headers=NoHeaders, body=None,
        answers={200: Answer("A page of threads.", "ThreadPage", ("Link", _COST))}, long=True,
    ),
    Route(
        method="GET", path="/v1/threads/{id}", scope=READ, tag="Threads", handler=threads.get,
        parameters=ThreadPath, query=NoQuery, headers=IfNoneMatch, body=None,
        answers={200: _A_THREAD, 304: _SAME},
    ),
    Route(
        method="PATCH", path="/v1/threads/{id}", scope=WRITE, tag="Threads", handler=threads.update,
        parameters=ThreadPath, query=NoQuery, headers=Mutation,
        body=Body("patch", (_MERGE_PATCH, "application/json")),
        answers={200: _A_THREAD}, problems=(412,), tells=True,
    ),
    Route(
        method="DELETE", path="/v1/threads/{id}", scope=WRITE, tag="Threads", handler=threads.delete,
        parameters=ThreadPath, query=NoQuery, headers=Mutation, body=None,
        answers={200: _GONE}, problems=(412,),
    ),
    Route(
        method="POST", path="/v1/threads/{id}/fork", scope=WRITE, tag="Threads", handler=threads.fork,
        parameters=ThreadPath, query=NoQuery, headers=Mutation, body=Body("fork", optional=True),
        answers={201: _A_NEW_THREAD}, problems=(409, 412), tells=True,
    ),
    Route(
        method="POST", path="/v1/threads/{id}/restore", scope=Scope.ADMIN, tag="Threads",
        handler=threads.restore, parameters=ThreadPath, query=NoQuery, headers=IfMatch,
        body=Body("restoration"), answers={200: _TAKEN}, problems=(409, 412),
    ),
    Route(
        method="POST", path="/v1/threads/{id}/messages", scope=WRITE, handler=messages.append,
        tag="Messages", parameters=ThreadPath, query=NoQuery, headers=Mutation,
        body=Body("turn", plain=bodies.turn, drafted=bodies.drafted_turn),
        answers={201: _STORED}, problems=(409, 412),
    ),
    Route(
        method="GET", path="/v1/threads/{id}/messages", scope=READ, handler=messages.read,
        tag="Messages", parameters=ThreadPath, query=MessagesQuery, headers=IfNoneMatch, body=None,
        answers={200: _A_PAGE, 304: _SAME}, problems=(410,), long=True,
    ),
    Route(
        method="PUT", path="/v1/threads/{id}/messages", scope=WRITE, handler=messages.replace_all,
        tag="Messages", parameters=ThreadPath, query=NoQuery, headers=Mutation,
        body=Body("history", plain=bodies.history, drafted=bodies.drafted_turn),
        answers={200: _STORED}, problems=(409, 412),
    ),
    Route(
        method="DELETE", path="/v1/threads/{id}/messages", scope=WRITE, handler=messages.clear,
        tag="Messages", parameters=ThreadPath, query=CutQuery, headers=Mutation, body=None,
        answers={200: _CLEARED}, problems=(412,),
    ),
    Route(
        method="GET", path="/v1/threads/{id}/messages/{message_id}", scope=READ, handler=messages.get,
        tag="Messages", parameters=MessagePath, query=NoQuery, headers=IfNoneMatch, body=None,
        answers={200: _AN_ENTRY, 304: _SAME},
    ),
    Route(
        method="PUT", path="/v1/threads/{id}/messages/{message_id}", scope=WRITE, handler=messages.replace,
        tag="Messages", parameters=MessagePath, query=NoQuery, headers=Mutation,
        body=Body("message", plain=bodies.message, drafted=bodies.drafted),
        answers={200: _AN_ENTRY}, problems=(412,), tells=True,
    ),
    Route(
        method="PATCH", path="/v1/threads/{id}/messages/{message_id}", scope=WRITE, handler=messages.change,
        tag="Messages", parameters=MessagePath, query=NoQuery, headers=Mutation,
        body=Body("change", (_MERGE_PATCH, "application/json"), drafted=bodies.drafted_change),
        answers={200: _AN_ENTRY}, problems=(412,), tells=True,
    ),
    Route(
        method="DELETE", path="/v1/threads/{id}/messages/{message_id}", scope=WRITE, handler=messages.delete,
        tag="Messages", parameters=MessagePath, query=NoQuery, headers=Mutation, body=None,
        answers={200: _AN_OLD_ENTRY}, problems=(412,), tells=True,
    ),
    Route(
        method="GET", path="/v1/search", scope=READ, tag="Finding", handler=finding.search,
        parameters=NoPath, query=SearchQuery, headers=NoHeaders, body=None,
        answers={200: Answer("A page of messages.", "FoundPage", ("Link", _COST))}, long=True,
    ),
    Route(
        method="GET", path="/v1/changes", scope=READ, tag="Finding", handler=finding.changes,
        parameters=NoPath, query=ChangesQuery, headers=NoHeaders, body=None,
        answers={200: Answer("Threads that became active.", "Changes", (_COST,))}, long=True,
    ),
    Route(
        method="GET", path="/v1/count", scope=READ, tag="Finding", handler=finding.count,
        parameters=NoPath, query=CountQuery, headers=NoHeaders, body=None,
        answers={200: Answer("How many there are.", "Count", (_COST,))},
    ),
    Route(
        method="DELETE", path="/v1/owners/{owner}", tag="Owners", handler=owners.erase, scope=Scope.ADMIN,
        parameters=OwnerPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: Answer("What was removed.", "Erased", (_COST,))},
    ),
    Route(
        method="DELETE", path="/v1/tenants/{tenant}", tag="Owners", handler=owners.erase_tenant,
        scope=Scope.ADMIN, parameters=TenantPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: Answer("What was removed.", "Erased", (_COST,))},
    ),
    Route(
        method="GET", path="/healthz", scope=None, tag="Service", handler=healthz,
        parameters=NoPath, query=NoQuery, headers=NoHeaders, body=None, answers={200: _OK},
    ),
    Route(
        method="GET", path="/readyz", scope=None, tag="Service", handler=readyz,
        parameters=NoPath, query=NoQuery, headers=NoHeaders, body=None, answers={200: _OK},
    ),
    Route(
        method="GET", path="/metrics", scope=Scope.ADMIN, tag="Service", handler=metrics,
        parameters=NoPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: Answer("The metrics.", "Metrics", media=_PROMETHEUS)},
    ),
    Route(
        method="GET", path="/openapi.json", scope=None, tag="Service", handler=openapi_json,
        parameters=NoPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: Answer("The document.", "OpenApi")},
    ),
    Route(
        method="GET", path="/docs", scope=None, tag="Service", handler=docs,
        parameters=NoPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: Answer("The reference.", "Html", media=_HTML)},
    ),
)  # fmt: skip
