"""Short writes that wait at the same time share a transaction.

Its commit waits for the disk, and costs more than all else in the write of a turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from chatstore.backends.sqlite.statements import Outcome
from chatstore.engines.sql import Work
from chatstore.fair_threads import FairThreads

__all__ = ["Together"]

T = TypeVar("T")

_MOST = 16
"""So many short writes hold others off for about as long as one long one."""


class _Piece:
    """Work that waits, and what became of it."""

    __slots__ = ("begun", "outcome", "work")

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.begun = False
        self.outcome: Outcome = None, None


class Together:
    """Writes by the one thread of `writer`, with `write` for what is done in one transaction.

    Callers take turns as ever: whose turn it is takes along those who have waited longest.
    """

    def __init__(self, writer: FairThreads, write: Callable[[Sequence[Work[Any]]], list[Outcome]]) -> None:
        self._writer = writer
        self._write = write
        self._waiting: deque[_Piece] = deque()

    async def write(self, caller: Hashable, work: Work[T]) -> T:
        """What `work` gives, once it is committed. One whose caller is cancelled before does not begin."""
        piece = _Piece(work)
        self._waiting.append(piece)
        try:
            return cast("T", await self._writer.run(caller, partial(self._do, piece)))
        finally:
            # Its own thread may not have come to it: nobody else does it then.
            piece.begun = True

    def _do(self, piece: _Piece) -> object:
        if not piece.begun:
            pieces = self._taken(piece)
            try:
                outcomes = self._write([one.work for one in pieces])
            except Exception as error:  # noqa: BLE001 - it is raised below, and where the others wait
                outcomes = [(None, error)] * len(pieces)
            for one, outcome in zip(pieces, outcomes, strict=True):
                one.outcome = outcome
        result, fault = piece.outcome
        if fault is not None:
            raise fault
        return result

    def _taken(self, piece: _Piece) -> list[_Piece]:
        """`piece`, and others that wait and have not begun; all of them begin."""
        piece.begun = True
        pieces = [piece]
        while self._waiting and len(pieces) < _MOST:
            other = self._waiting.popleft()
            if not other.begun:
                other.begun = True
                pieces.append(other)
        return pieces
