"""What a platform allows that carries requests and answers whole, inside JSON of limited size."""

from __future__ import annotations

from typing import NamedTuple

from starlette.types import Scope

from chatstore.http.problems import TooLarge
from chatstore.settings import Settings

__all__ = ["CARRIED", "Carried", "answer_bytes", "check_carried"]

CARRIED = "chatstore.carried"
"""Where the ASGI scope holds the `Carried` of its request."""


class Carried(NamedTuple):
    """A request's body as it was carried, and what its answer may hold. All in bytes.

    `body` and `most_body` count what stands in the platform's JSON: base64, or text with its escapes.
    `page` is how much of what is stored an answer may hold so that it is carried in any case.
    """

    platform: str
    body: int
    most_body: int
    page: int


def check_carried(scope: Scope) -> None:
    """Raise TooLarge for a body that the platform may not carry."""
    carried: Carried | None = scope.get(CARRIED)
    if carried is not None and carried.body > carried.most_body:
        raise TooLarge(
            f"on {carried.platform} a body takes at most {carried.most_body:,} bytes, base64 or the escapes "
            f"of JSON included, and this one has {carried.body:,}: send it in parts"
        )


def answer_bytes(scope: Scope, settings: Settings) -> int:
    """How much of what is stored an answer to this request may hold before it becomes a shorter page."""
    carried: Carried | None = scope.get(CARRIED)
    return settings.max_answer_bytes if carried is None else min(settings.max_answer_bytes, carried.page)
