"""What an implementer derives a class of tests from, and how one test is opted out of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from chatstore.contract import Backend, Clock
from chatstore.store import ChatStore
from chatstore.testing.colours import Colour, drive
from chatstore.testing.manual_clock import ManualClock

__all__ = ["BackendTests", "OptedOut", "Sample", "opted_out"]

T = TypeVar("T")


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


class Sample:
    """Chooses among the cases that one test tries: all of them, or one in so many."""

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in

    def of(self, cases: Iterable[T], turn: int) -> list[T]:
        """The cases that it is the turn of; successive turns have every case between them."""
        return list(cases)[turn % self._one_in :: self._one_in]


class BackendTests(ABC):
    """A class of tests that run for one backend, in each of its colours."""

    colours: ClassVar[Sequence[Colour]] = tuple(Colour)
    """How it can be opened."""

    one_case_in: ClassVar[int] = 1
    """Where a test goes through many cases of something, it tries one in so many of them.

    More is for a slow server, beside a class that tries the same code with all of them in memory.
    """

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
    def sample(self) -> Sample:
        """Which cases are tried."""
        return Sample(self.one_case_in)

    @pytest.fixture
    def store(self, colour: Colour, clock: ManualClock, tmp_path: Path) -> Iterator[ChatStore]:
        """An empty store, called as a blocking one in either colour."""
        backend = self.open_backend(blocking=colour is Colour.BLOCKING, clock=clock, tmp_path=tmp_path)
        with drive(backend, colour) as store:
            yield store
