"""What is logged of a request: all that an operator needs, nothing of what was said or where."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatstore import AsyncChatStore, ClockUncertain, Cost, InvalidArgument
from chatstore.backends.memory import MemoryBackend
from chatstore.contract import Span, ThreadKey
from chatstore.http import logs
from chatstore.http.access import Access
from chatstore.http.app import create_app
from chatstore.models import Message, Page
from tests.http.serving import serving

SECRET = "hunter2"  # pragma: allowlist secret
PATH = "/v1/threads/secret-thread/messages"


class Billed(MemoryBackend):
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        if key.id == "broken":
            try:
                raise ValueError(SECRET)
            except ValueError as error:
                raise RuntimeError(SECRET) from error
        page = await super().read(key, span)
        return Page(page.items, page.next, page.end, page.etag, Cost("toy", {"wru": 1, "rru": 0.5}, 1))


class Lines(logging.Handler):
    """Keeps what the service would write."""

    def __init__(self) -> None:
        super().__init__()
        self.json: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.json.append(json.loads(logs.JsonFormatter().format(record)))
        self.text.append(logs.TextFormatter().format(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("chatstore")
    logger.addHandler(handler)
    logging.getLogger(logs.ACCESS).setLevel(logging.INFO)
    yield handler
    logging.getLogger(logs.ACCESS).setLevel(logging.NOTSET)
    logger.removeHandler(handler)


@pytest.fixture
def client(lines: Lines) -> Iterator[httpx.Client]:
    with serving(create_app(AsyncChatStore(Billed()))) as base, httpx.Client(base_url=base) as client:
        yield client
    # The server has ended, so every line is there.


def test_a_request_is_one_line(lines: Lines) -> None:
    with serving(create_app(AsyncChatStore(Billed()))) as base:
        body = {"role": "user", "content": SECRET}
        httpx.post(base + PATH, json=body, headers={"Idempotency-Key": SECRET, "X-Request-ID": "abc-1"})
        read = httpx.get(f"{base}{PATH}?last=7")
        httpx.get(f"{base}/{SECRET}?q={SECRET}")
        httpx.request("PURGE", base + PATH)
    made, got, lost, odd = lines.json
    assert made["request_id"] == "abc-1"
    assert (made["method"], made["route"], made["status"]) == ("POST", "/v1/threads/{id}/messages", 201)
    assert (made["level"], made["logger"], made["error"]) == ("info", "chatstore.access", None)
    assert made["time"].endswith("Z")
    assert 0 < made["duration_ms"] < 60_000
    assert got["units"] == {"wru": 1, "rru": 0.5}
    assert got["bytes"] == len(read.content)
    assert got["request_id"] == read.headers["x-request-id"] != "abc-1"
    assert (lost["route"], lost["status"], lost["error"]) == (None, 404, "not-found")
    assert (odd["method"], odd["status"]) == ("OTHER", 405)
    written = json.dumps(lines.json) + "".join(lines.text)
    for word in (SECRET, "secret-thread", "last", "PURGE"):
        assert word not in written


def test_a_line_is_a_record_as_any_formatter_expects_it(lines: Lines) -> None:
    with serving(create_app(AsyncChatStore(Billed()))) as base, httpx.Client(base_url=base) as client:
        for _ in range(2):
            client.get(PATH)
    usual = logging.LogRecord("other", logging.INFO, __file__, 7, "%s", ("x",), None)
    first, second = (record for record in lines.records if record.name == logs.ACCESS)
    assert vars(usual).keys() - vars(second).keys() == set()
    assert first.created <= second.created <= usual.created
    assert first.relativeCreated <= second.relativeCreated <= usual.relativeCreated
    assert second.msecs == int(second.created % 1 * 1000)
    assert (second.process, second.levelname) == (usual.process, usual.levelname)
    form = "%(asctime)s %(process)s %(threadName)s %(module)s %(levelname)s %(message)s"
    assert logging.Formatter(form).format(second).endswith("access INFO GET /v1/threads/{id}/messages 200")


def test_an_unexpected_error_has_its_traceback_under_the_requests_id(lines: Lines) -> None:
    with serving(create_app(AsyncChatStore(Billed()))) as base:
        answer = httpx.get(f"{base}/v1/threads/broken/messages")
    error, line = lines.json
    assert answer.status_code == 500
    assert error["request_id"] == line["request_id"] == answer.headers["x-request-id"]
    assert (error["level"], line["error"]) == ("error", "internal-error")
    assert "test_access.py" in error["traceback"]
    assert error["traceback"].index("ValueError") < error["traceback"].index("RuntimeError")
    assert "RuntimeError" in lines.text[0]
    assert SECRET not in json.dumps(lines.json).replace("raise ValueError(SECRET)", "") + "".join(lines.text)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, '"quoted"', "né"])
def test_a_request_id_that_is_none_is_replaced(client: httpx.Client, given: str) -> None:
    answer = client.get("/healthz", headers={b"X-Request-ID": given.encode()})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 36


def test_who_asked_is_logged_by_name(lines: Lines) -> None:
    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["chatstore.identity"] = SimpleNamespace(tenant="acme", credential="key 1\n")
            await Response("hello")(scope, receive, send)

    with serving(Access(known)) as base:
        httpx.get(base)
    [line] = lines.json
    assert (line["tenant"], line["credential"], line["bytes"]) == ("acme", "key 1\n", 5)
    assert "\n" not in lines.text[0]


SERVED = """
import logging, sys
from chatstore.http import logs
logs.configure(sys.argv[1])
logging.getLogger(logs.ACCESS).info("hidden", extra={"fields": {"status": 200}})
logging.getLogger("chatstore.http.problems").error("wrong")
logging.getLogger("httpx").info("http://127.0.0.1/v1/threads/id")
"""


@pytest.mark.parametrize(("form", "count"), [("json", 2), ("text", 2), ("off", 1)])
def test_the_form_of_the_log_is_a_setting(form: str, count: int, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SERVED, form], capture_output=True, text=True, check=True)
    written = done.stderr.splitlines()
    assert len(written) == count
    assert "wrong" in written[-1]
    assert (written[0][0] == "{") == (form == "json")


WITHIN = """
import logging, sys
from chatstore.http import logs
class Hosts(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname, self.format(record), sep="\t")
root = logging.getLogger()
root.addHandler(Hosts())
root.setLevel(logging.INFO)
for _ in range(2):
    logs.configure_within(sys.argv[1])
logs.invocation.set({"aws_request_id": "i-1"})
logging.getLogger(logs.ACCESS).info("hidden %s", 1, extra={"fields": {"tenant": "acme"}})
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").info("Request URL: hunter2")
for name in ("chatstore.http.problems", "asyncio", "azure.core.pipeline"):
    try:
        raise KeyError("hunter2")
    except KeyError:
        logging.getLogger(name).exception("wrong")
logging.getLogger("azure.functions").info("the host's own")
"""


@pytest.mark.parametrize(("form", "count"), [("json", 5), ("text", 5), ("off", 4)])
def test_within_a_host_its_handlers_get_the_same_lines(form: str, count: int) -> None:
    done = subprocess.run([sys.executable, "-c", WITHIN, form], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    told = re.split(r"^(?=\S+\t[A-Z]+\t)", done.stdout, flags=re.MULTILINE)[1:]
    assert len(told) == count
    assert told[-1] == "azure.functions\tINFO\tthe host's own\n"
    assert "hunter2" not in done.stdout.replace('raise KeyError("hunter2")', "")
    assert sum("builtins.KeyError" in one for one in told) == 3
    assert ("acme" in done.stdout) == (form != "off")
    assert done.stdout.count("i-1") == count - 1
    if form == "json":
        lines = [json.loads(one.split("\t", 2)[2]) for one in told[:-1]]
        assert (lines[0]["tenant"], lines[0]["aws_request_id"]) == ("acme", "i-1")


def test_what_a_platform_writes_of_an_error_quotes_nothing(lines: Lines) -> None:
    def fails(error: Exception) -> None:
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise error from cause

    given: list[tuple[Exception, type[Exception], str]] = [
        (KeyError(SECRET), RuntimeError, "the sweep failed with KeyError: the log says where"),
        (InvalidArgument(SECRET), RuntimeError, "the sweep failed with InvalidArgument: the log says where"),
        (ClockUncertain("an hour off"), ClockUncertain, "an hour off"),
    ]
    for error, kind, text in given:
        with pytest.raises(kind) as raised:
            logs.without_content("the sweep", partial(fails, error))
        assert str(raised.value) == text
        assert raised.value.__cause__ is raised.value.__context__ is None
    assert [line["message"] for line in lines.json] == ["the sweep failed"] * 3
    assert all("ValueError" in line["traceback"] for line in lines.json)
    assert SECRET not in json.dumps(lines.json)
