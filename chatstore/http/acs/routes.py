"""The route table of this face."""

from __future__ import annotations

from chatstore.http.acs import bodies, messages, participants, receipts, threads
from chatstore.http.acs.parameters import (
    MessagePath,
    Messages,
    Repeating,
    Skipping,
    ThreadPath,
    Threads,
    Version,
)
from chatstore.http.identity import Scope
from chatstore.http.parameters import NoHeaders, NoPath
from chatstore.http.receiving import Body
from chatstore.http.routing import Answer, AnyRoute, Route

__all__ = ["ROUTES"]

READ, WRITE = Scope.READ, Scope.WRITE
_TAG = "Azure Communication Services Chat"
_ALL, _ONE = "/chat/threads", "/chat/threads/{id}"
_MESSAGES, _MESSAGE = f"{_ONE}/messages", f"{_ONE}/messages/{{message_id}}"
_PARTICIPANTS, _RECEIPTS = f"{_ONE}/participants", f"{_ONE}/readReceipts"
_COST = ("Chatstore-Cost",)
_MERGE_PATCH = ("application/merge-patch+json", "application/json")
_DONE = Answer("It is done.", None)

ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST", path=_ALL, scope=WRITE, tag=_TAG, handler=threads.create,
        parameters=NoPath, query=Version, headers=Repeating,
        body=Body("acs.described.NewChatThread", plain=bodies.new_thread),
        answers={201: Answer("The new thread.", "acs.described.ThreadCreated")},
    ),
    Route(
        method="GET", path=_ALL, scope=READ, tag=_TAG, handler=threads.list_threads,
        parameters=NoPath, query=Threads, headers=NoHeaders, body=None,
        answers={200: Answer("A page of threads.", "acs.described.ChatThreads")}, long=True,
    ),
    Route(
        method="GET", path=_ONE, scope=READ, tag=_TAG, handler=threads.get,
        parameters=ThreadPath, query=Version, headers=NoHeaders, body=None,
        answers={200: Answer("The thread.", "acs.described.ChatThread", _COST)},
    ),
    Route(
        method="PATCH", path=_ONE, scope=WRITE, tag=_TAG, handler=threads.update,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.ThreadChange", _MERGE_PATCH, plain=bodies.update), answers={204: _DONE},
    ),
    Route(
        method="DELETE", path=_ONE, scope=WRITE, tag=_TAG, handler=threads.delete,
        parameters=ThreadPath, query=Version, headers=Repeating, body=None, answers={204: _DONE},
    ),
    Route(
        method="POST", path=_MESSAGES, scope=WRITE, tag=_TAG, handler=messages.send,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.NewMessage", plain=bodies.sent),
        answers={201: Answer("It is sent.", "acs.described.SentMessage", _COST)},
    ),
    Route(
        method="GET", path=_MESSAGES, scope=READ, tag=_TAG, handler=messages.list_messages,
        parameters=ThreadPath, query=Messages, headers=NoHeaders, body=None,
        answers={200: Answer("A page of messages.", "acs.described.ChatMessages", _COST)}, long=True,
    ),
    Route(
        method="GET", path=_MESSAGE, scope=READ, tag=_TAG, handler=messages.get,
        parameters=MessagePath, query=Version, headers=NoHeaders, body=None,
        answers={200: Answer("The message.", "acs.described.ChatMessage", _COST)},
    ),
    Route(
        method="PATCH", path=_MESSAGE, scope=WRITE, tag=_TAG, handler=messages.update,
        parameters=MessagePath, query=Version, headers=Repeating,
        body=Body("acs.described.MessageChange", _MERGE_PATCH, plain=bodies.edit), answers={204: _DONE},
    ),
    Route(
        method="DELETE", path=_MESSAGE, scope=WRITE, tag=_TAG, handler=messages.delete,
        parameters=MessagePath, query=Version, headers=Repeating, body=None, answers={204: _DONE},
    ),
    Route(
        method="GET", path=_PARTICIPANTS, scope=READ, tag=_TAG, handler=participants.list_participants,
        parameters=ThreadPath, query=Skipping, headers=NoHeaders, body=None,
        answers={200: Answer("A page of participants.", "acs.described.ChatParticipants", _COST)},
    ),
    Route(
        method="POST", path=f"{_PARTICIPANTS}/:add", scope=WRITE, tag=_TAG, handler=participants.add,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.NewParticipants", plain=bodies.added),
        answers={201: Answer("They are added.", "acs.described.AddedParticipants")},
    ),
    Route(
        method="POST", path=f"{_PARTICIPANTS}/:remove", scope=WRITE, tag=_TAG, handler=participants.remove,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.Identifier", plain=bodies.removed), answers={204: _DONE},
    ),
    Route(
        method="POST", path=_RECEIPTS, scope=WRITE, tag=_TAG, handler=receipts.send,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.NewReceipt", plain=bodies.receipt), answers={200: _DONE},
    ),
    Route(
        method="GET", path=_RECEIPTS, scope=READ, tag=_TAG, handler=receipts.list_receipts,
        parameters=ThreadPath, query=Skipping, headers=NoHeaders, body=None,
        answers={200: Answer("A page of receipts.", "acs.described.Receipts", _COST)},
    ),
    Route(
        method="POST", path=f"{_ONE}/typing", scope=WRITE, tag=_TAG, handler=receipts.typing,
        parameters=ThreadPath, query=Version, headers=Repeating,
        body=Body("acs.described.Notice", optional=True, plain=bodies.typing), answers={200: _DONE},
    ),
)  # fmt: skip
