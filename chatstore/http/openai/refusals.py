"""What is refused, as OpenAI's clients expect to be told: each status is an exception type of theirs."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException

from chatstore import errors
from chatstore.codec import Json, encode
from chatstore.http.problems import Invalid, Malformed, Told
from chatstore.paths import segment

__all__ = ["STATUSES", "Unfit", "told"]

STATUSES: Mapping[int, str] = {
    400: "What was sent cannot be used; `param` names the place.",
    401: "A valid credential is needed.",
    403: "The credential does not allow this.",
    404: "There is no such conversation or item.",
    405: "The path does not take this method.",
    408: "The body did not arrive in time.",
    413: "The request is too large.",
    415: "The body is of another media type.",
    421: "This host is not served here.",
    429: "Too many requests.",
    500: "The service failed; trying again does not help.",
    501: "The storage does not do this.",
    503: "The storage does not answer, or the service has too much to do; trying again helps.",
}

_CODES: Mapping[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", "insufficient_permissions"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
"""Type and code of what is told otherwise than by its status and the native code."""

_AS_400 = frozenset({409, 410, 412, 422})
"""What the native face tells apart. 409 has to be: clients repeat what was answered so."""

_IN_VAIN = frozenset({500, 501})


class Unfit(Invalid):
    """A value that cannot be used, with a text and a code as OpenAI's own service has them."""

    def __init__(self, message: str, param: str | None, code: str) -> None:
        super().__init__([(param or "body", message)])
        self.message = message
        self.param = param
        self.code = code


def told(error: Exception, problem: Mapping[str, Json]) -> Told:
    """An error and the native problem of it in OpenAI's envelope."""
    status = 400 if problem["status"] in _AS_400 else problem["status"]
    usual = "server_error" if status >= 500 else "invalid_request_error"
    kind, code = _CODES.get(status, (usual, problem["code"].replace("-", "_")))
    message, param = problem["detail"], None
    if isinstance(error, Unfit):
        message, param, code = error.message, error.param, error.code
    elif isinstance(error, Invalid):
        place, reason = error.faults[0]
        param = place.partition(".")[2] or place
        message, code = f"Invalid '{param}': {reason}.", "invalid_value"
    elif isinstance(error, errors.ThreadNotFound):
        message = f"Conversation with id '{segment(error.thread_id)}' not found."
        code = "conversation_not_found"
    elif isinstance(error, errors.MessageNotFound):
        message, code = f"Item with id '{error.message}' not found in conversation.", "item_not_found"
    elif isinstance(error, Malformed) and isinstance(error.__cause__, errors.InvalidMessage):
        message, code = f"We could not parse the JSON body of your request: {message}", "invalid_json"
    elif isinstance(error, HTTPException) and status == 404:
        message, code = "Unknown request URL: nothing is at this path.", "unknown_url"
    body = encode({"error": {"message": message, "type": kind, "param": param, "code": code}}, "an error")
    # Clients try again whatever is 500 or above, unless they are told that it is in vain.
    return Told(status, body.encode(), {"X-Should-Retry": "false"} if status in _IN_VAIN else {})
