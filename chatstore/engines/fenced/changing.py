"""What an operation is told of a thread, and what it makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from chatstore import records
from chatstore.contract import ThreadKey
from chatstore.engines.fenced.header import Known, State
from chatstore.engines.fenced.port import Op
from chatstore.engines.fenced.segments import Segment

__all__ = ["Change", "Plan", "View"]

R = TypeVar("R", bound=records.Result)


class View(NamedTuple):
    """A thread as one try of an operation sees it: `state` is None where there is none for the caller."""

    key: ThreadKey
    partition: str
    known: Known
    now: int
    again: bool = False
    """Whether a try was made before this one."""

    @property
    def state(self) -> State | None:
        """The header, if there is a thread that the caller may see."""
        found = self.known.state
        if found is None or not found.lives(self.now) or self.key.owner not in (None, found.owner):
            return None
        return found


class Change(NamedTuple, Generic[R]):
    """What an operation makes of a thread: its result, and the header and rows as they become.

    Without a `state` nothing changes. `properties` are given only where they change; `due` is when the sweep
    should look at the thread, if not for a message that expires. `claims` are rows of messages' names; those
    `ahead` go before the group, because it would be too large. `source` is the partition and the header of
    another thread whose copy this is: it must be as it was once listings were told of the copy.
    """

    result: R
    state: State | None = None
    properties: str | None = None
    put: Sequence[Segment] = ()
    drop: Sequence[str] = ()
    due: int | None = None
    claims: Sequence[Op] = ()
    ahead: Sequence[Op] = ()
    source: tuple[str, State] | None = None

    @property
    def length(self) -> int:
        """How many characters are to be written of properties and of messages."""
        texts = [len(one.text) for segment in self.put for one in segment.messages]
        return len(self.properties or "") + sum(texts)


Plan: TypeAlias = Callable[[View], Awaitable[Change[R]]]
