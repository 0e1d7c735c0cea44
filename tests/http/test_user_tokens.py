"""Tokens that a backend issues to its users: any JWT library makes them, and nobody without the secret."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatstore
from chatstore import user_tokens
from chatstore.errors import ConfigurationError, InvalidArgument
from chatstore.http.app import create_app
from chatstore.settings import Settings

chat: Any = importlib.import_module("azure.communication.chat")

SECRET, OLD = "a secret of this test that is long enough", "another one of this test and from before"
SETTINGS = Settings(auth="user-token", user_token_secrets=f"{SECRET}, {OLD}", tenant="acme")
USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def asked(token: str, settings: Settings = SETTINGS) -> list[httpx.Response]:
    """What the native face answers to somebody with this token who makes a thread, and lists all they see."""

    async def ask() -> list[httpx.Response]:
        async with chatstore.aconnect("memory://") as store:
            app = create_app(store, settings)
            for owner in (None, "somebody else"):
                await store.for_tenant("acme").append("t", {"role": "user", "content": "x"}, owner=owner)
            headers = {"Authorization": f"Bearer {token}"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://service", headers=headers
            ) as client:
                return [await client.post("/v1/threads", json={}), await client.get("/v1/threads")]

    return asyncio.run(ask())


def claims(**changed: Any) -> dict[str, Any]:
    found = {"iss": "chatstore", "sub": "ada", "scope": "chat", "exp": int(time.time()) + 60, **changed}
    return {name: value for name, value in found.items() if value is not None}


@given(user=USERS)
def test_what_is_issued_is_what_the_clients_take(user: str) -> None:
    token = user_tokens.issue(user, secret=SECRET, tenant="acme", valid=timedelta(hours=1))
    assert 3500 < chat.CommunicationTokenCredential(token).get_token().expires_on - time.time() <= 3600
    told = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="chatstore")
    assert (told["sub"], told["skypeid"], told["acsScope"]) == (user, user.removeprefix("8:"), "chat")
    both = user_tokens.SCOPES["read"] | user_tokens.SCOPES["write"]
    assert user_tokens.check(token, [OLD, SECRET]) == user_tokens.UserToken(user, "acme", both)


def test_it_opens_the_threads_of_its_user() -> None:
    for secret in (SECRET, OLD):
        made, listed = asked(jwt.encode(claims(), secret, "HS256"))
        assert made.status_code == 201
        assert [one["owner"] for one in listed.json()["items"]] == ["ada"]
    made, listed = asked(jwt.encode(claims(scope="read"), SECRET, "HS256"))
    assert (made.status_code, listed.status_code) == (403, 200)
    made, listed = asked(jwt.encode(claims(scope="admin"), SECRET, "HS256"))
    assert (made.status_code, listed.status_code) == (403, 403)


def unsigned(header: dict[str, Any], **changed: Any) -> str:
    parts = [json.dumps(part).encode() for part in (header, claims(**changed))]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


REFUSED = {
    "another secret": jwt.encode(claims(), "x" * 40, "HS256"),
    "no signature": unsigned({"alg": "none"}),
    "an empty signature": unsigned({"alg": "HS256"}),
    "another algorithm": jwt.encode(claims(), SECRET * 2, "HS512"),
    "expired": jwt.encode(claims(exp=int(time.time()) - 60), SECRET, "HS256"),
    "not yet": jwt.encode(claims(nbf=int(time.time()) + 100), SECRET, "HS256"),
    "for a week": jwt.encode(claims(exp=int(time.time()) + 7 * 86400), SECRET, "HS256"),
    "for ever": jwt.encode(claims(exp=None), SECRET, "HS256"),
    "another issuer": jwt.encode(claims(iss="somebody"), SECRET, "HS256"),
    "nobody": jwt.encode(claims(sub=None), SECRET, "HS256"),
    "an empty user": jwt.encode(claims(sub=""), SECRET, "HS256"),
    "a reserved tenant": jwt.encode(claims(tenant="chatstore:keys"), SECRET, "HS256"),
    "no scope": jwt.encode(claims(scope=None), SECRET, "HS256"),
    "cut": user_tokens.issue("ada", secret=SECRET)[:-1],
    "changed": user_tokens.issue("ada", secret=SECRET).replace(".", ".e", 1),
    "long": jwt.encode(claims(more="x" * 5000), SECRET, "HS256"),
    "deep": "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 2000).decode() + ".x",
    "no token": "x.y.z",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_hold_is_refused(what: str) -> None:
    for answer in asked(REFUSED[what]):
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        assert REFUSED[what] not in answer.text


def test_settings_that_are_not_safe_are_refused() -> None:
    for settings in (
        Settings(auth="user-token"),
        Settings(auth="user-token", user_token_secrets="short"),  # pragma: allowlist secret
        Settings(auth="user-token", user_token_secrets=f"{SECRET},short"),
        Settings(auth="api-key", user_token_secrets=SECRET),
    ):
        with pytest.raises(ConfigurationError, match="CHATSTORE_USER_TOKEN_SECRETS") as caught:
            create_app(settings=settings)
        assert SECRET not in str(caught.value)
    many: list[dict[str, Any]] = [
        {"user": ""},
        {"scopes": ["admin"]},
        {"scopes": []},
        {"valid": timedelta(days=2)},
    ]
    for wrong in many:
        with pytest.raises(InvalidArgument):
            user_tokens.issue(**{"user": "ada", **wrong}, secret=SECRET)


def test_the_command_issues_one() -> None:
    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chatstore", "tokens", "issue", *arguments],
            capture_output=True, text=True, check=False, env=environ,
        )  # fmt: skip

    secret = {"CHATSTORE_USER_TOKEN_SECRETS": SECRET}
    done = run("--user", "ada", "--scope", "chat", "--valid", "24h", **secret)
    assert user_tokens.check(done.stdout.strip(), [SECRET]).user == "ada"
    told = json.loads(run("--user", "ada", "--valid", "30m", "--json", **secret).stdout)
    assert (told["user"], told["expires_in"]) == ("ada", 1800)
    for arguments, environ in ((("--user", "ada"), {}), (("--user", "ada", "--valid", "2d"), secret)):
        refused = run(*arguments, **environ)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "24" in refused.stderr or "openssl" in refused.stderr
