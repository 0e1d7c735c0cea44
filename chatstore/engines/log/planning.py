"""What a mutation plans: the slot that is to be taken on the thread as it is, or an answer without one.

A plan may be made several times, each time for the thread as it is then. What it writes before its slot is
taken nobody sees, and a plan that comes to nothing has it removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from chatstore import position
from chatstore.contract import ThreadKey
from chatstore.engines.log.head import Head
from chatstore.engines.log.port import Key
from chatstore.engines.log.records import Header, Slot, Totals
from chatstore.errors import InvalidArgument

__all__ = ["Answer", "Decision", "Forgotten", "Outdated", "Plan", "Turn", "no_request"]

R = TypeVar("R")

MOST_PROPERTIES = 150_000
"""Bytes of a header: it has to fit into a row beside a slot's messages."""


class Answer(NamedTuple, Generic[R]):
    """A result for which nothing needs to be written."""

    result: R


class Decision(NamedTuple, Generic[R]):
    """The slot to be taken, and the result once it is.

    It is taken only if the row `free` is not there. `edits` is the row that its effect is on, as it was read.
    `after` is done when all is applied; what fails there has not failed the operation.
    """

    slot: Slot
    result: R
    free: Key | None = None
    edits: Slot | None = None
    after: Callable[[], Awaitable[None]] | None = None


class Turn(NamedTuple):
    """One try of a mutation: the thread as it is, the present, and the totals with the request in them.

    `staged` names the rows that its plan has written, which serve this try's slot alone. Each is named before
    it is written, so that a try which comes to nothing can remove what may be there.
    """

    key: ThreadKey
    head: Head
    now: int
    token: str
    request: tuple[str, str] | None
    totals: Totals
    staged: list[Key]

    def slot(self, totals: Totals, **fields: Any) -> Slot:
        """The next slot. Raises InvalidArgument where its header's properties are too large."""
        header: Header | None = fields.get("header")
        if header is not None:
            if len(cast("bytes", header.dump(self.head.pk)["b"])) > MOST_PROPERTIES:
                raise InvalidArgument(
                    f"a thread's properties take at most {MOST_PROPERTIES:,} bytes here, compressed: "
                    "keep fewer participants, or less metadata"
                )
            totals = replace(totals, version=header.version)
        at = position.nth(self.head.tail + 1)
        return Slot(self.head.epoch, at, self.token, self.now, totals, request=self.request, **fields)

    def bare_slot(self, result: str | None = None, **fields: Any) -> Slot:
        """The next slot, to be read by nobody but repetitions."""
        totals = replace(self.totals, places=self.totals.places + 1)
        return self.slot(totals, result=result, **fields)


Plan = Callable[[Turn], Awaitable["Answer[R] | Decision[R]"]]
"""Says what is to be written on the thread as it is, or raises why it cannot be."""


class Forgotten(Exception):
    """The result of a request is no longer there, as after an erasure: it is done anew."""


class Outdated(Exception):
    """The thread has moved on since the turn looked at it: it is looked at again."""


async def no_request(slot: Slot) -> NoReturn:
    """What answers the repetition of a mutation that has no request.

    There is none: raises AssertionError, which is a fault of the engine.
    """
    raise AssertionError(slot)
