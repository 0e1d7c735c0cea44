"""Whoever asks for whatever: nothing of another's is seen, changed, or told from what is not there.

One case is one request: a route, a caller and a thread id. It is sent to a store with everybody's
threads, and again to one that has never held any but those that the caller may see. The answers are the same.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chatstore.http.routes import ROUTES
from chatstore.http.routing import AnyRoute
from chatstore.models import ThreadCursor
from chatstore.paths import segment
from tests.conftest import SOAK
from tests.http.serving import serving
from tests.http.worlds import ACME, CALLERS, IDS, OTHER, THREADS, Caller, World, Worlds, X, Y

CASES = 5_000 if SOAK else 200
OVER_SOCKETS = 1_000 if SOAK else 100
HELLO = {"role": "user", "content": "hello"}
NEVER_THE_SAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{12,}")
NATIVE = [route for route in ROUTES if route.scope is not None]
APPEND = [route for route in NATIVE if route.handler.__name__ == "append"]
THE_ID = object()
THE_MESSAGE = object()
AT = "2026-01-31T12:00:00Z"
RESTORED = {"thread": {"owner": X, "created_at": AT, "active_at": AT}}
BODIES: dict[tuple[str, str], list[Any]] = {
    ("POST", "/v1/threads"): [{}, {"id": THE_ID}, {"id": THE_ID, "owner": X}, {"owner": Y}],
    ("PATCH", "/v1/threads/{id}"): [{"topic": "mine"}, {"metadata": None, "ttl": 1}],
    ("POST", "/v1/threads/{id}/fork"): [
        {}, {"id": "new"}, {"id": "a"}, {"owner": Y}, {"owner": X, "topic": "mine", "before": THE_MESSAGE},
    ],
    ("POST", "/v1/threads/{id}/restore"): [RESTORED, {**RESTORED, "messages": []}],
    ("POST", "/v1/threads/{id}/messages"): [
        HELLO, {"messages": [HELLO], "create": False}, {"messages": [HELLO], "owner": Y, "ttl": 1},
        {"messages": [HELLO], "after": THE_MESSAGE, "key": "k"},
        {"messages": [HELLO], "patch": {"topic": "mine"}, "if_thread": "none"},
    ],
    ("PUT", "/v1/threads/{id}/messages"): [
        [], {"messages": [HELLO], "create": True}, {"messages": [HELLO], "create": True, "owner": X},
    ],
    ("PUT", "/v1/threads/{id}/messages/{message_id}"): [HELLO],
    ("PATCH", "/v1/threads/{id}/messages/{message_id}"): [{"metadata": {"rating": 1}}, {"message": HELLO}],
}  # fmt: skip
QUERIES: dict[str, list[str]] = {
    "/v1/threads": [
        "", "?limit=3", f"?owner={X}", "?owner=x%3Ay", "?limit=7&metadata[word]=none", "?preview=true",
        "?order=oldest&kind=*&limit=5", "?topic_prefix=a",
    ],
    "/v1/threads/{id}/messages": [
        "", "?last=5", "?max_tokens=100", "?after=0", "?limit=1", "?after=key:k",
        "?from=key:k", "?before=key:k&limit=2",
    ],
    "/v1/count": ["", "?kind=*", f"?owner={X}", "?owner=x%3Ay"],
    "/v1/changes": ["", "?limit=4", "?kind=chat&limit=2"],
    "/v1/search": [*(f"?text={one.word}" for one in THREADS), f"?text={THREADS[0].word}&owner={X}"],
}  # fmt: skip

CONDITIONS: list[dict[str, str]] = [
    {}, {}, {}, {}, {}, {"If-Match": "*"}, {"If-Match": '"e.1"'}, {"If-None-Match": "*"},
    {"Idempotency-Key": "k-1"},
]  # fmt: skip

Case = tuple[AnyRoute, Caller, str, dict[str, str], int]


def drawn(number: int) -> Case:
    """Every choice equally likely, which drawing them one by one would not make them."""
    chance = random.Random(number)
    # Those who know one another's tenant, and ids that are there, are the ones to watch.
    callers = chance.choice([CALLERS, [one for one in CALLERS if one.owner is not None]])
    made_up = "".join(chance.choices("ab/%.:\0'\"\u202e", k=chance.randint(1, 5)))
    return (
        chance.choice(NATIVE + APPEND),
        chance.choice(callers),
        chance.choice([*IDS, *[made_up] * 5]),
        chance.choice(CONDITIONS),
        chance.randrange(60),
    )


cases = st.builds(drawn, st.integers(0, 2**64))


@pytest.mark.parametrize("backend", ["memory", "sqlite", "log", "azure tables"])
def test_nobody_sees_changes_or_guesses_what_is_anothers(
    backend: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    counted: Counter[str] = Counter()
    worlds = Worlds(backend, tmp_path)

    with asyncio.Runner() as runner:

        @settings(
            max_examples=CASES,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(cases)
        def one_request(case: Case) -> None:
            runner.run(check(case, worlds, counted))

        one_request()
        runner.run(worlds.close())
    record_property("cases", counted["cases"])
    record_property("of a foreign thread", counted["foreign"])
    assert counted["cases"] >= CASES
    assert counted["foreign"] >= CASES // 10
    assert counted["served"] >= CASES // 20


def test_the_same_over_a_socket(record_property: Callable[[str, object], None]) -> None:
    counted: Counter[str] = Counter()
    with asyncio.Runner() as runner:
        world = runner.run(Worlds("memory", Path()).having(THREADS))
        with serving(world.app) as base, httpx.Client(base_url=base) as client:

            @settings(max_examples=OVER_SOCKETS, phases=[Phase.generate], database=None, derandomize=True)
            @given(cases)
            def one_request(case: Case) -> None:
                route, caller, *_ = case
                asked = built(case, world)
                counted["cases"] += 1
                answer = client.send(
                    client.build_request(
                        asked.method,
                        asked.url.raw_path.decode(),
                        headers=asked.headers,
                        content=asked.content,
                    )
                )
                check_silence(answer, route, caller)

            one_request()
    record_property("cases", counted["cases"])
    assert counted["cases"] >= OVER_SOCKETS


async def check(case: Case, worlds: Worlds, counted: Counter[str]) -> None:
    route, caller, id, condition, _ = case
    visible = tuple(one for one in THREADS if caller.sees(one))
    foreign = tuple(one for one in THREADS if not caller.sees(one))
    world, twin = await worlds.having(THREADS), await worlds.having(visible)
    asked = built(case, world)
    before = await world.began_with(foreign) if route.method != "GET" else None
    answer = await world.client.send(asked)

    counted["cases"] += 1
    counted["foreign"] += any(one.id == id for one in foreign)
    counted["served"] += answer.is_success
    check_silence(answer, route, caller)
    if (route.method, route.path, condition) == ("GET", "/v1/threads/{id}", {}) and answer.status_code != 403:
        assert answer.is_success == any(one.id == id for one in visible)
    if before is not None:
        assert await world.kept(foreign) == before
    # A message of the caller's own has another id in the other world.
    named = "{message_id}" in route.path or str(world.messages.get((caller.tenant or "", id))) in (
        str(asked.url) + asked.content.decode()
    )
    if not named or not any(one.id == id for one in visible):
        assert plain(answer) == plain(await twin.client.send(built(case, world)))
    if route.method != "GET" and answer.is_success:
        await worlds.forget(THREADS)
        await worlds.forget(visible)


def built(case: Case, world: World) -> httpx.Request:
    route, caller, id, condition, n = case
    messages = [world.messages[one, id] for one in (ACME, OTHER) if (one, id) in world.messages]
    message = messages[n % len(messages)] if messages else "none"
    path = route.path.replace("{id}", segment(id)).replace("{message_id}", message)
    queries = QUERIES.get(route.path, [""]) if route.method == "GET" else [""]
    if (route.method, route.path) == ("DELETE", "/v1/threads/{id}/messages"):
        queries = ["", f"?after={message}", f"?from={message}"]
    bodies = BODIES.get((route.method, route.path), [])
    return httpx.Request(
        route.method,
        f"http://service{path}{queries[n % len(queries)]}",
        headers={**caller.headers, **condition},
        **({"json": filled(bodies[n % len(bodies)], id, message)} if bodies else {}),
    )


def filled(body: Any, id: str, message: str) -> Any:
    if not isinstance(body, dict):
        return body
    return {
        name: id if value is THE_ID else message if value is THE_MESSAGE else value
        for name, value in body.items()
    }


def check_silence(answer: httpx.Response, route: AnyRoute, caller: Caller) -> None:
    """No word of another's thread, in the open or in a cursor, and nothing done without the right to it."""
    said = (
        answer.text
        + str(answer.headers)
        + "".join(map(decoded, re.findall(r"[A-Za-z0-9_-]{12,}", answer.text)))
    )
    reads = bool(caller.scopes & {"read", "admin"})
    assert not [one for one in THREADS if one.word in said and not (reads and caller.sees(one))]
    listed = (route.method, route.path) == ("GET", "/v1/threads")
    if listed and answer.is_success and answer.json()["next"]:
        last = ThreadCursor.parse(answer.json()["next"]).id
        assert last in {one.id for one in THREADS if caller.sees(one)} or last not in IDS
    if not caller.scopes:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    elif not caller.scopes >= set(route.scopes) and "admin" not in caller.scopes:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def decoded(text: str) -> str:
    padded = text[: len(text) - (len(text) % 4 == 1)]
    return base64.urlsafe_b64decode(padded + "=" * (-len(padded) % 4)).decode(errors="replace")


def plain(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """An answer without what differs between any two: its duration, and the ids that were made for it."""
    headers = [
        (name, NEVER_THE_SAME.sub("-", value))
        for name, value in answer.headers.multi_items()
        if name != "server-timing"
    ]
    return answer.status_code, headers, NEVER_THE_SAME.sub("-", answer.text)
