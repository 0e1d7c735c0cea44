"""A thread as a plain list: what there is of it, who sees it, and when a condition holds.

Clocks differ by up to a `tolerance`: around the time at which a thread expires it may be seen or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from chatstore.contract import UNSET, NewThread, ThreadKey, ThreadPatch
from chatstore.models import Appended, Deleted, Message, Thread, to_micros
from tests.simulation.acting import Op

__all__ = ["NOTHING", "Life", "Lives", "State", "epoch_of", "missed"]


class Life(NamedTuple):
    """A thread: None is for what nobody can know. `expires` is between two times.

    With `sliding` it is at least that long after the last append. `rated` says what is kept beside messages.
    """

    owner: str | None
    topic: str | None
    expires: tuple[int, int] | None
    revision: str | None = None
    epoch: str | None = None
    etag: str | None = None
    messages: tuple[str, ...] = ()
    sliding: int | None = None
    rated: frozenset[tuple[str, int]] = frozenset()

    def renewed(self, op: Op, tolerance: int, *, surely: bool) -> Life:
        """After an append, which moves an expiry that slides, or may."""
        if self.sliding is None or self.expires is None:
            return self
        low = max(self.expires[0], op.start + self.sliding - 2 * tolerance)
        high = max(self.expires[1], op.end + self.sliding * 5 // 4 + 2 * tolerance)
        return self._replace(expires=(low if surely else self.expires[0], high))


class State(NamedTuple):
    """A thread or none, and the requests that are remembered.

    Of each: what it was answered, whether it is surely remembered, and whose thread it was for, if that is
    still there.
    """

    life: Life | None
    requests: frozenset[tuple[str, Any, bool, tuple[str | None] | None]] = frozenset()

    def after(self, life: Life | None, *, begins: bool) -> State:
        """With that life, which `begins` where there was none."""
        if life != self.life and (life is None or begins):
            return State(life, frozenset((*one[:3], None) for one in self.requests))
        return self._replace(life=life)


NOTHING = State(None)
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Lives:
    """What is known of all threads, by which an operation's outcome is judged. `keys` are of root labels."""

    tolerance: int
    labels: dict[str, str]
    roots: dict[str, str]
    keys: dict[str, str]
    places: dict[tuple[ThreadKey, str], str]
    ids: dict[tuple[ThreadKey, str], set[str]]
    maybe: set[tuple[ThreadKey, str]]
    """Texts that were sent again and may have been stored under another id than the one that was seen."""

    def _answer(self, op: Op) -> object:
        result = op.result
        if isinstance(result, Appended):
            return tuple(one.id for one in result.messages), result.etag, result.kept, result.thread_etag
        if isinstance(result, Thread):
            return result.id, result.etag
        if isinstance(result, Deleted):
            return result.existed, result.etag
        if isinstance(result, Message):
            return result.id, result.etag
        return repr(result)

    # What is there for whom

    def _refused(self, op: Op, *errors: str) -> bool:
        return not op.unknown and op.error in errors

    def _done(self, op: Op) -> bool:
        return op.unknown or op.error is None

    def _visible(self, view: Life | None, op: Op) -> Life | None:
        return view if view is not None and op.key.owner in (None, view.owner) else None

    def _matches(self, op: Op, current: str | None, *, appending: bool = False) -> bool | None:
        """Whether the condition holds; None where nobody knows the etag."""
        match = op.given.get("if_match")
        if match is None:
            return True
        if current is None:
            return None
        if appending:
            return bool(match.rpartition(".")[0] == current.rpartition(".")[0])
        return bool(match == current)

    def _both_match(self, op: Op, life: Life, *, appending: bool) -> bool | None:
        """The same of conditions on the log and on the properties."""
        log, revision = self._matches(op, life.etag, appending=appending), op.given.get("if_thread")
        if revision is None or log is False:
            return log
        if life.revision is None:
            return None
        return log if revision == life.revision else False

    def _conflict(self, op: Op, life: Life) -> tuple[str, ...]:
        return () if self._matches(op, life.etag) is True else ("Conflict",)

    def _conditional(
        self, state: State, op: Op, current: str | None, done: Life | None
    ) -> Iterator[Life | None]:
        yield from self._settled(state, op, self._matches(op, current), done)

    def _settled(
        self, state: State, op: Op, matches: bool | None, done: Life | None, *, clash: bool = False
    ) -> Iterator[Life | None]:
        """Done or refused, by whether a condition holds; with a `clash` of keys it is never done."""
        if matches is not False and clash and self._refused(op, "MessageExists"):
            yield state.life
        if matches is not False and not clash and self._done(op):
            yield done
        if matches is not True and self._refused(op, "Conflict"):
            yield state.life

    def _logged(self, life: Life, op: Op, **changes: Any) -> Life:
        """After a change of the log whose answer tells its etag."""
        etag = op.result.etag if op.ok else None
        return life._replace(etag=etag, epoch=epoch_of(etag) or life.epoch, **changes)

    def _begun(self, new: NewThread, op: Op) -> Life:
        life = Life(new.owner, new.topic, None)
        if new.ttl is None:
            return life
        ttl = new.ttl // _MICROSECOND
        expires = (op.start + ttl - 2 * self.tolerance, op.end + ttl + 2 * self.tolerance)
        life = life._replace(expires=expires, sliding=ttl if new.sliding else None)
        return life.renewed(op, self.tolerance, surely=False)

    def _patched(self, life: Life, patch: ThreadPatch, op: Op) -> Life:
        """With changed properties, whose ETag nobody knows."""
        topic = life.topic if patch.topic is UNSET else patch.topic
        life = life._replace(topic=topic, revision=None)
        if patch.ttl is UNSET:
            return life
        begun = self._begun(NewThread(ttl=patch.ttl, sliding=patch.sliding), op)
        return life._replace(expires=begun.expires, sliding=begun.sliding)

    def _stamped(self, life: Life, thread: Thread) -> Life:
        """As an answer shows it."""
        expires = None
        if thread.expires_at is not None:
            at = to_micros(thread.expires_at)
            expires = at - self.tolerance, at + self.tolerance
        sliding = None if thread.sliding is None else thread.sliding // _MICROSECOND
        return life._replace(revision=thread.etag, expires=expires, topic=thread.topic, sliding=sliding)

    def _root(self, label: str) -> str:
        """What a message said first: the one text by which it is known through all its edits."""
        return self.roots.get(label, label)

    def _place(self, life: Life, named: str) -> int | None:
        """Where a message is, named by its root or, with ``key:``, by its key."""
        key = named.removeprefix("key:") if named.startswith("key:") else None
        for place, label in enumerate(life.messages):
            root = self._root(label)
            if root == named or (key is not None and self.keys.get(root) == key):
                return place
        return None

    def _twice(self, op: Op, root: str) -> bool:
        """Whether nobody can tell which message of a text is meant, because it was stored under two ids."""
        text = op.key._replace(owner=None), root
        return text in self.maybe or len(self.ids.get(text, ())) > 1

    def _told(self, done: Life, op: Op) -> Life:
        """With the ETag of the properties, where the answer has it."""
        told = op.result.thread_etag if op.ok else None
        return done if told is None else done._replace(revision=told)

    def _taken(self, left: Life, labels: Sequence[str]) -> bool:
        """Whether a message that is left has the key of one to be added."""
        keys = {self.keys.get(self._root(label)) for label in left.messages} - {None}
        return any(self.keys.get(label) in keys for label in labels)


def epoch_of(etag: str | None) -> str | None:
    """The history that an ETag of a log names."""
    return None if etag is None else etag.split(".")[0]


def missed(op: Op) -> bool:
    """Whether it says that there was no thread."""
    return not op.unknown and op.error is None and not op.result.existed
