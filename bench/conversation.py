"""A long conversation on DynamoDB: what is said, and what it takes over the wire."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from chatstore.backends.dynamodb.meter import billed

TURNS = 1000
LAST = 20
THREAD = "the conversation"
TOLD = (1, 10, 100, 200, 300, 500, 1000)
"""The turns after which the sums are told."""


def turn(number: int) -> list[dict[str, str]]:
    """What is said and answered: about 200 and 800 bytes."""
    said = f"{number:06d} and what else is there to see in Lisbon? "
    return [
        {"role": "user", "content": said * 4},
        {"role": "assistant", "content": f"{said * 3} {number * 7919} is one of the things. " * 4},
    ]


class Traffic:
    """Sums up what a botocore client sends: units by the vendor's rules, bytes both ways, calls."""

    def __init__(self, events: Any) -> None:
        self.sums = {"wru": 0.0, "rru": 0.0, "bytes": 0.0, "calls": 0.0}
        self._sent: Mapping[str, Any] = {}
        events.register("before-send.dynamodb", self._before)
        # First, before boto3 turns the answer into Python's values.
        events.register_first("after-call.dynamodb", self._after)

    def _before(self, request: Any, **_: Any) -> None:
        self._sent = _typed(json.loads(request.body))
        self.sums["bytes"] += len(request.body)

    def _after(self, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        self.sums["bytes"] += len(http_response.content)
        self.sums["calls"] += 1
        for unit, count in billed(model.name, self._sent, parsed).items():
            self.sums[unit] += count


def run(say: Callable[[list[dict[str, str]]], object], traffic: Traffic) -> dict[str, Any]:
    """Go through the conversation, or as far as it goes: the sums after some turns, and the failure."""
    began = time.perf_counter()
    told: dict[int, dict[str, float]] = {}
    for number in range(1, TURNS + 1):
        try:
            say(turn(number))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            return {"told": told, "failed": [number, f"{type(error).__name__}: {error}"]}
        if number in TOLD:
            told[number] = {**traffic.sums, "seconds": time.perf_counter() - began}
    return {"told": told, "failed": None}


def _typed(form: Any) -> Any:
    """A request as it was before it became JSON."""
    if isinstance(form, dict):
        if form.keys() == {"B"}:
            return {"B": base64.b64decode(form["B"])}
        return {name: _typed(value) for name, value in form.items()}
    return [_typed(one) for one in form] if isinstance(form, list) else form
