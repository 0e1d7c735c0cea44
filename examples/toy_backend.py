"""A backend in a few pages: a folder with a JSON file for each thread, for one process at a time."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatstore import position
from chatstore.codec import decode
from chatstore.conditions import changed_metadata, patched, require, require_log
from chatstore.contract import (
    UNSET,
    Backend,
    Capability,
    Clock,
    Cut,
    Draft,
    MetadataPatch,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    system_clock,
)
from chatstore.errors import CursorExpired, MessageExists, MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.ids import token, uuid7
from chatstore.models import Appended, Cursor, Deleted, Message, Page, Participant, Thread, from_micros

__all__ = ["ToyBackend"]

Stored = dict[str, Any]


class ToyBackend(Backend):
    """Every operation reads a thread's file, and a mutation puts a new one in its place."""

    name = "toy"
    capabilities = frozenset({Capability.DURABLE, Capability.EDIT})

    def __init__(self, folder: Path, *, clock: Clock = system_clock) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self.clock = clock

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        self._refuse(request, new.ttl)
        with self._lock:
            stored = self._create(key, new)
            self._save(key, stored)
            return _thread(key, stored)

    async def get_thread(self, key: ThreadKey) -> Thread:
        return _thread(key, self._get(key))

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        self._refuse(request, None if patch.ttl is UNSET else patch.ttl)
        with self._lock:
            stored = self._get(key)
            require(if_match, stored["revision"])
            _patch(key, stored, patch)
            self._save(key, stored)
            return _thread(key, stored)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        self._refuse(request)
        with self._lock:
            stored = self._load(key)
            require(if_match, None if stored is None else stored["revision"])
            if stored is not None:
                self._path(key).unlink()
            return Deleted(stored is not None)

    # Messages

    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
        cut: Cut | None = None,
        patch: ThreadPatch | None = None,
        if_thread: str | None = None,
    ) -> Appended:
        lives = None if patch is None or patch.ttl is UNSET else patch.ttl
        self._refuse(request, create and create.ttl, lives, *(draft.ttl for draft in drafts))
        with self._lock:
            there = self._load(key)
            made = create if cut is None else None
            stored = self._writable(key, made, if_match, appending=cut is None)
            require(if_thread, None if there is None else stored["revision"])
            if cut is not None:
                end = _place(key, stored, cut.message) + cut.behind
                stored |= {"messages": stored["messages"][:end], "tail": stored["tail"] + 1}
            _require_new_keys(key, stored, drafts)
            if patch is not None:
                _patch(key, stored, patch)
            messages = self._extend(stored, drafts)
            self._save(key, stored)
            told = None if patch is None and if_thread is None else stored["revision"]
            return Appended(messages, _etag(stored), thread_etag=told)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        stored = self._load(key)
        if span.epoch is not None and (stored is None or stored["epoch"] != span.epoch):
            raise CursorExpired
        if stored is None:
            if span.after_message is not None or span.before_message is not None:
                raise ThreadNotFound(key.id)
            return Page(())
        low = _bound(key, stored, span.after_message, span.after) or position.START
        high = _bound(key, stored, span.before_message, span.before) or "~"
        found = [message for message in _messages(stored) if low < str(message.position) < high]
        chosen: list[Message] = []
        size = 0
        for message in (found[::-1] if span.newest else found)[: span.limit]:
            size += len(message.text.encode())
            if chosen and span.max_bytes is not None and size > span.max_bytes:
                break
            chosen.append(message)
        edge = str(chosen[-1].position) if len(chosen) < len(found) else None
        items = tuple(chosen[::-1] if span.newest else chosen)
        return Page(
            items,
            next=None if edge is None else Cursor.at(stored["epoch"], edge),
            end=Cursor.at(stored["epoch"], str(items[-1].position) if items else low),
            etag=_etag(stored),
        )

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        stored = self._get(key)
        return _messages(stored)[_place(key, stored, message_id)]

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        self._refuse(request, create and create.ttl, *(draft.ttl for draft in drafts))
        with self._lock:
            stored = self._writable(key, create, if_match)
            present = _messages(stored)
            kept = len(present)
            if kept > len(drafts) or not all(map(_stays, present, drafts[:kept])):
                kept = 0
                stored |= {"epoch": token(), "messages": []}
            _require_new_keys(key, stored, drafts[kept:])
            messages = self._extend(stored, drafts[kept:])
            self._save(key, stored)
            return Appended(messages, _etag(stored), kept)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        self._refuse(request)
        with self._lock:
            stored = self._load(key)
            require(if_match, None if stored is None else _etag(stored))
            if stored is None:
                return Deleted(False)
            stored |= {"epoch": token(), "messages": []}
            self._save(key, stored)
            return Deleted(True, _etag(stored))

    async def replace_message(
        self,
        key: ThreadKey,
        message_id: str,
        draft: Draft | None,
        *,
        metadata: MetadataPatch | None = None,
        if_match: str | None,
        request: Request | None,
        if_thread: str | None = None,
    ) -> Message:
        self._refuse(request)
        with self._lock:
            stored = self._get(key)
            require(if_thread, stored["revision"])
            place = _place(key, stored, message_id)
            form = stored["messages"][place]
            require(if_match, form["etag"])
            if metadata is not None:
                form["metadata"] = changed_metadata(form["metadata"], metadata)
            form |= {"text": form["text"] if draft is None else draft.text, "etag": token()}
            stored["edits"] += 1
            self._save(key, stored)
            return _messages(stored)[place]

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        if isinstance(message, int):
            raise self._unsupported(Capability.INDEX)
        self._refuse(request)
        with self._lock:
            stored = self._get(key)
            place = _place(key, stored, message)
            deleted = _messages(stored)[place]
            require(if_match, deleted.etag)
            del stored["messages"][place]
            stored["edits"] += 1
            self._save(key, stored)
            return deleted

    # What it does not do must be refused, not ignored

    def _refuse(self, request: Request | None, *ttls: object) -> None:
        if request is not None:
            raise self._unsupported(Capability.REQUESTS)
        if any(ttl is not None for ttl in ttls):
            raise self._unsupported(Capability.EXPIRY)

    # Files

    def _path(self, key: ThreadKey) -> Path:
        # Any text may be an id, and few texts may be a file's name.
        named = json.dumps([key.tenant, key.id]).encode()
        return self._folder / f"{hashlib.sha256(named).hexdigest()}.json"

    def _load(self, key: ThreadKey) -> Stored | None:
        try:
            stored: Stored = json.loads(self._path(key).read_bytes())
        except FileNotFoundError:
            return None
        # Somebody else's thread is not there, but for its id, which is taken.
        return stored if key.owner in (None, stored["owner"]) else None

    def _save(self, key: ThreadKey, stored: Stored) -> None:
        path = self._path(key)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(stored))
        new.replace(path)  # readers see the old file or the new one

    def _get(self, key: ThreadKey) -> Stored:
        stored = self._load(key)
        if stored is None:
            raise ThreadNotFound(key.id)
        return stored

    def _writable(
        self, key: ThreadKey, create: NewThread | None, if_match: str | None, *, appending: bool = False
    ) -> Stored:
        stored = self._load(key)
        if stored is not None:
            require_log(if_match, _etag(stored), appending=appending)
            return stored
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        return self._create(key, create)

    def _create(self, key: ThreadKey, new: NewThread) -> Stored:
        if self._path(key).exists():
            raise ThreadExists(key.id)
        now = self.clock()
        return {
            "owner": new.owner,
            "kind": new.kind,
            "topic": new.topic,
            "metadata": new.metadata,
            "participants": _forms(new.participants),
            "created_at": now,
            "active_at": now,
            "revision": token(),
            "epoch": token(),
            "tail": 0,
            "edits": 0,
            "messages": [],
        }

    # What is in a file

    def _extend(self, stored: Stored, drafts: Sequence[Draft]) -> tuple[Message, ...]:
        now = self.clock()
        for draft in drafts:
            stored["tail"] += 1
            stored["messages"].append(
                {
                    "text": draft.text,
                    "id": uuid7(now // 1000),
                    "position": position.nth(stored["tail"]),
                    "created_at": now,
                    "etag": token(),
                    "metadata": {} if draft.metadata is None else decode(draft.metadata),
                    "key": draft.key,
                }
            )
            stored["active_at"] = now
        messages = _messages(stored)
        return tuple(messages[len(messages) - len(drafts) :])


def _thread(key: ThreadKey, stored: Stored) -> Thread:
    return Thread(
        id=key.id,
        owner=stored["owner"],
        topic=stored["topic"],
        metadata=stored["metadata"],
        participants=tuple(Participant(*form) for form in stored["participants"]),
        created_at=from_micros(stored["created_at"]),
        active_at=from_micros(stored["active_at"]),
        expires_at=None,
        etag=stored["revision"],
        kind=stored["kind"],
    )


def _patch(key: ThreadKey, stored: Stored, patch: ThreadPatch) -> None:
    changed = patched(_thread(key, stored), patch)
    stored |= {"topic": changed.topic, "metadata": changed.metadata, "revision": token()}
    stored["participants"] = _forms(changed.participants)


def _forms(participants: Sequence[Participant]) -> list[object]:
    return [[one.id, one.display_name, one.metadata] for one in participants]


def _messages(stored: Stored) -> list[Message]:
    return [Message(**{**form, "created_at": from_micros(form["created_at"])}) for form in stored["messages"]]


def _place(key: ThreadKey, stored: Stored, named: str) -> int:
    """Where a message is that is named by its id, or by ``key:`` and its key."""
    by, name = ("key", named.removeprefix("key:")) if named.startswith("key:") else ("id", named)
    for place, form in enumerate(stored["messages"]):
        if form[by] == name:
            return place
    raise MessageNotFound(key.id, named)


def _bound(key: ThreadKey, stored: Stored, message: str | None, given: str | None) -> str | None:
    return given if message is None else stored["messages"][_place(key, stored, message)]["position"]


def _stays(message: Message, draft: Draft) -> bool:
    if message.text != draft.text or draft.key not in (None, message.key):
        return False
    return draft.metadata is None or decode(draft.metadata) == message.metadata


def _require_new_keys(key: ThreadKey, stored: Stored, drafts: Sequence[Draft]) -> None:
    taken = {form["key"]: form["id"] for form in stored["messages"] if form["key"] is not None}
    for draft in drafts:
        if draft.key in taken:
            raise MessageExists(key.id, draft.key or "", taken[draft.key])


def _etag(stored: Stored) -> str:
    return f"{stored['epoch']}.{stored['tail']}.{stored['edits']}"
