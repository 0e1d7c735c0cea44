"""Errors as answers: RFC 9457 problems, from one table of error classes.

A problem says what to change and never how the service works inside: server errors have a fixed
text, and what really happened is in the log.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatstore import errors
from chatstore.codec import Json, encode

__all__ = [
    "PROBLEMS",
    "TELLING",
    "UNROUTED",
    "AnswerTooLong",
    "Forbidden",
    "ForeignOrigin",
    "IdentityUnavailable",
    "Invalid",
    "Malformed",
    "Misdirected",
    "NoSuchPath",
    "OverQuota",
    "Overloaded",
    "Problem",
    "Refusal",
    "Relayed",
    "SlowBody",
    "TimedOut",
    "Told",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "WrongMediaType",
    "problem_response",
    "quoted",
]

TELLING = "chatstore.telling"
"""Where the ASGI scope holds how a face tells what is refused, where it does so in a form of its own."""

RETRY_AFTER_SECONDS = 1
_FAULTS_SHOWN = 10
_PLACE_SHOWN = 200
_REASON_SHOWN = 2000

_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is refused before the store is asked."""


class Malformed(Refusal):
    """A body that is not JSON, or a header that is not written as it must be."""


class TooLarge(Refusal):
    """A body or a turn beyond the service's limits."""


class WrongMediaType(Refusal):
    """A body of another media type than the operation takes."""


class Unauthenticated(Refusal):
    """A request without a credential that holds; `challenge` says what is asked for."""

    def __init__(self, reason: str, *, invalid: bool = False) -> None:
        super().__init__(reason)
        self.challenge = 'Bearer realm="chatstore"' + (', error="invalid_token"' if invalid else "")


class Forbidden(Refusal):
    """A credential that holds and does not allow this."""


class IdentityUnavailable(Refusal):
    """Credentials that cannot be checked for now."""


class NoSuchPath(Refusal):
    """A path that names nothing here."""


class Misdirected(Refusal):
    """A Host that is not this service."""


class ForeignOrigin(Refusal):
    """A web page of another origin."""


class Relayed(Refusal):
    """A request that came through a proxy, to a service that asks nobody who they are."""


class OverQuota(Refusal):
    """An owner who has as many threads as one may have."""


class SlowBody(Refusal):
    """A body that does not arrive in time."""


class TooManyRequests(Refusal):
    """A caller who asks more often than one may; `retry_after` is in seconds."""

    def __init__(self, per_minute: int, retry_after: int) -> None:
        super().__init__(f"one caller may send {per_minute:,} requests a minute: wait {retry_after} s")
        self.retry_after = retry_after


class Overloaded(Refusal):
    """More requests at once than the service works on; nothing was done."""


class TimedOut(Refusal):
    """A request that took too long and was given up."""


class AnswerTooLong(Refusal):
    """A request that was carried out, whose answer is longer than the platform carries."""


class Invalid(Refusal):
    """A query or a body that its schema refuses; `faults` are the first few as (place, reason)."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = [
            (place[:_PLACE_SHOWN], reason[:_REASON_SHOWN])
            for place, reason in itertools.islice(faults, _FAULTS_SHOWN)
        ]
        super().__init__("; ".join(f"{place}: {reason}" for place, reason in self.faults))


class Told(NamedTuple):
    """The answer to an error in the form of another face than the native one, with headers of its own."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    media: str = "application/json"


class Problem(NamedTuple):
    """What the answer to an error is; without a fixed `detail` it is the error's own text."""

    status: int
    code: str
    title: str
    detail: str | None = None


PROBLEMS: Mapping[type[BaseException], Problem] = {
    Malformed: Problem(400, "malformed", "The request cannot be read"),
    ClientDisconnect: Problem(
        400,
        "cut-off",
        "The body was cut off",
        "the connection was closed before the end of the body: send it again",
    ),
    Unauthenticated: Problem(401, "unauthenticated", "A valid credential is needed"),
    Forbidden: Problem(403, "forbidden", "The credential does not allow this"),
    ForeignOrigin: Problem(403, "foreign-origin", "Web pages of other origins are not served"),
    Relayed: Problem(403, "relayed", "Requests through a proxy are not served without authentication"),
    OverQuota: Problem(403, "too-many-threads", "The owner has too many threads"),
    NoSuchPath: Problem(404, "not-found", "Nothing is at this path"),
    errors.ThreadNotFound: Problem(404, "thread-not-found", "There is no such thread"),
    errors.MessageNotFound: Problem(404, "message-not-found", "There is no such message"),
    SlowBody: Problem(408, "slow-body", "The body did not arrive in time"),
    errors.ThreadExists: Problem(409, "thread-exists", "The thread already exists"),
    errors.MessageExists: Problem(409, "message-exists", "A message has this key already"),
    errors.CursorExpired: Problem(410, "cursor-expired", "The cursor's history was replaced"),
    errors.Conflict: Problem(412, "conflict", "A condition no longer holds"),
    TooLarge: Problem(413, "too-large", "The request is too large"),
    errors.MessageTooLarge: Problem(413, "message-too-large", "A message is too large"),
    WrongMediaType: Problem(415, "unsupported-media-type", "The body is of another media type"),
    Misdirected: Problem(421, "misdirected", "This host is not served here"),
    Invalid: Problem(422, "invalid-request", "The request does not fit its schema"),
    errors.InvalidArgument: Problem(422, "invalid-argument", "A value cannot be used"),
    errors.InvalidMessage: Problem(422, "invalid-message", "A message cannot be stored"),
    errors.InvalidCursor: Problem(422, "invalid-cursor", "The cursor is not valid"),
    errors.RequestExpired: Problem(422, "request-expired", "The request id is outside its window"),
    errors.RequestMismatch: Problem(422, "request-mismatch", "The request id was used for something else"),
    TooManyRequests: Problem(429, "too-many-requests", "Too many requests"),
    errors.Unsupported: Problem(501, "unsupported", "The storage does not do this"),
    errors.Unavailable: Problem(
        503,
        "unavailable",
        "The storage does not answer",
        "whether a write took effect is unknown: repeat it with its Idempotency-Key",
    ),
    Overloaded: Problem(
        503, "overloaded", "The service has too much to do", "nothing was done: send it again a little later"
    ),
    TimedOut: Problem(
        503,
        "timed-out",
        "The request took too long",
        "whether a write took effect is unknown: repeat it with its Idempotency-Key",
    ),
    errors.ConfigurationError: Problem(
        503,
        "misconfigured",
        "The service is set up wrongly",
        "nothing was done; the service's log says what to set",
    ),
    errors.StorageError: Problem(500, "storage-error", "The storage failed", "see the service's log"),
    AnswerTooLong: Problem(500, "answer-too-long", "The answer is too long"),
    IdentityUnavailable: Problem(503, "identity-unavailable", "Credentials cannot be checked for now"),
    Exception: Problem(500, "internal-error", "The service failed", "see the service's log"),
}
"""Which problem each error is; a class that is not here is what its nearest ancestor is."""

UNROUTED: Mapping[int, tuple[str, str]] = {
    404: ("not-found", "Nothing is at this path"),
    405: ("method-not-allowed", "The path does not take this method"),
}
"""Code and title of what meets no route."""


def problem_response(error: Exception) -> Response:
    """The answer to `error`; one of ours or not, it reveals nothing of what is inside."""
    if isinstance(error, HTTPException):
        return _routing_problem(error)
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    more: dict[str, Json] = {}
    headers: dict[str, str] = {}
    if isinstance(error, Invalid):
        more["errors"] = [{"in": place, "detail": reason} for place, reason in error.faults]
    if isinstance(error, errors.Conflict):
        more["current"] = error.current
        headers |= {} if error.current is None else {"ETag": quoted(error.current)}
    if isinstance(error, errors.MessageExists):
        more |= {"key": error.key, "message_id": error.message_id}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = error.challenge
    if problem.status in {429, 503}:
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER_SECONDS))
    if problem.status == 408:
        headers["Connection"] = "close"  # what is still to come of the body is not the next request
    if problem.status >= 500 and not isinstance(error, (Refusal, errors.Unsupported)):
        _log.error("%s", problem.title, exc_info=error)
    return _response(error, problem, problem.detail or str(error), more, headers)


def quoted(etag: str) -> str:
    """`etag` as it stands in an ETag header."""
    return f'"{etag}"'


def _routing_problem(error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    detail = (
        f"this path takes {headers['Allow']}"
        if "Allow" in headers
        else "nothing is at this path; the reference, to which type links, lists all paths"
    )
    code, title = UNROUTED.get(error.status_code, ("malformed", error.detail))
    return _response(error, Problem(error.status_code, code, title), detail, {}, headers)


def _response(
    error: Exception, problem: Problem, detail: str, more: Mapping[str, Json], headers: Mapping[str, str]
) -> Response:
    body = {
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        **more,
    }
    return _ProblemResponse(error, body, headers)


class _ProblemResponse(Response):
    """A problem, whose code is told to what stands around the application.

    Its type leads to the reference, which is where the application is mounted. At the paths of another face
    it has the form that this face gives it.
    """

    def __init__(self, error: Exception, problem: Mapping[str, Json], headers: Mapping[str, str]) -> None:
        self._error = error
        self._problem = problem
        super().__init__(self._under(""), problem["status"], headers, "application/problem+json")

    def _under(self, base: str) -> bytes:
        return encode({"type": f"{base}/docs#{self._problem['code']}", **self._problem}).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["chatstore.error"] = self._problem["code"]
        tell: Callable[[Exception, Mapping[str, Json]], Told] | None = scope.get(TELLING)
        if tell is None:
            self.body = self._under(scope.get("root_path", "").rstrip("/"))
        else:
            self._told(tell(self._error, self._problem))
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)

    def _told(self, told: Told) -> None:
        self.status_code, self.body = told.status, told.body
        self.headers.update({"Content-Type": told.media, **told.headers})
