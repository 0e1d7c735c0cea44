"""AWS Lambda: events of gateways, function URLs and load balancers as requests to the service.

Each of them carries a request and its answer whole, inside JSON that Lambda cuts off at 6 MB and a load
balancer at 1 MB. An answer repeats the body that was taken, with up to 200 bytes more for each message. The
limits below are chosen so that this answer is carried back in any case.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote

from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.http.carried import CARRIED, Carried
from chatstore.http.problems import AnswerTooLong, Malformed, problem_response
from chatstore.settings import Settings

__all__ = ["FUNCTION_URL", "HTTP_API", "LOAD_BALANCER", "REST_API", "Function", "fitted"]

_MEBI = 1024 * 1024
_LONGEST_ESCAPE = 12
"""The most bytes that one character takes in JSON: those beyond the sixteen-bit ones are two escapes."""


class Kind(NamedTuple):
    """How one kind of event carries requests: sizes in bytes, and what its paths and answers may look like.

    `body` counts a body as it stands in the event, `answer` a whole answer; `page` is the text of one.
    `decoded`: its path is percent-decoded already. `base64`: an answer's base64 is decoded on the way.
    """

    body: int
    answer: int
    page: int
    decoded: bool = False
    base64: bool = True


# Base64 makes four bytes of three, and of what is stored an answer to the first two holds 4 MiB. Where it
# is not at hand, text may grow threefold: the runtimes up to Python 3.11 write two bytes of UTF-8 as six.
HTTP_API = Kind(5_800_000, 6 * _MEBI, 4 * _MEBI, decoded=True)
FUNCTION_URL = Kind(5_800_000, 6 * _MEBI, 4 * _MEBI)
REST_API = Kind(5_800_000, 6 * _MEBI, 3 * _MEBI // 2, base64=False)
LOAD_BALANCER = Kind(700_000, 1_000_000, _MEBI // 2)


def _kind_of(event: Mapping[str, Any]) -> Kind:
    context = event["requestContext"]
    if "elb" in context:
        return LOAD_BALANCER
    if "version" not in event:
        # What came in base64 shows that this gateway is set up to decode it, too.
        return REST_API._replace(base64=bool(event.get("isBase64Encoded")))
    return FUNCTION_URL if ".lambda-url." in context.get("domainName", "") else HTTP_API


def fitted(settings: Settings) -> Settings:
    """`settings` as Lambda allows them: nothing runs between two events, nothing beyond 6 MB is carried."""
    return replace(
        settings,
        sweep_every=0,
        max_body_bytes=min(settings.max_body_bytes, 4 * _MEBI),
        max_answer_bytes=min(settings.max_answer_bytes, 4 * _MEBI),
    )


class Function:
    """Answers events with `app`. Its instance is made once and answers one event after another."""

    def __init__(self, app: ASGIApp) -> None:
        # All that the service says is text, problems included; with a lifespan, each event would be one.
        self._adapter = Mangum(_Front(app), lifespan="off", text_mime_types=["text/", "application/"])

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """The answer to `event`, in its own form. Raises RuntimeError for an event that is no request."""
        try:
            answer = self._adapter(event, context)  # type: ignore[arg-type]  # it is only handed through
        except (KeyError, ValueError) as error:
            return _problem(Malformed(f"the event is no request that can be read: {_at(error)}"), event)
        return _fitting(answer, _kind_of(event))


def _at(error: Exception) -> str:
    """What is wrong with an event: a name that it lacks, but never what it holds."""
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else type(error).__name__


class _Front:
    """Puts into the ASGI scope what the adapter leaves out of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event: dict[str, Any] = scope["aws.event"]
        kind = _kind_of(event)
        root, sent = _mounted(event)
        scope["path"] = root + (sent if kind.decoded else unquote(sent))
        scope["raw_path"] = None if kind.decoded else f"{root}{sent}".encode()
        scope["root_path"] = root
        scope[CARRIED] = Carried("AWS Lambda", _carried(event, kind), kind.body, kind.page)
        if kind is LOAD_BALANCER:
            # The balancer adds the caller's address to whatever the caller said before.
            address, _ = scope["client"]
            scope["client"] = address.rpartition(",")[2].strip(), 0
        await self._app(scope, receive, send)


def _mounted(event: Mapping[str, Any]) -> tuple[str, str]:
    """The stage that stands before the service's paths, "/prod" or "", and the path after it."""
    context = event["requestContext"]
    path: str = event.get("rawPath") or event.get("path") or "/"
    if "version" in event:
        stage = f"/{context.get('stage')}"
        return (stage, path.removeprefix(stage)) if path.startswith(f"{stage}/") else ("", path)
    whole: str = context.get("path") or path
    return (whole.removesuffix(path) if whole.endswith(path) else "", path)


def _carried(event: Mapping[str, Any], kind: Kind) -> int:
    """How many bytes the body takes in the event, or in the answer that repeats it."""
    body: str = event.get("body") or ""
    if event.get("isBase64Encoded") or len(body) * _LONGEST_ESCAPE <= kind.body:
        return len(body)
    if kind.base64:
        return max(len(json.dumps(body, ensure_ascii=False).encode()), len(body.encode()) * 4 // 3)
    return len(json.dumps(body))


def _fitting(answer: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """`answer`, in base64 if only that is carried; a problem if nothing is."""
    body: str = answer.get("body", "")
    if len(body) * _LONGEST_ESCAPE <= kind.answer // 2 or len(json.dumps(answer)) <= kind.answer:
        return answer
    if kind.base64:
        shorter = {**answer, "body": base64.b64encode(body.encode()).decode(), "isBase64Encoded": True}
        if len(json.dumps(shorter)) <= kind.answer:
            return shorter
    return _problem(
        AnswerTooLong("the request was carried out, but its answer is longer than AWS Lambda carries"), answer
    )


def _problem(error: Exception, like: Mapping[str, Any]) -> dict[str, Any]:
    """A problem whose headers are in the form of those that `like`, an event or an answer, has."""
    response = problem_response(error)
    headers = dict(response.headers)
    several = {name: [value] for name, value in headers.items()}
    return {
        "statusCode": response.status_code,
        "headers": headers,
        **({"multiValueHeaders": several} if "multiValueHeaders" in like else {}),
        "body": bytes(response.body).decode(),
        "isBase64Encoded": False,
    }
