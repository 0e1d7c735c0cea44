"""A thread as a plain list, and what each operation may do to it and say of it.

Clocks differ by up to a `tolerance`: around the time at which a thread expires it may be seen or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from chatstore.contract import UNSET, NewThread, ThreadKey
from chatstore.models import Appended, Deleted, Message, Page, Thread, to_micros
from tests.simulation.acting import Op

__all__ = ["NOTHING", "Rules", "State"]


class Life(NamedTuple):
    """A thread: None is for what nobody can know. `expires` is between two times."""

    owner: str | None
    topic: str | None
    expires: tuple[int, int] | None
    revision: str | None = None
    epoch: str | None = None
    etag: str | None = None
    messages: tuple[str, ...] = ()


class State(NamedTuple):
    """A thread or none, and the requests that are remembered: what each was answered, and whether surely."""

    life: Life | None
    requests: frozenset[tuple[str, Any, bool]] = frozenset()


NOTHING = State(None)
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Rules:
    """What may follow from a state by an operation whose outcome is known or not."""

    tolerance: int
    labels: dict[str, str]
    roots: dict[str, str]
    places: dict[tuple[ThreadKey, str], str]
    ids: dict[tuple[ThreadKey, str], set[str]]
    maybe: set[tuple[ThreadKey, str]]
    """Texts that were sent again and may have been stored under another id than the one that was seen."""

    def after(self, state: State, op: Op) -> Iterator[State]:
        """The states that `op` may leave and that explain its outcome; none where there is no explanation."""
        if op.kind == "erase":
            yield from self._erased(state, op)
            return
        if op.request is not None and op.kind != "fork":
            found = [one for one in state.requests if one[0] == op.request]
            answer = self._answer(op)
            # A refusal is not recorded, so that a repetition of what took place is never refused.
            for one in found:
                if op.unknown:
                    yield state
                elif op.error is None and one[1] in (None, answer):
                    yield state._replace(requests=state.requests - {one} | {(op.request, answer, one[2])})
            if any(sure for _, _, sure in found):
                return
        for view in self._views(state, op):
            for life in getattr(self, f"_{op.kind}")(state, view, op):
                new = state._replace(life=life)
                if op.request is not None and op.kind != "fork" and (op.unknown or op.error is None):
                    answer = None if op.unknown else self._answer(op)
                    new = new._replace(requests=new.requests | {(op.request, answer, True)})
                yield new

    def _views(self, state: State, op: Op) -> Iterator[Life | None]:
        life = state.life
        if life is None or life.expires is None:
            yield life
            return
        if op.start < life.expires[1]:
            yield life
        if op.end >= life.expires[0]:
            yield None

    def _erased(self, state: State, op: Op) -> Iterator[State]:
        requests = frozenset((id, answer, False) for id, answer, _ in state.requests)
        mine = state.life is not None and state.life.owner == op.key.owner
        yield State(None if mine else state.life, requests)

    def _answer(self, op: Op) -> object:
        result = op.result
        if isinstance(result, Appended):
            return tuple(one.id for one in result.messages), result.etag, result.kept
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

    def _conflict(self, op: Op, life: Life) -> tuple[str, ...]:
        return () if self._matches(op, life.etag) is True else ("Conflict",)

    def _conditional(
        self, state: State, op: Op, current: str | None, done: Life | None, *, appending: bool = False
    ) -> Iterator[Life | None]:
        matches = self._matches(op, current, appending=appending)
        if matches is not False and self._done(op):
            yield done
        if matches is not True and self._refused(op, "Conflict"):
            yield state.life

    def _logged(self, life: Life, op: Op, **changes: Any) -> Life:
        """After a change of the log whose answer tells its etag."""
        etag = op.result.etag if op.ok else None
        return life._replace(etag=etag, epoch=_epoch(etag) or life.epoch, **changes)

    def _begun(self, new: NewThread, op: Op) -> Life:
        expires = None
        if new.ttl is not None:
            ttl = new.ttl // _MICROSECOND
            expires = (op.start + ttl - 2 * self.tolerance, op.end + ttl + 2 * self.tolerance)
        return Life(new.owner, new.topic, expires)

    # Operations

    def _append(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        yield from self._written(state, view, op, replaces=False)

    def _replace_all(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        yield from self._written(state, view, op, replaces=True)

    def _written(self, state: State, view: Life | None, op: Op, *, replaces: bool) -> Iterator[Life | None]:
        life, create, labels = self._visible(view, op), op.given["create"], op.given["labels"]
        if life is None:
            if op.given["if_match"] is not None:
                if self._refused(op, "Conflict"):
                    yield state.life
            elif create is None:
                if self._refused(op, "ThreadNotFound"):
                    yield state.life
            elif view is not None:
                if self._refused(op, "ThreadExists"):
                    yield state.life
            elif self._done(op):
                yield self._logged(self._begun(create, op), op, messages=labels)
            return
        if not replaces or not life.messages:
            done = self._logged(life, op, messages=life.messages + labels)
        else:
            done = self._logged(life._replace(epoch=None), op, messages=labels)
        yield from self._conditional(state, op, life.etag, done, appending=not replaces)

    def _absent(self, state: State, op: Op) -> Iterator[Life | None]:
        """What is taken away from no thread."""
        if op.given["if_match"] is not None:
            if self._refused(op, "Conflict"):
                yield state.life
        elif op.unknown or _missed(op):
            yield state.life

    def _clear(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            yield from self._absent(state, op)
            return
        if _missed(op):
            return
        done = self._logged(life if not life.messages else life._replace(epoch=None), op, messages=())
        yield from self._conditional(state, op, life.etag, done)

    def _create(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        if view is not None:
            if self._refused(op, "ThreadExists"):
                yield state.life
        elif self._done(op):
            life = self._begun(op.given["create"], op)
            yield life if op.unknown else self._stamped(life, op.result)

    def _stamped(self, life: Life, thread: Thread) -> Life:
        expires = None
        if thread.expires_at is not None:
            at = to_micros(thread.expires_at)
            expires = at - self.tolerance, at + self.tolerance
        return life._replace(revision=thread.etag, expires=expires, topic=thread.topic)

    def _update(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, patch = self._visible(view, op), op.given["patch"]
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        done = life._replace(topic=patch.topic, revision=None)
        if patch.ttl is not UNSET:
            done = done._replace(expires=self._begun(NewThread(ttl=patch.ttl), op).expires)
        if not op.unknown and op.error is None:
            done = self._stamped(done, op.result)
        yield from self._conditional(state, op, life.revision, done)

    def _delete(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            yield from self._absent(state, op)
            return
        if _missed(op):
            return
        yield from self._conditional(state, op, life.revision, None)

    def _insert(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, at = self._visible(view, op), op.given["at"]
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        messages = list(life.messages)
        if at.index is not None:
            messages.insert(at.index, op.given["labels"][0])
        else:
            place = self._place(life, op.given["root"])
            missing = ("MessageNotFound",) if place is None or self._twice(op, op.given["root"]) else ()
            if self._refused(op, *missing, *(self._conflict(op, life) if place is None else ())):
                yield state.life
            if place is None:
                return
            messages.insert(place + (at.after is not None), op.given["labels"][0])
        yield from self._conditional(state, op, life.etag, life._replace(messages=tuple(messages), etag=None))

    def _place(self, life: Life, root: str) -> int | None:
        return next(
            (place for place, label in enumerate(life.messages) if self.roots.get(label, label) == root), None
        )

    def _twice(self, op: Op, root: str) -> bool:
        """Whether nobody can tell which message of a text is meant, because it was stored under two ids."""
        text = op.key._replace(owner=None), root
        return text in self.maybe or len(self.ids.get(text, ())) > 1

    def _replace_message(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        place = self._place(life, op.given["target"])
        if self._refused(op, "MessageNotFound") and (place is None or self._twice(op, op.given["target"])):
            yield state.life
        elif place is not None and self._done(op):
            messages = (*life.messages[:place], op.given["labels"][0], *life.messages[place + 1 :])
            yield life._replace(messages=messages, etag=None)

    def _delete_message(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, target = self._visible(view, op), op.given["target"]
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        if isinstance(target, int):
            place = None if not life.messages else target % len(life.messages)
        else:
            place = self._place(life, target)
            if place is not None and self._twice(op, target) and self._refused(op, "MessageNotFound"):
                yield state.life
        matches = self._matches(op, life.etag)
        if matches is not True and self._refused(op, "Conflict"):
            yield state.life
        if matches is False:
            return
        if place is None:
            nothing = target == -1 and self._done(op) and op.result is None
            if nothing or (target != -1 and self._refused(op, "MessageNotFound")):
                yield state.life
            return
        taken = life.messages[place]
        if op.unknown or (
            op.error is None and op.result is not None and self.labels[op.result.text] == taken
        ):
            yield life._replace(messages=life.messages[:place] + life.messages[place + 1 :], etag=None)

    def _get(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            if op.unknown or op.error == "ThreadNotFound":
                yield state.life
            return
        if op.unknown:
            yield state.life
        elif op.error is None:
            thread: Thread = op.result
            same = (thread.owner, thread.topic) == (life.owner, life.topic)
            if same and life.revision in (None, thread.etag):
                yield self._stamped(life, thread)

    def _read(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, span = self._visible(view, op), op.given["span"]
        if op.unknown:
            yield state.life
            return
        if life is None:
            page: Page[Message] | None = op.result
            if (op.error == "CursorExpired" and span.epoch is not None) or (
                span.epoch is None and page is not None and not page.items and page.etag is None
            ):
                yield state.life
            return
        if op.error == "CursorExpired":
            if span.epoch is not None and life.epoch != span.epoch:
                yield state.life
            return
        if op.error is not None or op.result.etag is None or life.etag not in (None, op.result.etag):
            return
        epoch = _epoch(op.result.etag)
        if life.epoch not in (None, epoch) or span.epoch not in (None, epoch):
            return
        key = op.key._replace(owner=None)
        expected = list(life.messages)
        if span.after is not None:
            texts = [(key, self.roots.get(label, label)) for label in expected]
            ids = [self.ids.get(text, set()) for text in texts]
            if any(len(some) > 1 or text in self.maybe for text, some in zip(texts, ids, strict=True)):
                yield life._replace(etag=op.result.etag, epoch=epoch)
                return
            # One that nobody has seen is where those around it are.
            places = [self.places[key, next(iter(some))] if some else "~" for some in ids]
            before = max((at for at, place in enumerate(places, 1) if place <= span.after), default=0)
            expected = expected[before:]
        more = len(expected) > span.limit
        expected = expected[-span.limit :] if span.newest else expected[: span.limit]
        if [self.labels.get(one.text) for one in op.result.items] == expected and (
            op.result.next is not None
        ) == more:
            yield life._replace(etag=op.result.etag, epoch=epoch)

    def _fork(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if op.unknown or "again" in op.given:
            yield state.life
            return
        if life is None:
            if op.error == "ThreadNotFound":
                yield state.life
            return
        through, copied = op.given["through"], op.given.get("copied")
        last = len(life.messages) - 1 if through is None else self._place(life, through)
        if op.error == "MessageNotFound":
            if last is None or (through is not None and self._twice(op, through)):
                yield state.life
        elif last is None:
            return
        elif op.error is None and copied in (None, life.messages[: last + 1]):
            yield state.life

    def _born(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        copied, thread = op.given["from"].given["copied"], op.result
        yield self._stamped(Life(thread.owner, thread.topic, None, messages=copied), thread)


def _epoch(etag: str | None) -> str | None:
    return None if etag is None else etag.split(".")[0]


def _missed(op: Op) -> bool:
    """Whether it says that there was no thread."""
    return not op.unknown and op.error is None and not op.result.existed
