"""What does not fit through: a request is refused with a reason, an answer becomes a shorter page."""

from __future__ import annotations

import json
from typing import Any

import pytest

import chatstore
from tests.lambda_.emulator import MOST, Function, credential
from tests.lambda_.events import KINDS, Answer, Make, function_url, http_api, load_balancer, rest_api

# How text grows on the way: not at all, twofold by escapes, threefold in ASCII.
TEXTS = {"plain": "x", "quotes": '"', "cyrillic": "ж", "emoji": "👋"}
MESSAGES = 1000
MEBI = 1024 * 1024


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def turn(text: str, size: int, messages: int = 1) -> bytes:
    """A body of about `size` bytes of UTF-8 with so many messages."""
    grown = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    content = text * ((size // messages - 40) // grown)
    return json.dumps([{"role": "user", "content": content}] * messages, ensure_ascii=False).encode()


def carried(make: Make, body: bytes, **options: Any) -> int:
    """How large the event with this body is, as the platform counts."""
    event = make("POST", "/v1/threads/t/messages", body, credential(), **options)
    return len(json.dumps(event, ensure_ascii=False).encode())


def largest(function: Function, name: str, text: str, **options: Any) -> Answer:
    """The answer to the largest body that is taken, found by halving; none is answered by a failure."""
    low, high, answer = 100_000, 6 * MEBI, None
    while high - low > 150_000:
        size = (low + high) // 2
        body = turn(text, size, MESSAGES)
        if carried(KINDS[name], body, **options) > MOST[name]:
            high = size
            continue
        path = f"/v1/threads/{name}-{ord(text)}-{len(options)}-{size}/messages"
        asked = function.ask(KINDS[name], "POST", path, body, **options)
        assert function.answered <= MOST[name]
        if asked.status == 413:
            assert asked.json()["code"] == "too-large"
            high = size
        else:
            assert asked.status == 201, asked.body[:500]
            low, answer = size, asked
    assert answer is not None, "nothing was taken"
    return answer


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["http-api", "rest-api", "load-balancer"], indirect=True)
def test_the_answer_to_the_largest_turn_is_carried(function: Function, name: str, text: str) -> None:
    answer = largest(function, name, TEXTS[text])
    assert len(answer.json()["items"]) == MESSAGES
    assert len(answer.body) > MOST[name] / (7 if text in {"cyrillic", "emoji"} and name == "rest-api" else 3)


# A REST API decodes base64 only where it is set up to, and then in both directions.
@pytest.mark.parametrize("name", ["http-api", "load-balancer"], indirect=True)
def test_the_answer_to_the_largest_turn_in_base64_is_carried(function: Function, name: str) -> None:
    answer = largest(function, name, "x", encoded=True)
    assert len(answer.json()["items"]) == MESSAGES
    assert len(answer.body) > MOST[name] / 2


@pytest.mark.parametrize(
    ("make", "size", "encoded", "why"),
    [
        (http_api, 4_300_000, False, "a body takes at most 4,194,304 bytes"),
        (http_api, 4_300_000, True, "a body takes at most 4,194,304 bytes"),
        (function_url, 4_000_000, False, None),
        (function_url, 4_000_000, True, None),
        (rest_api, 4_000_000, False, None),
        (load_balancer, 530_000, False, "at most 700,000 bytes"),
        (load_balancer, 530_000, True, "at most 700,000 bytes"),
        (load_balancer, 520_000, False, None),
        (load_balancer, 520_000, True, None),
    ],
)
def test_a_body_is_counted_as_it_is_carried(
    function: Function, make: Make, size: int, encoded: bool, why: str | None
) -> None:
    path = f"/v1/threads/counted-{make.__name__}-{size}-{encoded}/messages"
    answer = function.ask(make, "POST", path, turn("x", size), encoded=encoded)
    if why is None:
        assert answer.status == 201
    else:
        assert answer.status == 413
        assert why in answer.json()["detail"]
        assert function.ask(make, "GET", path).json()["items"] == []


def test_escapes_count(function: Function) -> None:
    body = turn('"', 2_950_000)
    assert len(body) < 4 * MEBI
    assert 5_800_000 < carried(http_api, body) < MOST["http-api"]
    refused = function.ask(http_api, "POST", "/v1/threads/escaped/messages", body)
    assert (refused.status, refused.json()["code"]) == (413, "too-large")
    assert "at most 5,800,000 bytes" in refused.json()["detail"]
    nobody = function.ask(http_api, "POST", "/v1/threads/escaped/messages", body, {"authorization": ""})
    assert nobody.status == 401


def test_beyond_the_platforms_limit_the_app_is_not_asked(function: Function) -> None:
    event = http_api("POST", "/v1/threads/beyond/messages", turn("x", 7 * MEBI), credential())
    assert function.invoke(event)["errorType"] == "Runtime.UnmarshalError"
    assert function.ask(http_api, "GET", "/healthz").status == 200


@pytest.fixture(scope="module")
def long(storage: str) -> str:
    """A thread of 20 MB in messages of every kind, some of them longer than anything that came by HTTP."""
    with chatstore.connect(storage, tenant="acme") as store:
        for number in range(300):
            text = list(TEXTS.values())[number % len(TEXTS)]
            store.append("long", {"role": "user", "n": number, "content": text * (20_000 + 71 * number)})
        for number in range(300, 2300):
            store.append("long", {"role": "user", "n": number, "content": "short"})
    return "/v1/threads/long/messages"


@pytest.mark.parametrize("start", ["limit=1000", "last=1000"])
def test_a_long_answer_is_shorter_pages(function: Function, name: str, long: str, start: str) -> None:
    seen: list[int] = []
    url: str | None = f"{long}?{start}"
    pages = 0
    while url is not None:
        page = function.ask(KINDS[name], "GET", url)
        assert (page.status, function.answered <= MOST[name]) == (200, True)
        numbers = [one["message"]["n"] for one in page.json()["items"]]
        seen = seen + numbers if start.startswith("limit") else numbers + seen
        assert numbers
        link = page.headers.get("link")
        assert (link is None) == (page.json()["next"] is None)
        url = None if link is None else link[1 : link.index(">")].removeprefix("/prod")
        pages += 1
    assert seen == list(range(2300))
    assert pages < 80


def test_a_window_is_as_long_as_it_may_be(function: Function, name: str, long: str) -> None:
    window = function.ask(KINDS[name], "GET", f"{long}?max_tokens=100000000")
    assert (window.status, function.answered <= MOST[name]) == (200, True)
    assert window.json()["items"][-1]["message"]["n"] == 2299


def test_a_long_list_of_threads_is_shorter_pages(function: Function, name: str, storage: str) -> None:
    with chatstore.connect(storage, tenant="acme") as store:
        for number in range(100):
            filler = {"filler": list(TEXTS.values())[number % 2] * 25_000, "list": name}
            store.create_thread(f"{name}-{number}", owner=name, metadata=filler)
    seen: list[str] = []
    url: str | None = f"/v1/threads?owner={name}&limit=100"
    while url is not None:
        page = function.ask(KINDS[name], "GET", url)
        assert (page.status, function.answered <= MOST[name]) == (200, True)
        seen += [one["id"] for one in page.json()["items"]]
        link = page.headers.get("link")
        url = None if link is None else link[1 : link.index(">")].removeprefix("/prod")
    assert seen == [f"{name}-{number}" for number in reversed(range(100))]


def test_one_message_that_is_too_long_says_so(function: Function, name: str, storage: str) -> None:
    path = f"/v1/threads/too-long-{name}/messages"
    with chatstore.connect(storage, tenant="acme") as store:
        made = store.append(
            f"too-long-{name}", {"role": "user", "content": "x" * 7 * MEBI}, {"role": "assistant"}
        )
    refused = function.ask(KINDS[name], "GET", f"{path}/{made.messages[0].id}")
    assert (refused.status, refused.json()["code"]) == (500, "answer-too-long")
    assert function.ask(KINDS[name], "GET", f"{path}?last=1").json()["items"][0]["id"] == made.messages[1].id
    assert function.ask(KINDS[name], "DELETE", path).status == 200
