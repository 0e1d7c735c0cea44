"""Callers whom a cloud platform vouches for, and that nobody else can vouch for them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore import ConfigurationError
from chatstore.http.app import create_app
from chatstore.http.exposure import require_loopback
from chatstore.http.identity import asks_nobody
from chatstore.settings import Settings
from tests.http.serving import serving

CLAIMS = {"sub": "ada", "tenant": "acme", "scope": "chatstore.read chatstore.write"}
LONG = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"


class Gateway:
    """Hands an event over with each request, as the adapter on AWS Lambda does."""

    def __init__(self, app: ASGIApp, authorizer: Any) -> None:
        self.app = app
        self.event = {"requestContext": {"authorizer": authorizer} if authorizer is not None else {}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "aws.event": self.event}, receive, send)


@contextmanager
def on(
    monkeypatch: pytest.MonkeyPatch, folder: Path, authorizer: Any = ..., **environ: str
) -> Iterator[httpx.Client]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = Settings(f"sqlite:///{folder}/chat.db", auth="platform", jwt_tenant_claim="tenant")
    app: ASGIApp = create_app(settings=settings)
    served = app if authorizer is ... else Gateway(app, authorizer)
    with serving(served) as base, httpx.Client(base_url=base) as client:
        yield client


def principal(*claims: tuple[str, str]) -> dict[str, str]:
    form = {"auth_typ": "aad", "claims": [{"typ": name, "val": value} for name, value in claims]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(form).encode()).decode()}


@pytest.mark.parametrize(
    "authorizer",
    [
        {"jwt": {"claims": CLAIMS, "scopes": None}},
        {"claims": CLAIMS, "scopes": None},
        {"jwt": {"claims": {**CLAIMS, "scope": "[chatstore.read chatstore.write]"}}},
    ],
    ids=["payload 2.0", "payload 1.0", "a list"],
)
def test_the_gateways_authorizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authorizer: Any) -> None:
    with on(monkeypatch, tmp_path, authorizer, AWS_LAMBDA_FUNCTION_NAME="f") as client:
        made = client.post("/v1/threads")
        assert (made.status_code, made.json()["owner"]) == (201, "ada")
        assert client.get("/v1/threads").status_code == 200


@pytest.mark.parametrize(
    "authorizer",
    [
        None, {}, {"iam": {"accountId": "1"}}, {"jwt": {}}, {"jwt": {"claims": {}}}, {"jwt": "x"},
        {"jwt": {"claims": {"sub": "ada"}}}, {"lambda": CLAIMS}, "x",
        {"claims": "sub"},
        {"jwt": {"claims": "ada"}}, {"claims": ["sub"]}, {"jwt": {"claims": [CLAIMS]}},
        {"jwt": {"claims": 7}}, {"jwt": [CLAIMS]},
    ],
)  # fmt: skip
def test_a_request_that_no_authorizer_saw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authorizer: Any
) -> None:
    with on(monkeypatch, tmp_path, authorizer, AWS_LAMBDA_FUNCTION_NAME="f") as client:
        headers = principal(*CLAIMS.items())
        assert client.get("/v1/threads", headers=headers).status_code == 401


def test_easy_auth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = {"FUNCTIONS_WORKER_RUNTIME": "python", "WEBSITE_AUTH_ENABLED": "True"}
    with on(monkeypatch, tmp_path, {"jwt": {"claims": CLAIMS}}, **environ) as client:
        both = principal((LONG, "ada"), ("tenant", "acme"), ("scope", "read"), ("scope", "write"))
        made = client.post("/v1/threads", headers=both)
        assert (made.status_code, made.json()["owner"]) == (201, "ada")
        reads = principal((LONG, "ada"), ("tenant", "acme"), ("scope", "read"))
        assert client.get("/v1/threads", headers=reads).status_code == 200
        assert client.post("/v1/threads", headers=reads).status_code == 403
        [(name, value)] = both.items()
        for bad in (
            [],
            [(name, "x")],
            [(name, ""), ("a", "b")],
            [(name, value), (name, value)],
            [(name, "e30=")],
        ):
            assert client.get("/v1/threads", headers=bad).status_code == 401


@pytest.mark.parametrize(
    "environ", [{}, {"K_SERVICE": "x"}, {"WEBSITE_INSTANCE_ID": "x"}, {"FUNCTIONS_WORKER_RUNTIME": "python"}]
)
def test_a_platform_that_is_not_there_vouches_for_nobody(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="CHATSTORE_AUTH=platform"):
        create_app(settings=Settings("memory://", auth="platform"))


def test_with_identity_a_platform_and_any_host_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "x")
    settings = Settings("memory://", auth="api-key")
    assert not asks_nobody(settings)
    with serving(create_app(settings=settings)) as base:
        answer = httpx.get(f"{base}/healthz", headers={"Host": "chat.example.org"})
        assert answer.status_code == 200
        assert httpx.get(f"{base}/v1/threads", headers={"Host": "chat.example.org"}).status_code == 401
    with pytest.raises(ConfigurationError, match="without authentication"):
        require_loopback("127.0.0.1")


APP = "https://app.example.org"


@pytest.mark.parametrize("auth", ["none", "api-key"])
def test_pages_of_listed_origins_alone(auth: str) -> None:
    settings = Settings("memory://", auth=auth, cors_origins=f"{APP}, http://localhost:3000")
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with serving(create_app(settings=settings)) as base, httpx.Client(base_url=base) as client:
        allowed = client.options("/v1/threads", headers={"Origin": APP, **asking})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == APP
        assert "access-control-allow-credentials" not in allowed.headers
        assert (
            client.get("/v1/threads", headers={"Origin": APP}).headers["access-control-allow-origin"] == APP
        )
        foreign = {"Origin": "https://app.example.org.evil.example"}
        for answer in (
            client.options("/v1/threads", headers={**foreign, **asking}),
            client.get("/v1/threads", headers=foreign),
        ):
            assert "access-control-allow-origin" not in answer.headers


def test_no_origin_is_listed_unless_one_is() -> None:
    with serving(create_app(settings=Settings("memory://", auth="api-key"))) as base:
        answer = httpx.get(f"{base}/healthz", headers={"Origin": APP})
    assert "access-control-allow-origin" not in answer.headers
