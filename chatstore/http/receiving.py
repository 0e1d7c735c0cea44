"""The body of a request: read within bounds, parsed, and checked by what its route says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from chatstore.codec import Json, Writer, parse_texts
from chatstore.errors import InvalidMessage
from chatstore.http.admission import Hold
from chatstore.http.beside import beside
from chatstore.http.bounds import COPIES
from chatstore.http.carried import check_carried
from chatstore.http.identity import Identity
from chatstore.http.problems import Malformed, SlowBody, TooLarge, WrongMediaType
from chatstore.http.values import has_more_values
from chatstore.settings import Settings

__all__ = ["JSON", "Body", "received"]

B = TypeVar("B")

JSON = "application/json"
_ENVELOPE_LEVELS = 3
"""How many levels of a body may stand around a message or metadata: an object, a list, an item."""

_SHORT_BYTES, _FEW_VALUES = 64 * 1024, 2000
"""What is read on the event loop itself takes a few milliseconds at most."""


class Body(NamedTuple, Generic[B]):
    """What a request's body is, by the name of its schema in `chatstore.http.schemas`.

    That of another face is named like an `Answer`, and describes only: its `plain` refuses what is wrong.
    `plain` takes what needs no schema, and gives None for the rest. `drafted` writes the messages in what
    was checked as texts. One that is `optional` may be empty and is then like ``{}``.
    """

    shows: str
    media: tuple[str, ...] = (JSON,)
    optional: bool = False
    plain: Callable[[Json], B | None] | None = None
    drafted: Callable[[B, Writer], B] | None = None

    def check(self, value: Json) -> B:
        """What `value` says. Raises Invalid."""
        found = None if self.plain is None else self.plain(value)
        if found is not None:
            return found
        # pydantic takes as long to load as the rest of the service.
        from chatstore.http import schemas

        checked: B = schemas.check(self.shows, value)
        return checked


async def received(
    body: Body[B], scope: Scope, receive: Receive, settings: Settings, hold: Hold, caller: Identity | None
) -> B:
    """The body of a request, for whose memory there is a `hold`.

    Raises WrongMediaType, TooLarge, SlowBody, Malformed or Invalid.
    """
    headers = Headers(scope=scope)
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongMediaType("a compressed body is not accepted: leave Content-Encoding out")
    # Nobody waits for a body of another kind; one that may be left out has a kind from its first byte on.
    fits = _is_of(body.media, headers.get("content-type", ""))
    wrong = WrongMediaType(f"the body is sent as {' or '.join(body.media)}, in UTF-8: set Content-Type")
    announced = headers.get("content-length", "0")
    if not fits and not (body.optional and announced == "0"):
        raise wrong
    check_carried(scope)
    who = None if caller is None else caller.caller
    text = await _whole(announced, receive, settings, hold, who, None if fits else wrong)
    if not text and body.optional:
        return body.check({})
    most = settings.max_body_values
    if len(text) <= _SHORT_BYTES and not has_more_values(text, min(_FEW_VALUES, most)):
        return _checked(body, text)
    return await beside(who, lambda: _checked(body, _counted(text, most)))


def _is_of(kinds: tuple[str, ...], given: str) -> bool:
    """Whether a Content-Type is one of these, in UTF-8."""
    media, _, options = given.partition(";")
    charset = options.lower().partition("charset=")[2].strip(' "')
    return media.strip().lower() in kinds and charset in {"", "utf-8", "utf8"}


def _counted(text: bytes, most: int) -> bytes:
    if has_more_values(text, most):
        raise TooLarge(
            f"a body holds at most {most:,} JSON values: send it in parts, or large data as one text"
        )
    return text


def _checked(body: Body[B], text: bytes) -> B:
    try:
        value, write = parse_texts(text, around=_ENVELOPE_LEVELS)
    except InvalidMessage as error:
        raise Malformed(str(error)) from error
    checked = body.check(value)
    return checked if body.drafted is None else body.drafted(checked, write)


async def _whole(
    announced: str,
    receive: Receive,
    settings: Settings,
    hold: Hold,
    who: tuple[str, str | None] | None,
    unless_empty: WrongMediaType | None,
) -> bytes:
    """The bytes of a body, given up as soon as they are too many, or come too late.

    Beyond a short one, they are read when memory is free. With `unless_empty` there may be none.
    """
    most = settings.max_body_bytes
    too_large = TooLarge(f"a body takes at most {most:,} bytes: send it in parts")
    length = int(announced) if announced.isascii() and announced.isdigit() else 0
    if length > most:
        raise too_large
    if length > _SHORT_BYTES:
        await hold.need(who, COPIES * length)
    until = asyncio.get_running_loop().time() + settings.body_seconds
    text, more = bytearray(), True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            raise SlowBody(
                f"a body must arrive within {settings.body_seconds:g} s: send it in smaller parts"
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        text += message.get("body", b"")
        more = message.get("more_body", False)
        if text and unless_empty is not None:
            raise unless_empty
        if len(text) > most:
            raise too_large
        if len(text) > max(_SHORT_BYTES, length):
            # Nobody said how much there will be.
            await hold.need(who, COPIES * most)
    return bytes(text)
