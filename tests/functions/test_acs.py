"""The chat API of Azure Communication Services in Microsoft's worker library."""

from __future__ import annotations

import json
from typing import Any

from tests.acs.sdk import ENVIRON, token
from tests.functions.test_functions_worker import Worker, call, worker

__all__ = ["worker"]


def asked(method: str, path: str, body: Any = None) -> dict[str, Any]:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    text = "" if body is None else json.dumps(body)
    named = {"x-ms-client-request-id": "once", "authorization": f"Bearer {token('ada')}"}
    return call(method, path, text, **{"content-type": kind, **named})


def test_a_conversation_in_the_worker(worker: Worker) -> None:
    made, again, stranger = worker(
        [asked("POST", "/chat/threads", {"topic": "t"}) for _ in range(2)] + [call("GET", "/chat/threads")],
        CHATSTORE_API_KEYS="",
        **ENVIRON,
    )["answers"][1:]
    assert (made["status"], stranger["status"]) == (201, 401)
    assert json.loads(made["body"]) == json.loads(again["body"])
    thread = f"/chat/threads/{json.loads(made['body'])['chatThread']['id']}"
    answers = worker(
        [
            asked("POST", f"{thread}/messages", {"content": "hello"}),
            asked("PATCH", thread, {"topic": "u"}),
            asked(
                "POST",
                f"{thread}/participants/:add",
                {"participants": [{"communicationIdentifier": {"rawId": "bob"}}]},
            ),
            asked("POST", f"{thread}/participants/:remove", {"rawId": "bob"}),
            asked("POST", f"{thread}/typing", {}),
            asked("GET", f"{thread}/messages?maxPageSize=10&api-version=2024-03-07"),
            asked("GET", f"{thread}/nothing"),
        ],
        CHATSTORE_API_KEYS="",
        **ENVIRON,
    )["answers"][1:]
    assert [one["status"] for one in answers] == [201, 204, 201, 204, 200, 200, 404]
    kinds = [one["type"] for one in json.loads(answers[5]["body"])["value"]]
    assert kinds == [
        "participantRemoved", "participantAdded", "topicUpdated", "text", "topicUpdated", "participantAdded",
    ]  # fmt: skip
    assert json.loads(answers[6]["body"])["error"]["code"] == "NotFound"
