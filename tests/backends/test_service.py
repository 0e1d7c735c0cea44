"""The contract over HTTP: the service's client against a real server over memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.backends.memory import MemoryBackend
from chatstore.backends.service import ServiceBackend
from chatstore.backends.service.connection import Connection
from chatstore.contract import Clock
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.testing import BackendContract, opted_out
from tests.http.serving import address, listening

SETTINGS = Settings(max_messages=100_000, max_body_bytes=1 << 30, max_answer_bytes=1 << 30)


class Switchboard:
    """A service for each store and tenant, under a path of its own, over memory that a test's clock rules."""

    def __init__(self) -> None:
        self._stores: dict[str, AsyncChatStore] = {}
        self._apps: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, store, tenant, _ = scope["path"].split("/", 3)
        prefix = f"/{store}/{tenant}"
        if prefix not in self._apps:
            scoped = self._stores[store].for_tenant(bytes.fromhex(tenant).decode())
            self._apps[prefix] = create_app(scoped, SETTINGS)
        await self._apps[prefix]({**scope, "root_path": prefix}, receive, send)

    def path(self, kept_in: Path, clock: Clock) -> str:
        """Where the store of `kept_in` is."""
        name = kept_in.as_posix().encode().hex()
        self._stores.setdefault(name, AsyncChatStore(MemoryBackend(clock=clock)))
        return f"/{name}"


class ServicePerTenant(ServiceBackend):
    """Asks for each tenant's threads at a service of its own."""

    def _threads_path(self, tenant: str) -> str:
        return f"/{tenant.encode().hex()}/v1/threads"

    async def ping(self) -> None:
        await self._connection.call("GET", f"/{b'default'.hex()}/readyz")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    switchboard = Switchboard()
    with listening() as listener:
        # As `chatstore serve` does: otherwise every answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        runner = uvicorn.Server(uvicorn.Config(switchboard, log_config=None, lifespan="off"))
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        OverService.switchboard, OverService.address = switchboard, address(listener)
        try:
            yield
        finally:
            runner.should_exit = True
            thread.join()


class OverService:
    switchboard: ClassVar[Switchboard]
    address: ClassVar[str]

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> ServiceBackend:
        address = self.address + self.switchboard.path(tmp_path, clock)
        return ServicePerTenant(Connection(address, blocking=blocking, seconds=30), "", clock)


class TestService(OverService, BackendContract):
    test_messages_are_there_until_their_time = opted_out("an entry does not say when its message expires")
