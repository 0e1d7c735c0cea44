"""The port to a table: points, pages and groups, filled by a blocking and by an asynchronous driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol, TypeAlias

__all__ = [
    "Again",
    "BeingDeleted",
    "Driver",
    "Entity",
    "NoTable",
    "Op",
    "Overtaken",
    "Properties",
    "Range",
    "Slice",
]

Properties: TypeAlias = Mapping[str, str | bytes]
Range: TypeAlias = tuple[str, str]
"""Keys from the first to before the second."""


class Entity(NamedTuple):
    """A row as it was read."""

    partition: str
    row: str
    properties: Properties
    etag: str


class Op(NamedTuple):
    """One change within a group; with an `etag`, only to the row as it was read.

    ``touch`` merges into a row and ``upsert`` replaces it, where there is one; both make it where not.
    """

    kind: Literal["insert", "merge", "replace", "touch", "upsert", "delete"]
    row: str
    properties: Properties
    etag: str | None = None


class Slice(NamedTuple):
    """A page of a query, in the order of the table's choice; with a `token`, perhaps not the last.

    Rows of messages may come apart, as the `rest` behind a header, where that is quicker.
    """

    entities: Sequence[Entity]
    token: object | None
    rest: Sequence[Entity] = ()


class Overtaken(Exception):
    """A group changed nothing: a row was not as its condition says, or already there, or gone.

    After a try whose answer was lost, `perhaps` says that this try itself may be what came first.
    """

    def __init__(self, *, perhaps: bool = False) -> None:
        super().__init__(perhaps)
        self.perhaps = perhaps


class Again(Exception):
    """The table gave no answer or none for now; a group may have been applied or not."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class BeingDeleted(Again):
    """A table of this name is being deleted, which takes the service a minute or so."""


class NoTable(Exception):
    """The table is not there; nothing was done."""


class Driver(Protocol):
    """Calls a table; each method is one call.

    All of them raise `Again` where trying again may help, `NoTable`, and errors of ours otherwise.
    """

    async def create(self) -> None:
        """Make the table; one that is there stays as it is."""

    async def get(self, partition: str, row: str) -> Entity | None:
        """One row; None where there is none."""

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        """A page of the rows of a partition or of a range of them.

        With `before`, only those whose `x` is less; without `bodies`, only their `a`, `i`, `n`, `o` and `x`.
        """

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        """Apply all of `ops` or, raising Overtaken, none; the rows' new etags."""

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        """Waits until no other writer of this process is at the same thread."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""

    async def close(self) -> None:
        """Give back connections."""
