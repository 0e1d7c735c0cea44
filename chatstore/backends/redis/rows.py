"""How rows are kept in sorted sets, and the two scripts that change and read them.

A partition is a sorted set. All members have the score 0, so Redis keeps them in the order of their bytes::

    row NUL etag NUL name=size:text name#size:bytes …

All listings of a tenant are one set, and a row there is ``listing SOH row``. So a tenant's threads are a
range of one key. Each script touches one key, which makes a group of changes atomic, on a cluster too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from chatstore.engines.fenced.port import Entity, Op, Range
from chatstore.errors import CorruptData

__all__ = [
    "CHANGE",
    "READ",
    "Place",
    "Script",
    "UnknownScript",
    "asked",
    "entity",
    "operations",
    "place",
    "span",
]

_TENANT = 42
"""How long the name of a tenant is in front of those of its listings."""
_KINDS = {"insert": b"i", "merge": b"m", "replace": b"r", "touch": b"t", "upsert": b"u", "delete": b"d"}
_PROPERTY = re.compile(rb"(\w+)([=#])(\d+):")


class Script(NamedTuple):
    """A script and the digest by which a server that has it knows it."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Script:
        """The script of a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class UnknownScript(Exception):
    """The server does not know a script by its digest; nothing was done."""


CHANGE: Final = Script.of("""\
local key, token = KEYS[1], ARGV[1]
local function properties(text, at, found)
  while at <= #text do
    local name, size, from = string.match(text, '^(%w+)[=#](%d+):()', at)
    found[name] = string.sub(text, at, from + size - 1)
    at = from + size
  end
  return found
end
local gone, made = {}, {}
for n = 2, #ARGV, 4 do
  local kind, row, etag, new = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  local there = redis.call('ZRANGEBYLEX', key, '[' .. row .. '\\0', '(' .. row .. '\\1', 'LIMIT', 0, 1)[1]
  local old
  if there then
    old = string.find(there, '\\0', #row + 2, true)
  end
  if kind == 'i' and there then return 0 end
  if kind == 'm' or kind == 'r' or kind == 'd' then
    if not there or (etag ~= '' and etag ~= string.sub(there, #row + 2, old - 1)) then return 0 end
  end
  if there and (kind == 'm' or kind == 't') then
    local names, all = {}, properties(new, 1, properties(there, old + 1, {}))
    for name in pairs(all) do names[#names + 1] = name end
    table.sort(names)
    for place, name in ipairs(names) do names[place] = all[name] end
    new = table.concat(names)
  end
  if there then gone[#gone + 1] = there end
  if kind ~= 'd' then
    made[#made + 1] = row .. '\\0' .. token .. ((n - 2) / 4) .. '\\0' .. new
  end
end
for _, member in ipairs(gone) do redis.call('ZREM', key, member) end
for _, member in ipairs(made) do redis.call('ZADD', key, 0, member) end
return redis.call('TIME')
""")
"""Applies operations to the rows of one key, or none of them: then it answers 0, else the time."""

READ: Final = Script.of("""\
local key, from, to, top = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local before, bare = ARGV[4], ARGV[5] ~= ''
local found, last, examined, size = {}, '', 0, 0
while examined < top and size < 4194304 do
  local most = math.min(top - examined, 16)
  local some = redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, most + 1)
  for place = 1, math.min(most, #some) do
    local member = some[place]
    local name = string.find(member, '\\0', 1, true)
    local body = string.find(member, '\\0', name + 1, true)
    examined = examined + 1
    last = string.sub(member, 1, name - 1)
    local due = before == ''
    if before ~= '' or bare then
      local kept, at = {string.sub(member, 1, body)}, body + 1
      while at <= #member do
        local property, size, start = string.match(member, '^(%w+)[=#](%d+):()', at)
        local ends = start + size
        if property == 'x' then due = due or string.sub(member, start, ends - 1) < before end
        if string.find('ainox', property, 1, true) then kept[#kept + 1] = string.sub(member, at, ends - 1) end
        at = ends
      end
      if bare then member = table.concat(kept) end
    end
    if due then
      found[#found + 1] = member
      size = size + #member
    end
  end
  if #some <= most then
    last = ''
    break
  end
  from = '(' .. last .. '\\1'
end
return {redis.call('TIME'), last, found}
""")
"""Reads rows of one key between two bounds: the time, the last row that was looked at, and those found.

The row is empty where there are no more. It stops after 4 MiB.
"""


class Place(NamedTuple):
    """Where the rows of a partition are: a key's name, and what stands in front of their names there."""

    key: str
    front: str


def place(partition: str) -> Place:
    """The place of a partition."""
    if partition.startswith("L-"):
        return Place(partition[:_TENANT], f"{partition[_TENANT:]}\1")
    return Place(partition, "")


def operations(front: str, token: str, ops: Sequence[Op]) -> list[bytes]:
    """The arguments of `CHANGE`, for operations whose new etags begin with `token`."""
    given = [token.encode()]
    for op in ops:
        row = f"{front}{op.row}".encode()
        given += [_KINDS[op.kind], row, (op.etag or "").encode(), _written(op.properties)]
    return given


def span(partitions: str | Range, rows: Range | None) -> tuple[str, bytes, bytes]:
    """The key that holds the rows of a query, and the bounds between which they are there."""
    if isinstance(partitions, str):
        key, front = place(partitions)
        if rows is not None:
            return key, f"[{front}{rows[0]}".encode(), f"({front}{rows[1]}".encode()
        return key, f"[{front}".encode() if front else b"-", f"({front[:-1]}\2".encode() if front else b"+"
    low, high = partitions
    return low[:_TENANT], f"[{low[_TENANT:]}".encode(), f"({high[_TENANT:]}".encode()


def asked(low: bytes, high: bytes, top: int, before: str | None, *, bodies: bool) -> list[bytes]:
    """The arguments of `READ`."""
    return [low, high, b"%d" % top, (before or "").encode(), b"" if bodies else b"1"]


def entity(key: str, member: bytes) -> Entity:
    """A row, by what is kept of it under a key. Raises CorruptData."""
    name, _, rest = member.partition(b"\0")
    etag, _, body = rest.partition(b"\0")
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
        listing, divider, row = name.decode().rpartition("\1")
    except ValueError as error:
        raise CorruptData("a row in Redis cannot be read") from error
    return Entity(f"{key}{listing}" if divider else key, row, properties, etag.decode())


def _written(properties: Mapping[str, str | bytes]) -> bytes:
    parts = []
    for name, value in properties.items():
        data, kind = (value, b"#") if isinstance(value, bytes) else (value.encode(), b"=")
        parts.append(b"%s%s%d:%s" % (name.encode(), kind, len(data), data))
    return b"".join(parts)
