"""What clients send and are sent, summed up where it leaves them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from chatstore.backends.dynamodb.meter import billed

__all__ = ["DynamoTraffic", "TableTraffic"]


class DynamoTraffic:
    """Of a botocore client: units by the vendor's rules, bytes both ways, calls."""

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


class TableTraffic:
    """Of a client for Azure's tables: bytes both ways, and requests, each a billed transaction."""

    def __init__(self) -> None:
        self.sums = {"transactions": 0.0, "bytes": 0.0}

    @property
    def hooks(self) -> dict[str, Any]:
        """The options of a client that is to be counted."""
        return {"raw_request_hook": self._before, "raw_response_hook": self._after}

    def _before(self, request: Any) -> None:
        self.sums["transactions"] += 1
        self.sums["bytes"] += len(request.http_request.body or b"")

    def _after(self, response: Any) -> None:
        # The answer to a group is still under way here; only what a failure says is in such a one.
        with contextlib.suppress(ValueError):
            self.sums["bytes"] += len(response.http_response.body())


def _typed(form: Any) -> Any:
    """A request as it was before it became JSON."""
    if isinstance(form, dict):
        if form.keys() == {"B"}:
            return {"B": base64.b64decode(form["B"])}
        return {name: _typed(value) for name, value in form.items()}
    return [_typed(one) for one in form] if isinstance(form, list) else form
