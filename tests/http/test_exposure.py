from __future__ import annotations

import httpx
import pytest

import chatstore
from chatstore import ConfigurationError
from chatstore.http.app import create_app
from chatstore.http.exposure import require_loopback
from chatstore.settings import Settings
from tests.http.serving import serving


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
    with pytest.raises(ConfigurationError, match="without authentication"):
        create_app(chatstore.aconnect("memory://"))
    with pytest.raises(ConfigurationError, match="without authentication"):
        require_loopback("127.0.0.1")


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"])
def test_a_loopback_host_is_served(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/threads", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "localhost.example.org",
        "10.0.0.1:80",
        "[",
        "",
        "evil@example.org",
        "evil@localhost",
        "localhost:80@127.0.0.1",
        "localhost/evil",
        "localhost?x",
        "localhost#x",
        "localhost, localhost",
        "[::1",
        "localhost:port",
    ],
)
def test_a_name_that_was_bound_to_loopback_is_not(http: httpx.Client, host: str) -> None:
    refused = http.get("/v1/threads", headers={"Host": host})
    assert (refused.status_code, refused.json()["code"]) == (421, "misdirected")


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "CF-Connecting-IP",
    ],
)
def test_what_a_proxy_passes_on_is_refused(http: httpx.Client, name: str) -> None:
    for method, path in (("GET", "/v1/threads"), ("POST", "/v1/threads"), ("GET", "/docs"), ("PUT", "/x")):
        refused = http.request(method, path, headers={name: "127.0.0.1"})
        assert (refused.status_code, refused.json()["code"]) == (403, "relayed")


def test_with_identity_a_proxy_may_pass_requests_on() -> None:
    settings = Settings(auth="api-key")
    with serving(create_app(chatstore.aconnect("memory://"), settings)) as base:
        assert httpx.get(f"{base}/docs", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 200


BROWSER = ("cross-site", "same-site", "same-origin", "none")


@pytest.mark.parametrize("site", BROWSER)
def test_what_a_browser_says_of_the_page_that_asks(http: httpx.Client, site: str) -> None:
    own = site in ("same-origin", "none")
    marked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    followed = {**marked, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    framed = {**followed, "Sec-Fetch-Dest": "iframe"}
    for headers in (marked, framed, {"Sec-Fetch-Site": site}):
        answer = http.get("/v1/threads", headers=headers)
        assert answer.status_code == (200 if own else 403)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert http.get("/docs", headers=followed).status_code == 200
    assert http.post("/v1/threads", headers=followed).status_code == (201 if own else 403)


def test_a_page_of_an_origin_that_may_is_served_wherever_it_is() -> None:
    app = create_app(chatstore.aconnect("memory://"), Settings(cors_origins="https://app.example.org"))
    headers = {"Origin": "https://app.example.org", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    with serving(app) as base:
        assert httpx.post(f"{base}/v1/threads", headers=headers).status_code == 201


def test_two_origins_are_one_too_many(http: httpx.Client) -> None:
    own = ("Origin", "http://localhost:80")
    for headers in ([own, own], [own, ("Origin", "https://example.org")], [("Origin", "null"), own]):
        refused = http.post("/v1/threads", headers=[("Host", "localhost:80"), *headers])
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign-origin")


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost:9", "null", ""])
def test_a_page_of_another_origin_is_refused(http: httpx.Client, origin: str) -> None:
    refused = http.post("/v1/threads", headers={"Origin": origin, "Host": "localhost:80"})
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign-origin")
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_its_own_is_served(http: httpx.Client) -> None:
    headers = {"Origin": "http://localhost:80", "Host": "localhost:80"}
    assert http.post("/v1/threads", headers=headers).status_code == 201
