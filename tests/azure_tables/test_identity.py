"""The platform's identity: asked for at the host's address, with the standard library alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from chatstore.backends.azure_tables.identity import async_credential, credential
from chatstore.settings import AzureAccess

SCOPE = "https://storage.azure.com/.default"


class Host(HTTPServer):
    """What App Service and Functions give a process to ask."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, str]] = []
        self.status, self.form = 200, json.dumps({"access_token": "t", "expires_on": "1900000000"})


class _Handler(BaseHTTPRequestHandler):
    server: Host  # type: ignore[mutable-override]  # as every handler of http.server has it

    def do_GET(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        self.server.asked.append(query | {"header": self.headers["X-IDENTITY-HEADER"]})
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.form.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        """Nothing."""


@pytest.fixture
def host() -> Iterator[Host]:
    server = Host()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def access(host: Host, **more: str) -> AzureAccess:
    address = f"http://127.0.0.1:{host.server_port}/msi/token"
    given = {"IDENTITY_ENDPOINT": address, "IDENTITY_HEADER": "h", **more}
    return AzureAccess.from_environment(given)


def test_a_token_in_both_colours(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    blocking = credential(access(host)).get_token(SCOPE)
    suspending = asyncio.run(async_credential(access(host, AZURE_CLIENT_ID="c")).get_token(SCOPE))
    assert blocking == suspending == ("t", 1900000000)
    expected = {"api-version": "2019-08-01", "resource": "https://storage.azure.com", "header": "h"}
    assert host.asked == [expected, expected | {"client_id": "c"}]


@pytest.mark.parametrize(
    ("status", "form", "error"),
    [
        (400, "{}", ClientAuthenticationError),
        (500, "{}", ServiceRequestError),
        (200, "?", ServiceRequestError),
    ],
)
def test_no_token(host: Host, status: int, form: str, error: type[Exception]) -> None:
    host.status, host.form = status, form
    with pytest.raises(error):
        credential(access(host)).get_token(SCOPE)


@pytest.mark.parametrize("colour", [credential, async_credential])
def test_an_address_without_the_hosts_secret_is_for_azure_identity(colour: Callable[[Any], Any]) -> None:
    """A machine of Azure Arc names one too, and answers no request that has no challenge in it."""
    found = colour(AzureAccess.from_environment({"IDENTITY_ENDPOINT": "http://127.0.0.1:9/"}))
    assert type(found).__name__ == "DefaultAzureCredential"


def test_azure_identity_is_not_loaded_for_it(host: Host) -> None:
    program = (
        "import sys, chatstore\n"
        "store = chatstore.connect('aztables://acme/chat')\n"
        "store.backend.driver._client.used().__enter__()\n"
        "assert 'azure.data.tables' in sys.modules and 'azure.identity' not in sys.modules\n"
    )
    given: dict[str, Any] = {"IDENTITY_ENDPOINT": "http://127.0.0.1:9/", "IDENTITY_HEADER": "h"}
    subprocess.run([sys.executable, "-c", program], env=given, check=True, timeout=60)
