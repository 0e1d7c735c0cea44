"""The route table is the only source: of what is served, of what is checked, and of the document."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
from starlette.routing import Route

import chatstore
from chatstore.http import openapi
from chatstore.http.app import create_app
from chatstore.http.faces import faces_of, routes_of
from chatstore.http.forms import parameters
from chatstore.http.problems import PROBLEMS
from chatstore.http.routing import AnyRoute
from chatstore.settings import Settings

SETTINGS = Settings(faces="native,openai,acs")
FACES = faces_of(SETTINGS)
ROUTES = routes_of(SETTINGS, FACES)
DOCUMENT: dict[str, Any] = openapi.document(ROUTES, SETTINGS, faces=FACES)


def name(route: AnyRoute) -> str:
    return f"{route.method} {route.path}"


def test_the_app_serves_the_table_and_nothing_else() -> None:
    app = create_app(chatstore.aconnect("memory://"), SETTINGS)
    served = set()
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is not made from the table"
        served |= {f"{method} {route.path}" for method in route.methods or ()}
    heads = {f"HEAD {route.path}" for route in ROUTES if route.method == "GET"}
    assert served == {name(route) for route in ROUTES} | heads


def test_the_document_has_the_table_and_nothing_else() -> None:
    documented = {
        f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert documented == {name(route) for route in ROUTES}


def forms(route: AnyRoute) -> list[Callable[..., Any]]:
    return [route.parameters, route.query, route.headers]


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_route_has_models_for_all_that_comes_and_goes(route: AnyRoute) -> None:
    for form in forms(route):
        assert list(signature(form).parameters) == [field for field, _ in parameters(form).values()]
    assert (route.body is not None) == (route.method in {"POST", "PUT", "PATCH"})
    assert route.answers
    for status, answer in route.answers.items():
        assert 200 <= status < 400
        # Azure's chat API answers most changes with nothing.
        assert answer.shows is not None or status == 304 or route.path.startswith("/chat/threads/")
        assert answer.meaning
    assert {f"{{{one}}}" for one in parameters(forms(route)[0])} == {
        part for part in route.path.split("/") if part.startswith("{")
    }


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_a_route_is_described(route: AnyRoute) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["summary"]
    assert len(operation["parameters"]) == sum(len(parameters(form)) for form in forms(route))
    for parameter in operation["parameters"]:
        assert parameter["description"]
        assert set(parameter["schema"]) > {"type"} or parameter["schema"] == {"type": "string"}
    for answer in operation["responses"].values():
        assert answer["description"]
        for content in answer.get("content", {}).values():
            assert content["schema"]


def test_operation_ids_are_unique() -> None:
    ids = [
        operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()
    ]
    assert len(set(ids)) == len(ROUTES)


def test_every_problem_is_documented_somewhere() -> None:
    documented = {
        int(status)
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert {problem.status for problem in PROBLEMS.values()} <= documented


def test_every_reference_in_the_document_leads_somewhere() -> None:
    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    assert references(DOCUMENT) <= {
        f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]
    }


def test_the_app_is_light_to_import() -> None:
    heavy = "fastapi httpx requests uvicorn mangum azure boto3 sqlite3 pydantic_settings jwt opentelemetry"
    program = f"import sys, chatstore.http.app; print(*set({heavy!r}.split()) & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_messages_are_served_without_pydantic() -> None:
    """It takes as long to load as all the rest, and a new instance answers once that is done."""
    program = """
import asyncio, sys, chatstore
from chatstore.http.app import create_app

app = create_app(chatstore.aconnect("memory://"))

async def call(method, query, body):
    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        if message["type"] == "http.response.start":
            print(message["status"])

    key = method.encode()
    headers = {b"host": b"localhost", b"content-type": b"application/json", b"idempotency-key": key}
    path = "/v1/threads/t/messages"
    await app({"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
               "scheme": "http", "query_string": query, "headers": [*headers.items()]}, receive, send)

for method, query, body in (
    ("POST", b"", b'{"role": "user", "content": "hello"}'),
    ("PUT", b"", b'[{"role": "user", "content": "hello"}]'),
    ("GET", b"last=20", b""),
):
    asyncio.run(call(method, query, body))
print("pydantic" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["201", "200", "200", "False"]
