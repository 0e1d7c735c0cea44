"""The file that a backup is: JSON Lines, each with its kind and its tenant.

::

    {"kind": "backup", "version": 1, "made_at", "tenant", "owner", "keys"}     what was chosen
    {"kind": "thread", "tenant", "thread": {"id", "owner", …}}                   a thread's properties
    {"kind": "messages", "tenant", "thread": ID,
     "items": [{"id", "created_at", "expires_at", "key", "metadata", "message"}]}
    {"kind": "end", "threads", "messages", "sha256"}                             of all lines before it

A message without a key or metadata does not name it. A thread's lines of messages follow its own. No thread
is held in memory, by who writes or who reads.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from chatstore.backup.reading import Chosen, Gone, Kept, kept_threads
from chatstore.batching import batches
from chatstore.codec import Json, parse
from chatstore.errors import CursorExpired, InvalidArgument
from chatstore.exporting import json_line
from chatstore.models import Message, rfc3339
from chatstore.store import ChatStore
from chatstore.thread_form import thread_form, thread_of

__all__ = ["Backup", "Written", "write_backup"]

_VERSION = 1
_MESSAGES, _BYTES = 100, 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024
_TRIES = 5
_LEVELS_AROUND = 4
LONGEST_LINE = 512 * 1024 * 1024
"""In bytes, far beyond what is written: a file without line breaks must not fill the memory."""
_OF_MESSAGES = b'{"kind":"messages",'
_NO_BACKUP = "is not a backup of chatstore's: to add conversations of other forms, use chatstore import"


class Written(NamedTuple):
    """What has been written so far."""

    threads: int
    messages: int


def write_backup(store: ChatStore, chosen: Chosen, out: BinaryIO) -> Written:
    """Write what is chosen of a store to `out`.

    Each history is of one moment, however it is replaced meanwhile. Raises CursorExpired if one is replaced
    again and again.
    """
    digest = hashlib.sha256()
    threads = messages = 0
    head: dict[str, Json] = {
        "kind": "backup", "version": _VERSION, "made_at": rfc3339(store.now()),
        "tenant": chosen.tenant, "owner": chosen.owner, "keys": chosen.keys,
    }  # fmt: skip
    line = json_line(head)
    digest.update(line)
    out.write(line)
    for kept in kept_threads(store, chosen):
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as lines:
            count = _write(lines, kept)
            if count is None:
                continue
            lines.seek(0)
            while part := lines.read(_IN_MEMORY):
                digest.update(part)
            lines.seek(0)
            shutil.copyfileobj(lines, out)
        threads, messages = threads + 1, messages + count
    end: dict[str, Json] = {"threads": threads, "messages": messages, "sha256": digest.hexdigest()}
    out.write(json_line({"kind": "end", **end}))
    return Written(threads, messages)


def _write(lines: IO[bytes], kept: Kept) -> int | None:
    """Write a thread's lines and count its messages; None if it is gone."""
    for tried in range(1, _TRIES + 1):
        lines.seek(0)
        lines.truncate()
        try:
            lines.write(
                json_line({"kind": "thread", "tenant": kept.tenant, "thread": thread_form(kept.thread)})
            )
            count = 0
            for batch in batches(kept.messages(), _length, most=_MESSAGES, size_most=_BYTES):
                named = json_line({"kind": "messages", "tenant": kept.tenant, "thread": kept.thread.id})
                lines.write(named[:-2] + b',"items":[' + b",".join(map(_entry, batch)) + b"]}\n")
                count += len(batch)
        except Gone:
            return None
        except CursorExpired:
            if tried == _TRIES:
                raise
        else:
            return count
    return None


def _entry(message: Message) -> bytes:
    """A message's entry, its text as it is."""
    form: dict[str, Json] = {
        "id": message.id,
        "created_at": None if message.created_at is None else rfc3339(message.created_at),
        "expires_at": None if message.expires_at is None else rfc3339(message.expires_at),
    }
    if message.key is not None:
        form["key"] = message.key
    if message.metadata:
        form["metadata"] = dict(message.metadata)
    return json_line(form)[:-2] + b',"message":' + message.text.encode() + b"}"


def _length(message: Message) -> int:
    return len(message.text.encode())


class Backup:
    """A file that `write_backup` wrote. Raises InvalidArgument for one that is not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> Written:
        """Read the whole file, so that nothing is taken from one that is cut short or was changed."""
        digest = hashlib.sha256()
        last: bytes | None = None
        with self.path.open("rb") as file:
            for line in self._lines(file):
                if last is None:
                    self._begins(line)
                else:
                    digest.update(last)
                last = line
        end = self._form(last or b"", "its last line")
        if end.get("kind") != "end":
            raise InvalidArgument(
                f"{self.path} is incomplete: its last line is missing, and nothing was restored from it"
            )
        if end.get("sha256") != digest.hexdigest():
            raise InvalidArgument(
                f"{self.path} was changed or damaged: its lines do not match their digest, and nothing "
                "was taken from it"
            )
        return Written(end["threads"], end["messages"])

    def threads(self, chosen: Chosen) -> Iterator[Kept]:
        """The chosen threads, in the file's order."""
        with self.path.open("rb") as file:
            place = 0
            for number, line in enumerate(self._lines(file), 1):
                place += len(line)
                if line.startswith(_OF_MESSAGES):
                    continue
                form = self._form(line, f"line {number}")
                if form.get("kind") == "thread":
                    kept = Kept(str(form["tenant"]), thread_of(form["thread"]), self._reading(place, number))
                    if chosen.takes(kept):
                        yield kept

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise InvalidArgument(f"{self.path} {_NO_BACKUP} (a line is too long)")
            yield line

    def _reading(self, place: int, before: int) -> Callable[[], Iterator[Message]]:
        def messages() -> Iterator[Message]:
            with self.path.open("rb") as file:
                file.seek(place)
                for number, line in enumerate(self._lines(file), before + 1):
                    if not line.startswith(_OF_MESSAGES):
                        return
                    for entry in self._form(line, f"line {number}")["items"]:
                        yield _message(entry)

        return messages

    def _begins(self, line: bytes) -> None:
        form = self._form(line, "its first line")
        if form.get("kind") != "backup":
            raise InvalidArgument(f"{self.path} {_NO_BACKUP}")
        if form.get("version") != _VERSION:
            raise InvalidArgument(f"{self.path} was written by a newer chatstore: upgrade this one")

    def _form(self, line: bytes, where: str) -> Mapping[str, Json]:
        try:
            form = parse(line, where, around=_LEVELS_AROUND)
        except InvalidArgument as error:
            raise InvalidArgument(f"{self.path} {_NO_BACKUP} ({where}: {error})") from error
        if not isinstance(form, dict):
            raise InvalidArgument(f"{self.path} {_NO_BACKUP}")
        return form


def _message(entry: Mapping[str, Json]) -> Message:
    return Message(
        Message.from_dict(entry["message"]).text,
        entry["id"],
        created_at=_time(entry["created_at"]),
        expires_at=_time(entry["expires_at"]),
        metadata=entry.get("metadata") or {},
        key=entry.get("key"),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
