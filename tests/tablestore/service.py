"""Tablestore's service behind the SDK: the vendor's own codec, signatures and errors, over rows in memory.

It takes what the SDK's connection pool takes, and answers what that answers. So the SDK is tested with the
backend, and nothing of either is replaced but the network. What it does, and where that is written down
(pages below https://www.alibabacloud.com/help/en/tablestore/developer-reference/, and files of the SDK
6.4):

- A request is signed, dated and digested. A date that is too far off, an unknown key or another signature
  is OTSAuthFailed, 403 (error-codes; tablestore/auth.py, protocol.py).
- Every answer, a refusal too, has x-ots-date and a request id, and a signature where the caller is known.
  The SDK believes no other (protocol.py: _check_headers, _check_authorization).
- A table that is not there is OTSObjectNotExist, 404. One that is there is not made again:
  OTSObjectAlreadyExist, 409. One that was just made is OTSTableNotReady, 404, for a while (error-codes,
  createtable).
- PutRow writes a whole row, DeleteRow takes one away. The condition is that it is there, or not there, and
  that columns have values. Else it is OTSConditionCheckFail, 403, and nothing is written (putrow,
  deleterow).
- BatchWriteRow and BatchGetRow do each row by itself, 200 and 100 at most. An answer of 200 says of each
  what became of it. More than 4 MB, or a row twice, fails all of them (batchwriterow, batchgetrow).
- GetRange gives rows in the order of their keys' bytes, from an inclusive to an exclusive bound, in either
  direction: at most `limit`, 5,000, or 4 MB, and then the key that the next page begins at. Bounds against
  the direction are OTSParameterInvalid (getrange).
- A column of a key takes 1 KB, an attribute 2 MB, a row 1,024 of them, a request 4 MB
  (product-overview/limits-on-widecolumn-model).
- A write takes a unit for each 4 KB of the row; a condition takes read units for the key as well. A delete
  goes by the key. A condition that is not met takes one of each, which the refusal does not say. GetRange
  rounds up the sum of what it read, BatchGetRow each row; one that is not there takes one (putrow,
  deleterow, getrange).
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from tablestore.auth import RequestContext, SignV2, SignV4
from tablestore.credentials import Credentials
from tablestore.native import NATIVE_AVAILABLE, parse_single_row
from tablestore.plainbuffer.plain_buffer_builder import PlainBufferBuilder
from tablestore.plainbuffer.plain_buffer_coded_stream import PlainBufferCodedInputStream
from tablestore.plainbuffer.plain_buffer_stream import PlainBufferInputStream
from tablestore.protobuf import table_store_filter_pb2 as filters
from tablestore.protobuf import table_store_pb2 as messages

__all__ = ["KEY_ID", "KEY_SECRET", "Refused", "Service"]

KEY_ID, KEY_SECRET = "key-of-tests", "secret-of-tests"

Names: TypeAlias = tuple[bytes, ...]
Columns: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[int, str, dict[str, str], bytes]

_CU, _KEY_BYTES, _VALUE_BYTES = 4096, 1024, 2 * 1024 * 1024
_MOST_BYTES, _MOST_ROWS, _MOST_GOT, _MOST_WRITTEN, _MOST_COLUMNS = 4 * 1024 * 1024, 5000, 100, 200, 1024
_FAR_SECONDS = 15 * 60


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, text: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.text = status, code, text


class _Table:
    def __init__(self, schema: Any, options: Any) -> None:
        self.schema, self.options = schema, options
        self.loading = 0
        self.names: list[Names] = []
        self.rows: dict[Names, _Stored] = {}


class _Stored(NamedTuple):
    """A row; `written` is as it was sent, which is as it is given out."""

    primary: list[tuple[str, Any]]
    columns: Columns
    written: bytes

    @property
    def size(self) -> int:
        return _size(self.primary, self.columns)


class _Range(NamedTuple):
    backward: bool
    begin: Names
    end: Names
    limit: int


class Service:
    """One instance of it. `now` is its clock, in seconds since 1970; `page` the most rows of a range."""

    def __init__(self, now: Callable[[], float], *, page: int = _MOST_ROWS) -> None:
        self.now, self.page = now, page
        self.loading = 0
        """How many calls a new table turns away."""
        self.calls: list[str] = []
        self.tables: dict[str, _Table] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._operations: Mapping[str, Callable[[bytes], Any]] = {
            "/CreateTable": self._create_table,
            "/DescribeTable": self._describe_table,
            "/PutRow": self._put_row,
            "/DeleteRow": self._delete_row,
            "/BatchGetRow": self._batch_get_row,
            "/BatchWriteRow": self._batch_write_row,
            "/GetRange": self._get_range,
        }

    def send_receive(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the SDK's pool of connections does."""
        try:
            self._authorize(url, headers, body)
        except Refused as refused:
            return self.refusal(refused, url, headers)
        return self.perform(url, headers, body)

    def perform(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What is done for a caller who is known."""
        try:
            with self._lock:
                self.calls.append(url[1:])
                answer = self._operations[url](body)
        except Refused as refused:
            return self.refusal(refused, url, headers)
        return self.answered(200, url, headers, answer.SerializeToString())

    def refusal(self, refused: Refused, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer that a refusal is."""
        error = messages.Error(code=refused.code, message=refused.text)
        return self.answered(
            refused.status, url, headers, error.SerializeToString(), known=refused.code != "OTSAuthFailed"
        )

    def answered(
        self, status: int, url: str, headers: Mapping[str, str], body: bytes, *, known: bool = True
    ) -> Answer:
        """An answer with all that the SDK checks of it."""
        told = {
            "x-ots-contentmd5": base64.b64encode(hashlib.md5(body).digest()).decode(),  # noqa: S324 - theirs
            "x-ots-requestid": f"request-{next(self._numbers)}",
            "x-ots-date": datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "x-ots-contenttype": "protocol buffer",
        }
        if known:
            signer, context = _signer(headers)
            signature = signer.make_response_signature(url, told, signer.get_signing_key(context))
            told["authorization"] = f"OTS {KEY_ID}:{signature}"
        return status, "", told, body

    def _authorize(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        if headers["x-ots-accesskeyid"] != KEY_ID:
            raise Refused(403, "OTSAuthFailed", "The AccessKey ID does not exist.")
        stamped = datetime.strptime(headers["x-ots-date"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        if abs(stamped.timestamp() - self.now()) > _FAR_SECONDS:
            told = f"Mismatch between system time and x-ots-date: {headers['x-ots-date']}."
            raise Refused(403, "OTSAuthFailed", told)
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()  # noqa: S324 - theirs
        if headers["x-ots-contentmd5"] != md5:
            raise Refused(403, "OTSAuthFailed", "Mismatch between MD5 value of request body and header.")
        signer, context = _signer(headers)
        again = {name: text for name, text in headers.items() if not name.startswith("x-ots-sign")}
        again.pop("User-Agent")
        signer.make_request_signature_and_add_headers(url, again, context)
        signed = [name for name in again if name.startswith("x-ots-signature")]
        if [headers.get(name) for name in signed] != [again[name] for name in signed]:
            raise Refused(403, "OTSAuthFailed", "Signature mismatch.")
        if len(body) > _MOST_BYTES + 1024 * 1024:
            raise Refused(413, "OTSRequestBodyTooLarge", "The size of POST data is too large.")

    # Operations

    def _create_table(self, body: bytes) -> Any:
        request = messages.CreateTableRequest.FromString(body)
        name = request.table_meta.table_name
        if name in self.tables:
            raise Refused(409, "OTSObjectAlreadyExist", "Requested table already exists.")
        self.tables[name] = _Table(request.table_meta, request.table_options)
        self.tables[name].loading = self.loading
        return messages.CreateTableResponse()

    def _describe_table(self, body: bytes) -> Any:
        request = messages.DescribeTableRequest.FromString(body)
        table = self._table(request.table_name, loaded=False)
        answer = messages.DescribeTableResponse()
        answer.table_meta.CopyFrom(table.schema)
        answer.table_options.CopyFrom(table.options)
        answer.reserved_throughput_details.capacity_unit.read = 0
        answer.reserved_throughput_details.last_increase_time = 0
        return answer

    def _put_row(self, body: bytes) -> Any:
        request = messages.PutRowRequest.FromString(body)
        table = self._table(request.table_name)
        return messages.PutRowResponse(consumed=self._put(table, request.row, request.condition))

    def _delete_row(self, body: bytes) -> Any:
        request = messages.DeleteRowRequest.FromString(body)
        table = self._table(request.table_name)
        return messages.DeleteRowResponse(
            consumed=self._delete(table, request.primary_key, request.condition)
        )

    def _batch_write_row(self, body: bytes) -> Any:
        request = messages.BatchWriteRowRequest.FromString(body)
        [asked] = request.tables
        table = self._table(asked.table_name)
        names = [_names(_row(row.row_change)[0]) for row in asked.rows]
        if not 0 < len(names) <= _MOST_WRITTEN or len(set(names)) < len(names):
            raise Refused(400, "OTSParameterInvalid", "Rows count exceeds the upper limit, or a row twice.")
        if len(body) > _MOST_BYTES:
            raise Refused(
                400, "OTSParameterInvalid", "The total data size of BatchWriteRow exceeds the limit."
            )
        answer = messages.BatchWriteRowResponse()
        done = answer.tables.add(table_name=asked.table_name)
        for row in asked.rows:
            write = self._put if row.type == messages.PUT else self._delete
            try:
                done.rows.add(is_ok=True, consumed=write(table, row.row_change, row.condition))
            except Refused as refused:
                done.rows.add(is_ok=False, error=messages.Error(code=refused.code, message=refused.text))
        return answer

    def _batch_get_row(self, body: bytes) -> Any:
        [asked] = messages.BatchGetRowRequest.FromString(body).tables
        table = self._table(asked.table_name)
        if not 0 < len(asked.primary_key) <= _MOST_GOT:
            raise Refused(400, "OTSParameterInvalid", "Rows count exceeds the upper limit.")
        answer = messages.BatchGetRowResponse()
        told = answer.tables.add(table_name=asked.table_name)
        for key in asked.primary_key:
            present = table.rows.get(_names(_row(key)[0]))
            size, written = (0, b"") if present is None else (present.size, present.written)
            told.rows.add(is_ok=True, consumed=_consumed(read=size), row=written)
        return answer

    def _get_range(self, body: bytes) -> Any:
        request = messages.GetRangeRequest.FromString(body)
        table = self._table(request.table_name)
        backward = request.direction == messages.BACKWARD
        begin = _names(_row(request.inclusive_start_primary_key)[0])
        end = _names(_row(request.exclusive_end_primary_key)[0])
        if not (begin > end if backward else begin < end):
            raise Refused(400, "OTSParameterInvalid", "Begin key must less than end key in FORWARD")
        names = _within(table.names, _Range(backward, begin, end, min(request.limit, self.page) or self.page))
        answer, size, rows = messages.GetRangeResponse(), 0, bytearray()
        for number, name in enumerate(names):
            row = table.rows[name]
            if number == min(request.limit or self.page, self.page) or size > _MOST_BYTES:
                answer.next_start_primary_key = bytes(PlainBufferBuilder.serialize_primary_key(row.primary))
                break
            size += row.size
            # A page has one header.
            rows += row.written[4 if rows else 0 :]
        answer.consumed.CopyFrom(_consumed(read=size))
        answer.rows = bytes(rows)
        return answer

    # Rows

    def _table(self, name: str, *, loaded: bool = True) -> _Table:
        table = self.tables.get(name)
        if table is None:
            raise Refused(404, "OTSObjectNotExist", "Requested table does not exist.")
        if loaded and table.loading:
            table.loading -= 1
            raise Refused(404, "OTSTableNotReady", "The table is not ready.")
        return table

    def _put(self, table: _Table, written: bytes, condition: Any) -> Any:
        primary, columns = _row(written)
        names = _names(primary)
        _require_fitting(table, primary, columns)
        self._require(table, names, condition)
        if names not in table.rows:
            insort(table.names, names)
        table.rows[names] = _Stored(primary, columns, written)
        checked = condition.row_existence != messages.IGNORE
        return _consumed(write=_size(primary, columns), read=_size(primary, {}) if checked else None)

    def _delete(self, table: _Table, written: bytes, condition: Any) -> Any:
        primary, _ = _row(written)
        names = _names(primary)
        self._require(table, names, condition)
        if table.rows.pop(names, None) is not None:
            del table.names[bisect_left(table.names, names)]
        checked = condition.row_existence != messages.IGNORE
        return _consumed(write=_size(primary, {}), read=_size(primary, {}) if checked else None)

    def _require(self, table: _Table, names: Names, condition: Any) -> None:
        present = table.rows.get(names)
        expected = {messages.EXPECT_EXIST: True, messages.EXPECT_NOT_EXIST: False}.get(
            condition.row_existence
        )
        met = expected is None or expected == (present is not None)
        if met and condition.column_condition:
            columns = filters.Filter.FromString(condition.column_condition)
            met = present is not None and _holds(columns, present.columns)
        if not met:
            raise Refused(403, "OTSConditionCheckFail", "Condition check failed.")


def _signer(headers: Mapping[str, str]) -> tuple[Any, RequestContext]:
    context = RequestContext(Credentials(KEY_ID, KEY_SECRET))
    region = headers.get("x-ots-signregion")
    if region is None:
        return SignV2("utf8"), context
    date = headers["x-ots-signdate"]
    context.set_sign_date(date)
    return SignV4("utf8", region=region, sign_date=date), context


def _row(written: bytes) -> tuple[list[tuple[str, Any]], Columns]:
    if NATIVE_AVAILABLE:
        primary, columns = parse_single_row(written)
    else:
        primary, columns = PlainBufferCodedInputStream(PlainBufferInputStream(written)).read_row()
    return primary, {name: value for name, value, *_ in columns}


def _names(primary: Sequence[tuple[str, Any]]) -> Names:
    return tuple(value.encode() for _, value in primary)


def _within(names: list[Names], asked: _Range) -> list[Names]:
    """What is in a range, and one more than is asked for."""
    if asked.backward:
        high = bisect_left(names, (*asked.begin[:-1], asked.begin[-1] + b"\0"))
        low = bisect_left(names, (*asked.end[:-1], asked.end[-1] + b"\0"))
        return names[max(low, high - asked.limit - 1) : high][::-1]
    low = bisect_left(names, asked.begin)
    return names[low : min(bisect_left(names, asked.end), low + asked.limit + 1)]


def _require_fitting(table: _Table, primary: list[tuple[str, Any]], columns: Columns) -> None:
    if [name for name, _ in primary] != [column.name for column in table.schema.primary_key]:
        raise Refused(400, "OTSInvalidPK", "Primary key schema mismatch.")
    if any(len(value.encode()) > _KEY_BYTES for _, value in primary):
        raise Refused(400, "OTSParameterInvalid", "The length of a primary key column exceeds the limit.")
    if any(_length(value) > _VALUE_BYTES for value in columns.values()) or len(columns) > _MOST_COLUMNS:
        raise Refused(400, "OTSParameterInvalid", "The length of an attribute column exceeds the limit.")


def _holds(condition: Any, columns: Columns) -> bool:
    if condition.type == filters.FT_COMPOSITE_COLUMN_VALUE:
        several = filters.CompositeColumnValueFilter.FromString(condition.filter)
        assert several.combinator == filters.LO_AND
        return all(_holds(one, columns) for one in several.sub_filters)
    one = filters.SingleColumnValueFilter.FromString(condition.filter)
    assert one.comparator == filters.CT_EQUAL
    if one.column_name not in columns:
        return bool(not one.filter_if_missing)
    value: bytes = one.column_value
    return bytes(PlainBufferBuilder.serialize_column_value(columns[one.column_name])) == value


def _size(primary: Sequence[tuple[str, Any]], columns: Columns) -> int:
    return sum(len(name) + _length(value) for name, value in [*primary, *columns.items()])


def _length(value: Any) -> int:
    if isinstance(value, int):
        return 8
    return len(value.encode() if isinstance(value, str) else value)


def _consumed(*, read: int | None = None, write: int | None = None) -> Any:
    units = {
        name: max(1, -(-size // _CU)) for name, size in (("read", read), ("write", write)) if size is not None
    }
    return messages.ConsumedCapacity(capacity_unit=messages.CapacityUnit(**units))
