"""What calls to DynamoDB are billed: as the service says, or else by its published rules.

The service says it in each answer to a call that asks. It says nothing where a condition was refused, and
emulators say what is not so. There it is worked out from what goes over the wire.

A write takes a unit for each KB of the larger of the item before and after, also if its condition fails. In
a transaction it takes twice that. A read takes half a unit for each 4 KB, and a consistent one a whole
unit. A query adds its items up before it rounds; a batch rounds each item. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["ASKING", "billed", "size_of"]

ASKING: Mapping[str, str] = {"ReturnConsumedCapacity": "TOTAL"}
"""What a call is sent with to be answered what it is billed."""

_WRITE_BYTES, _READ_BYTES = 1024, 4096

Call: TypeAlias = Mapping[str, Any]


def billed(operation: str, sent: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, float]:
    """Write and read units of a call: ``{"wru": …, "rru": …}``; as answered, where it was `ASKING`."""
    told = answer.get("ConsumedCapacity") if "ReturnConsumedCapacity" in sent else None
    if told:
        units = sum(one["CapacityUnits"] for one in (told if isinstance(told, list) else [told]))
        return {"wru": units, "rru": 0.0} if operation in _WRITTEN else {"wru": 0.0, "rru": units}
    written = _WRITTEN[operation](sent, answer) if operation in _WRITTEN else 0.0
    read = _READ[operation](sent, answer) if operation in _READ else 0.0
    return {"wru": written, "rru": read}


def size_of(item: Mapping[str, Any]) -> int:
    """Bytes of an item as they are billed: names and values, numbers by their digits."""
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    kind, content = next(iter(value.items()))
    if kind == "S":
        return len(str(content).encode())
    if kind in ("L", "M"):
        inner = sum(map(_value, content)) if kind == "L" else size_of(content)
        return 3 + len(content) + inner
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "N":
        digits = content.lstrip("-").lstrip("0").replace(".", "")
        return (len(digits) + 1) // 2 + 1 + int(content.startswith("-"))
    return len(bytes(content))


def _before(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer.get("Attributes") or answer.get("Item") or {}
    return found


def _put(sent: Call, answer: Call) -> float:
    return _writes(max(size_of(sent["Item"]), size_of(_before(answer))))


def _batch_written(sent: Call, answer: Call) -> float:
    left = {str(one) for requests in answer.get("UnprocessedItems", {}).values() for one in requests}
    done = [one for requests in sent["RequestItems"].values() for one in requests if str(one) not in left]
    # What is deleted is billed by its size, which is not told: it is taken for small.
    return sum(_writes(size_of(one["PutRequest"]["Item"]) if "PutRequest" in one else 0) for one in done)


def _transacted(sent: Call, _answer: Call) -> float:
    puts = [action["Put"]["Item"] if "Put" in action else {} for action in sent["TransactItems"]]
    return sum(2 * _writes(size_of(item)) for item in puts)


def _queried(sent: Call, answer: Call) -> float:
    return _reads(sum(map(size_of, answer.get("Items", ()))), consistent=bool(sent.get("ConsistentRead")))


def _got(sent: Call, answer: Call) -> float:
    return _reads(size_of(answer.get("Item", {})), consistent=bool(sent.get("ConsistentRead")))


def _batch_got(sent: Call, answer: Call) -> float:
    read = 0.0
    for table, items in answer.get("Responses", {}).items():
        asked = sent["RequestItems"][table]
        consistent = bool(asked.get("ConsistentRead"))
        left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
        absent = len(asked["Keys"]) - len(items) - len(left)
        read += sum(_reads(size_of(item), consistent=consistent) for item in items)
        read += absent * _reads(0, consistent=consistent)
    return read


_WRITTEN: Mapping[str, Callable[[Call, Call], float]] = {
    "PutItem": _put,
    "DeleteItem": lambda _sent, _answer: _writes(0),
    "BatchWriteItem": _batch_written,
    "TransactWriteItems": _transacted,
}
_READ: Mapping[str, Callable[[Call, Call], float]] = {
    "Query": _queried,
    "GetItem": _got,
    "BatchGetItem": _batch_got,
}


def _writes(size: int) -> float:
    return max(1, -(-size // _WRITE_BYTES))


def _reads(size: int, *, consistent: bool) -> float:
    return max(1, -(-size // _READ_BYTES)) * (1 if consistent else 0.5)
