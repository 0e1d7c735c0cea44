"""How much was explored, said at the end of the run; and what exploring need not do twice."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatstore.engines.fenced.header import State
from chatstore.engines.log.records import Header, Slot
from tests.schedules.explorer import Count


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Iterator[list[Count]]:
    """Collects what was explored."""
    counts: list[Count] = []
    yield counts
    record_property("different ends", sum(count.ends for count in counts))
    record_property("states", sum(count.states for count in counts))


def _decoded_once(kind: Any) -> Any:
    """What decodes rows to `kind`, but each row once."""
    decode = kind.load

    @functools.lru_cache(100_000)
    def decoded(*columns: tuple[str, Any]) -> Any:
        return decode(dict(columns))

    return staticmethod(lambda row: decoded(*row.items()))


_SLOT, _HEADER = _decoded_once(Slot), _decoded_once(Header)
_STATE = staticmethod(functools.lru_cache(100_000)(State.load))


@pytest.fixture(autouse=True)
def decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors that are run again read the same rows again; nothing changes what they are decoded to."""
    monkeypatch.setattr(Slot, "load", _SLOT)
    monkeypatch.setattr(Header, "load", _HEADER)
    monkeypatch.setattr(State, "load", _STATE)
