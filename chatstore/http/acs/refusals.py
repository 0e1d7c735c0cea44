"""What is refused, as clients of Azure Communication Services expect to be told."""

from __future__ import annotations

from collections.abc import Mapping

from chatstore import errors
from chatstore.codec import Json, encode
from chatstore.http.problems import Told

__all__ = ["STATUSES", "told"]

STATUSES: Mapping[int, str] = {
    400: "What was sent cannot be used.",
    401: "A valid token is needed.",
    403: "There is no such thread, the caller is not in it, or may not do this.",
    404: "There is no such message.",
    405: "The path does not take this method.",
    408: "The body did not arrive in time.",
    413: "The request is too large.",
    415: "The body is of another media type.",
    421: "This host is not served here.",
    429: "Too many requests.",
    500: "The service failed.",
    501: "The storage does not do this.",
    503: "The storage does not answer, or the service has too much to do; trying again helps.",
}

_CODES: Mapping[int, str] = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    408: "RequestTimeout", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType",
    421: "MisdirectedRequest", 429: "TooManyRequests", 500: "InternalServerError", 501: "NotImplemented",
    503: "ServiceUnavailable",
}  # fmt: skip

_AS_400 = frozenset({409, 410, 412, 422})
"""What the native face tells apart, and these clients do not know."""


def told(error: Exception, problem: Mapping[str, Json]) -> Told:
    """An error and the native problem of it in the envelope of Azure Communication Services.

    A thread that is not there and one that the caller is not in are the same answer, byte for byte.
    """
    status = 400 if problem["status"] in _AS_400 else problem["status"]
    message = problem["detail"]
    if isinstance(error, errors.ThreadNotFound):
        status, message = 403, "there is no such thread, or you are not one of its participants"
    body = encode({"error": {"code": _CODES[status], "message": message}}, "an error")
    return Told(status, body.encode())
