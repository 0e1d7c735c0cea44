"""Tokens of an OIDC issuer, which runs on this machine and whose keys are made here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from chatstore import ConfigurationError
from chatstore.http.app import create_app
from chatstore.http.identity import jwks
from chatstore.settings import Settings
from tests.http.serving import serving

PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER = rsa.generate_private_key(65537, 2048)
AUDIENCE = "chatstore"
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip


class Issuer:
    """Publishes its keys, says how often it was asked, and may fail."""

    def __init__(self) -> None:
        self.address = ""
        self.named = ""
        self.keys = {name: (name, private) for name, private in PRIVATE.items()}
        self.asked = 0
        self.failing: Response | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        discovery = {"issuer": self.named, "jwks_uri": f"{self.address}/keys"}
        answer: Response = JSONResponse(discovery)
        if scope["path"] == "/keys":
            self.asked += 1
            answer = self.failing or JSONResponse({"keys": [public(*one) for one in self.keys.items()]})
        await answer(scope, receive, send)


def public(id: str, key: tuple[str, Any]) -> dict[str, Any]:
    algorithm, private = key
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return {**made, "kid": id, "alg": algorithm, "use": "sig"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    with serving(issuer) as issuer.address:
        issuer.named = issuer.address
        yield issuer


@pytest.fixture
def service(issuer: Issuer, tmp_path: Path) -> Iterator[httpx.Client]:
    settings = Settings(
        f"sqlite:///{tmp_path}/chat.db", auth="jwt", jwt_issuer=issuer.address, jwt_audience=AUDIENCE,
        jwt_tenant_claim="https://example.org/tenant",
    )  # fmt: skip
    with serving(create_app(settings=settings)) as base, httpx.Client(base_url=base) as client:
        yield client


def claims(issuer: Issuer, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": issuer.address, "aud": AUDIENCE, "sub": "ada", "exp": now + 300, "nbf": now, "iat": now,
        "https://example.org/tenant": "acme", "scope": "openid chatstore.read chatstore.write",
    }  # fmt: skip
    return {name: value for name, value in {**given, **changed}.items() if value is not None}


def signed(body: dict[str, Any], algorithm: str = "RS256", key: Any = None, kid: str | None = None) -> str:
    return jwt.encode(body, key or PRIVATE[algorithm], algorithm, headers={"kid": kid or algorithm})


def by_hand(header: dict[str, Any], body: dict[str, Any], secret: bytes | None) -> str:
    """A token that no honest library would make."""
    parts = [json.dumps(part).encode() for part in (header, body)]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def get(service: httpx.Client, token: str) -> httpx.Response:
    return service.get("/v1/threads", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_token_opens_its_owners_threads(service: httpx.Client, issuer: Issuer, algorithm: str) -> None:
    headers = {"Authorization": f"Bearer {signed(claims(issuer), algorithm)}"}
    made = service.post("/v1/threads", headers=headers)
    assert (made.status_code, made.json()["owner"]) == (201, "ada")
    assert [one["owner"] for one in service.get("/v1/threads", headers=headers).json()["items"]] == ["ada"]
    for other in ({"sub": "bob"}, {"https://example.org/tenant": "other"}):
        assert get(service, signed(claims(issuer, **other))).json()["items"] == []
    admin = claims(issuer, sub="root", scope=["admin"])
    assert len(get(service, signed(admin)).json()["items"]) == 1


BAD: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - 120}, "not yet": {"nbf": 2**33},
    "no end": {"exp": None}, "no issuer": {"iss": None}, "no audience": {"aud": None},
    "another issuer": {"iss": "https://example.org"}, "another audience": {"aud": "elsewhere"},
    "no owner": {"sub": None}, "no tenant": {"https://example.org/tenant": None},
    "a tenant that is none": {"https://example.org/tenant": ["acme"]},
    "a reserved tenant": {"https://example.org/tenant": "chatstore:keys"},
    "an owner too long": {"sub": "x" * 257},
}  # fmt: skip


@pytest.mark.parametrize("claim", BAD)
def test_a_claim_that_does_not_hold(service: httpx.Client, issuer: Issuer, claim: str) -> None:
    refused = get(service, signed(claims(issuer, **BAD[claim])))
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert "invalid_token" in refused.headers["www-authenticate"]


def test_a_clock_that_is_a_little_off_is_borne(service: httpx.Client, issuer: Issuer) -> None:
    now = int(time.time())
    assert get(service, signed(claims(issuer, exp=now - 5))).status_code == 200
    assert get(service, signed(claims(issuer, nbf=now + 5, iat=now + 5))).status_code == 200


def test_scopes_are_what_the_token_says(service: httpx.Client, issuer: Issuer) -> None:
    for scope, status in (
        ("read", 200),
        ("chatstore.admin", 200),
        ("write", 403),
        ("readonly", 403),
        (None, 403),
    ):
        assert get(service, signed(claims(issuer, scope=scope))).status_code == status


def test_a_forged_token_is_none(service: httpx.Client, issuer: Issuer) -> None:
    body = claims(issuer)
    pem = (
        PRIVATE["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    whole = signed(body)
    head, middle, signature = whole.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**body, "sub": "bob"}).encode()).decode().rstrip("=")
    forged = {
        "of a stranger": signed(body, key=STRANGER),
        "unsigned": by_hand({"alg": "none", "kid": "RS256"}, body, None),
        "None": by_hand({"alg": "None", "kid": "RS256"}, body, None),
        "signed with the public key": by_hand({"alg": "HS256", "kid": "RS256"}, body, pem),
        "of another algorithm": jwt.encode(body, PRIVATE["RS256"], "RS512", headers={"kid": "RS256"}),
        "of an algorithm that its key is not for": jwt.encode(
            body, PRIVATE["RS256"], "PS256", headers={"kid": "RS256"}
        ),
        "of the wrong key": signed(body, "ES256", kid="RS256"),
        "without a key id": jwt.encode(body, PRIVATE["RS256"], "RS256"),
        "changed": f"{head}.{other}.{signature}",
        "cut": whole[:-4], "without a signature": f"{head}.{middle}.", "no token": "a.b.c", "dots": "..",
        "long": f"{head}.{'x' * 40_000}.{signature}",
    }  # fmt: skip
    assert {name: get(service, token).status_code for name, token in forged.items()} == dict.fromkeys(
        forged, 401
    )
    assert get(service, whole).status_code == 200


def test_a_new_key_is_fetched_and_no_flood_reaches_the_issuer(
    service: httpx.Client, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(service, signed(claims(issuer))).status_code == 200
    assert {get(service, signed(claims(issuer), kid=f"k{n}")).status_code for n in range(20)} == {401}
    assert issuer.asked == 1
    rotated = rsa.generate_private_key(65537, 2048)
    issuer.keys = {"new": ("RS256", rotated)}
    monkeypatch.setattr(jwks, "REFRESH_SECONDS", 0.0)
    assert get(service, signed(claims(issuer), key=rotated, kid="new")).status_code == 200
    assert get(service, signed(claims(issuer))).status_code == 401
    assert issuer.asked == 3


@pytest.mark.parametrize(
    "failing",
    [
        Response(status_code=500), Response("{"), JSONResponse([]), Response(b" " * 300_000),
        RedirectResponse("http://127.0.0.1:1/"), JSONResponse({"keys": [1]}),
    ],
)  # fmt: skip
def test_without_the_issuers_keys_nobody_gets_in_and_those_known_stay(
    service: httpx.Client, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, failing: Response
) -> None:
    monkeypatch.setattr(jwks, "REFRESH_SECONDS", 0.0)
    issuer.failing = failing
    down = get(service, signed(claims(issuer)))
    assert (down.status_code, down.json()["code"], down.headers["retry-after"]) == (
        503,
        "identity-unavailable",
        "1",
    )
    issuer.failing = None
    assert get(service, signed(claims(issuer))).status_code == 200
    issuer.failing = failing
    assert get(service, signed(claims(issuer), kid="unknown")).status_code == 503
    assert get(service, signed(claims(issuer))).status_code == 200
    monkeypatch.setattr(jwks, "STALE_SECONDS", 0.0)
    assert get(service, signed(claims(issuer))).status_code == 503


def test_a_discovery_of_another_issuer_is_not_believed(service: httpx.Client, issuer: Issuer) -> None:
    issuer.named = "https://example.org"
    assert get(service, signed(claims(issuer))).status_code == 503
    assert issuer.asked == 0


def test_keys_and_tokens_side_by_side(issuer: Issuer, tmp_path: Path) -> None:
    settings = Settings(
        f"sqlite:///{tmp_path}/chat.db", auth="api-key,jwt", jwt_issuer=issuer.address, jwt_audience=AUDIENCE,
        jwt_jwks_url=f"{issuer.address}/keys", jwt_owner_claim="", tenant="acme",
    )  # fmt: skip
    with serving(create_app(settings=settings)) as base, httpx.Client(base_url=base) as client:
        assert get(client, "cs_0_x").status_code == 401
        made = client.post(
            "/v1/threads", json={"id": "t"}, headers={"Authorization": f"bearer {signed(claims(issuer))}"}
        )
        assert (made.status_code, made.json()["owner"]) == (201, None)
        document = client.get("/openapi.json").json()
        assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}


ISSUER = {"jwt_issuer": "https://example.org", "jwt_audience": AUDIENCE}


@pytest.mark.parametrize(
    "unsafe",
    [
        {"auth": ""}, {"auth": "none,api-key"}, {"auth": "password"}, {"auth": "API-KEY"}, {"auth": "jwt"},
        {"auth": "jwt", "jwt_issuer": "https://example.org"}, {"auth": "jwt", "jwt_audience": AUDIENCE},
        {"auth": "jwt", **ISSUER, "jwt_issuer": "http://example.org"},
        {"auth": "jwt", **ISSUER, "jwt_jwks_url": "http://example.org/keys"},
        {"auth": "jwt", **ISSUER, "jwt_jwks_url": "file:///etc/keys"},
        {"auth": "jwt", **ISSUER, "jwt_algorithms": "HS256"}, {"auth": "jwt", **ISSUER, "jwt_algorithms": ""},
        {"auth": "jwt", **ISSUER, "jwt_algorithms": "RS256,none"},
        {"auth": "jwt", **ISSUER, "jwt_leeway": 61}, {"auth": "api-key", **ISSUER}, {"auth": "platform"},
        {"api_keys": "[]"}, {"auth": "jwt", **ISSUER, "api_keys": "[]"}, {"cors_origins": "*"},
        {"cors_origins": "https://example.org/"}, {"cors_origins": "example.org"},
    ],
)  # fmt: skip
def test_settings_that_would_not_be_safe_stop_the_start(unsafe: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="CHATSTORE_"):
        create_app(settings=Settings("memory://", **unsafe))


def test_an_algorithm_that_does_not_fit_its_key_is_no_token(issuer: Issuer, tmp_path: Path) -> None:
    """Whoever knows the id of a public key can send such a token: it is refused, and no failure."""
    known = {
        "RSA": rsa.generate_private_key(65537, 2048), "P-256": ec.generate_private_key(ec.SECP256R1()),
        "P-384": ec.generate_private_key(ec.SECP384R1()), "P-521": ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(), "Ed448": ed448.Ed448PrivateKey.generate(),
    }  # fmt: skip
    family = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
    published = [public(id, (family.get(id, "EdDSA"), private)) for id, private in known.items()]
    for key in published[:-1]:  # of Ed448 the library reads no key that does not say it
        del key["alg"]
    issuer.failing = JSONResponse({"keys": published})
    settings = Settings(
        f"sqlite:///{tmp_path}/chat.db", auth="jwt", jwt_issuer=issuer.address, jwt_audience=AUDIENCE,
        jwt_algorithms=",".join(ALGORITHMS), requests_per_minute=0,
    )  # fmt: skip
    body = claims(issuer)
    others: tuple[Any, ...] = ("HS256", "none", "", None, 1, ["RS256"], {})
    with serving(create_app(settings=settings)) as base, httpx.Client(base_url=base) as service:
        for id, private in known.items():
            for algorithm in (*ALGORITHMS, *others):
                for secret in (None, b"a signature"):
                    token = by_hand({"alg": algorithm, "kid": id}, body, secret)
                    assert get(service, token).status_code == 401, (id, algorithm, secret)
            assert get(service, signed(body, family.get(id, "EdDSA"), private, id)).status_code == 200
        for header in ("[" * 9000, '{"kid":"RSA","alg":"RS256","crit":["x"]}', "\ud800", "1", "null", '"'):
            head = base64.urlsafe_b64encode(header.encode(errors="surrogatepass")).decode().rstrip("=")
            assert get(service, f"{head}.e30.e30").status_code == 401
