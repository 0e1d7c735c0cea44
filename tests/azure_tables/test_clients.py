"""A store has one client of the SDK in a process or a loop, and gives back what it opened."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.data.tables import TableClient

import chatstore
from chatstore.backends.azure_tables import account, identity
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
from chatstore.blocking import run
from chatstore.errors import ChatStoreError
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.azure_tables.unkind import Unkind
from tests.servers import table_for


def test_as_many_connections_are_kept_as_calls_are_made_at_once(azurite: str, tmp_path: Path) -> None:
    with Unkind(azurite) as proxy:
        url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={proxy.endpoint}&client=blocking"

        async def rounds() -> None:
            async with chatstore.aconnect(url) as store:
                await store.prepare()
                proxy.gate = threading.Barrier(account.CONNECTIONS, timeout=20)
                for _ in range(3):
                    await asyncio.gather(*(store.read(f"t{number}") for number in range(account.CONNECTIONS)))

        asyncio.run(rounds())
        assert proxy.opened == account.CONNECTIONS


def test_threads_that_begin_at_once_share_one_client(azurite: str, tmp_path: Path) -> None:
    opened = []

    @contextlib.contextmanager
    def opening() -> Iterator[TableClient]:
        opened.append(threading.current_thread())
        if len(opened) == 1:
            # While this one is being opened, another thread wants one.
            other.start()
            other.join(0.2)
        given = f"AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={azurite}"
        with TableClient.from_connection_string(given, table_for(tmp_path)) as client:
            yield client

    driver = BlockingDriver(opening)
    other = threading.Thread(target=lambda: run(driver.create()))
    run(driver.create())
    other.join()
    assert len(opened) == 1
    run(driver.close())


class Credential:
    """An identity that counts what is open."""

    def __init__(self) -> None:
        self.open = 1

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        raise AssertionError("nothing is asked for")

    def close(self) -> None:
        self.open -= 1


class AsyncCredential(Credential):
    async def get_token(self, *_: str, **__: Any) -> AccessToken:  # type: ignore[override]  # awaited
        raise AssertionError("nothing is asked for")

    async def close(self) -> None:  # type: ignore[override]  # awaited
        super().close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> list[Credential]:
    """Those that were opened, in the place of azure-identity's."""
    made: list[Credential] = []

    def make(kind: type[Credential]) -> Any:
        made.append(kind())
        return made[-1]

    monkeypatch.delenv("AZURE_STORAGE_KEY", raising=False)
    monkeypatch.setattr(identity, "credential", lambda _: make(Credential))
    monkeypatch.setattr(identity, "async_credential", lambda _: make(AsyncCredential))
    return made


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_a_credential_is_closed_with_its_client(credentials: list[Credential], client: str) -> None:
    # An answer that never comes: nothing listens there.
    url = f"aztables://acme/chat?endpoint=https://127.0.0.1:9/acme&client={client}"

    async def use() -> None:
        async with chatstore.aconnect(url) as store:
            with pytest.raises(AssertionError, match="nothing is asked for"):
                await store.ping()
            # After an exception that is not its library's, a blocking client is replaced, and closed at once.
            assert [one.open for one in credentials] == [int(client == "async")]

    asyncio.run(use())
    assert [one.open for one in credentials] == [0]


def test_a_credential_is_closed_where_its_loop_ends(credentials: list[Credential]) -> None:
    store = chatstore.aconnect("aztables://acme/chat?endpoint=https://127.0.0.1:9/acme")

    async def use() -> None:
        with pytest.raises(AssertionError, match="nothing is asked for"):
            await store.ping()

    asyncio.run(use())
    asyncio.run(use())
    assert [one.open for one in credentials] == [0, 0]


def test_a_blocking_caller_closes_its_credential_too(credentials: list[Credential]) -> None:
    with (
        chatstore.connect("aztables://acme/chat?endpoint=https://127.0.0.1:9/acme") as store,
        pytest.raises(AssertionError, match="nothing is asked for"),
    ):
        store.ping()
    assert [one.open for one in credentials] == [0]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a proxy that the environment names was asked for; it answers nothing well."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(400)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield asked
        server.shutdown()
        serving.join()


def prepare(client: str, endpoint: str, table: str) -> None:
    async def use() -> None:
        async with chatstore.aconnect(
            f"aztables://{ACCOUNT}/{table}?endpoint={endpoint}&client={client}"
        ) as store:
            await store.prepare()

    asyncio.run(use())


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_the_environments_proxy_is_used(proxy: list[str], client: str) -> None:
    # A name that nobody has: the proxy is the only way there.
    with pytest.raises(ChatStoreError):
        prepare(client, "http://tables.invalid", "chat")
    assert proxy == ["http://tables.invalid/Tables"]


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_but_not_for_what_the_environment_excepts(
    proxy: list[str], client: str, azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    prepare(client, azurite, table_for(tmp_path))
    assert proxy == []


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_a_file_of_passwords_takes_no_keys_place(
    client: str, azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password lovelace\n")
    monkeypatch.setenv("NETRC", f"{tmp_path}/netrc")
    prepare(client, azurite, table_for(tmp_path))
