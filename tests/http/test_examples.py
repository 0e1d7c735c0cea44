"""The examples of the OpenAPI document are a story: played from its beginning, it is answered as it says."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

import httpx

import chatstore
from chatstore.http.app import create_app
from chatstore.http.examples import EXAMPLES
from chatstore.http.routes import ROUTES
from tests.http.serving import serving

NEVER_THE_SAME = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{12,14}|MT[\w.]+"
)


def shape(answer: Any) -> Any:
    """An answer without what is never the same."""
    return json.loads(NEVER_THE_SAME.sub("…", json.dumps(answer)))


def test_the_story_is_told_as_it_happens() -> None:
    with serving(create_app(chatstore.aconnect("memory://"))) as base, httpx.Client(base_url=base) as http:
        for one in EXAMPLES:
            answer = http.request(one.method, one.url, json=one.body, headers=one.headers)
            assert answer.status_code == one.status, (one.name, answer.text)
            assert shape(answer.json()) == shape(one.answer), one.name


def test_each_example_is_in_the_document_and_in_the_reference(http: httpx.Client) -> None:
    document: dict[str, Any] = http.get("/openapi.json").json()
    page = http.get("/docs").text
    for one in EXAMPLES:
        operation = document["paths"][one.path][one.method.lower()]
        shown = operation["responses"][str(one.status)]["content"]["application/json"]["examples"]
        assert shown[one.name] == {"summary": one.summary, "value": one.answer}
        parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
        for name, value in {**one.parameters, **one.headers}.items():
            assert {"value": value} in parameters[name]["examples"].values()
        if one.body is not None:
            for content in operation["requestBody"]["content"].values():
                assert content["examples"][one.name]["value"] == one.body
        assert escape(one.summary) in page
        assert escape(f"{one.method} {one.url}") in page


def test_every_operation_that_has_a_new_form_has_an_example() -> None:
    told = {(one.method, one.path) for one in EXAMPLES}
    native = {
        (route.method, route.path) for route in ROUTES if route.tag in ("Threads", "Messages", "Finding")
    }
    left = native - told
    assert left == {
        ("GET", "/v1/threads/{id}"),
        ("DELETE", "/v1/threads/{id}"),
        ("POST", "/v1/threads/{id}/restore"),
        ("PUT", "/v1/threads/{id}/messages"),
        ("PUT", "/v1/threads/{id}/messages/{message_id}"),
    }
