"""The scripts that change and read rows. `chatstore.backends.redis.rows` says how these are kept.

Each touches the keys of one partition, which makes a group of changes atomic, on a cluster too. The first
argument says whether the server's time is asked for: it is a command more.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

__all__ = ["APPEND", "CHANGE", "READ", "READ_THREAD", "Script", "UnknownScript"]


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
local rows, head, stream = KEYS[1], KEYS[2], KEYS[3]
local function member(row)
  return redis.call('ZRANGEBYLEX', rows, '[' .. row .. '\\0', '(' .. row .. '\\1', 'LIMIT', 0, 1)[1]
end
local function properties(text, at, found)
  while at <= #text do
    local name, size, from = string.match(text, '^(%w+)[=#](%d+):()', at)
    found[name] = string.sub(text, at, from + size - 1)
    at = from + size
  end
  return found
end
local function merged(old, new)
  local names, all = {}, properties(new, 1, properties(old, 1, {}))
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  for place, name in ipairs(names) do names[place] = all[name] end
  return table.concat(names)
end
local ops, value, words = {}, 3, string.gmatch(ARGV[2], '%S+')
local token = words()
for kind in words do
  local row, etag, size = words(), words(), words() + 0
  local op = {kind, row, etag = etag, from = value}
  if size > 0 then
    op.names = {}
    for place = 1, size do op.names[place] = words() end
  end
  value = value + size
  if kind == 'HI' then
    if redis.call('EXISTS', head) == 1 then return 0 end
  elseif kind == 'HM' or kind == 'HR' or kind == 'HD' then
    local there = redis.call('HGET', head, 'e')
    if not there or (etag ~= '-' and etag ~= there) then return 0 end
  elseif kind == 'SD' or kind == 'SR' then
    op.entry = #redis.call('XRANGE', stream, etag, etag) == 1
    op.there = not op.entry and member(row)
    if not op.entry and not op.there then return 0 end
  elseif kind ~= 'SU' then
    local there = member(row)
    op.there = there
    op.old = there and string.find(there, '\\0', #row + 2, true)
    if kind == 'I' and there then return 0 end
    if kind == 'M' or kind == 'R' or kind == 'D' then
      if not there or (etag ~= '-' and etag ~= string.sub(there, #row + 2, op.old - 1)) then return 0 end
    end
  end
  ops[#ops + 1] = op
end
local gone, made, mixed = {}, {}, false
local function keep(row, own, new)
  mixed = mixed or (head and string.sub(row, 1, 1) == 'm')
  made[#made + 1] = 0
  made[#made + 1] = row .. '\\0' .. own .. '\\0' .. new
end
for number, op in ipairs(ops) do
  local kind, row, new = op[1], op[2], ARGV[op.from]
  local own = token .. (number - 1)
  if kind == 'HI' or kind == 'HM' or kind == 'HR' then
    local fields = {'e', own}
    for place, name in ipairs(op.names) do
      fields[2 * place + 1], fields[2 * place + 2] = name, ARGV[op.from + place - 1]
    end
    if kind == 'HR' then
      mixed = mixed or redis.call('HEXISTS', head, 'o') == 1
      redis.call('DEL', head)
    end
    redis.call('HSET', head, unpack(fields))
  elseif kind == 'HD' then
    redis.call('DEL', head)
    if redis.call('EXISTS', rows) == 0 and redis.call('XLEN', stream) == 0 then redis.call('DEL', stream) end
  elseif kind == 'SU' or kind == 'SR' then
    local answer = kind == 'SU' and redis.pcall('XADD', stream, op.etag, op.names[1], new)
    if not answer or (type(answer) == 'table' and answer.err) then
      if kind == 'SU' then op.entry, op.there = true, member(row) end
      if op.entry then redis.call('XDEL', stream, op.etag) end
      if op.there then gone[#gone + 1] = op.there end
      if op.names[1] == 'b' then new = 'b00#' .. #new .. ':' .. new end
      keep(row, own, new)
    end
  elseif op.entry then
    redis.call('XDEL', stream, op.etag)
  else
    if op.there then gone[#gone + 1] = op.there end
    if kind ~= 'D' and kind ~= 'SD' then
      if op.there and (kind == 'M' or kind == 'T') then
        new = merged(string.sub(op.there, op.old + 1), new)
      end
      keep(row, own, new)
    end
  end
end
if #gone > 0 then redis.call('ZREM', rows, unpack(gone)) end
if #made > 0 then redis.call('ZADD', rows, unpack(made)) end
if mixed then redis.call('HSET', head, 'o', 1) end
return ARGV[1] == '' and 1 or redis.call('TIME')
""")
"""Applies operations to the rows of one partition, or none of them: then it answers 0, else 1 or the time.

The second argument has a word for how new etags begin, and for each operation a kind, a row, an etag or an
entry's id, how many values it takes of those that follow, and their names. The header's kinds begin with H,
those of rows that are entries of the stream with S. All conditions are looked at before anything is changed.
An entry that cannot be the newest is a member of the set from then on.
"""

APPEND: Final = Script.of("""\
local head = KEYS[2]
if redis.call('HGET', head, 'e') ~= ARGV[2] then return 0 end
local row, member = ARGV[8], ARGV[9]
if row then
  local there = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. row .. '\\0', '(' .. row .. '\\1', 'LIMIT', 0, 1)
  if there[1] then return 0 end
end
local entry = redis.pcall('XADD', KEYS[3], ARGV[4], ARGV[5], ARGV[6])
if type(entry) == 'table' then return -1 end
if row then redis.call('ZADD', KEYS[1], 0, member) end
redis.call('HSET', head, 'e', ARGV[3], '=s', ARGV[7])
return ARGV[1] == '' and 1 or redis.call('TIME')
""")
"""What `CHANGE` does for an append: one new entry under the header's condition, and perhaps one new row.

It is given the header's etag and its next one, the entry's id, field and value, and the header's text, then
the row's name and the member that it is to be. Where the entry cannot be the newest, nothing is done, and it
answers -1.
"""

_ANSWER: Final = """\
local function answer(parts)
  local sizes, told = {}, ''
  for place, part in ipairs(parts) do sizes[place] = #part end
  if ARGV[1] ~= '' then told = table.concat(redis.call('TIME'), ' ') end
  return told .. '\\n' .. table.concat(sizes, ' ') .. '\\n' .. table.concat(parts)
end
"""
"""Texts as one: a client takes longer for each text of a list than for all that are in one.

In front of them stand a line with the time, or nothing, and one of their lengths.
"""

_KEPT: Final = (
    _ANSWER
    + """\
local before, bare, top = ARGV[2], ARGV[3] ~= '', tonumber(ARGV[4])
local function wanted(text, at)
  local due, kept = before == '', {}
  while at <= #text do
    local name, size, from = string.match(text, '^(%w+)[=#](%d+):()', at)
    local ends = from + size
    if name == 'x' then due = due or string.sub(text, from, ends - 1) < before end
    if string.find('ainox', name, 1, true) then kept[#kept + 1] = string.sub(text, at, ends - 1) end
    at = ends
  end
  return due, table.concat(kept)
end
local function members(key, from, to)
  local found, last, examined, bytes = {}, '', 0, 0
  while examined < top and bytes < 4194304 do
    local most = math.min(top - examined, 64)
    local some = redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, most + 1)
    for place = 1, math.min(most, #some) do
      local member = some[place]
      local name = string.find(member, '\\0', 1, true)
      local body = string.find(member, '\\0', name + 1, true)
      examined = examined + 1
      last = string.sub(member, 1, name - 1)
      local due, kept = true, nil
      if before ~= '' or bare then due, kept = wanted(member, body + 1) end
      if due then
        if bare then member = string.sub(member, 1, body) .. kept end
        found[#found + 1] = member
        bytes = bytes + #member
      end
    end
    if #some <= most then
      last = ''
      break
    end
    from = '(' .. last .. '\\1'
  end
  return last, found
end
"""
)

READ: Final = Script.of(
    _KEPT
    + """\
local last, found = members(KEYS[1], ARGV[5], ARGV[6])
table.insert(found, 1, last)
return answer(found)
"""
)
"""Reads rows of a set between two bounds: the last row that was looked at, and those found.

The row is empty where there are no more. It stops after 4 MiB.
"""

READ_THREAD: Final = Script.of(
    _KEPT
    + """\
local function entries(key, newest, oldest)
  local names, bodies, count, last, examined, bytes = {}, {}, 0, '', 0, 0
  local whole = before == '' and not bare
  while examined < top and bytes < 4194304 do
    local most = math.min(top - examined, 64)
    local some = redis.call('XREVRANGE', key, newest, oldest, 'COUNT', most + 1)
    local here = math.min(most, #some)
    for place = 1, here do
      local entry = some[place]
      local field, body, due = entry[2][1], entry[2][2], true
      if not whole then
        local kept = ''
        if field == 'p' then due, kept = wanted(body, 1) else due = before == '' end
        if bare then field, body = 'p', kept end
      end
      if due then
        local at = 3 * count
        count = count + 1
        names[at + 1], names[at + 2], names[at + 3], bodies[count] = entry[1], field, #body, body
        bytes = bytes + #body
      end
    end
    if here > 0 then last = some[here][1] end
    examined = examined + here
    if #some <= most then
      last = ''
      break
    end
    newest = '(' .. last
  end
  return last, table.concat(names, ' '), table.concat(bodies)
end
local last_entry, names, bodies, last, found, header = '', '', '', '', {}, {}
local mixed = ARGV[5] ~= ''
if ARGV[7] ~= '' then
  header = redis.call('HGETALL', KEYS[2])
  local told = false
  for place = 1, #header, 2 do told = told or header[place] == 'o' end
  mixed = mixed and told
end
if ARGV[8] ~= '' then last_entry, names, bodies = entries(KEYS[3], ARGV[8], ARGV[9]) end
if mixed then last, found = members(KEYS[1], ARGV[5], ARGV[6]) end
local parts = {last_entry, names, bodies, last, tostring(#header)}
for place = 1, #header do parts[#parts + 1] = header[place] end
for place = 1, #found do parts[#parts + 1] = found[place] end
return answer(parts)
"""
)
"""Reads the header, entries and members of a thread.

The answer is the last entry that was looked at, what those found are called and how long they are, and their
bodies; the last row of the set that was looked at; how many texts the header is, and those; the set's rows.
"""
