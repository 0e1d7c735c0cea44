"""Which account, table and credentials a URL and the environment name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

import chatstore
from chatstore.backends.azure_tables.account import Account
from chatstore.settings import AzureAccess
from chatstore.testing.samples import contents, say
from chatstore.urls import Url
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.servers import table_for

TABLES = "https://acme.table.core.windows.net"
VARIABLES = [
    f"{prefix}_{name}"
    for prefix in ("AZURE_STORAGE", "AZURE_COSMOS")
    for name in ("KEY", "SAS_TOKEN", "CONNECTION_STRING")
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def account(text: str, **variables: str) -> Account:
    url = Url.parse(text)
    cosmos = url.scheme == "cosmos-table"
    return Account.of(url, AzureAccess.from_environment(variables, cosmos=cosmos), cosmos=cosmos)


def client(text: str, **variables: str) -> Any:
    with account(text, **variables).client() as opened:
        return opened


@pytest.mark.parametrize(
    ("text", "variables", "url", "credential"),
    [
        ("aztables://acme/chat", {"AZURE_STORAGE_KEY": "a2V5"}, TABLES, AzureNamedKeyCredential),
        ("aztables://acme/chat", {"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x"}, TABLES, AzureSasCredential),
        (
            "cosmos-table://acme/chat",
            {"AZURE_COSMOS_KEY": "a2V5"},
            "https://acme.table.cosmos.azure.com",
            AzureNamedKeyCredential,
        ),
        (
            "aztables://devstoreaccount1/chat?endpoint=http://127.0.0.1:10002/devstoreaccount1",
            {"AZURE_STORAGE_KEY": "a2V5"},
            "http://127.0.0.1:10002/devstoreaccount1",
            AzureNamedKeyCredential,
        ),
        (
            "aztables:///chat",
            {
                "AZURE_STORAGE_CONNECTION_STRING": "AccountName=acme;AccountKey=a2V5;TableEndpoint=https://t.example"
            },
            "https://t.example",
            AzureNamedKeyCredential,
        ),
    ],
)
def test_forms(text: str, variables: dict[str, str], url: str, credential: type) -> None:
    opened = client(text, **variables)
    assert opened.url.partition("?")[0] == url
    assert opened.table_name == "chat"
    assert isinstance(opened.credential, credential)


def test_without_a_secret_the_identity_is_used() -> None:
    opened = client("aztables://acme/chat")
    assert hasattr(opened.credential, "get_token")
    assert opened.url == TABLES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aztables://acme", "a table of 3 to 63"),
        ("aztables://acme/ch", "a table of 3 to 63"),
        ("aztables://acme/chat-1", "a table of 3 to 63"),
        ("aztables://acme:secret@host/chat", "no secret"),  # pragma: allowlist secret
        ("aztables:///chat", "AZURE_STORAGE_CONNECTION_STRING"),
        ("cosmos-table:///chat", "AZURE_COSMOS_CONNECTION_STRING"),
        ("aztables://acme/chat?endpoint=somewhere", "begins with https://"),
        ("aztables:///chat?endpoint=https://t.example", "CONNECTION_STRING: leave endpoint= out"),
        ("aztables://acme/chat?key=a2V5", "no option 'key'"),
        ("aztables://acme/chat?timeout=0", "positive number"),
        ("aztables://acme/chat?client=other", "ASYNC, BLOCKING"),
    ],
)
def test_what_names_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(chatstore.ConfigurationError, match=said):
        chatstore.connect(text)


def test_no_secret_shows_in_what_is_printed() -> None:
    assert "a2V5" not in repr(account("aztables://acme/chat", AZURE_STORAGE_KEY="a2V5"))


def test_a_connection_string_opens_the_same_table(
    azurite: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_for(tmp_path)
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    with chatstore.connect(f"aztables://{ACCOUNT}/{table}?endpoint={azurite}") as store:
        store.append("t", say("a"))
    given = f"AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={azurite}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given)
    with chatstore.connect(f"aztables:///{table}") as store:
        assert contents(store.read("t")) == ["a"]


@pytest.mark.parametrize(
    ("url", "variable", "said"),
    [
        (
            "aztables:///chat",
            {"AZURE_STORAGE_CONNECTION_STRING": "nonsense"},
            "AZURE_STORAGE_CONNECTION_STRING",
        ),
        ("aztables:///chat", {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=acme"}, "connection details"),
        ("cosmos-table:///chat", {"AZURE_COSMOS_CONNECTION_STRING": "a=b"}, "AZURE_COSMOS_CONNECTION_STRING"),
        ("aztables://acme/chat?endpoint=http://127.0.0.1:9/acme", {}, "only supported with HTTPS"),
        ("aztables://acme/chat?endpoint=https://[", {"AZURE_STORAGE_KEY": "a2V5"}, r"https://\["),
    ],
)
def test_what_opens_nothing_is_said_by_every_operation(
    url: str, variable: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    calls: list[Callable[[Any], Any]] = [
        lambda store: store.append("t", say("a")),
        lambda store: store.read("t"),
        lambda store: store.prepare(),
        lambda store: store.ping(),
    ]

    async def called(call: Callable[[Any], Any], client: str) -> None:
        async with chatstore.aconnect(f"{url}{'&' if '?' in url else '?'}client={client}") as store:
            await call(store)

    for call in calls:
        with (
            chatstore.connect(url) as store,
            pytest.raises(chatstore.ConfigurationError, match=said) as raised,
        ):
            call(store)
        assert raised.value.__cause__ is not None
        for client in ("async", "blocking"):
            with pytest.raises(chatstore.ConfigurationError, match=said):
                asyncio.run(called(call, client))


def test_a_key_that_signs_nothing_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", "x")
    with chatstore.connect("aztables://acme/chat?endpoint=http://127.0.0.1:9/acme") as store:
        with pytest.raises(chatstore.StorageError, match="refuses these credentials"):
            store.read("t")
        with pytest.raises(chatstore.StorageError, match="refuses these credentials"):
            store.append("t", say("a"))


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_only_the_asynchronous_client_loads_what_it_needs(client: str, azurite: str, tmp_path: Any) -> None:
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={azurite}&client={client}"
    program = f"""
import asyncio, sys, chatstore

async def main():
    async with chatstore.aconnect({url!r}) as store:
        print(await store.read("t"))

asyncio.run(main())
print("aiohttp" in sys.modules)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AZURE_STORAGE_KEY": KEY},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.splitlines()[-1] == str(client == "async")
