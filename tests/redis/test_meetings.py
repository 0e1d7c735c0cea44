"""Operations that meet on Redis, at each call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import chatstore
from chatstore.backends.redis.links import Link, Parse
from tests.backends.meetings import Meet, Meetings


@pytest.fixture
def played(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meetings]:
    place = f"{redis_url}?prefix=meetings:"
    with chatstore.connect(place) as one, chatstore.connect(place) as two:
        played = Meetings(one, two)
        exchange = Link.exchange

        def exchanged(self: Link, data: bytes, count: int, parse: Parse) -> list[Any]:
            played.before_call()
            return exchange(self, data, count, parse)

        monkeypatch.setattr(Link, "exchange", exchanged)
        yield played


class TestRedis(Meet):
    one_in = 24
