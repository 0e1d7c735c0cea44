"""What stands before a function, with the built artefact behind it: events in, answers out."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

import chatstore
from chatstore.sweeping import SWEEP_LOG
from tests.lambda_.emulator import KEY, Function, credential, emulated
from tests.lambda_.events import KINDS, SCHEDULED, Make, http_api, load_balancer, rest_api

# Percent signs that look like escapes, slashes, a NUL, what ends a path in a URL, and letters of every width.
HOSTILE = [
    "a/b",
    "50%25 off",
    "%2F%00",
    "\0",
    "?x=1#y",
    "Grüße 👋",
    "..",
    "",
    "b64:YQ",
    "a b+c",
    "東%",
    "a" * 1024,
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]


def test_a_conversation(function: Function, kind: Make) -> None:
    made = function.ask(kind, "POST", "/v1/threads", {"topic": "Grüße", "metadata": {"kind": kind.__name__}})
    assert (made.status, made.headers["location"]) == (201, made.json()["href"])
    href = made.json()["href"].removeprefix("/prod")
    for text in ("héllo 👋", "again"):
        assert function.ask(kind, "POST", f"{href}/messages", {"role": "user", "content": text}).status == 201
    page = function.ask(kind, "GET", f"{href}/messages?limit=1").json()
    assert [one["message"]["content"] for one in page["items"]] == ["héllo 👋"]
    rest = function.ask(kind, "GET", f"{href}/messages?after={quote(page['next'])}").json()
    assert [one["message"]["content"] for one in rest["items"]] == ["again"]
    found = function.ask(kind, "GET", f"/v1/threads?metadata%5Bkind%5D={kind.__name__}&limit=5").json()
    assert [one["topic"] for one in found["items"]] == ["Grüße"]
    patch = {"content-type": "application/merge-patch+json", "if-match": f'"{made.json()["etag"]}"'}
    changed = function.ask(kind, "PATCH", href, b'{"topic": "2"}', patch)
    assert (changed.status, changed.json()["topic"]) == (200, "2")
    assert function.ask(kind, "PATCH", href, b'{"topic": "3"}', patch).status == 412
    assert function.ask(kind, "DELETE", href).json()["existed"] is True


@pytest.mark.parametrize("id", HOSTILE, ids=[quote(one, safe="")[:20] for one in HOSTILE])
def test_a_thread_id_arrives_as_it_was_sent(function: Function, kind: Make, id: str) -> None:
    made = function.ask(kind, "POST", "/v1/threads", {"id": id})
    assert made.status == 201
    href = made.json()["href"].removeprefix("/prod")
    *front, last = href.split("/")
    for path in (href, "/".join([*front, quote(last, safe="")])):
        assert function.ask(kind, "GET", path).json()["id"] == id
    assert function.ask(kind, "DELETE", href).status == 200


def test_an_escaped_slash_does_not_lead_elsewhere(function: Function, kind: Make) -> None:
    function.ask(kind, "POST", "/v1/threads/owned/messages", {"role": "user", "content": "x"})
    strange = function.ask(kind, "GET", "/v1/threads/owned%2Fmessages")
    # An HTTP API has decoded it before anybody could tell; everywhere else it is no thread's path.
    assert strange.status == (200 if kind is http_api else 404)
    assert function.ask(kind, "GET", "/v1/threads/owne%2564").status == 404


@pytest.mark.parametrize("make", [http_api, rest_api])
def test_a_stage_stands_before_every_path(function: Function, make: Make) -> None:
    made = function.ask(make, "POST", "/v1/threads", {"id": f"staged {make.__name__}"}, stage="v1")
    href = made.json()["href"]
    assert href.startswith("/v1/v1/threads/b64:")
    again = function.ask(make, "GET", href.removeprefix("/v1"), stage="v1")
    assert (again.status, again.json()["href"]) == (200, href)
    assert function.ask(make, "GET", "/healthz", stage="v1").status == 200


def test_a_body_in_base64(function: Function, kind: Make) -> None:
    body = json.dumps({"role": "user", "content": "Grüße 👋"}, ensure_ascii=False).encode()
    path = f"/v1/threads/base64-{kind.__name__}/messages"
    stored = function.ask(kind, "POST", path, body, encoded=True)
    assert (stored.status, stored.json()["items"][0]["message"]["content"]) == (201, "Grüße 👋")


def test_a_retry_is_recognised(function: Function, kind: Make) -> None:
    key = {"idempotency-key": f"key-{kind.__name__}"}
    path = f"/v1/threads/retried-{kind.__name__}/messages"
    first, again = (function.ask(kind, "POST", path, {"role": "user"}, key) for _ in range(2))
    assert first.json() == again.json()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/threads/none", {}, 404, "thread-not-found"),
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("PUT", "/v1/threads", {}, 405, "method-not-allowed"),
        ("GET", "/v1/threads?limit=0", {}, 422, "invalid-request"),
        ("GET", "/v1/threads", {"authorization": "Bearer cs_x"}, 401, "unauthenticated"),
        ("GET", "/v1/threads", {"authorization": ""}, 401, "unauthenticated"),
    ],
)
def test_errors_are_problems(
    function: Function, kind: Make, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = function.ask(kind, method, path, headers=headers)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_no_request_is_an_error_of_the_function(function: Function) -> None:
    for event in ({}, {"Records": [{"eventSource": "aws:sqs", "body": "x"}]}):
        assert function.invoke(event)["errorType"] == "RuntimeError"
    torn = http_api("GET", "/healthz", None, credential())
    del torn["requestContext"]["http"]
    assert function.invoke(torn)["statusCode"] == 400
    port = load_balancer("GET", "/healthz", None, {"host": "a:b"})
    assert function.invoke(port)["statusCode"] == 400
    # A balancer that is set to several values of a header reads no others.
    several = {name: [value] for name, value in port.pop("headers").items()}
    refused = function.invoke({**port, "multiValueHeaders": several})
    assert refused["statusCode"] == 400
    assert refused["multiValueHeaders"]["content-type"] == ["application/problem+json"]
    assert function.ask(http_api, "GET", "/healthz").status == 200


def test_the_authorizers_word_counts_only_where_the_platform_is_asked(
    function: Function, equipped: Path, storage: str, tmp_path: Path
) -> None:
    claims = {"sub": "ada", "scope": "chatstore.read chatstore.write"}
    nobody = {"authorization": ""}
    for make in (http_api, rest_api):
        assert function.ask(make, "GET", "/v1/threads", headers=nobody, claims=claims).status == 401
    with emulated(equipped, tmp_path / "log", CHATSTORE_URL=storage, CHATSTORE_AUTH="platform") as vouched:
        for make in (http_api, rest_api):
            made = vouched.ask(make, "POST", "/v1/threads", headers=nobody, claims=claims)
            assert (made.status, made.json()["owner"]) == (201, "ada")
            assert vouched.ask(make, "GET", "/v1/threads", headers=credential()).status == 401
        for kind in KINDS.values():
            assert vouched.ask(kind, "GET", "/v1/threads").status == 401


def test_the_service_answers_pages_where_the_platform_checks_tokens(
    equipped: Path, storage: str, tmp_path: Path
) -> None:
    """What comes by the route for preflights, which no authorizer has seen."""
    settings = {"CHATSTORE_AUTH": "platform", "CHATSTORE_CORS_ORIGINS": "https://app.example"}
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
        "authorization": "",
    }
    path = "/v1/threads/t/messages"
    with emulated(equipped, tmp_path / "log", CHATSTORE_URL=storage, **settings) as function:
        allowed = function.ask(http_api, "OPTIONS", path, headers=asked)
        assert allowed.status == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "POST" in allowed.headers["access-control-allow-methods"]
        foreign = function.ask(http_api, "OPTIONS", path, headers={**asked, "origin": "https://x.example"})
        assert "access-control-allow-origin" not in foreign.headers
        alone = function.ask(http_api, "OPTIONS", path, headers={"authorization": ""})
        assert alone.status == 401


def test_a_function_without_identity_serves_nobody(equipped: Path, tmp_path: Path) -> None:
    with emulated(equipped, tmp_path / "log", CHATSTORE_URL="memory://") as function:
        for _ in range(2):
            refused = function.invoke(http_api("GET", "/healthz", None, {}))
            assert refused["errorType"] == "ConfigurationError"
            assert "CHATSTORE_AUTH" in refused["errorMessage"]


def test_a_load_balancers_word_on_the_callers_address(equipped: Path, storage: str, tmp_path: Path) -> None:
    nobody = {"authorization": ""}
    settings = {"CHATSTORE_AUTH": "api-key", "CHATSTORE_REQUESTS_PER_MINUTE": "2"}
    with emulated(equipped, tmp_path / "log", CHATSTORE_URL=storage, **settings) as function:
        said = [f"198.51.100.{number}, " for number in range(3)]
        refused = [
            function.ask(load_balancer, "GET", "/v1/threads", headers=nobody, said=one).status for one in said
        ]
    assert refused == [401, 401, 429]


def test_the_log_has_a_line_for_each_request_and_no_secret(function: Function) -> None:
    seen = len(function.log())
    answer = function.ask(http_api, "GET", "/v1/threads/secret-thread")
    said = function.log()[seen:]
    [line] = [
        line for line in map(json.loads, re.findall(r"^\{.*\}$", said, re.MULTILINE)) if "route" in line
    ]
    assert (line["route"], line["status"], line["tenant"]) == ("/v1/threads/{id}", 404, "acme")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert re.search(rf"START RequestId: {line['aws_request_id']}", said)
    assert "secret-thread" not in said
    assert KEY not in function.log()


def test_a_scheduled_event_sweeps(function: Function, storage: str) -> None:
    with chatstore.connect(storage, tenant="swept") as store:
        for number in range(30):
            store.append(f"t{number}", {"role": "user"}, {"role": "user"}, ttl=1e-6)
        store.append("kept", {"role": "user"}, ttl=3600)
        swept = function.invoke(SCHEDULED)
        assert (swept["threads"], swept["more"]) == (30, False)
        assert function.invoke(SCHEDULED)["threads"] == 0
        assert len(store.read("kept")) == 1
    told = [
        json.loads(one) for one in re.findall(r"^\{.*chatstore\.sweep.*\}$", function.log(), re.MULTILINE)
    ]
    assert [(one["threads"], one["more"]) for one in told[-2:]] == [(30, False), (0, False)]
    assert all(one["logger"] == SWEEP_LOG and one["aws_request_id"] for one in told)
    assert function.ask(http_api, "GET", "/healthz").status == 200


def test_a_sweep_that_comes_first_is_logged_as_everything_is(equipped: Path, tmp_path: Path) -> None:
    settings = {"CHATSTORE_URL": f"sqlite:///{tmp_path}/nowhere/chat.db", "CHATSTORE_AUTH": "api-key"}
    with emulated(equipped, tmp_path / "log", **settings) as function:
        failed = function.invoke(SCHEDULED)
        said = function.log()
    assert failed["errorType"] == "ConfigurationError"
    [line] = [json.loads(one) for one in re.findall(r"^\{.*\}$", said, re.MULTILINE) if "traceback" in one]
    assert (line["level"], line["message"]) == ("error", "the sweep failed")
    assert re.search(rf"START RequestId: {line['aws_request_id']}", said)
    assert "ConfigurationError" in line["traceback"]


def test_base64_that_is_none(function: Function) -> None:
    event = http_api("POST", "/v1/threads", b"{}", credential(), encoded=True)
    event["body"] = base64.b64encode(b"{}").decode()[:-1]
    assert function.invoke(event)["statusCode"] == 400
