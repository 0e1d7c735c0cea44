"""A wire that loses, repeats, delays and refuses what goes over it, hooked into botocore's own client.

What happens to a call is drawn from a seeded source of chance. Nothing of chatstore is replaced but how
long it pauses between tries.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb import DynamoBackend
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.contract import Clock

__all__ = ["Wire"]

Request: TypeAlias = AWSPreparedRequest

_REFUSALS = {
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "ProvisionedThroughputExceededException": 400,
    "ThrottlingException": 400,
    "TransactionConflictException": 400,
}
_LONGEST_DELAY = 60
_LONGEST_STORM = 30
_STORMS = 0.1
_ANSWERED = ("twice", "twice, once late")


@dataclass
class _Late:
    """A request that is still under way: it arrives when so many others have been sent."""

    request: Request
    left: int


class Wire:
    """What lies between clients and a server. `share` of the calls have a fault; some come in storms."""

    def __init__(self, chance: random.Random, share: float) -> None:
        self.faults: Counter[str] = Counter()
        self.calls = 0
        self._chance = chance
        self._share = share
        self._storm = 0
        self._outage = threading.local()
        self._under_way: list[_Late] = []
        self._lock = threading.Lock()
        # As botocore's own clients send: without this, a call and its answer wait for each other 40 ms.
        at_once = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        self._session = URLLib3Session(max_pool_connections=32, socket_options=at_once)
        self._fates: dict[str, Callable[[Request], AWSResponse]] = {
            "request lost": self._lose,
            "answer lost": self._lose_answer,
            "late": self._delay,
            "twice": self._double,
            "twice, once late": self._double_late,
            "refused": self._refuse,
            "refused though it was done": self._refuse_after,
        }

    def backend(self, table: str, endpoint: str, clock: Clock, *, transactions: bool) -> DynamoBackend:
        """A backend whose calls go over this wire."""
        client = Client(table, "us-east-1", endpoint, 30.0)
        events = client.client.meta.events
        events.register("before-send.dynamodb", self._send)
        events.register("provide-client-params.dynamodb", self._cut)
        events.register("after-call.dynamodb", self._give_back)
        made = DynamoTable(_Impatient(client), client)
        made.atomic_pairs = transactions
        return DynamoBackend(made, clock)

    def fail(self, calls: int) -> None:
        """Answer none of this thread's next calls, whatever comes of them."""
        self._outage.left = calls

    def end(self) -> None:
        """Let arrive what is under way, and be faultless from now on."""
        with self._lock:
            self._share, self._storm = 0.0, 0
            left, self._under_way = self._under_way, []
        for late in left:
            self._session.send(late.request)

    # Calls as they are sent

    def _send(self, request: Request, **_: Any) -> AWSResponse | None:
        with self._lock:
            self.calls += 1
            for late in self._under_way:
                late.left -= 1
            arrived = [late for late in self._under_way if late.left <= 0]
            self._under_way = [late for late in self._under_way if late.left > 0]
            fate = self._drawn(unconditional=request.headers["X-Amz-Target"].endswith(b"BatchWriteItem"))
        for late in arrived:
            self._session.send(late.request)
        return None if fate is None else self._fates[fate](request)

    def _drawn(self, *, unconditional: bool) -> str | None:
        fates = list(self._fates)
        if out := getattr(self._outage, "left", 0):
            self._outage.left = out - 1
            fates = [fate for fate in fates if fate not in _ANSWERED]
        elif self._storm:
            self._storm -= 1
        elif self._chance.random() >= self._share:
            return None
        elif self._chance.random() < _STORMS:
            self._storm = self._chance.randint(1, _LONGEST_STORM)
        if unconditional:
            # Nobody sends these again, and then nothing brings them twice: the port says so.
            fates = [fate for fate in fates if fate not in _ANSWERED]
        fate = self._chance.choice(fates)
        self.faults[fate] += 1
        return fate

    def _lose(self, request: Request) -> AWSResponse:
        raise EndpointConnectionError(endpoint_url=request.url)

    def _lose_answer(self, request: Request) -> AWSResponse:
        self._session.send(request)
        raise ConnectionClosedError(endpoint_url=request.url)

    def _delay(self, request: Request) -> AWSResponse:
        with self._lock:
            self._under_way.append(_Late(request, self._chance.randint(1, _LONGEST_DELAY)))
        raise ReadTimeoutError(endpoint_url=request.url)

    def _double(self, request: Request) -> AWSResponse:
        self._session.send(request)
        return self._session.send(request)

    def _double_late(self, request: Request) -> AWSResponse:
        answer = self._session.send(request)
        with self._lock:
            self._under_way.append(_Late(request, self._chance.randint(1, _LONGEST_DELAY)))
        return answer

    def _refuse(self, request: Request) -> AWSResponse:
        code = self._chance.choice(list(_REFUSALS))
        answer = AWSResponse(request.url, _REFUSALS[code], {}, None)
        kind = f"com.amazonaws.dynamodb.v20120810#{code}"
        if request.headers["X-Amz-Target"].endswith(b"TransactWriteItems") and _REFUSALS[code] == 400:
            kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
        reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
        answer._content = json.dumps({"__type": kind, "CancellationReasons": reasons}).encode()
        return answer

    def _refuse_after(self, request: Request) -> AWSResponse:
        self._session.send(request)
        answer = AWSResponse(request.url, 500, {}, None)
        answer._content = b'{"__type": "InternalServerError"}'
        return answer

    # Pages and batches that are done in part

    def _cut(
        self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> dict[str, Any] | None:
        with self._lock:
            if self._chance.random() >= self._share:
                return None
            if model.name == "Query" and params["Limit"] > 1:
                self.faults["page cut"] += 1
                return {**params, "Limit": self._chance.randrange(1, params["Limit"])}
            if model.name not in ("BatchWriteItem", "BatchGetItem"):
                return None
            [(table, asked)] = params["RequestItems"].items()
            several = asked["Keys"] if model.name == "BatchGetItem" else asked
            done = self._chance.randint(1, len(several))
            if done == len(several):
                return None
            self.faults["batch cut"] += 1
        if model.name == "BatchGetItem":
            context["left"] = "UnprocessedKeys", {table: {**asked, "Keys": several[done:]}}
            return {**params, "RequestItems": {table: {**asked, "Keys": several[:done]}}}
        context["left"] = "UnprocessedItems", {table: several[done:]}
        return {**params, "RequestItems": {table: several[:done]}}

    def _give_back(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if "left" in context and "Error" not in parsed:
            name, left = context["left"]
            parsed[name] = left


class _Impatient(BlockingCalls):
    """Pauses long enough for another to go first, and no longer."""

    async def pause(self, seconds: float) -> None:
        await super().pause(min(seconds, 0.002))
