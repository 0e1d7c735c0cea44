"""A caller who repeats what may have been done, so that it is done once."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from functools import wraps
from typing import Any, cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

import chatstore
from chatstore import ChatStore
from chatstore.contract import Clock
from chatstore.models import Thread
from chatstore.testing import ManualClock
from chatstore.testing.colours import Colour
from chatstore.testing.machine import StoreMachine

__all__ = ["Patient", "any_sequence"]


class Patient:
    """A store whose calls are repeated while it is unavailable, each mutation under one request id.

    Threads are listed until twice the same: what arrives late while a list is read is activity meanwhile.
    """

    def __init__(self, store: ChatStore, clock: Clock, repeated: Counter[str] | None = None) -> None:
        self._store = store
        self._clock = clock
        self.repeated: Counter[str] = Counter() if repeated is None else repeated

    def for_tenant(self, tenant: str) -> Patient:
        return Patient(self._store.for_tenant(tenant), self._clock, self.repeated)

    def iter_threads(self, **filters: Any) -> Iterator[Thread]:
        listed = self.__getattr__("iter_threads")
        seen = None
        while seen != (seen := list(listed(**filters))):
            pass
        return iter(seen)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if not callable(member):
            return member
        identified = "request_id" in inspect.signature(member).parameters

        @wraps(member)
        def call(*args: Any, **kwargs: Any) -> Any:
            if identified and kwargs.get("request_id") is None:
                kwargs["request_id"] = chatstore.uuid7(self._clock() // 1000)
            while True:
                try:
                    result = member(*args, **kwargs)
                    return iter(list(result)) if inspect.isgenerator(result) else result
                except chatstore.Unavailable:
                    self.repeated[name] += 1

        return call


def any_sequence(store: ChatStore, clock: ManualClock, chosen: int, **sizes: int) -> Counter[str]:
    """Run the contract suite's state machine on a store that fails, by the seed `chosen`; what it repeated.

    Nothing is shortened: what fails depends on all calls before.
    """
    patient = Patient(store, clock)

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(cast("ChatStore", patient), Colour.BLOCKING, clock)

    run_state_machine_as_test(
        seed(chosen)(Machine),
        settings=settings(
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **cast("Any", sizes),
        ),
    )
    return patient.repeated
