"""What an implementer derives a class of tests from, and how one test is opted out of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chatstore.contract import Backend, Clock
from chatstore.store import ChatStore
from chatstore.testing.colours import Colour, drive
from chatstore.testing.manual_clock import ManualClock

__all__ = ["BackendTests", "OptedOut", "opted_out"]


class OptedOut(str):
    """Stands in a class where a test would be, and says why it is not."""

    __slots__ = ()


def opted_out(reason: str) -> Any:
    """What to put in a test's place where a backend cannot pass it; the summary gives the reason.

    ``test_two_backends_see_each_others_writes = opted_out("each has a file of its own")``
    """
    if not reason.strip():
        raise ValueError("say why the backend cannot pass this test")
    return OptedOut(reason)


class BackendTests(ABC):
    """A class of tests that run for one backend, in each of its colours."""

    colours: ClassVar[Sequence[Colour]] = tuple(Colour)
    """How it can be opened."""

    @abstractmethod
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        """A backend that goes by `clock`, empty for a `tmp_path` that is, with what it holds otherwise."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once in each colour."""
        if "colour" in metafunc.fixturenames:
            metafunc.parametrize("colour", self.colours, ids=lambda colour: colour.value)

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The time by which the backend goes."""
        return ManualClock()

    @pytest.fixture
    def store(self, colour: Colour, clock: ManualClock, tmp_path: Path) -> Iterator[ChatStore]:
        """An empty store, called as a blocking one in either colour."""
        backend = self.open_backend(blocking=colour is Colour.BLOCKING, clock=clock, tmp_path=tmp_path)
        with drive(backend, colour) as store:
            yield store
