"""The contract over HTTP: the service's client against a real server over memory."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.backends.service import ServiceBackend
from chatstore.backends.service.connection import Connection
from chatstore.contract import Capability, Clock, Query
from chatstore.errors import ConfigurationError, StorageError, Unavailable, Unsupported
from chatstore.http.app import create_app
from chatstore.http.problems import problem_response
from chatstore.models import Found, Page
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.testing import BackendContract
from chatstore.testing.colours import Colour
from tests.conftest import SOAK
from tests.http.serving import address, listening, serving

HELLO = {"role": "user", "content": "hello"}
EVERYBODY = "everybody"
SETTINGS = Settings(max_messages=100_000, max_body_bytes=1 << 30, max_answer_bytes=1 << 30)


class Switchboard:
    """A service for each store, tenant and owner, under its own path, over memory and by a test's clock."""

    def __init__(self) -> None:
        self._stores: dict[str, AsyncChatStore] = {}
        self._apps: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, store, tenant, owner, _ = scope["path"].split("/", 4)
        prefix = f"/{store}/{tenant}/{owner}"
        if prefix not in self._apps:
            scoped = self._stores[store].for_tenant(bytes.fromhex(tenant).decode())
            if owner != EVERYBODY:
                scoped = scoped.for_owner(bytes.fromhex(owner).decode())
            self._apps[prefix] = create_app(scoped, SETTINGS)
        await self._apps[prefix]({**scope, "root_path": prefix}, receive, send)

    def path(self, kept_in: Path, clock: Clock) -> str:
        """Where the store of `kept_in` is."""
        name = kept_in.as_posix().encode().hex()
        self._stores.setdefault(name, AsyncChatStore(MemoryBackend(clock=clock)))
        return f"/{name}"


class ServicePerTenant(ServiceBackend):
    """Asks for each tenant's and each owner's threads at a service of its own."""

    def _base(self, tenant: str, owner: str | None) -> str:
        return f"/{tenant.encode().hex()}/{EVERYBODY if owner is None else owner.encode().hex()}/v1"

    async def ping(self) -> None:
        await self._connection.call(bool, "GET", f"/{b'default'.hex()}/{EVERYBODY}/readyz")


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
        return ServicePerTenant(Connection(address, blocking=blocking, seconds=30), "", clock=clock)


class TestService(OverService, BackendContract):
    """All of the contract, in either colour: they differ in the client that sends a request."""

    one_case_in = 1 if SOAK else 3
    thirds: ClassVar = {Colour.BLOCKING: (0,), Colour.ASYNC: (1, 2)}


class Unsteady:
    """A service that does what it is asked and then says, `times` times, that it could not."""

    def __init__(self, times: int) -> None:
        self._app = create_app(AsyncChatStore(MemoryBackend()), SETTINGS)
        self.times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.times:
            await self._app(scope, receive, send)
            return
        self.times -= 1

        async def nowhere(_message: MutableMapping[str, object]) -> None:
            pass

        await self._app(scope, receive, nowhere)
        refusal = problem_response(Unavailable("for now"))
        del refusal.headers["Retry-After"]  # which would be waited for
        await refusal(scope, receive, send)


def test_what_had_no_answer_is_repeated_and_takes_effect_once() -> None:
    app = Unsteady(2)
    with serving(app) as address, chatstore.connect(address) as store:
        appended = store.append("t", HELLO)
        app.times = 1
        assert store.read("t").items == appended.messages
        app.times = 1
        assert store.delete_message("t", appended.messages[0].id).to_dict() == HELLO
        app.times = 100
        with pytest.raises(Unavailable):
            store.append("t", HELLO)
        app.times = 0
        assert len(store.read("t")) == 1


def test_a_service_that_is_not_there_is_unavailable_with_its_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        chatstore.connect(f"http://127.0.0.1:{port}") as store,
        pytest.raises(Unavailable, match="is it running") as refused,
    ):
        store.ping()
    assert isinstance(refused.value.__cause__, httpx.ConnectError)


def test_a_service_that_does_not_answer_in_time_is_unavailable() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        chatstore.connect(f"http://127.0.0.1:{silent.getsockname()[1]}?timeout=0.2") as store,
        pytest.raises(Unavailable) as late,
    ):
        store.ping()
    assert isinstance(late.value.__cause__, httpx.ReadTimeout)


@pytest.mark.parametrize("answer", [(200, "<html>"), (404, "<html>"), (404, "{}"), (500, "[]"), (200, "{}")])
def test_something_else_than_a_service_is_a_storage_error(answer: tuple[int, str]) -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Response(answer[1], answer[0])(scope, receive, send)

    with serving(other) as address, chatstore.connect(address) as store, pytest.raises(StorageError):
        store.get_thread("t")


def test_another_tenant_than_the_services_is_refused_before_anything_is_sent() -> None:
    with chatstore.connect("http://127.0.0.1:1?tenant=acme") as store:
        for call in (lambda: store.read("t"), lambda: store.create_thread("t"), store.list_threads):
            with pytest.raises(ConfigurationError, match="acme"):
                call()


def test_another_owner_than_the_services_is_refused_before_anything_is_sent() -> None:
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:1?owner=ada"):
        with chatstore.connect(url) as store, pytest.raises(ConfigurationError, match="bob"):
            store.for_owner("bob").read("t")
    app = create_app(chatstore.aconnect("memory://").for_owner("ada"))
    with serving(app) as address, chatstore.connect(f"{address}?owner=ada") as store:
        store.for_owner("ada").append("t", HELLO)
        assert store.get_thread("t").owner == "ada"


@pytest.mark.parametrize("url", ["http://x?pool=1", "http://x:port", "http://x?timeout=0"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError):
        chatstore.connect(url)


def test_one_store_serves_loop_after_loop_and_leaves_nothing_open() -> None:
    async def turn() -> int:
        await asyncio.gather(*(store.append("t", HELLO) for _ in range(5)))
        return len(await store.read("t"))

    with serving(Unsteady(0)) as address:
        store = chatstore.aconnect(address)
        assert [asyncio.run(turn()) for _ in range(3)] == [5, 10, 15]
        gc.collect()  # an open connection of a dead loop would warn here, and a warning fails


def test_a_listing_selects_metadata_of_any_type() -> None:
    values: list[object] = ["1", 1, 1.0, True, None, {"a": []}]
    with serving(Unsteady(0)) as address, chatstore.connect(address) as store:
        for number, value in enumerate(values):
            store.create_thread(str(number), metadata={"k[x]": value, "k": value})
        for key in ("k", "k[x]"):
            for number, value in enumerate(values):
                assert [one.id for one in store.iter_threads(metadata={key: value})] == [str(number)]


class Plain(MemoryBackend):
    """A storage that cannot count or search."""

    async def count_threads(self, tenant: str, owner: str | None, kind: str | None) -> int:
        raise self._unsupported(Capability.COUNT)

    async def search(self, tenant: str, query: Query) -> Page[Found]:
        raise self._unsupported(Capability.SEARCH)


def test_what_the_storage_of_a_service_cannot_do_is_unsupported_here_too() -> None:
    app = create_app(AsyncChatStore(Plain()))
    with serving(app) as address, chatstore.connect(address) as store:
        with pytest.raises(Unsupported, match="counts"):
            store.count_threads()
        with pytest.raises(Unsupported, match="words"):
            store.search("flight")
        assert httpx.get(f"{address}/v1/count").status_code == 501
