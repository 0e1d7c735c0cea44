"""A clock that stands still until it is told to move, so that no test of expiry has to wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from chatstore.contract import system_clock
from chatstore.models import from_micros

__all__ = ["ManualClock"]


class ManualClock:
    """A `chatstore.contract.Clock` that starts at the present and only goes where `advance` takes it."""

    def __init__(self) -> None:
        self._micros = system_clock()

    def __call__(self) -> int:
        """Microseconds since 1970."""
        return self._micros

    @property
    def now(self) -> datetime:
        """The clock's time as a datetime in UTC."""
        return from_micros(self._micros)

    def advance(self, by: timedelta) -> None:
        """Let `by` pass."""
        self._micros += by // timedelta(microseconds=1)
