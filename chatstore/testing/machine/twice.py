"""The rules for time and for doing things twice."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chatstore.contract import Capability
from chatstore.errors import RequestExpired, RequestMismatch
from chatstore.testing.machine.steps import Steps
from chatstore.testing.machine.strategies import (
    PICKS,
    WAITS,
)

__all__ = ["RepeatRules"]


class RepeatRules(Steps):
    """Waiting, sweeping, and repeating requests."""

    @rule(by=WAITS, sweep=st.booleans(), limit=st.integers(1, 5))
    def wait(self, by: timedelta, sweep: bool, limit: int) -> None:
        self.clock.advance(by)
        if sweep and self.has(Capability.SWEEP):
            self.call("sweep", limit=limit)

    @precondition(lambda self: self.requests)
    @rule(pick=PICKS, same=st.booleans())
    def repeat(self, pick: int, same: bool) -> None:
        method, args, kwargs, result, until = self.requests[pick % len(self.requests)]
        if same:
            try:
                again = self.call(method, *args, **kwargs)
            except RequestExpired:
                assert until is not None, "only what it showed can have expired"
                assert until <= self.clock.now
            else:
                assert again == result
        else:
            scope = args[1] if method == "fork" else args[0]
            message = {"role": "user", "content": "another payload"}
            self.refuses(RequestMismatch, "append", scope, message, request_id=kwargs["request_id"])
