"""The way to a service and back: two drivers, repetition, and its problems made into our errors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import random
import re
import secrets
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

import httpx

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.clocks import ServerClock
from chatstore.codec import Json, decode
from chatstore.contract import ABSENT, Request
from chatstore.errors import (
    ChatStoreError,
    ConfigurationError,
    Conflict,
    CursorExpired,
    InvalidArgument,
    InvalidCursor,
    InvalidMessage,
    MessageExists,
    MessageNotFound,
    MessageTooLarge,
    RequestExpired,
    RequestMismatch,
    StorageError,
    ThreadExists,
    ThreadNotFound,
    Unavailable,
    Unsupported,
)
from chatstore.urls import shown

__all__ = ["Connection", "Meant"]

T = TypeVar("T")

_TRIES = 5
_MOST_RETRIES_AT_ONCE = 100
_RETRIES_PER_REQUEST = 0.1
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = _CONNECT_SECONDS = 5.0
_LATER = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
_TOKEN = re.compile(r"[!-~]*")
_HEADER_TEXT = re.compile(r"[!#-~]{1,256}")
# No proxy is asked for what runs on this machine.
_DIRECT = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all clients: to make it takes longer than many a request."""
    return httpx.create_ssl_context()


class _Driver(Protocol):
    """Sends requests; the two kinds differ in nothing but whether they suspend."""

    async def send(self, request: httpx.Request) -> httpx.Response: ...

    async def pause(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


class _BlockingDriver:
    def __init__(self, timeout: httpx.Timeout) -> None:
        self._timeout = timeout
        self._client = ProcessClient(self._opened, httpx.HTTPError)

    def _opened(self) -> AbstractContextManager[httpx.Client]:
        return contextlib.closing(httpx.Client(timeout=self._timeout, verify=_tls(), mounts=_DIRECT))

    async def send(self, request: httpx.Request) -> httpx.Response:
        with self._client.used() as client:
            return client.send(request)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this driver serves blocking callers

    async def close(self) -> None:
        self._client.close()


class _AsyncDriver:
    def __init__(self, timeout: httpx.Timeout) -> None:
        self._timeout = timeout
        self._clients = LoopClients(self._opened)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncGenerator[httpx.AsyncClient]:
        """A client that is closed with this generator, which a loop closes itself before it ends."""
        client = httpx.AsyncClient(timeout=self._timeout, verify=_tls(), mounts=_DIRECT)
        try:
            yield client
        finally:
            await client.aclose()

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await (await self._clients.here()).send(request)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._clients.close()


class Meant(NamedTuple):
    """What a request is about, for the errors that name it."""

    thread: str = ""
    message: str = ""
    new_thread: str = ""
    request: str = ""


_NOTHING = Meant()

_Fault = Callable[[Meant, Mapping[str, Json]], ChatStoreError]


def _told(kind: type[ChatStoreError]) -> _Fault:
    return lambda _, problem: kind(problem["detail"])


_FAULTS: Mapping[str, _Fault] = {
    "thread-not-found": lambda meant, _: ThreadNotFound(meant.thread),
    "message-not-found": lambda meant, _: MessageNotFound(meant.thread, meant.message),
    "thread-exists": lambda meant, _: ThreadExists(meant.new_thread),
    "message-exists": lambda meant, form: MessageExists(meant.thread, form["key"], form["message_id"]),
    "cursor-expired": lambda *_: CursorExpired(),
    "conflict": lambda _, problem: Conflict(problem["current"]),
    "request-mismatch": lambda meant, _: RequestMismatch(meant.request),
    "request-expired": _told(RequestExpired),
    "invalid-argument": _told(InvalidArgument),
    "invalid-request": _told(InvalidArgument),
    "malformed": _told(InvalidArgument),
    "invalid-message": _told(InvalidMessage),
    "invalid-cursor": _told(InvalidCursor),
    "message-too-large": _told(MessageTooLarge),
    "too-large": _told(InvalidArgument),
    "unauthenticated": lambda _, problem: ConfigurationError(
        f"{problem['detail']}: set CHATSTORE_TOKEN, or pass token= to connect, to an API key or a token"
    ),
    "forbidden": _told(ConfigurationError),
    "too-many-threads": _told(InvalidArgument),
    "too-many-requests": _told(Unavailable),
    "slow-body": _told(Unavailable),
    "overloaded": _told(Unavailable),
    "timed-out": _told(Unavailable),
    "unsupported": _told(Unsupported),
    "unavailable": _told(Unavailable),
    "misconfigured": _told(Unavailable),
}
"""What the codes of problems are here; any other is a StorageError."""


class Connection:
    """Sends requests to the service at `address`, in the colour of its callers.

    If a connection fails, or the answer is 429 or 503, the request is tried again a few times, within
    `seconds` in all. All requests share a budget of repetitions: a hundred at once, and beyond that one for
    every ten requests. So a service in trouble does not get several times as many requests. Raises
    ConfigurationError if `address` is not an address.
    """

    def __init__(
        self,
        address: str,
        *,
        blocking: bool,
        seconds: float,
        token: str = "",
        clock: ServerClock | None = None,
    ) -> None:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(
                "the token is not valid: it is made of letters, digits and signs, without spaces"
            )
        self._shown = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            httpx.URL(address)
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"{shown(address)!r} is not the address of a service") from error
        # Callers beyond the size of the pool wait for a connection as long as they must.
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS), pool=None)
        self.address = address
        self._seconds = seconds
        self._clock = clock
        self._budget: float = _MOST_RETRIES_AT_ONCE
        self._driver: _Driver = _BlockingDriver(timeout) if blocking else _AsyncDriver(timeout)

    async def close(self) -> None:
        """Close the connections; the next request opens them again."""
        await self._driver.close()

    async def write(
        self,
        into: Callable[[Json], T],
        method: str,
        path: str,
        body: bytes | None,
        if_match: str | None,
        request: Request | None,
        meant: Meant,
    ) -> T:
        """What `into` makes of the answer to a mutation, which is safe to repeat."""
        # An id of our own looks like none that carries a time, so it holds however wrong this clock is.
        request_id = secrets.token_urlsafe(16) if request is None else request.id
        headers = {"Idempotency-Key": _header(request_id), **_conditional(if_match, body)}
        return await self.call(into, method, path, headers, body, meant=meant._replace(request=request_id))

    async def repeatable(
        self,
        into: Callable[[Json], T],
        method: str,
        path: str,
        body: bytes,
        if_match: str | None,
        meant: Meant,
    ) -> T:
        """What `into` makes of the answer to a mutation that `if_match` alone makes safe to repeat."""
        return await self.call(into, method, path, _conditional(if_match, body), body, meant=meant)

    async def call(
        self,
        into: Callable[[Json], T],
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        query: Sequence[tuple[str, str]] = (),
        meant: Meant = _NOTHING,
        tries: int = _TRIES,
    ) -> T:
        """What `into` makes of the JSON that the service answers; raises what its problem says."""
        response = await self._answer(
            httpx.Request(
                method,
                self.address + path,
                params=list(query) or None,
                headers={**(headers or {}), **self._shown},
                content=body,
            ),
            tries,
        )
        try:
            form = decode(response.content.decode())
            if response.is_success:
                return into(form)
            error = _FAULTS.get(form["code"], _told(StorageError))(meant, form)
        except (ValueError, KeyError, TypeError) as strange:
            raise StorageError(
                f"{self.address} answers HTTP {response.status_code}, but not as a chatstore service does"
            ) from strange
        raise error

    async def _answer(self, request: httpx.Request, tries: int) -> httpx.Response:
        pause, until = _FIRST_PAUSE_SECONDS, time.monotonic() + self._seconds
        self._budget = min(self._budget + _RETRIES_PER_REQUEST, _MOST_RETRIES_AT_ONCE)
        for left in reversed(range(tries)):
            wanted = 0.0
            final = not left or self._budget < 1 or time.monotonic() > until
            try:
                asked = 0 if self._clock is None else self._clock.monotonic()
                response = await self._driver.send(request)
                if self._clock is not None:
                    self._clock.heard(response.headers.get("Date"), asked)
                if response.status_code not in _LATER or final:
                    return response
                wanted = _retry_after(response)
            except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout) as error:
                if final:
                    raise self._unreachable(error) from error
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            self._budget -= 1
            await self._driver.pause(max(wanted, pause * random.uniform(0.5, 1)))  # noqa: S311 - spreads retries
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        return Unavailable(f"{self.address} does not answer ({_reason(error)}): is it running?")


def _reason(error: BaseException) -> str:
    """What is wrong with a connection; the rest of httpx's text may quote what came over it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _quoted(etag: str) -> str:
    return "*" if etag == "*" else f'"{_header(etag)}"'


def _conditional(if_match: str | None, body: bytes | None) -> dict[str, str]:
    headers = {}
    if if_match == ABSENT:
        headers["If-None-Match"] = "*"
    elif if_match is not None:
        headers["If-Match"] = ", ".join(_quoted(etag.strip()) for etag in if_match.split(","))
    if body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _header(text: str) -> str:
    """`text` where a header can carry it, otherwise something of its own that can."""
    if _HEADER_TEXT.fullmatch(text):
        return text
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def _retry_after(response: httpx.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_PAUSE_SECONDS) if seconds.isdecimal() else 0.0
