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
        asked = self.requests[pick % len(self.requests)]
        if same:
            try:
                again = self.call(asked.method, *asked.args, **asked.kwargs)
            except RequestExpired:
                ends = [*self.ends[asked.thread], getattr(asked.result, "expires_at", None)]
                passed = [end for end in ends if end is not None and end <= self.clock.now]
                assert passed, "only what it showed can have expired"
            else:
                assert again == asked.result
                assert not asked.expired(self.clock.now)
        else:
            message = {"role": "user", "content": "another payload"}
            request_id = asked.kwargs["request_id"]
            self.refuses(RequestMismatch, "append", asked.thread, message, request_id=request_id)
