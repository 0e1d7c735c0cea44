"""Over HTTP it is the service's time by which things expire, whatever the machine's own clock says."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

import chatstore
from chatstore import AsyncChatStore, ChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.clocks import ServerClock
from chatstore.contract import system_clock
from chatstore.http.app import create_app
from chatstore.importing import import_threads
from chatstore.models import from_micros, rfc3339, to_micros
from chatstore.settings import Settings
from tests.http.serving import serving

HOUR = timedelta(hours=1)


@pytest.fixture(params=[-3, 3], ids=["behind", "ahead"])
def distant(request: pytest.FixtureRequest) -> Iterator[ChatStore]:
    """A store at a service, on a machine whose clock is hours off."""
    backend = MemoryBackend()
    off = request.param * to_micros(datetime.fromisoformat("1970-01-01T01:00:00Z"))
    clock = ServerClock(own=lambda: system_clock() + off)
    app = create_app(AsyncChatStore(backend), Settings())
    with serving(app) as address, chatstore.connect(address, clock=clock) as store:
        yield store


def source() -> ChatStore:
    """Messages of which one goes on for an hour, and one was over an hour ago."""
    store = ChatStore(MemoryBackend())
    now = from_micros(system_clock())
    thread = store.create_thread("t")
    messages = [
        chatstore.Message('{"role":"user"}', f"{number}", created_at=now - 2 * HOUR, expires_at=expires)
        for number, expires in enumerate((None, now + HOUR, now - HOUR))
    ]
    store.restore(thread, messages, if_match=store.read("t").etag)
    return store


def check(distant: ChatStore, expires: datetime) -> None:
    kept = list(distant.read("t"))
    assert len(kept) == 2
    assert kept[0].expires_at is None
    assert kept[1].expires_at is not None
    assert abs(kept[1].expires_at - expires) < timedelta(minutes=1)


def test_an_import(distant: ChatStore) -> None:
    now = from_micros(system_clock())
    said = [
        {"id": f"{number}", "position": f"{number}", "message": {"role": "user"},
         "expires_at": None if left is None else rfc3339(now + left)}
        for number, left in enumerate((None, HOUR, -HOUR))
    ]  # fmt: skip
    thread = {"id": "t", "expires_at": rfc3339(now + 2 * HOUR), "messages": said}
    [done] = import_threads(distant, io.BytesIO(json.dumps(thread).encode()))
    assert done.damage == ("1 of its messages have expired, the first of them number 3",)
    check(distant, now + HOUR)
    left = distant.get_thread("t").expires_at
    assert left is not None
    assert abs(left - now - 2 * HOUR) < timedelta(minutes=1)


def test_a_restore(distant: ChatStore) -> None:
    now = from_micros(system_clock())
    list(restore_threads(distant, kept_threads(source(), Chosen("default", keys=False))))
    check(distant, now + HOUR)


def test_the_time_is_asked_for(distant: ChatStore) -> None:
    assert abs(distant.now() - from_micros(system_clock())) < timedelta(minutes=1)
