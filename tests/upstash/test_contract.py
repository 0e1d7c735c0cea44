"""Upstash keeps the contract, over its REST API before a real Redis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.backend_tests import opted_out
from chatstore.testing.colours import Colour
from chatstore.testing.suite.lifecycle import Lifecycle
from chatstore.testing.suite.read import Read
from chatstore.testing.suite.together import Together
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.redis.servers import prefixed
from tests.upstash.proxy import Proxy


class _Proxied:
    @pytest.fixture(autouse=True)
    def _server(self, proxied: tuple[Proxy, int]) -> None:
        self.url = f"upstash://127.0.0.1:{proxied[1]}"

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(prefixed(f"{self.url}?timeout=30", tmp_path), blocking=blocking, clock=clock)

    test_what_was_written_outlives_the_backend = opted_out("a failover may lose what was acknowledged")


class TestForBlockingCallers(_Proxied, BackendContract, MachineContract):
    """Without sockets, which are most of the time: `TestForEventLoops` has them.

    A third of the suite: the scripts are those of Redis, where all of it is tried.
    """

    colours: ClassVar[Sequence[Colour]] = (Colour.BLOCKING,)
    thirds: ClassVar = {Colour.BLOCKING: (0,)}
    entire: ClassVar = (MachineContract,)
    one_in = 1 if SOAK else 50
    one_case_in = 1 if SOAK else 8

    @pytest.fixture(autouse=True)
    def _wire(self, proxied: tuple[Proxy, int], monkeypatch: pytest.MonkeyPatch) -> None:
        def carry(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            status, content = proxied[0].perform(request.url.path, request.read())
            return httpx.Response(status, content=content)

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", carry)


class TestForEventLoops(_Proxied, Read, Together, Lifecycle):
    """What is different there is how calls are waited for: a part shows it, and `make soak` tries all."""

    colours: ClassVar[Sequence[Colour]] = (Colour.ASYNC,)
    one_case_in = 1 if SOAK else 12


if SOAK:

    class TestAllForEventLoops(_Proxied, BackendContract, MachineContract):
        colours: ClassVar[Sequence[Colour]] = (Colour.ASYNC,)
