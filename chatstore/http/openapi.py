"""The OpenAPI document, made from the route table and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from inspect import getdoc
from typing import Any

from pydantic import TypeAdapter

import chatstore
from chatstore import store
from chatstore.codec import MAX_DEPTH, Json
from chatstore.conditions import MAX_MESSAGE_METADATA_BYTES, MAX_PROPERTIES_BYTES
from chatstore.http import schemas
from chatstore.http.faces import Face
from chatstore.http.identity import asks_nobody
from chatstore.http.parameters import Parameter, parameters
from chatstore.http.problems import PROBLEMS, RETRY_AFTER_SECONDS
from chatstore.http.rates import per_minute
from chatstore.http.routing import Answer, AnyRoute
from chatstore.settings import Settings

__all__ = ["document", "encoded"]

_REF = "#/components/schemas/{model}"
_ANY_REQUEST = (400, 403, 404, 405, 421, 422, 429, 500, 501, 503)
_WITH_BODY = (408, 413, 415)
_EVERY_ANSWER = ("Server-Timing", "X-Request-ID", "RateLimit", "RateLimit-Policy")
_TEXT: Mapping[str, Json] = {"type": "string"}
_HEADERS: Mapping[str, Mapping[str, Json]] = {
    "ETag": {"description": "For If-Match.", "schema": {"type": "string", "pattern": '^"[!#-~]*"$'}},
    "Location": {
        "description": "Where it is, as an absolute path.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {"description": 'The next page, as `<path>; rel="next"`; absent at the end.', "schema": _TEXT},
    "Chatstore-Cost": {
        "description": "What the storage bills for this request, such as `dynamodb; wru=1; rru=0`; absent "
        "where the storage does not say.",
        "schema": _TEXT,
    },
    "Server-Timing": {
        "description": "`total;dur=` and the milliseconds that the answer took.",
        "schema": _TEXT,
    },
    "WWW-Authenticate": {"description": "What is asked for: `Bearer`.", "schema": _TEXT},
    "X-Request-ID": {
        "description": "The request's own, if it is 1 to 128 letters, digits and `._~:+/=-`, else a new one: "
        "the service's log has it, too.",
        "schema": _TEXT,
    },
    "RateLimit": {
        "description": "What the caller may still ask and in how many seconds it is all there again, such as "
        '`"default";r=59;t=1`; absent where there is no limit.',
        "schema": _TEXT,
    },
    "RateLimit-Policy": {
        "description": 'How many requests a caller may send in a minute, such as `"default";q=60;w=60`.',
        "schema": _TEXT,
    },
    "Retry-After": {
        "description": "Seconds.",
        "schema": {"type": "integer", "examples": [RETRY_AFTER_SECONDS]},
    },
    "Allow": {"description": "The methods that this path takes.", "schema": _TEXT},
}
_PROBLEM_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    412: ("ETag",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def document(
    routes: Iterable[AnyRoute], settings: Settings, base: str = "", faces: Sequence[Face] = ()
) -> dict[str, Json]:
    """The document for these routes, with the limits that are set, of a service mounted under `base`.

    What is refused at a path of one of `faces` is described as that one tells it.
    """
    routes = tuple(routes)
    described, definitions = _describe(routes, faces)
    schemes = _schemes(settings)
    paths: dict[str, dict[str, Json]] = {}
    for route in routes:
        face = next((one for one in faces if one.has(route.path)), None)
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, face, described, schemes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chatstore",
            "version": chatstore.__version__,
            "description": "Chat histories: threads of ordered messages, the same on every storage. "
            f"A request's body holds at most {settings.max_body_bytes:,} bytes and "
            f"{settings.max_messages:,} messages; an answer with more than "
            f"{settings.max_answer_bytes:,} bytes of messages becomes a shorter page. "
            "All limits are under `x-limits`; 0 there means none.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        **({"servers": [{"url": base}]} if base else {}),
        "x-limits": _limits(settings),
        "paths": _limited(paths, settings),
        "components": {
            "schemas": _limited(definitions, settings),
            **({"securitySchemes": schemes} if schemes else {}),
        },
    }


def encoded(document: Json) -> bytes:
    """The document as JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _limits(settings: Settings) -> dict[str, Json]:
    return {
        "body_bytes": settings.max_body_bytes,
        "body_values": settings.max_body_values,
        "messages": settings.max_messages,
        "message_bytes": store.MAX_MESSAGE_BYTES,
        "nesting": MAX_DEPTH,
        "answer_bytes": settings.max_answer_bytes,
        "page": store.MAX_LIMIT,
        "thread_id_bytes": store.MAX_THREAD_ID_BYTES,
        "owner_bytes": store.MAX_OWNER_BYTES,
        "topic_bytes": store.MAX_TOPIC_BYTES,
        "metadata_bytes": store.MAX_METADATA_BYTES,
        "message_metadata_bytes": MAX_MESSAGE_METADATA_BYTES,
        "key_bytes": store.MAX_KEY_BYTES,
        "kind_bytes": store.MAX_KIND_BYTES,
        "participants": store.MAX_PARTICIPANTS,
        "properties_bytes": MAX_PROPERTIES_BYTES,
        "threads_per_owner": settings.max_threads_per_owner,
        "requests_per_minute": per_minute(settings),
        "concurrency": settings.max_concurrency,
        "request_seconds": settings.request_seconds,
        "body_seconds": settings.body_seconds,
    }


def _describe(routes: tuple[AnyRoute, ...], faces: Sequence[Face]) -> tuple[dict[str, Json], dict[str, Json]]:
    """A schema for each body and model by its name, and the definitions that they refer to."""
    models = {name: _model(name) for name in ("Problem", *(face.error for face in faces))}
    for route in routes:
        if route.body is not None:
            own = route.body.shows in schemas.BODIES
            models[route.body.shows] = (schemas.adapter if own else _model)(route.body.shows)
        for answer in route.answers.values():
            if answer.shows is not None:
                models[answer.shows] = _model(answer.shows)
    found, extra = TypeAdapter.json_schemas(
        [(key, "validation", adapter) for key, adapter in models.items()], ref_template=_REF
    )
    described = {key: _without_defaults(schema) for (key, _), schema in found.items()}
    return described, _without_defaults(extra.get("$defs", {}))


def _model(shows: str) -> TypeAdapter[Any]:
    """The model of this name in `chatstore.http.answers`; a face's has its module's name in front."""
    module, _, name = shows.rpartition(".")
    return TypeAdapter(getattr(import_module(f"chatstore.http.{module or 'answers'}"), name))


def _without_defaults(schema: Json) -> Json:
    """`schema` with what a body's fields are when they are not given in words alone.

    Generators of types take a field with a default for one that is always there, which none has to be.
    """
    if isinstance(schema, list):
        return [_without_defaults(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    left = {key: _without_defaults(value) for key, value in schema.items() if key != "default"}
    if isinstance(schema.get("default"), (bool, int, str)) and schema["default"]:
        told = f"`{json.dumps(schema['default'])}` unless given."
        left["description"] = f"{schema.get('description', '')} {told}".strip()
    return left


def _schemes(settings: Settings) -> dict[str, Json]:
    """How callers can show who they are."""
    if asks_nobody(settings):
        return {}
    text = "An API key (`cs_…`) or a token of the issuer, whichever the service is set up for."
    schemes: dict[str, Json] = {"bearer": {"type": "http", "scheme": "bearer", "description": text}}
    if "api-key" in settings.auth:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    return schemes


def _operation(
    route: AnyRoute, face: Face | None, described: Mapping[str, Json], schemes: Mapping[str, Json]
) -> dict[str, Json]:
    summary, _, text = (getdoc(route.handler) or "").partition("\n")
    operation: dict[str, Json] = {
        "operationId": "_".join(
            [*route.handler.__module__.split(".")[2:], route.handler.__name__]  # below chatstore.http
        ),
        "tags": [route.tag],
        "summary": summary,
        "description": " ".join([*text.split(), *_needed(route)]),
        "security": [{name: [*route.scopes]} for name in schemes] if route.scopes else [],
        "parameters": [
            *_parameters("path", route.parameters),
            *_parameters("query", route.query),
            *_parameters("header", route.headers),
        ],
        "responses": _responses(route, described) if face is None else _told(route, face, described),
    }
    if route.body is not None:
        schema = described[route.body.shows]
        operation["requestBody"] = {
            "required": not route.body.optional,
            "content": {media: {"schema": schema} for media in route.body.media},
        }
    return operation


def _needed(route: AnyRoute) -> tuple[str, ...]:
    named = " and ".join(f"`{scope}`" for scope in route.scopes)
    return (f"Needs the scope {named}.",) if named else ()


def _parameters(where: str, form: type[tuple[Any, ...]]) -> list[Json]:
    return [
        _parameter(where, name, parameter, field not in getattr(form, "_field_defaults", {}))
        for name, (field, parameter) in parameters(form).items()
    ]


def _parameter(where: str, name: str, parameter: Parameter, required: bool) -> dict[str, Json]:
    described = {
        "name": name,
        "in": where,
        "required": required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    deep = parameter.schema["type"] == "object"
    return described | ({"style": "deepObject", "explode": True} if deep else {})


def _responses(route: AnyRoute, described: Mapping[str, Json]) -> dict[str, Json]:
    answers = {str(status): _answer(answer, described) for status, answer in route.answers.items()}
    asked = () if route.scope is None else (401,)
    for status in sorted({*_ANY_REQUEST, *(_WITH_BODY if route.body else ()), *asked, *route.problems}):
        answers[str(status)] = _problem(status, described)
    return answers


def _told(route: AnyRoute, face: Face, described: Mapping[str, Json]) -> dict[str, Json]:
    """The answers of a route of another face."""
    answers = {str(status): _answer(answer, described) for status, answer in route.answers.items()}
    for status, meaning in face.statuses.items():
        answers[str(status)] = {
            "description": meaning,
            "headers": {name: _HEADERS[name] for name in (*_PROBLEM_HEADERS.get(status, ()), *_EVERY_ANSWER)},
            "content": {"application/json": {"schema": described[face.error]}},
        }
    return answers


def _answer(answer: Answer, described: Mapping[str, Json]) -> dict[str, Json]:
    content = {} if answer.shows is None else {answer.media: {"schema": described[answer.shows]}}
    headers = {name: _HEADERS[name] for name in (*answer.headers, *_EVERY_ANSWER)}
    return {"description": answer.meaning, "headers": headers, **({"content": content} if content else {})}


def _problem(status: int, described: Mapping[str, Json]) -> dict[str, Json]:
    meanings = [
        f"`{problem.code}`: {problem.title}." for problem in PROBLEMS.values() if problem.status == status
    ]
    headers = _PROBLEM_HEADERS.get(status, ())
    return {
        "description": " ".join(meanings) or "`method-not-allowed`: the path does not take this method.",
        "headers": {name: _HEADERS[name] for name in (*headers, *_EVERY_ANSWER)},
        "content": {"application/problem+json": {"schema": described["Problem"]}},
    }


def _limited(schema: Json, settings: Settings) -> Json:
    """`schema` with each ``x-limit`` as the number of items that the setting of that name allows."""
    if isinstance(schema, dict):
        limited = {key: _limited(value, settings) for key, value in schema.items() if key != "x-limit"}
        if isinstance(schema.get("x-limit"), str):
            limited["maxItems"] = getattr(settings, schema["x-limit"])
        return limited
    return [_limited(item, settings) for item in schema] if isinstance(schema, list) else schema
