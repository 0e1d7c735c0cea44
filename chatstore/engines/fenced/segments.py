"""Segments: the rows that hold messages, some in each, as a turn brought them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from chatstore import position
from chatstore.batching import batches
from chatstore.codec import decode, encode, writer
from chatstore.conditions import changed_metadata, expiry, message_etag
from chatstore.contract import Draft, MetadataPatch
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.layout import SLOT_MASK, made_at
from chatstore.engines.fenced.payload import COMPRESSED, plain
from chatstore.errors import CorruptData
from chatstore.models import Message, from_micros
from chatstore.position import nth

__all__ = [
    "MOST_BYTES",
    "MOST_MESSAGES",
    "Segment",
    "Stored",
    "add_newest",
    "expiry_text",
    "laid_out",
    "new_message",
    "plain_text",
    "stored",
    "widest",
]

MOST_MESSAGES, MOST_BYTES = 16, 192 * 1024
"""What one row is given of a turn."""

_ROWS = 40
_SPLIT_ABOVE = 64


class Stored(NamedTuple):
    """A message as a row holds it; times in microseconds."""

    id: str
    position: str
    created: int
    revision: int
    expires: int | None
    text: str
    metadata: str | None = None
    key: str | None = None

    def lives(self, now: int) -> bool:
        """Whether it has not expired."""
        return self.expires is None or self.expires > now

    def message(self) -> Message:
        """As callers see it. Raises CorruptData where the metadata is damaged."""
        return Message(
            self.text,
            self.id,
            self.position,
            from_micros(self.created),
            message_etag(self.id, self.revision),
            None if self.expires is None else from_micros(self.expires),
            {} if self.metadata is None else _beside(self.metadata),
            self.key,
        )

    def changed(self, draft: Draft | None, metadata: MetadataPatch | None) -> Stored:
        """With another text, other metadata, or both. Raises InvalidArgument for too much metadata."""
        new = self._replace(revision=self.revision + 1)
        if draft is not None:
            new = new._replace(text=draft.text)
        if metadata is not None:
            beside = changed_metadata(decode(self.metadata or "{}"), metadata)
            new = new._replace(metadata=encode(beside) if beside else None)
        return new

    def stays(self, draft: Draft) -> bool:
        """Whether a history that has `draft` in this place keeps the message."""
        if self.text != draft.text or draft.key not in (None, self.key):
            return False
        return draft.metadata is None or decode(draft.metadata) == decode(self.metadata or "{}")


_decoded = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_encoded = writer()

_BESIDE = 2
"""Fields that few messages have: metadata and key."""

_SHORT = 3
"""Fields of a message that is as it was appended: its id tells the others."""


class Segment(NamedTuple):
    """A row and its messages, oldest first; one without messages is not kept."""

    row: str
    messages: tuple[Stored, ...]
    large: bool = False
    """Whether it was read from pieces, which are to be swept when it changes."""

    is_stored: bool = False
    """Whether the row is there."""

    @classmethod
    def of(cls, epoch: str, messages: Sequence[Stored]) -> Segment:
        """A row of its own for `messages`."""
        return cls(layout.message_row(epoch, messages[0].position), tuple(messages))

    @classmethod
    def load(cls, row: str, text: str, *, large: bool = False) -> Segment:
        """What `dump` gave, or gave when it wrote texts as JSON in JSON. Raises CorruptData."""
        try:
            forms, at = _decoded(text, 0)
            if at == len(text):
                return cls(row, tuple([Stored(*fields) for fields in forms]), large, True)
            messages, at = [], at + 1
            for form in forms:
                one = _loaded(form, text, at)
                messages.append(one)
                at += len(one.text)
            return cls(row, tuple(messages), large, True)
        except (ValueError, TypeError, StopIteration) as error:
            raise CorruptData("a row of messages cannot be read") from error

    def dump(self) -> str:
        """The messages as text: a line of JSON, and their texts as they are behind it."""
        line = _encoded([_form(one) for one in self.messages])
        return "\n".join((line, "".join([one.text for one in self.messages])))

    @property
    def expires(self) -> int | None:
        """When the first of them expires; None for never."""
        return min([one.expires for one in self.messages if one.expires is not None], default=None)

    def halves(self) -> list[Segment]:
        """Itself, or two of half the length where many were inserted."""
        if len(self.messages) <= _SPLIT_ABOVE:
            return [self]
        middle = len(self.messages) // 2
        upper = Segment.of(layout.epoch_of(self.row), self.messages[middle:])
        return [self._replace(messages=self.messages[:middle]), upper]


def add_newest(found: list[Message], text: str, now: int) -> None:
    """Add what `Segment.dump` gave and has not expired, the newest first. Raises CorruptData."""
    count = len(found)
    try:
        forms, begins = _decoded(text, 0)
        if _add_plain(found, forms, text) == begins + 1:
            return
    except (ValueError, TypeError, StopIteration):
        pass
    # It is not so plain, or damaged.
    del found[count:]
    found += [one.message() for one in reversed(Segment.load("", text).messages) if one.lives(now)]


def _add_plain(found: list[Message], forms: Any, text: str) -> int:
    """Add messages that are as they were appended, the newest first; gives where their texts begin.

    Raises ValueError or TypeError for any others.
    """
    at = len(text)
    # Written out, as this is done for nearly every message that is read.
    for id, micros, size in reversed(forms):
        digits, at, ends = id[-12:], at - size, at
        place = nth(int(digits, 16) & SLOT_MASK)
        found.append(Message(text[at:ends], id, place, made_at(id[:13], micros), f"{digits}.0"))
    return at


def newest_of(bodies: Sequence[bytes], least: int) -> list[Message] | None:
    """The newest messages, so many at least, of rows that come newest first; fewer where there are no more.

    None where a message is not as it was appended, or a row is damaged.
    """
    found: list[Message] = []
    lines, texts = [], []
    left = least
    try:
        for body in bodies:
            line, _, text = (plain(body) if body[:1] == COMPRESSED else body.decode()).partition("\n")
            lines.append(line)
            texts.append(text)
            left -= line.count("[") - 1
            if left <= 0:
                break
        # All lines are read at once, which takes half as long.
        line = f"[{','.join(lines)}]"
        rows, ends = _decoded(line, 0)
        if ends != len(line):
            return None
        for forms, text in zip(rows, texts, strict=True):
            if _add_plain(found, forms, text):
                return None
    except (ValueError, TypeError, StopIteration):
        return None
    return found


def stored(drafts: Sequence[Draft], tail: int, now: int) -> list[Stored]:
    """New messages in the slots above `tail`."""
    return [new_message(draft, position.nth(slot), now) for slot, draft in enumerate(drafts, tail + 1)]


def new_message(draft: Draft, place: str, now: int) -> Stored:
    """A new message at a position."""
    id = layout.message_id(now, place)
    return Stored(id, place, now, 0, expiry(now, draft.ttl), draft.text, draft.metadata, draft.key)


def laid_out(epoch: str, messages: Sequence[Stored]) -> list[Segment]:
    """`messages` in new rows: few in each, and so few rows that one group takes those of any turn."""
    if not messages:
        return []
    if len(messages) <= MOST_MESSAGES and sum(map(_length, messages)) <= MOST_BYTES:
        return [Segment.of(epoch, messages)]
    most = max(MOST_MESSAGES, -(-len(messages) // _ROWS))
    bytes_most = max(MOST_BYTES, sum(map(_length, messages)) // _ROWS)
    rows = batches(messages, _length, most=most, size_most=bytes_most)
    return [Segment.of(epoch, row) for row in rows]


def widest(segments: Sequence[Segment], least: int) -> int:
    """How many slots the widest row takes, `least` at least."""
    return max([least, *(len(segment.messages) for segment in segments)])


def plain_text(messages: Sequence[Message], now: int) -> str:
    """What `Segment.dump` gives for new messages that have nothing beside them."""
    micros = now % 1000
    line = ",".join([f'["{one.id}",{micros},{len(one.text)}]' for one in messages])
    return f"[{line}]\n{''.join([one.text for one in messages])}"


def expiry_text(expires: int | None) -> dict[str, str]:
    """The property by which the sweep finds a row."""
    return {} if expires is None else {"x": f"{expires:017d}"}


def _beside(text: str) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise CorruptData("what is kept beside a message cannot be read") from error


def _length(message: Stored) -> int:
    return len(message.text) + len(message.metadata or "")


def _form(one: Stored) -> list[int | str | None]:
    """What is kept of a message beside its text, with the text's length."""
    id, place, created, revision, expires, text, metadata, key = one
    if not revision and expires is None and metadata is None and key is None:
        try:
            made, slot = layout.told_by(id)
        except ValueError:
            made, slot = 0, 0  # it is no id of ours
        if made == created // 1000 and position.nth(slot) == place:
            return [id, created % 1000, len(text)]
    form: list[int | str | None] = [id, place, created, revision, expires, len(text), metadata, key]
    return form[:-_BESIDE] if metadata is None and key is None else form


def _loaded(form: list[Any], texts: str, at: int) -> Stored:
    """The message of a form, whose text begins there."""
    if len(form) == _SHORT:
        id, micros, size = form
        made, slot = layout.told_by(id)
        one = Stored(id, position.nth(slot), made * 1000 + micros, 0, None, texts[at : at + size])
    else:
        one = Stored(*form)
        size = form[5]
        one = one._replace(text=texts[at : at + size])
    if len(one.text) != size:
        raise ValueError("a text is cut short")
    return one
