"""The route table of this face."""

from __future__ import annotations

from chatstore.http.identity import Scope
from chatstore.http.openai import bodies, conversations, items
from chatstore.http.openai.parameters import (
    ConversationPath,
    ConversationsQuery,
    CutQuery,
    Including,
    ItemPath,
    ItemsQuery,
    Trying,
)
from chatstore.http.parameters import NoHeaders, NoPath, NoQuery
from chatstore.http.routing import Answer, AnyRoute, Body, Route

__all__ = ["ROUTES"]

READ, WRITE = Scope.READ, Scope.WRITE
_TAG = "OpenAI Conversations"
_ALL, _ONE = "/v1/conversations", "/v1/conversations/{id}"
_ITEMS, _ITEM = f"{_ONE}/items", f"{_ONE}/items/{{item_id}}"
_COST = ("Chatstore-Cost",)
_CONVERSATION = Answer("The conversation.", "openai.described.Conversation", _COST)
_CONVERSATIONS = Answer("A page of conversations.", "openai.described.ConversationList", _COST)
_SOME_ITEMS = Answer("The items.", "openai.described.ConversationItemList", _COST)

ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST", path=_ALL, scope=WRITE, tag=_TAG, handler=conversations.create,
        parameters=NoPath, query=NoQuery, headers=Trying,
        body=Body(
            "openai.described.NewConversation", optional=True, plain=bodies.new_conversation,
            drafted=bodies.drafted,
        ),
        answers={200: _CONVERSATION},
    ),
    Route(
        method="GET", path=_ALL, scope=READ, tag=_TAG, handler=conversations.list_conversations,
        parameters=NoPath, query=ConversationsQuery, headers=NoHeaders, body=None,
        answers={200: _CONVERSATIONS}, long=True,
    ),
    Route(
        method="GET", path=_ONE, scope=READ, tag=_TAG, handler=conversations.retrieve,
        parameters=ConversationPath, query=NoQuery, headers=NoHeaders, body=None,
        answers={200: _CONVERSATION},
    ),
    Route(
        method="POST", path=_ONE, scope=WRITE, tag=_TAG, handler=conversations.update,
        parameters=ConversationPath, query=NoQuery, headers=Trying,
        body=Body("openai.described.ConversationUpdate", plain=bodies.update),
        answers={200: _CONVERSATION}, tells=True,
    ),
    Route(
        method="DELETE", path=_ONE, scope=WRITE, tag=_TAG, handler=conversations.delete,
        parameters=ConversationPath, query=NoQuery, headers=Trying, body=None,
        answers={200: Answer("It is gone.", "openai.described.ConversationDeleted", _COST)},
    ),
    Route(
        method="POST", path=_ITEMS, scope=WRITE, tag=_TAG, handler=items.create,
        parameters=ConversationPath, query=Including, headers=Trying,
        body=Body("openai.described.NewItems", plain=bodies.new_items, drafted=bodies.drafted),
        answers={200: _SOME_ITEMS},
    ),
    Route(
        method="GET", path=_ITEMS, scope=READ, tag=_TAG, handler=items.list_items,
        parameters=ConversationPath, query=ItemsQuery, headers=NoHeaders, body=None,
        answers={200: _SOME_ITEMS}, long=True,
    ),
    Route(
        method="DELETE", path=_ITEMS, scope=WRITE, tag=_TAG, handler=items.truncate,
        parameters=ConversationPath, query=CutQuery, headers=Trying, body=None,
        answers={200: _CONVERSATION}, tells=True,
    ),
    Route(
        method="GET", path=_ITEM, scope=READ, tag=_TAG, handler=items.retrieve,
        parameters=ItemPath, query=Including, headers=NoHeaders, body=None,
        answers={200: Answer("The item.", "openai.described.ConversationItem", _COST)},
    ),
    Route(
        method="DELETE", path=_ITEM, scope=WRITE, tag=_TAG, handler=items.delete,
        parameters=ItemPath, query=NoQuery, headers=Trying, body=None,
        answers={200: _CONVERSATION}, tells=True,
    ),
)  # fmt: skip
