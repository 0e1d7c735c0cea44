"""What the backends whose every operation is one transaction share: etags, merge patches."""

from __future__ import annotations

from collections.abc import Mapping

from chatstore.codec import Json, encode
from chatstore.errors import Conflict

__all__ = ["has_metadata", "log_etag", "merge", "message_etag", "require", "require_log"]


def log_etag(epoch: str, tail: int, edits: int) -> str:
    """Names a log: changes with every append (`tail`), edit (`edits`) and replacement (`epoch`)."""
    return f"{epoch}.{tail}.{edits}"


def message_etag(message_id: str, revision: int) -> str:
    """Names a message as it is: changes with each replacement of it."""
    return f"{message_id[-12:]}.{revision}"


def require(if_match: str | None, current: str | None) -> None:
    """Raise Conflict unless `if_match` is None, ``"*"`` with something there, or `current`."""
    if if_match is not None and (current is None or if_match not in ("*", current)):
        raise Conflict(current)


def require_log(if_match: str | None, current: str, *, appending: bool = False) -> None:
    """The same for a log; an append is not disturbed by edits, so it leaves their count out."""
    if appending and if_match is not None and if_match.rpartition(".")[0] == current.rpartition(".")[0]:
        return
    require(if_match, current)


def merge(target: Mapping[str, Json], patch: Mapping[str, Json]) -> dict[str, Json]:
    """`target` with `patch` merged in, as RFC 7396 says: None removes a key, objects merge."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            present = merged.get(key)
            merged[key] = merge(present if isinstance(present, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def has_metadata(metadata: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    """Whether every key of `wanted` is there with an equal value, equal as JSON text."""
    return all(key in metadata and encode(metadata[key]) == encode(value) for key, value in wanted.items())
