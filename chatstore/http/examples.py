"""Examples of requests and of their answers, which the OpenAPI document and the reference show.

Together they are one story, in the order in which they stand here: each request can be sent after those
before it, and is answered so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from chatstore.codec import Json

__all__ = ["EXAMPLES", "Example"]


class Example(NamedTuple):
    """A request to the operation of a method and a path, and its answer.

    `parameters` are those of the path and of the query, by name.
    """

    name: str
    summary: str
    method: str
    path: str
    parameters: Mapping[str, str]
    body: Json
    status: int
    answer: Json
    headers: Mapping[str, str] = {}

    @property
    def url(self) -> str:
        """Where it is sent."""
        named = {name: quote(value, safe=":") for name, value in self.parameters.items()}
        asked = {name: one for name, one in self.parameters.items() if f"{{{name}}}" not in self.path}
        query = urlencode(asked, quote_via=quote, safe=":*")
        return self.path.format(**named) + (f"?{query}" if query else "")


_AT = "2026-01-31T12:00:00.000000Z"
_LATER = "2026-03-02T12:00:00.000000Z"
_LOG = "7d6bddd99a326c"
_THREADS = "/v1/threads"
_THREAD = "/v1/threads/{id}"
_MESSAGES = "/v1/threads/{id}/messages"
_MESSAGE = "/v1/threads/{id}/messages/{message_id}"
_TRIP = {"id": "trip"}
_ASK = {"role": "user", "content": "A flight to Lisbon?"}
_FIRST = {"role": "assistant", "content": "TP 533 at nine."}
_SECOND = {"role": "assistant", "content": "TP 535 at noon."}
_BACK = {"role": "user", "content": "And back?"}


def _revision(number: int) -> str:
    """An ETag of properties."""
    return f"5c0e{number:010x}"


def _entry(number: int, message: Json, key: str | None, metadata: Json, changes: int = 0) -> dict[str, Json]:
    id = f"019c1424-a800-7000-8000-00000000000{number}"
    return {
        "id": id,
        "position": f"{number:010d}",
        "created_at": _AT,
        "expires_at": None,
        "etag": f"{id[-12:]}.{changes}",
        "key": key,
        "metadata": metadata,
        "message": message,
    }


def _thread(id: str, etag: str, topic: str | None, metadata: Json, **more: Json) -> dict[str, Json]:
    sliding = 2_592_000 if "kind" not in more else None
    thread: dict[str, Json] = {
        "id": id,
        "href": f"{_THREADS}/{id}",
        "owner": "ada",
        "topic": topic,
        "metadata": metadata,
        "participants": [],
        "created_at": _AT,
        "active_at": _AT,
        "expires_at": None if sliding is None else _LATER,
        "etag": etag,
        "kind": "chat",
        "sliding": sliding,
        "forked_from": None,
    }
    return thread | more


def _appended(number: int, changes: int, *items: Json, **more: Json) -> dict[str, Json]:
    log = f"{_LOG}.{number}.{changes}"
    return {"items": [*items], "kept": 0, **more, "etag": log, "href": f"{_THREADS}/trip/messages"}


_BRANCH = _thread(
    "by-train", _revision(3), "Lisbon by train", {"plan": "pro"},
    forked_from={"thread": "trip", "message": _entry(1, _ASK, None, {})["id"]},
)  # fmt: skip

EXAMPLES = (
    Example(
        "first", "Create a thread with everything, if it is not there", "POST", _MESSAGES, _TRIP,
        {"messages": [_ASK], "key": "ask-1", "owner": "ada", "topic": "Lisbon",
         "thread_metadata": {"plan": "pro"}, "ttl": 2_592_000, "sliding": True},
        201, _appended(1, 0, _entry(1, _ASK, "ask-1", {})), {"If-None-Match": "*"},
    ),
    Example(
        "partial", "Begin an answer that is still being written", "POST", _MESSAGES, _TRIP,
        {"messages": [{"role": "assistant", "content": "TP 533"}], "key": "answer-1",
         "metadata": {"state": "partial"}},
        201, _appended(2, 0, _entry(2, {"role": "assistant", "content": "TP 533"}, "answer-1",
                                    {"state": "partial"})),
    ),
    Example(
        "finish", "Finish it: its text and its metadata in one step", "PATCH", _MESSAGE,
        {"id": "trip", "message_id": "key:answer-1"},
        {"message": _FIRST, "metadata": {"state": None}}, 200, _entry(2, _FIRST, "answer-1", {}, 1),
    ),
    Example(
        "rate", "Rate a message: what was sent stays as it is", "PATCH", _MESSAGE,
        {"id": "trip", "message_id": "key:answer-1"},
        {"metadata": {"rating": 5}}, 200, _entry(2, _FIRST, "answer-1", {"rating": 5}, 2),
    ),
    Example(
        "by-key", "Get a message by its key", "GET", _MESSAGE, {"id": "trip", "message_id": "key:answer-1"},
        None, 200, _entry(2, _FIRST, "answer-1", {"rating": 5}, 2),
    ),
    Example(
        "regenerate", "Regenerate: cut behind the question, and add", "POST", _MESSAGES, _TRIP,
        {"messages": [_SECOND], "after": "key:ask-1", "key": "answer-2"},
        201, _appended(4, 2, _entry(4, _SECOND, "answer-2", {})),
    ),
    Example(
        "patch", "Change the topic in the append's own step", "POST", _MESSAGES, _TRIP,
        {"messages": [_BACK], "patch": {"topic": "Lisbon and back"}},
        201, _appended(5, 2, _entry(5, _BACK, None, {}), thread_etag=_revision(2)),
    ),
    Example(
        "behind", "Read what follows a message", "GET", _MESSAGES, {"id": "trip", "after": "key:answer-2"},
        None, 200,
        {"items": [_entry(5, _BACK, None, {})], "next": None, "end": f"{_LOG}~0000000005",
         "etag": f"{_LOG}.5.2", "href": f"{_THREADS}/trip/messages"},
    ),
    Example(
        "search", "Find messages by their words", "GET", "/v1/search", {"text": "noon", "owner": "ada"},
        None, 200,
        {"items": [{"thread_id": "trip", "href": f"{_THREADS}/trip", "snippet": "TP 535 at noon.",
                    "entry": _entry(4, _SECOND, "answer-2", {})}], "next": None},
    ),
    Example(
        "previews", "List threads with counts and previews", "GET", _THREADS,
        {"owner": "ada", "topic_prefix": "Lisbon", "preview": "true"}, None, 200,
        {"items": [_thread("trip", _revision(2), "Lisbon and back", {"plan": "pro"},
                           message_count=3, preview="And back?")], "next": None},
    ),
    Example(
        "truncate", "Take away all that follows a message", "DELETE", _MESSAGES,
        {"id": "trip", "after": "key:answer-2"}, None, 200, _appended(6, 2),
    ),
    Example(
        "branch", "Branch in front of a message", "POST", f"{_THREAD}/fork", _TRIP,
        {"id": "by-train", "before": "key:answer-2", "topic": "Lisbon by train"}, 201, _BRANCH,
    ),
    Example(
        "branches", "List the branches of a thread", "GET", _THREADS, {"forked_from": "trip"}, None, 200,
        {"items": [_BRANCH], "next": None},
    ),
    Example(
        "whole", "Replace metadata whole", "PATCH", _THREAD, _TRIP,
        {"metadata": {"legs": 2}, "merge": False}, 200,
        _thread("trip", _revision(4), "Lisbon and back", {"legs": 2}),
    ),
    Example(
        "kind", "Create a thread that is no conversation", "POST", _THREADS, {},
        {"id": "seats", "kind": "state", "owner": "ada"}, 201,
        _thread("seats", _revision(5), None, {}, kind="state"),
    ),
    Example(
        "count", "Count an owner's threads of every kind", "GET", "/v1/count", {"owner": "ada", "kind": "*"},
        None, 200, {"threads": 3},
    ),
    Example(
        "changes", "Follow what changes: pass next later", "GET", "/v1/changes",
        {"limit": "1", "kind": "state"}, None, 200,
        {"items": [_thread("seats", _revision(5), None, {}, kind="state")],
         "next": "MTc2OTg2MDgwMDAwMDAwMCA.MTc2OTg2MDgwMDAwMDAwMCBzZWF0cw"},
    ),
    Example(
        "delete-by-key", "Delete a message by its key", "DELETE", _MESSAGE,
        {"id": "trip", "message_id": "key:answer-2"}, None, 200, _entry(4, _SECOND, "answer-2", {}),
    ),
)  # fmt: skip
