"""Calls to DynamoDB through botocore's low-level client."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from chatstore.backends.calls import CONNECTIONS
from chatstore.backends.clients import ProcessClient
from chatstore.clocks import ServerClock
from chatstore.errors import ConfigurationError
from chatstore.urls import shown

__all__ = ["Client"]

Parameters: TypeAlias = Mapping[str, Any]

_CONNECT_SECONDS = 2


_making = [threading.Lock()]
"""Held where what others look for is made: a session is not to be asked for two clients at once."""


def _renew() -> None:
    # The thread that held it is not in the child.
    _making[0] = threading.Lock()


os.register_at_fork(after_in_child=_renew)


@functools.cache
def _session() -> Any:
    # One for all clients: it reads the description of the service only once.
    from botocore.session import get_session

    return get_session()


class Client:
    """A botocore client that is made when it is first used, and anew in a forked process.

    What its answers say of the time goes to `clock`.
    """

    def __init__(
        self,
        table: str,
        region: str | None,
        endpoint: str | None,
        timeout: float,
        clock: ServerClock | None = None,
    ) -> None:
        self.table = table
        self.endpoint = endpoint
        self._region = region
        self._timeout = timeout
        self._clock = clock
        self._client = ProcessClient(self._opened, ClientError, BotoCoreError)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine: an emulator."""
        try:
            host = urlsplit(self.endpoint or "").hostname
        except ValueError:
            # No address at all, which the SDK says when it is asked for a client.
            return False
        return host in ("127.0.0.1", "::1", "localhost")

    def call(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        """One call, tried once."""
        clock = self._clock
        asked = 0 if clock is None else clock.monotonic()
        answer: dict[str, Any] = {}
        try:
            with self._client.used() as client:
                answer = client._make_api_call(operation, parameters)
        except ClientError as error:
            answer = error.response
            raise
        finally:
            if clock is not None:
                clock.heard(_date(answer), asked)
        return answer

    @property
    def client(self) -> Any:
        """The botocore client."""
        with self._client.used() as client:
            return client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _opened(self) -> AbstractContextManager[Any]:
        with _making[0]:
            return closing(self._made())

    def _made(self) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._timeout,
            max_pool_connections=CONNECTIONS,
            # Repeated here would be unseen: the log repeats what it knows how to.
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            tcp_keepalive=True,
        )
        try:
            return _session().create_client(
                "dynamodb", region_name=self._region, endpoint_url=self.endpoint, config=config
            )
        except (BotoCoreError, ValueError) as error:
            where = shown(self.endpoint or self._region or "")
            raise ConfigurationError(
                f"no client for DynamoDB at {where} ({type(error).__name__}): check region= and endpoint="
            ) from error


def _date(answer: Parameters) -> str | None:
    date: str | None = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return date
