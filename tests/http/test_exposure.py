from __future__ import annotations

import httpx
import pytest

import chatstore
from chatstore import ConfigurationError
from chatstore.http.app import create_app
from chatstore.http.exposure import require_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_identity(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.2", "8.8.8.8", "example.org", "", "localhost.example.org"],  # noqa: S104 - refused
)
def test_another_address_does(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1"):
        require_loopback(host)


@pytest.mark.parametrize("variable", ["AWS_LAMBDA_FUNCTION_NAME", "FUNCTIONS_WORKER_RUNTIME", "K_SERVICE"])
def test_a_cloud_platform_does_too(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ConfigurationError, match="without identity"):
        create_app(chatstore.aconnect("memory://"))
    with pytest.raises(ConfigurationError, match="without identity"):
        require_loopback("127.0.0.1")


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"])
def test_a_loopback_host_is_served(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/threads", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "10.0.0.1:80", "[", "", "evil@example.org"]
)
def test_a_name_that_was_bound_to_loopback_is_not(http: httpx.Client, host: str) -> None:
    refused = http.get("/v1/threads", headers={"Host": host})
    assert (refused.status_code, refused.json()["code"]) == (421, "misdirected")


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost:9", "null", ""])
def test_a_page_of_another_origin_is_refused(http: httpx.Client, origin: str) -> None:
    refused = http.post("/v1/threads", headers={"Origin": origin, "Host": "localhost:80"})
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign-origin")
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_its_own_is_served(http: httpx.Client) -> None:
    headers = {"Origin": "http://localhost:80", "Host": "localhost:80"}
    assert http.post("/v1/threads", headers=headers).status_code == 201
