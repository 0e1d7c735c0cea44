"""What goes to the SDK and comes from it, the same for both of its clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableEntity, UpdateMode

from chatstore.engines.fenced.port import Entity, Op, Properties, Range

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient as AsyncTableClient

__all__ = ["alone", "called", "entity_of", "etag_of", "filter_of", "selected"]

_NAMES = ["PartitionKey", "RowKey", "Timestamp", "a", "i", "n", "o", "x"]
_Call: TypeAlias = tuple[Any, ...]


def called(partition: str, op: Op) -> _Call:
    """`op` as the SDK takes it."""
    entity = {"PartitionKey": partition, "RowKey": op.row, **op.properties}
    unconditional: dict[str, object] = {}
    match = (
        unconditional
        if op.etag is None
        else {"etag": op.etag, "match_condition": MatchConditions.IfNotModified}
    )
    if op.kind == "insert":
        return "create", entity
    if op.kind == "delete":
        return "delete", entity, match
    mode = UpdateMode.REPLACE if op.kind in ("replace", "upsert") else UpdateMode.MERGE
    return "upsert" if op.kind in ("upsert", "touch") else "update", entity, {"mode": mode, **match}


def alone(client: TableClient | AsyncTableClient, call: _Call) -> Any:
    """Send one change as a request of its own, which is half the work of a group of one."""
    kind, entity, *given = call
    return getattr(client, f"{kind}_entity")(entity, **(given[0] if given else {}))


def etag_of(answer: Mapping[str, Any] | None) -> str | None:
    """The version that a change gave a row; None for one that is gone."""
    return None if answer is None else answer.get("etag")


def entity_of(found: TableEntity) -> Entity:
    """A row that came."""
    properties: Properties = {
        name: value for name, value in found.items() if name not in ("PartitionKey", "RowKey")
    }
    return Entity(found["PartitionKey"], found["RowKey"], properties, str(found.metadata.get("etag")))


def filter_of(partitions: str | Range, rows: Range | None, before: str | None) -> str:
    """A query's condition."""
    # Every key is made of digests, digits and letters: nothing in it could end a literal.
    if isinstance(partitions, str):
        terms = [f"PartitionKey eq '{partitions}'"]
    else:
        terms = [f"PartitionKey ge '{partitions[0]}'", f"PartitionKey lt '{partitions[1]}'"]
    if rows is not None:
        terms += [f"RowKey ge '{rows[0]}'", f"RowKey lt '{rows[1]}'"]
    if before is not None:
        terms.append(f"x lt '{before}'")
    return " and ".join(terms)


def selected(bodies: bool) -> list[str] | None:
    """The properties that a query asks for; None for all."""
    return None if bodies else _NAMES
