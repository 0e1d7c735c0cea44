"""The SDK's connections to a service in memory, and the URLs of tables there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pytest
from tablestore.connection import ConnectionPool

from tests.servers import table_for
from tests.tablestore.service import KEY_ID, KEY_SECRET, Answer

__all__ = ["connected", "url_for"]

S = TypeVar("S")


@contextlib.contextmanager
def connected(service: S) -> Iterator[S]:
    """Whatever the SDK sends goes to `service`; credentials that it takes are in the environment."""
    with pytest.MonkeyPatch.context() as patch:

        def send_receive(_: Any, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
            answer: Answer = service.send_receive(url, headers, body)  # type: ignore[attr-defined]
            return answer

        patch.setattr(ConnectionPool, "send_receive", send_receive)
        patch.setenv("TABLESTORE_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("TABLESTORE_ACCESS_KEY_SECRET", KEY_SECRET)
        yield service


def url_for(name: object, **options: str) -> str:
    """The URL of a table of its own."""
    more = "".join(f"&{option}={value}" for option, value in options.items())
    return f"tablestore://tests/{table_for(name)}?region=cn-hangzhou{more}"
