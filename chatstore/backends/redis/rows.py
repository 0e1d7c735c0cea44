"""How rows are kept, and what the scripts are given and answer.

A thread is three keys under one hash tag. Its *header* is a hash. Its rows of messages are entries of a
*stream*, which keeps them in little more memory than a list does. An entry cannot be changed: a row that is
written again is a member of the *set* from then on, as are inserted rows and all others::

    row NUL etag NUL name=size:text name#size:bytes …

All members have the score 0, so Redis keeps them in the order of their bytes. Whatever is no thread is a set
alone. All listings of a tenant are one, and a row there is ``listing SOH row``: so a tenant's threads are a
range of one key.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from chatstore.backends.redis.resp import Look
from chatstore.backends.redis.scripts import READ, READ_THREAD, Script
from chatstore.backends.redis.streams import entries_between, entry_of, row_of, rows_of
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.payload import Bare
from chatstore.engines.fenced.port import Entity, Op, Range, Slice
from chatstore.errors import CorruptData

__all__ = ["Asked", "Place", "appending", "asked", "keys_of", "operations", "page_of", "place", "slice_of"]

_TENANT = 42
"""How long the name of a tenant is in front of those of its listings."""
_KINDS = {"insert": "I", "merge": "M", "replace": "R", "touch": "T", "upsert": "U", "delete": "D"}
_ANY, _MEMBER = "-", "p"
"""Stands for no condition; names the value that a row of a set is."""
_PROPERTY = re.compile(rb"(\w+)([=#])(\d+):")
_BODY: Final = "b00"
"""The property of a row of messages that most have alone: it is an entry's field `b` as it is."""
_HEADER: Final = layout.HEADER
_AHEAD: Final = 5
"""Texts of `READ_THREAD` in front of the header's."""


class Place(NamedTuple):
    """Where the rows of a partition are: a key's name, and what stands in front of their names there."""

    key: str
    front: str


def place(partition: str) -> Place:
    """The place of a partition."""
    if partition.startswith("L-"):
        return Place(partition[:_TENANT], f"{partition[_TENANT:]}\1")
    return Place(partition, "")


@functools.lru_cache(4096)
def keys_of(prefix: str, key: str) -> tuple[str, ...]:
    """The keys of a place, in one slot of a cluster: its set, and a thread's header and stream."""
    name = f"{prefix}{{{key}}}"
    return (f"{name}:r", name, f"{name}:m") if _is_thread(key) else (name,)


def operations(partition: str, token: str, ops: Sequence[Op]) -> list[bytes]:
    """The arguments of `CHANGE`, behind the first, for operations whose new etags begin with `token`."""
    front = place(partition).front
    words, values = [token], list[bytes]()
    for op in ops:
        kind, condition = _KINDS[op.kind], op.etag or _ANY
        named: Mapping[str, bytes] = {} if op.kind == "delete" else {_MEMBER: b""}
        entry = entry_of(op.row)
        if op.row == _HEADER and _is_thread(partition):
            kind, named = f"H{kind}", _fields(op.properties)
        elif entry and op.kind in ("upsert", "replace", "delete"):
            kind, condition = f"S{kind}", entry
            named = named and _entry(op.properties)
        elif named:
            named = {_MEMBER: _written(op.properties)}
        words += [kind, f"{front}{op.row}", condition, str(len(named)), *named]
        values += named.values()
    return [" ".join(words).encode(), *values]


def appending(token: str, ops: Sequence[Op]) -> list[bytes] | None:
    """The arguments of `APPEND`, behind the first, for operations that are one; None for any others.

    They are the header's, that of a new row of messages, and perhaps one of a new row that is no message.
    """
    if not 2 <= len(ops) <= 3:
        return None
    kind, row, header, etag = ops[0]
    put, entry, body, _ = ops[1]
    if row != _HEADER or kind != "merge" or etag is None or len(header) != 1 or put != "upsert":
        return None
    state, id = header.get("s"), entry_of(entry)
    if not id or not isinstance(state, str):
        return None
    [(field, value)] = _entry(body).items()
    begins = token.encode()
    words = [etag.encode(), b"%b0" % begins, id.encode(), field.encode(), value, state.encode()]
    if len(ops) == 3:
        kind, row, properties, _ = ops[2]
        if kind != "insert" or row[:1] == "m":
            return None
        name = row.encode()
        words += name, b"%b\0%b2\0%b" % (name, begins, _written(properties))
    return words


class Asked(NamedTuple):
    """A query as a script is asked: the key, the script, and its arguments behind the first."""

    key: str
    script: Script
    arguments: list[bytes]


def asked(
    partitions: str | Range,
    rows: Range | None,
    top: int,
    token: str | None,
    before: str | None,
    *,
    bodies: bool,
) -> Asked:
    """What to ask for the rows of a query that is to go on behind the row `token`."""
    key, low, high = _span(partitions, rows)
    members = [low if token is None else b"(%s\1" % token.encode(), high]
    if rows == (_HEADER, f"{_HEADER}\1") and _is_thread(key):
        members = [b"", b""]
    how = [(before or "").encode(), b"" if bodies else b"1", b"%d" % top]
    if not isinstance(partitions, str) or not _is_thread(partitions):
        return Asked(key, READ, [*how, *members])
    first, end = rows or ("", "~")
    if token is not None:
        first = max(first, f"{token}\0")
    entries = entries_between(first, end)
    header = first <= _HEADER < end
    if entries is None and not header:
        return Asked(key, READ, [*how, *members])
    newest, oldest = entries or ("", "")
    named = [b"1" if header else b"", newest.encode(), oldest.encode()]
    return Asked(key, READ_THREAD, [*how, *members, *named])


def slice_of(wanted: Asked, top: int, answer: bytes) -> Slice:
    """The page that a script's answer holds. Raises CorruptData."""
    key, parts = wanted.key, _parts(answer)
    if wanted.script is READ:
        last, *members = parts
        return Slice([_entity(key, one) for one in members], last.decode() or None)
    last_entry, names, bodies, last, count = parts[:_AHEAD]
    ends_header = _AHEAD + int(count)
    header, members = parts[_AHEAD:ends_header], parts[ends_header:]
    fields = dict(zip(header[::2], header[1::2], strict=True))
    found = [_header(key, fields)] if header else []
    rows = list(_entries(key, names, bodies))
    return _page(key, found, rows, members, top, [row_of(last_entry)] if last_entry else [], last)


def page_of(key: str, count: int, look: Look) -> Slice | None:
    """The page that a look at `count` entries and members holds; None where something changed meanwhile."""
    header, ids, names, bodies, members, etag = look
    fields = dict(zip(header[::2], header[1::2], strict=True))
    if fields.get(b"e") != etag:
        return None
    found = [_header(key, fields)] if fields else []
    if ids and not members and names.count(b"b") == len(ids):
        first, last = rows_of((ids[0], ids[-1]))
        bare = Bare(key, first, last, bodies, functools.partial(rows_of, ids))
        # Where there are so many, others may follow.
        return Slice(found, last if len(ids) == count else None, bare)
    rows = [
        Entity(key, row, {_BODY: body} if field == b"b" else _properties(body), "")
        for row, field, body in zip(rows_of(ids), names, bodies, strict=True)
    ]
    ends = [rows[-1].row] if len(ids) == count else []
    end = members[-1].partition(b"\0")[0] if len(members) == count else b""
    return _page(key, found, rows, members, count + 1, ends, end)


def _page(
    key: str,
    found: list[Entity],
    rows: list[Entity],
    members: Sequence[bytes],
    top: int,
    ends: list[str],
    last: bytes,
) -> Slice:
    """A page of what was found and of rows and members, all of which are there up to `ends` and to `last`."""
    if members or last:
        rows = sorted([*rows, *(_entity(key, one) for one in members)], key=lambda one: one.row)
        ends += [last.decode()] if last else []
    if ends:
        # What comes behind the end of one of the two is not all there.
        end = min(ends)
        rows = [one for one in rows if one.row <= end]
    found += rows
    if len(found) > top:
        return Slice(found[:top], found[top - 1].row)
    return Slice(found, min(ends, default=None))


def _parts(answer: bytes) -> list[bytes]:
    """The texts that a script's answer is made of."""
    told = answer.index(b"\n") + 1
    at = answer.index(b"\n", told)
    parts = []
    for size in answer[told:at].split():
        parts.append(answer[at + 1 : at + 1 + int(size)])
        at += int(size)
    return parts


def _is_thread(partition: str) -> bool:
    return partition.startswith("T-")


def _span(partitions: str | Range, rows: Range | None) -> tuple[str, bytes, bytes]:
    """The key that holds the rows of a query, and the bounds between which they are members there."""
    if isinstance(partitions, str):
        key, front = place(partitions)
        if rows is not None:
            return key, f"[{front}{rows[0]}".encode(), f"({front}{rows[1]}".encode()
        return key, f"[{front}".encode() if front else b"-", f"({front[:-1]}\2".encode() if front else b"+"
    low, high = partitions
    return low[:_TENANT], f"[{low[_TENANT:]}".encode(), f"({high[_TENANT:]}".encode()


def _entity(key: str, member: bytes) -> Entity:
    """A row, by what is kept of it in a set."""
    name, _, rest = member.partition(b"\0")
    etag, _, body = rest.partition(b"\0")
    listing, divider, row = name.decode(errors="replace").rpartition("\1")
    return Entity(f"{key}{listing}" if divider else key, row, _properties(body), etag.decode())


def _header(key: str, fields: Mapping[bytes, bytes]) -> Entity:
    """The header, by the fields of its hash."""
    properties: dict[str, str | bytes] = {}
    try:
        for name, value in fields.items():
            if name[:1] in (b"=", b"#"):
                properties[name[1:].decode()] = value.decode() if name[:1] == b"=" else value
        return Entity(key, _HEADER, properties, fields[b"e"].decode())
    except (ValueError, KeyError) as error:
        raise CorruptData("a thread's header in Redis cannot be read") from error


def _entries(key: str, names: bytes, bodies: bytes) -> Iterator[Entity]:
    """Rows of messages, by what the entries of a stream are called, how long they are, and what they hold."""
    told = names.split()
    ends = 0
    for row, field, size in zip(rows_of(told[::3]), told[1::3], told[2::3], strict=True):
        at, ends = ends, ends + int(size)
        body = bodies[at:ends]
        yield Entity(key, row, {_BODY: body} if field == b"b" else _properties(body), "")


def _entry(properties: Mapping[str, str | bytes]) -> Mapping[str, bytes]:
    """A row of messages as an entry's field and its value."""
    body = properties.get(_BODY)
    if len(properties) == 1 and isinstance(body, bytes):
        return {"b": body}
    return {_MEMBER: _written(properties)}


def _fields(properties: Mapping[str, str | bytes]) -> Mapping[str, bytes]:
    """The header's properties as fields of a hash, whose names say what is text."""
    return {
        f"={name}" if isinstance(value, str) else f"#{name}": value.encode()
        if isinstance(value, str)
        else value
        for name, value in properties.items()
    }


def _properties(body: bytes) -> dict[str, str | bytes]:
    properties: dict[str, str | bytes] = {}
    at = 0
    try:
        while at < len(body):
            found = _PROPERTY.match(body, at)
            if found is None:
                raise ValueError("no property")
            ends = found.end() + int(found[3])
            value = body[found.end() : ends]
            properties[found[1].decode()] = value.decode() if found[2] == b"=" else value
            at = ends
    except ValueError as error:
        raise CorruptData("a row in Redis cannot be read") from error
    return properties


def _written(properties: Mapping[str, str | bytes]) -> bytes:
    parts = []
    for name, value in properties.items():
        data, kind = (value, b"#") if isinstance(value, bytes) else (value.encode(), b"=")
        parts.append(b"%s%s%d:%s" % (name.encode(), kind, len(data), data))
    return b"".join(parts)
