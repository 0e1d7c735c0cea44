"""The log's table as a table of Tablestore."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from chatstore.backends.calls import TRIES, CalledTable, Calls
from chatstore.backends.tablestore.faults import (
    FAULTS,
    NOT_MET,
    THERE,
    Absent,
    TurnedAway,
    is_turned_away,
    raise_ours,
)
from chatstore.backends.tablestore.rows import (
    attributes,
    behind,
    below,
    primary_key,
    row_at,
    size_of,
    sort_key,
)
from chatstore.backends.tablestore.sdk import (
    BatchGetRowRequest,
    BatchWriteRowRequest,
    CapacityUnit,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    DeleteRowItem,
    LogicalOperator,
    OTSServiceError,
    PutRowItem,
    ReservedThroughput,
    RowExistenceExpectation,
    SdkRow,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
)
from chatstore.batching import batches
from chatstore.engines.log import Key, Row, Rows
from chatstore.errors import ConfigurationError, StorageError, Unavailable
from chatstore.metering import spent

__all__ = ["TablestoreTable"]

_PRICES: Final = "tablestore"
_GET_TOGETHER, _WRITE_TOGETHER, _QUERIED = 100, 200, 5000
_WRITE_TOGETHER_BYTES: Final = 3_500_000
"""The vendor takes 4 MB; names and checksums are beside what is counted."""

_KEY: Final = [("pk", "STRING"), ("sk", "STRING")]
_FOR_EVER: Final = -1
_READY_TRIES: Final = 240
_READY_PAUSE_SECONDS: Final = (0.01, 0.5)

_ANY: Final = Condition(RowExistenceExpectation.IGNORE)
_NEW: Final = Condition(RowExistenceExpectation.EXPECT_NOT_EXIST)


class TablestoreTable(CalledTable):
    """Rows as rows: text, whole numbers and binary. Every read sees all that was acknowledged before."""

    atomic_pairs = False

    def __init__(self, calls: Calls, name: str) -> None:
        super().__init__(calls)
        self._name = name

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,  # noqa: ARG002 - reads are never stale here
    ) -> Rows:
        if low > high:
            return Rows([], more=False)  # the service refuses to be asked
        if newest:
            # Where the last page ended is read again: nothing names what is right before it.
            start, end = high if after is None else after, below(low)
        else:
            start, end = low if after is None else behind(after), behind(high)
            if start >= end:
                return Rows([], more=False)
        wanted = limit + int(newest and after is not None)
        begin, until = primary_key(Key(pk, start)), primary_key(Key(pk, end))
        direction = "BACKWARD" if newest else "FORWARD"
        while True:
            sent = (self._name, direction, begin, until, None, min(wanted, _QUERIED))
            consumed, following, rows, _ = await self._patiently(partial(self._call, "get_range", sent))
            _bill(consumed)
            found = [row_at(Key(pk, sort_key(row.primary_key)), row.attribute_columns) for row in rows]
            within = [row for row in found if str(row["sk"]) >= low and row["sk"] != after]
            more = following is not None and all(str(row["sk"]) >= low for row in found)
            if within or not more:
                return Rows(within[:limit], more or len(within) > limit)
            # An empty page that is not the last: only the one behind it says more.
            begin = [(str(name), value) for name, value, *_ in following]

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(keys), _GET_TOGETHER):

            async def some(asked: list[Key]) -> list[Key]:
                return await self._patiently(partial(self._get_some, asked, found))

            await self._until_all(list(keys[start : start + _GET_TOGETHER]), some)
        return found

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        if free is not None:
            raise StorageError("Tablestore has no condition on two rows")
        key = _key_of(row)
        if await self._meets("put_row", (self._name, _sdk_row(row), _NEW)):
            return None
        there = await self.get([key])
        if not there:
            raise Unavailable("another writer's row was in the way and is gone: try again")
        return there[0]

    async def swap(self, row: Row, version: int | None) -> bool:
        condition = _NEW if version is None else _still({"v": version})
        sent = (self._name, _sdk_row(row), condition)
        return await self._patiently(partial(self._meets, "put_row", sent))

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        changes = [(size_of(row), PutRowItem(_sdk_row(row), _ANY)) for row in puts]
        changes += [(0, DeleteRowItem(SdkRow(primary_key(key)), _ANY)) for key in deletes]
        for together in batches(
            changes, lambda change: change[0], most=_WRITE_TOGETHER, size_most=_WRITE_TOGETHER_BYTES
        ):
            await self._until_all([item for _, item in together], self._write_some)

    async def remove(self, row: Row) -> bool:
        compared: dict[str, str | int | bytes] = {name: row[name] for name in ("v", "s") if name in row}
        sent = (self._name, SdkRow(primary_key(_key_of(row))), _still(compared))
        return await self._patiently(partial(self._meets, "delete_row", sent))

    async def ping(self) -> None:
        await self.query("P", " ", "~", limit=1)

    async def create(self) -> None:
        """Make the table, if it is not there, and wait until it can be used.

        Raises ConfigurationError where there is one that rows would vanish from, or that has another key.
        """
        await self._make()
        pause, longest = _READY_PAUSE_SECONDS
        for _ in range(_READY_TRIES):
            try:
                described = await self._call("describe_table", (self._name,))
                await self.ping()
            except (Unavailable, Absent):
                await self.pause(pause)
                pause = min(2 * pause, longest)
            else:
                self._check(described)
                return
        raise Unavailable(f"the table {self._name!r} is not ready yet")

    async def _make(self) -> None:
        meta, options = TableMeta(self._name, _KEY), TableOptions(_FOR_EVER, 1)
        sent = (meta, options, ReservedThroughput(CapacityUnit(0, 0)))
        try:
            await self._patiently(partial(self._call, "create_table", sent))
        except _There:
            return

    def _check(self, described: Any) -> None:
        key = [tuple(column[:2]) for column in described.table_meta.schema_of_primary_key]
        options = described.table_options
        if key != _KEY:
            raise ConfigurationError(
                f"the table {self._name!r} has the key {key}, so chatstore did not make it: name one that "
                "chatstore init made"
            )
        if options.time_to_live != _FOR_EVER:
            raise ConfigurationError(
                f"the table {self._name!r} drops rows after {options.time_to_live} seconds, which would lose "
                "messages: set its time to live to -1"
            )

    async def _get_some(self, keys: list[Key], found: list[Row]) -> list[Key]:
        """Get rows; which of them could not be read for now."""
        request = BatchGetRowRequest()
        request.add(TableInBatchGetRowItem(self._name, [primary_key(key) for key in keys], max_version=1))
        answer = await self._call("batch_get_row", (request,))
        left: list[Key] = []
        rows: list[Row] = []
        for key, item in zip(keys, answer.get_result_by_table(self._name), strict=True):
            if not item.is_ok:
                self._require_passing(item, "batch_get_row")
                left.append(key)
                continue
            _bill(item.consumed)
            if item.row is not None and item.row.primary_key:
                rows.append(row_at(key, item.row.attribute_columns))
        found += rows
        return left

    async def _write_some(self, items: list[Any]) -> list[Any]:
        """Write rows, each of its own; which of them were turned away.

        What may have been done is not tried again: a put that arrives late, behind its own repetition, would
        undo an edit between.
        """
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem(self._name, items))
        try:
            answer = await self._call("batch_write_row", (request,))
        except TurnedAway:
            return items
        left: list[Any] = []
        unknown: Exception | None = None
        for item, done in zip(items, _in_order(answer, self._name), strict=True):
            if done.is_ok:
                _bill(done.consumed)
                continue
            try:
                self._require_passing(done, "batch_write_row")
            except StorageError as error:
                unknown = unknown or error
            left.append(item)
        if unknown is not None:
            raise unknown
        return left

    def _require_passing(self, item: Any, operation: str) -> None:
        """Raise what a row of a batch was refused for, unless it was turned away for now."""
        if not is_turned_away(item.error_code, item.error_message or ""):
            raise_ours(OTSServiceError(200, item.error_code, item.error_message or ""), operation, self._name)

    async def _until_all(
        self, asked: list[Any], some: Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]
    ) -> None:
        """Do a batch, of which each answer names what is still to be done; it is waited for while all is."""
        silences = 0
        while asked:
            left = await some(asked)
            silences = silences + 1 if len(left) == len(asked) else 0
            if silences == TRIES:
                raise Unavailable("Tablestore cannot take a batch for now")
            asked = left
            if asked:
                await self._rest(max(silences - 1, 0))

    async def _meets(self, operation: str, sent: Sequence[Any]) -> bool:
        """Make a write on a condition; whether it was met."""
        try:
            consumed, _ = await self._call(operation, sent)
        except _NotMet:
            return False
        _bill(consumed)
        return True

    async def _call(self, operation: str, sent: Sequence[Any]) -> Any:
        """One round trip; raises errors of ours, and those of this module where the answer is read."""
        try:
            answer = await self._calls.call(operation, sent)
        except FAULTS as error:
            code = getattr(error, "code", None)
            if code == NOT_MET:
                # By the vendor's rules, whatever the size; a refusal does not say so itself.
                spent(_PRICES, {"write_cu": 1, "read_cu": 1})
                raise _NotMet from error
            spent(_PRICES, {})
            if code == THERE:
                raise _There from error
            raise_ours(error, operation, self._name)
        spent(_PRICES, {})
        return answer


class _NotMet(Exception):
    """The condition of a write was not met."""


class _There(Exception):
    """What is to be made is there."""


def _bill(consumed: Any) -> None:
    """Count what an answer says that it is billed."""
    spent(_PRICES, {"write_cu": consumed.write, "read_cu": consumed.read}, trips=0)


def _still(columns: Mapping[str, str | int | bytes]) -> Condition:
    """The condition that a row is there and has these values."""
    compared = [
        SingleColumnCondition(name, value, ComparatorType.EQUAL, pass_if_missing=False)
        for name, value in columns.items()
    ]
    if len(compared) == 1:
        return Condition(RowExistenceExpectation.EXPECT_EXIST, compared[0])
    together = CompositeColumnCondition(LogicalOperator.AND)
    for one in compared:
        together.add_sub_condition(one)
    return Condition(RowExistenceExpectation.EXPECT_EXIST, together)


def _in_order(answer: Any, table: str) -> list[Any]:
    """What became of each row of a batch, in the order in which they were sent."""
    done = [*answer.get_put_by_table(table), *answer.get_delete_by_table(table)]
    return sorted(done, key=lambda one: int(one.index))


def _key_of(row: Row) -> Key:
    return Key(str(row["pk"]), str(row["sk"]))


def _sdk_row(row: Row) -> SdkRow:
    return SdkRow(primary_key(_key_of(row)), attributes(row))
