"""What could not be measured or sent: counted, and said in the log."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["Losses"]

_WHILE_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Losses:
    """Counts losses by what was lost, and writes a line of them at most once a minute. Safe among threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unsaid: Counter[str] = Counter()
        self._said = -_WHILE_SECONDS

    @property
    def counts(self) -> Mapping[str, int]:
        """How many were lost of each."""
        with self._lock:
            return dict(self._counts)

    def add(self, what: str, number: int, why: str) -> None:
        """So many were lost."""
        with self._lock:
            self._counts[what] += number
            self._unsaid[what] += number
            now = self._clock()
            if now - self._said < _WHILE_SECONDS:
                return
            self._said = now
            lost, self._unsaid = self._unsaid, Counter()
        told = ", ".join(f"{count:,} {name}" for name, count in lost.items())
        _log.warning("telemetry lost %s: %s", told, why)
