"""API keys from the first request to the last, over real HTTP on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

import chatstore
from chatstore import ConfigurationError
from chatstore.api_keys import Keys, digest, new_key
from chatstore.http.app import create_app
from chatstore.http.routes import ROUTES
from chatstore.settings import Settings
from chatstore.testing.manual_clock import ManualClock
from tests.cli.running import Cli
from tests.http.serving import serving

HELLO = {"role": "user", "content": "hello"}
THREAD = "/v1/threads/t"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(tmp_path: Path, clock: ManualClock) -> Keys:
    return Keys(chatstore.aconnect(f"sqlite:///{tmp_path}/chat.db", clock=clock))


@pytest.fixture
def service(tmp_path: Path, clock: ManualClock) -> Iterator[httpx.Client]:
    store = chatstore.aconnect(f"sqlite:///{tmp_path}/chat.db", clock=clock)
    with serving(create_app(store, Settings(auth="api-key"))) as base, httpx.Client(base_url=base) as client:
        yield client


def made(keys: Keys, *scopes: str, owner: str | None = None, ttl: timedelta | None = None) -> tuple[str, str]:
    key, text = asyncio.run(keys.create("acme", scopes, owner=owner, ttl=ttl))
    return key.id, text


def status(service: httpx.Client, text: str, method: str = "GET", path: str = "/v1/threads") -> int:
    body = HELLO if method == "POST" else None
    return service.request(method, path, headers={"Authorization": f"Bearer {text}"}, json=body).status_code


def test_a_key_opens_its_tenant_in_both_headers(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "read", "write")
    assert status(service, text, "POST", f"{THREAD}/messages") == 201
    page = service.get(f"{THREAD}/messages", headers={"X-API-Key": text}).json()
    assert [one["message"] for one in page["items"]] == [HELLO]


@pytest.mark.parametrize(
    ("scope", "reads", "writes"), [("read", 200, 403), ("write", 403, 201), ("admin", 200, 201)]
)
def test_a_scope_is_what_a_key_allows(
    service: httpx.Client, keys: Keys, scope: str, reads: int, writes: int
) -> None:
    _, text = made(keys, scope)
    assert (status(service, text), status(service, text, "POST", f"{THREAD}/messages")) == (reads, writes)


def test_an_expired_key_is_none(service: httpx.Client, keys: Keys, clock: ManualClock) -> None:
    _, text = made(keys, "read", ttl=timedelta(seconds=5))
    assert status(service, text) == 200
    clock.advance(timedelta(seconds=4.9))
    assert status(service, text) == 200
    clock.advance(timedelta(seconds=0.1))
    assert status(service, text) == 401


def test_a_revoked_key_works_ten_seconds_more_at_most(
    service: httpx.Client, keys: Keys, clock: ManualClock
) -> None:
    id, text = made(keys, "read")
    assert status(service, text) == 200
    assert asyncio.run(keys.revoke(id))
    clock.advance(timedelta(seconds=10))
    assert status(service, text) == 401


def test_the_key_of_an_owner_who_was_erased_brings_nobody_back(service: httpx.Client, keys: Keys) -> None:
    _, admin = made(keys, "admin")
    for path in ("/v1/owners/ada", "/v1/tenants/acme"):
        _, text = made(keys, "read", "write", owner="ada")
        assert status(service, text, "POST", "/v1/threads") == 422, "it is known now"
        assert service.delete(path, headers={"X-API-Key": admin}).json()["keys"] >= 1
        assert status(service, text, "POST", "/v1/threads") == 401


def test_who_may_write_alone_reads_nothing(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "write")
    assert status(service, text, "POST", f"{THREAD}/messages") == 201
    _, both = made(keys, "read", "write")
    [entry] = service.get(f"{THREAD}/messages", headers={"X-API-Key": both}).json()["items"]
    message = f"{THREAD}/messages/{entry['id']}"
    for method, path, body in (
        ("PATCH", THREAD, {}), ("POST", f"{THREAD}/fork", {}), ("PUT", message, {"role": "user"}),
        ("PATCH", message, {"metadata": {"seen": True}}), ("DELETE", message, {}),
    ):  # fmt: skip
        refused = service.request(method, path, headers={"X-API-Key": text}, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert service.request(method, path, headers={"X-API-Key": both}, json=body).is_success
    service.post(
        f"{THREAD}/messages", headers={"X-API-Key": both}, json={"messages": [entry["message"]], "key": "k"}
    )
    cut = service.delete(f"{THREAD}/messages?from=key:k", headers={"X-API-Key": text})
    assert (cut.status_code, cut.json()["items"]) == (200, [])


def test_a_key_of_the_settings_needs_no_store(tmp_path: Path) -> None:
    ends: tuple[dict[str, str], ...] = (
        {},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00+01:00"},
    )
    made = [new_key() for _ in ends]
    entries = [
        {"id": id, "sha256": digest(text), "tenant": "acme", "scopes": ["read"], **end}
        for (id, text), end in zip(made, ends, strict=True)
    ]
    settings = Settings(f"sqlite:///{tmp_path}/chat.db", auth="api-key", api_keys=json.dumps(entries))
    with serving(create_app(settings=settings)) as base, httpx.Client(base_url=base) as client:
        assert [status(client, text) for _, text in made] == [200, 401, 200]


def test_an_unknown_id_and_a_wrong_secret_are_the_same(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "read")
    _, unknown = new_key()
    answers = {
        (answer.status_code, answer.content, answer.headers["www-authenticate"])
        for bad in (
            f"{text[:-3]}AAA",
            unknown,
            text[:-1],
            "cs_",
            "cs_a_b",
            f"cs_..._{text[-43:]}",
            f"{text}0",
        )
        for answer in [service.get("/v1/threads", headers={"X-API-Key": bad})]
    }
    assert len(answers) == 1
    [(code, _, challenge)] = answers
    assert (code, challenge) == (401, 'Bearer realm="chatstore", error="invalid_token"')


def test_a_flood_of_wrong_keys_takes_nothing_from_a_right_one(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "read")
    assert status(service, text) == 200
    assert {status(service, new_key()[1]) for _ in range(1100)} == {401}
    assert status(service, text) == 200


def test_a_credential_in_a_query_is_not_read(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "admin")
    for name in ("api_key", "access_token", "key", "X-API-Key", "Authorization"):
        assert service.get("/v1/threads", params={name: text}).status_code == 401


def test_two_credentials_are_one_too_many(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "admin")
    signed = {"X-API-Key": text, "Authorization": "AWS4-HMAC-SHA256 Credential=x, Signature=y"}
    assert service.get("/v1/threads", headers=signed).status_code == 200
    both = {"X-API-Key": text, "Authorization": f"Bearer {text}"}
    assert service.get("/v1/threads", headers=both).status_code == 401
    twice = [("X-API-Key", text), ("X-API-Key", text)]
    assert service.get("/v1/threads", headers=twice).status_code == 401


def test_no_operation_but_the_public_ones_answers_without_a_credential(service: httpx.Client) -> None:
    for route in ROUTES:
        path = route.path.replace("{id}", "t").replace("{message_id}", "m")
        answer = service.request(route.method, path)
        assert answer.status_code == (200 if route.scope is None else 401), path
    public = {route.path for route in ROUTES if route.scope is None}
    assert public == {"/healthz", "/readyz", "/openapi.json", "/docs"}


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/v1/threads/../../healthz", "/nowhere", "/v1/threads/"]
)
def test_what_only_looks_public_is_not(service: httpx.Client, path: str) -> None:
    assert service.get(path).status_code in {401, 404, 200} - (
        {200} if path != "/v1/threads/../../healthz" else set()
    )
    assert service.request("OPTIONS", "/v1/threads").status_code == 401


def test_a_secret_is_nowhere_but_where_it_was_shown(
    service: httpx.Client, keys: Keys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, text = made(keys, "read")
    secret = text[-40:]
    with caplog.at_level(logging.DEBUG):
        answers = [service.get("/v1/threads", headers={"X-API-Key": one}) for one in (text, f"{text}x")]
    assert secret not in caplog.text + "".join(one.text + str(one.headers) for one in answers)
    for file in tmp_path.iterdir():
        # SQLite takes the files beside its own away when the last connection closes.
        with contextlib.suppress(FileNotFoundError):
            assert secret.encode() not in file.read_bytes()


def test_the_keys_are_nobodys_threads(
    service: httpx.Client, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    id, text = made(keys, "admin")
    assert service.get("/v1/threads", headers={"X-API-Key": text}).json()["items"] == []
    assert status(service, text, "GET", f"/v1/threads/{id}") == 404
    with pytest.raises(chatstore.InvalidArgument, match="reserved"):
        asyncio.run(keys.create("chatstore:keys", ["admin"]))
    with pytest.raises(chatstore.InvalidArgument, match="reserved"):
        chatstore.connect(f"sqlite:///{tmp_path}/chat.db", tenant="chatstore:keys")
    monkeypatch.setenv("CHATSTORE_TENANT", "chatstore:keys")
    with pytest.raises(chatstore.InvalidArgument, match="reserved"):
        chatstore.aconnect(f"sqlite:///{tmp_path}/chat.db")


def test_an_owners_key_makes_threads_of_its_own_only(service: httpx.Client, keys: Keys) -> None:
    _, text = made(keys, "read", "write", owner="ada")
    _, admin = made(keys, "admin", owner="ada")
    headers, all_of_it = {"X-API-Key": text}, {"X-API-Key": admin}
    service.post("/v1/threads", headers=all_of_it, json={"id": "bobs", "owner": "bob"})
    mine = service.post("/v1/threads", headers=headers, json={"topic": "mine"}).json()
    assert mine["owner"] == "ada"
    assert service.post(f"{mine['href']}/messages", headers=headers, json=HELLO).status_code == 201
    forked = service.post(f"{mine['href']}/fork", headers=headers)
    assert (forked.status_code, forked.json()["owner"]) == (201, "ada")
    listed = service.get("/v1/threads", headers=headers).json()["items"]
    assert {one["id"] for one in listed} == {mine["id"], forked.json()["id"]}
    assert len(service.get("/v1/threads", headers=all_of_it).json()["items"]) == 3
    refused = [
        service.post("/v1/threads", headers=headers, json={"id": "new"}),
        service.post("/v1/threads", headers=headers, json={"owner": "bob"}),
        service.post(f"{mine['href']}/fork", headers=headers, json={"id": "new"}),
        service.post(f"{mine['href']}/messages", headers=headers, json={"messages": [HELLO], "owner": "bob"}),
        service.get("/v1/threads?owner=bob", headers=headers),
    ]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(403, "forbidden")}
    for id in ("bobs", "absent"):
        assert service.post(f"/v1/threads/{id}/messages", headers=headers, json=HELLO).status_code == 404
        history = {"messages": [HELLO], "create": True}
        assert service.put(f"/v1/threads/{id}/messages", headers=headers, json=history).status_code == 404


def test_what_the_document_says_of_credentials(service: httpx.Client) -> None:
    document = service.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    threads = document["paths"]["/v1/threads"]
    assert threads["get"]["security"] == [{"bearer": ["read"]}, {"apiKey": ["read"]}]
    assert threads["post"]["security"] == [{"bearer": ["write"]}, {"apiKey": ["write"]}]
    assert document["paths"]["/healthz"]["get"]["security"] == []


@pytest.mark.parametrize(
    "entry",
    [
        "x", "{}", "[1]", '[{"id": "a"}]',
        '[{"id": "a_b", "sha256": "%(sha)s", "tenant": "t", "scopes": ["read"]}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "t", "scopes": []}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "t", "scopes": ["root"]}]',
        '[{"id": "a", "sha256": "secret", "tenant": "t", "scopes": ["read"]}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "", "scopes": ["read"]}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "chatstore:keys", "scopes": ["read"]}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "t", "scopes": ["read"], "expires_at": "2030-01-01"}]',
        '[{"id": "a", "sha256": "%(sha)s", "tenant": "t", "scopes": ["read"], "secret": "x"}]',
    ],
)  # fmt: skip
def test_keys_of_the_settings_are_right_or_stop_the_start(entry: str) -> None:
    settings = Settings("memory://", auth="api-key", api_keys=entry.replace("%(sha)s", "0" * 64))
    with pytest.raises(ConfigurationError, match="CHATSTORE_API_KEYS"):
        create_app(settings=settings)


def test_from_the_command_line(
    capfd: pytest.CaptureFixture[str], service: httpx.Client, tmp_path: Path, clock: ManualClock
) -> None:
    cli, url = Cli(capfd), f"sqlite:///{tmp_path}/chat.db"
    options = (
        "--tenant",
        "acme",
        "--owner",
        "ada",
        "--scopes",
        "read,write",
        "--expires-in",
        "90d",
        "--note",
        "phone",
    )
    [key] = cli("keys", "create", *options, "--from", url, "--json").rows
    assert status(service, key["key"]) == 200
    text = cli("keys", "create", "--from", url).out.split()[0]
    assert status(service, text) == 200
    listed = cli("keys", "list", "--from", url, "--json").rows
    assert [one for one in listed if one["id"] == key["id"]] == [
        {name: value for name, value in key.items() if name not in {"key", "sha256"}}
    ]
    table = cli("keys", "list", "--from", url).out
    assert key["id"] in table
    assert "phone" in table
    assert text.rpartition("_")[2] not in table
    assert "revoked" in cli("keys", "revoke", key["id"], "--from", url).out
    clock.advance(timedelta(seconds=10))
    assert status(service, key["key"]) == 401
    assert cli("keys", "revoke", key["id"], "--from", url).code == 2


@pytest.mark.parametrize(
    "options",
    [
        ("--scopes", "all"), ("--scopes", ""), ("--tenant", "chatstore:keys"), ("--owner", ""),
        ("--from", "http://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    refused = Cli(capfd)("keys", "create", "--from", f"sqlite:///{tmp_path}/chat.db", *options)
    assert (refused.code, refused.out) == (2, "")


def test_a_library_shows_its_key_by_argument_or_from_the_environment(
    service: httpx.Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = made(keys, "read", "write")
    url = str(service.base_url).rstrip("/")
    with chatstore.connect(url, token=text) as store:
        store.append("t", HELLO)
    monkeypatch.setenv("CHATSTORE_TOKEN", text)

    async def read() -> int:
        async with chatstore.aconnect(url) as store:
            return len(await store.read("t"))

    assert asyncio.run(read()) == 1
    for wrong in ("", "cs_wrong", text + "x"):
        with chatstore.connect(url, token=wrong) as store, pytest.raises(ConfigurationError) as refused:
            store.read("t")
        assert "CHATSTORE_TOKEN" in str(refused.value)
        assert text not in str(refused.value)


def test_the_command_line_shows_the_environment_s_token(
    service: httpx.Client, keys: Keys, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = Cli(capfd)
    _, text = made(keys, "read")
    url = str(service.base_url).rstrip("/")
    refused = cli("threads", "--from", url)
    assert (refused.code, "CHATSTORE_TOKEN" in refused.err) == (2, True)
    monkeypatch.setenv("CHATSTORE_TOKEN", text)
    assert cli("threads", "--from", url).code == 0


@pytest.mark.parametrize(
    ("url", "token", "reason"),
    [
        ("http://example.invalid", "t", "https://"),
        ("http://127.0.0.1.example.invalid", "t", "https://"),
        ("https://t@example.invalid", None, "takes no credentials"),
        ("https://example.invalid?token=t", None, "no place for a token"),
        ("sqlite:///chat.db", "t", "is not one"),
        ("https://example.invalid", "t\u00e9\U0001f511", "the token is not valid"),
        ("https://example.invalid", "t\r\nX-Other: 1", "the token is not valid"),
    ],
)
def test_a_token_goes_only_where_it_is_safe(url: str, token: str | None, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        chatstore.connect(url, token=token)
