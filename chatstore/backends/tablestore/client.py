"""Calls to Tablestore through its SDK's blocking client, each tried once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final, NamedTuple

from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from chatstore.backends.calls import CONNECTIONS
from chatstore.backends.clients import ProcessClient
from chatstore.backends.tablestore.sdk import NoRetryPolicy, OTSClient, OTSClientError, OTSServiceError
from chatstore.clocks import ServerClock
from chatstore.errors import ConfigurationError

__all__ = ["Client", "Place"]

_CONNECT_SECONDS: Final = 2.0
_LOGGER: Final = "chatstore.tablestore"


class Place(NamedTuple):
    """Where a table is, and who asks for it."""

    instance: str
    table: str
    endpoint: str
    region: str | None
    key_id: str
    key_secret: str
    token: str | None = None


class Client:
    """The SDK's client, which is made when it is first used, and anew in a forked process.

    What its answers say of the time goes to `clock`.
    """

    def __init__(self, place: Place, timeout: float, clock: ServerClock | None = None) -> None:
        self.table = place.table
        self._place = place
        self._timeout = timeout
        self._clock = clock
        self._client = ProcessClient(self._opened, OTSClientError, OTSServiceError, HTTPError)

    def call(self, operation: str, parameters: Sequence[Any]) -> Any:
        """One call of a method of the SDK's client."""
        with self._client.used() as client:
            return getattr(client, operation)(*parameters)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        client = self._made()
        pool = client.connection.pool
        if self._clock is not None:
            client.connection = _Listening(client.connection, self._clock)
        try:
            yield client
        finally:
            pool.clear()

    def _made(self) -> Any:
        # A logger without a level of its own would make the SDK write out each request, to log it nowhere.
        logging.getLogger(_LOGGER).setLevel(logging.CRITICAL)
        place = self._place
        try:
            return OTSClient(
                place.endpoint,
                place.key_id,
                place.key_secret,
                place.instance,
                region=place.region,
                sts_token=place.token,
                socket_timeout=Timeout(connect=min(_CONNECT_SECONDS, self._timeout), read=self._timeout),
                max_connection=CONNECTIONS,
                logger_name=_LOGGER,
                # Repeated there would be unseen, and a put without a condition must never be.
                retry_policy=NoRetryPolicy(),
            )
        except OTSClientError as error:
            raise ConfigurationError("no client for Tablestore: check region= and endpoint=") from error


class _Listening:
    """The SDK's connections, overheard: each answer, and each refusal, is stamped with the server's time."""

    def __init__(self, connection: Any, clock: ServerClock) -> None:
        self._connection = connection
        self._clock = clock

    def send_receive(self, url: str, headers: Mapping[str, str], body: bytes) -> Any:
        asked = self._clock.monotonic()
        answer = self._connection.send_receive(url, headers, body)
        self._clock.heard(_date(answer[2]), asked)
        return answer


def _date(headers: Mapping[str, str]) -> str | None:
    """``x-ots-date``, such as ``2026-11-28T15:00:00.000Z``, as HTTP writes dates; None if it is missing."""
    named = {name.lower(): text for name, text in headers.items()}
    try:
        stamped = datetime.strptime(named["x-ots-date"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    return format_datetime(stamped, usegmt=True)
