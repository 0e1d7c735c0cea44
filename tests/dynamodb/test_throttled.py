"""Batches of which an answer says that not all was done: what is left is waited for, not without end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.blocking import run
from chatstore.engines.log import Key, Row
from chatstore.errors import Unavailable

NAMES = [f"{number:02d}" for number in range(20)]
ROWS: list[Row] = [{"pk": "p", "sk": name} for name in NAMES]


class Noting(BlockingCalls):
    """Notes how long it would wait."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Throttled:
    """A table whose server leaves of each batch as many as it is told, at last `then`."""

    def __init__(self, *left: int, then: int) -> None:
        self.sent: list[list[str]] = []
        self._left = iter(left)
        self._then = then
        client = Client("t", "us-east-1", "http://127.0.0.1:9", 1.0)
        client.client.meta.events.register("before-send.dynamodb", self._answer)
        self.calls = Noting(client)
        self.table = DynamoTable(self.calls, client)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        asked = json.loads(request.body)["RequestItems"]["t"]
        writing = isinstance(asked, list)
        parts = asked if writing else asked["Keys"]
        keys = [part["PutRequest"]["Item"] if writing else part for part in parts]
        self.sent.append([key["sk"]["S"] for key in keys])
        done = len(parts) - min(next(self._left, self._then), len(parts))
        left = {"t": parts[done:] if writing else {**asked, "Keys": parts[done:]}} if parts[done:] else {}
        told = {"UnprocessedItems": left} if writing else {
            "UnprocessedKeys": left, "Responses": {"t": keys[:done]}
        }  # fmt: skip
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = json.dumps(told).encode()
        return answer


def write(table: DynamoTable) -> list[str]:
    run(table.write(ROWS))
    return NAMES


def get(table: DynamoTable) -> list[str]:
    return [str(row["sk"]) for row in run(table.get([Key("p", name) for name in NAMES]))]


@pytest.fixture(params=[write, get])
def call(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_only_what_is_left_is_sent_again(call: Callable[[DynamoTable], list[str]]) -> None:
    throttled = Throttled(15, 15, 15, 5, 5, 5, then=0)
    assert call(throttled.table) == NAMES
    assert throttled.sent == [NAMES, *[NAMES[5:]] * 3, *[NAMES[15:]] * 3]


def test_nothing_is_waited_for_without_end(call: Callable[[DynamoTable], list[str]]) -> None:
    pauses = []
    for _ in range(50):
        throttled = Throttled(15, then=20)
        with pytest.raises(Unavailable):
            call(throttled.table)
        assert throttled.sent[1:] == [NAMES[5:]] * 4
        pauses.append(throttled.calls.pauses)
    longest = [max(each) for each in zip(*pauses, strict=True)]
    assert longest[0] < longest[-2] < longest[-1] < 1
