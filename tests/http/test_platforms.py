"""The entry points of the cloud platforms, driven by what the platforms send."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest
from azure.functions.meta import Datum
from azure.functions.timer import TimerRequestConverter

import chatstore
import chatstore.settings

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1:3000"
HEADERS = {"host": HOST, "content-type": "application/json"}
FROM_LAMBDA = "import sys; sys.path.insert(0, 'lambda'); import handler"
Send = Callable[[str, str, str], tuple[int, dict[str, str], str]]


WITHIN_A_HOST = ("chatstore", "asyncio", "azure.core", "azure.data", "azure.identity", "msal")
"""The loggers that a function on Azure sets up."""


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("CHATSTORE_URL", f"sqlite:///{tmp_path}/chat.db")
    # The adapters expect an event loop that belongs to the thread, as a worker has.
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
        asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """The handler sets up the log of its process, which is the tests' own here."""
    loggers = [logging.getLogger(name) for name in ("", *WITHIN_A_HOST)]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate = propagate
    logging.getLogger("chatstore.access").setLevel(logging.NOTSET)


def http_api(method: str, path: str, body: str) -> dict[str, Any]:
    """An event of an HTTP API (payload 2.0) or a function URL, which have the same form."""
    path, _, query = path.partition("?")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": HEADERS,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": body or None,
        "isBase64Encoded": False,
    }  # fmt: skip


def rest_api(method: str, path: str, body: str) -> dict[str, Any]:
    """An event of a REST API (payload 1.0)."""
    path, _, query = path.partition("?")
    pairs = [pair.split("=") for pair in query.split("&")] if query else []
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": HEADERS,
        "multiValueHeaders": {name: [value] for name, value in HEADERS.items()},
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in pairs} or None,
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012", "apiId": "id", "httpMethod": method, "path": path, "stage": "prod",
            "protocol": "HTTP/1.1", "requestId": "id", "resourcePath": "/{proxy+}",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "agent"},
        },
        "body": body or None,
        "isBase64Encoded": False,
    }  # fmt: skip


def function_url(method: str, path: str, body: str) -> dict[str, Any]:
    event = http_api(method, path, body)
    event["requestContext"]["domainName"] = "id.lambda-url.us-east-1.on.aws"
    return event


@contextmanager
def through_lambda(event: Callable[[str, str, str], dict[str, Any]]) -> Iterator[Send]:
    handler = load("lambda/handler.py").handler

    def send(method: str, path: str, body: str) -> tuple[int, dict[str, str], str]:
        answer = handler(event(method, path, body), None)
        assert answer["isBase64Encoded"] is False
        headers = answer.get("headers") or {}
        headers |= {name: values[0] for name, values in answer.get("multiValueHeaders", {}).items()}
        return answer["statusCode"], headers, answer["body"]

    yield send


@contextmanager
def through_azure() -> Iterator[Send]:
    loop = asyncio.get_event_loop()
    app = load("function_app.py").app
    function = functions(app)["http_app_func"]
    assert function.get_trigger().route == "/{*route}"
    assert function.get_trigger().auth_level == func.AuthLevel.ANONYMOUS

    def send(method: str, path: str, body: str) -> tuple[int, dict[str, str], str]:
        request = func.HttpRequest(
            method=method,
            url=f"http://{HOST}{path}",
            headers=HEADERS,
            params={},
            route_params={},
            body=body.encode(),
        )
        answer = loop.run_until_complete(function.get_user_function()(request, Context()))
        return answer.status_code, dict(answer.headers), answer.get_body().decode()

    yield send
    loop.run_until_complete(app.middleware.notify_shutdown())
    app.startup_task_done = False  # or it would shut down once more, on another loop, when it is collected


def functions(app: Any) -> dict[str, Any]:
    return {function.get_function_name(): function for function in app.get_functions()}


class Context:
    """What the worker passes beside a request."""

    invocation_id = "id"
    function_name = "http_app_func"
    function_directory = str(ROOT)
    thread_local_storage = None
    trace_context = None
    retry_context = None


PLATFORMS: dict[str, Callable[[], AbstractContextManager[Send]]] = {
    "azure": through_azure,
    "lambda-http-api": lambda: through_lambda(http_api),
    "lambda-rest-api": lambda: through_lambda(rest_api),
    "lambda-function-url": lambda: through_lambda(function_url),
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_conversation_through_a_platform(platform: str) -> None:
    with PLATFORMS[platform]() as send:
        converse(send)


def converse(send: Send) -> None:
    status, headers, body = send("POST", "/v1/threads", json.dumps({"id": "a/b", "topic": "Grüße"}))
    assert status == 201
    href = {name.lower(): value for name, value in headers.items()}["location"]
    assert href == json.loads(body)["href"]
    for text in ("héllo 👋", "again"):
        assert send("POST", f"{href}/messages", json.dumps({"role": "user", "content": text}))[0] == 201
    page = json.loads(send("GET", f"{href}/messages?limit=1", "")[2])
    assert [one["message"]["content"] for one in page["items"]] == ["héllo 👋"]
    rest = json.loads(send("GET", f"{href}/messages?after={page['next']}", "")[2])
    assert [one["message"]["content"] for one in rest["items"]] == ["again"]
    status, headers, body = send("GET", "/v1/threads/none", "")
    assert (status, json.loads(body)["code"]) == (404, "thread-not-found")
    assert send("DELETE", href, "")[0] == 200


@pytest.mark.parametrize("event", [http_api, rest_api, function_url])
def test_a_public_host_is_refused(event: Callable[[str, str, str], dict[str, Any]]) -> None:
    public = event("GET", "/v1/threads", "")
    public["headers"] = {**HEADERS, "host": "id.execute-api.us-east-1.amazonaws.com"}
    public["multiValueHeaders"] = {name: [value] for name, value in public["headers"].items()}
    assert load("lambda/handler.py").handler(public, None)["statusCode"] == 421


@pytest.mark.parametrize(
    ("variable", "program"),
    [
        ("AWS_LAMBDA_FUNCTION_NAME", f"{FROM_LAMBDA}; handler.handler({{}}, None)"),
        ("FUNCTIONS_WORKER_RUNTIME", "import function_app"),
    ],
)  # fmt: skip
def test_a_platform_is_not_served_without_identity(
    monkeypatch: pytest.MonkeyPatch, variable: str, program: str
) -> None:
    monkeypatch.setenv(variable, "x")
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "ConfigurationError" in result.stderr
    assert "without authentication" in result.stderr


def fill() -> None:
    with chatstore.connect() as store:
        for number in range(30):
            store.append(f"t{number}", {"role": "user"}, {"role": "user"}, ttl=1e-6)
        store.append("kept", {"role": "user", "content": "hello"}, ttl=3600)


def rows() -> tuple[int, int]:
    with sqlite3.connect(chatstore.settings.Settings.from_environment().url.partition("///")[2]) as file:
        threads = file.execute("SELECT count(*) FROM threads").fetchone()[0]
        return threads, file.execute("SELECT count(*) FROM messages").fetchone()[0]


def test_the_timer_of_the_functions_host_sweeps() -> None:
    fill()
    app = load("function_app.py").app
    timed = functions(app)["sweep"]
    trigger = timed.get_trigger()
    assert (trigger.get_binding_name(), trigger.name, trigger.schedule) == (
        "timerTrigger", "timer", "0 17 * * * *",
    )  # fmt: skip
    sent = Datum(json.dumps({"IsPastDue": False, "Schedule": {"AdjustForDST": True}}), "json")
    timed.get_user_function()(TimerRequestConverter.decode(sent, trigger_metadata={}))
    assert rows() == (1, 1)
    hours, minutes, seconds = map(
        int, json.loads((ROOT / "host.json").read_text())["functionTimeout"].split(":")
    )
    assert 3600 * hours + 60 * minutes + seconds - 30 == load("function_app.py").SWEEP_SECONDS


@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_a_scheduled_event_sweeps_and_is_no_request(source: str) -> None:
    class LambdaContext:
        def get_remaining_time_in_millis(self) -> int:
            return 30_000

    event = {
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": source, "account": "123456789012", "time": "2026-10-08T16:53:06Z", "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/sweep"], "detail": {},
    }  # fmt: skip
    fill()
    handler = load("lambda/handler.py").handler
    assert handler(event, LambdaContext()) == {"threads": 30, "messages": 60, "requests": 0, "more": False}
    assert rows() == (1, 1)
    assert handler(http_api("GET", "/v1/threads/kept", ""), None)["statusCode"] == 200


def test_one_store_serves_all_events_of_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTORE_URL", "memory://")
    handler = load("lambda/handler.py").handler
    assert handler(http_api("POST", "/v1/threads", '{"id": "t"}'), None)["statusCode"] == 201
    assert handler(http_api("GET", "/v1/threads/t", ""), None)["statusCode"] == 200


def test_the_lambda_handler_is_light_to_import() -> None:
    program = f"{FROM_LAMBDA}; print(*{{'chatstore', 'mangum', 'starlette', 'pydantic'}} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def test_the_functions_host_routes_every_path_to_the_app() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert host["extensions"]["http"]["routePrefix"] == ""


def test_the_sample_of_local_settings_starts_the_app(tmp_path: Path) -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    # The host itself keeps the timer's lease in there, and starts no timer without.
    assert values["AzureWebJobsStorage"]
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import function_app\n"
        "print(*sorted(one.get_function_name() for one in function_app.app.get_functions()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=values, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["http_app_func", "sweep"]
