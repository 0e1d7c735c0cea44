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
    """A row as it was read. Names of partitions and rows are ASCII, and sort by their bytes."""

    partition: str
    row: str
    properties: Properties
    etag: str
    """Changes with each write. No etag comes twice, not even for a row that went and came again."""


class Op(NamedTuple):
    """One change within a group. No group names a row twice.

    ``insert`` needs that there is no row. ``merge``, ``replace`` and ``delete`` need that there is one, and
    with an `etag` that it is as it was read. ``touch`` merges into a row and ``upsert`` replaces it; both
    make one where none is.
    """

    kind: Literal["insert", "merge", "replace", "touch", "upsert", "delete"]
    row: str
    properties: Properties
    etag: str | None = None


class Slice(NamedTuple):
    """A page of a query, in the order of the table's choice; with a `token`, perhaps not the last.

    A token is the driver's own: it comes back with the same query, and is not stored.
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

        With `before`, only those that have an `x`, which is less. Without `bodies`, the properties `a`, `i`,
        `n`, `o` and `x` are enough.
        """

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        """Apply all of `ops` or, raising Overtaken, none; the rows' new etags."""

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        """Waits until no other writer of this process is at the same thread."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""

    async def close(self) -> None:
        """Give back connections."""
