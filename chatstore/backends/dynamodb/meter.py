"""What calls to DynamoDB are billed, by its published rules, from what goes over the wire.

A write takes a unit for each KB of the larger of the item before and after, doubled in a
transaction, whether its condition holds or not; a read takes half a unit for each 4 KB, a whole one
when it is consistent; a query adds its items up before it rounds, a batch rounds each item. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["billed", "size_of"]

_WRITE, _READ = 1024, 4096


def billed(operation: str, sent: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, float]:
    """Write and read units of a call: ``{"wru": …, "rru": …}``."""
    written = read = 0.0
    if operation == "PutItem":
        written = _writes(max(size_of(sent["Item"]), size_of(_before(answer))))
    elif operation == "DeleteItem":
        written = _writes(0)
    elif operation == "BatchWriteItem":
        left = {str(one) for requests in answer.get("UnprocessedItems", {}).values() for one in requests}
        for requests in sent["RequestItems"].values():
            for one in requests:
                if str(one) not in left:
                    # What is deleted is billed by its size, which is not told: it is taken for small.
                    written += _writes(size_of(one["PutRequest"]["Item"]) if "PutRequest" in one else 0)
    elif operation == "TransactWriteItems":
        written = sum(_transacted(action) for action in sent["TransactItems"])
    elif operation == "Query":
        read = _reads(sum(map(size_of, answer.get("Items", ()))), consistent=bool(sent.get("ConsistentRead")))
    elif operation == "GetItem":
        read = _reads(size_of(answer.get("Item", {})), consistent=bool(sent.get("ConsistentRead")))
    elif operation == "BatchGetItem":
        for table, items in answer.get("Responses", {}).items():
            asked = sent["RequestItems"][table]
            consistent = bool(asked.get("ConsistentRead"))
            left_keys = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
            absent = len(asked["Keys"]) - len(items) - len(left_keys)
            read += sum(_reads(size_of(item), consistent=consistent) for item in items)
            read += absent * _reads(0, consistent=consistent)
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


def _transacted(action: Mapping[str, Any]) -> float:
    if "Put" in action:
        return 2 * _writes(size_of(action["Put"]["Item"]))
    return 2 * _writes(0)


def _writes(size: int) -> float:
    return max(1, -(-size // _WRITE))


def _reads(size: int, *, consistent: bool) -> float:
    return max(1, -(-size // _READ)) * (1 if consistent else 0.5)
