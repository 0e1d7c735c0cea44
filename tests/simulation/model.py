"""What each operation may do to a thread and say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chatstore.models import Message, Page, Thread
from tests.simulation.acting import Op
from tests.simulation.lives import NOTHING, Life, Lives, State, epoch_of, missed

__all__ = ["NOTHING", "Rules", "State"]


class Rules(Lives):
    """What may follow from a state by an operation whose outcome is known or not."""

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
                    yield state._replace(requests=state.requests - {one} | {(op.request, answer, *one[2:])})
            if any(one[2] for one in found):
                return
        for view in self._views(state, op):
            for life in getattr(self, f"_{op.kind}")(state, view, op):
                new = state.after(life, begins=view is None)
                if op.request is not None and op.kind != "fork" and (op.unknown or op.error is None):
                    answer = None if op.unknown else self._answer(op)
                    # What was said of nothing is nobody's: of a thread that has expired, or that is hidden.
                    nothing = self._visible(view, op) is None and life is state.life
                    whose = None if life is None or nothing else (life.owner,)
                    new = new._replace(requests=new.requests | {(op.request, answer, True, whose)})
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
        # What was asked of a thread that is somebody else's is remembered.
        requests = frozenset(
            (id, answer, sure and whose not in (None, (op.key.owner,)), whose)
            for id, answer, sure, whose in state.requests
        )
        mine = state.life is not None and state.life.owner == op.key.owner
        yield State(None if mine else state.life, requests)

    # Operations

    def _append(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        yield from self._written(state, view, op, replaces=False)

    def _replace_all(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        yield from self._written(state, view, op, replaces=True)

    def _written(self, state: State, view: Life | None, op: Op, *, replaces: bool) -> Iterator[Life | None]:
        life, create, labels = self._visible(view, op), op.given["create"], op.given["labels"]
        patch = op.given.get("patch")
        if life is None:
            if op.given["if_match"] is not None or op.given.get("if_thread") is not None:
                if self._refused(op, "Conflict"):
                    yield state.life
            elif create is None:
                if self._refused(op, "ThreadNotFound"):
                    yield state.life
            elif view is not None:
                if self._refused(op, "ThreadExists"):
                    yield state.life
            elif self._done(op):
                begun = self._begun(create, op)
                begun = begun if patch is None else self._patched(begun, patch, op)
                yield self._told(self._logged(begun, op, messages=labels), op)
            return
        if not replaces or not life.messages:
            done = self._logged(life, op, messages=life.messages + labels)
        else:
            done = self._logged(life._replace(epoch=None), op, messages=labels)
        done = done.renewed(op, self.tolerance, surely=not replaces)
        if patch is not None:
            done = self._patched(done, patch, op)
        matches = self._both_match(op, life, appending=not replaces)
        clash = not replaces and self._taken(life, labels)
        yield from self._settled(state, op, matches, self._told(done, op), clash=clash)

    def _cut(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        """What a cut leaves, and what is added behind it in the same step."""
        life, target, labels = self._visible(view, op), op.given["target"], op.given["labels"]
        if life is None:
            missing = "ThreadNotFound" if op.given["if_match"] is None else "Conflict"
            if self._refused(op, missing):
                yield state.life
            return
        place = self._place(life, target)
        if (place is None or self._twice(op, target)) and self._refused(op, "MessageNotFound"):
            yield state.life
        if place is None:
            if self._matches(op, life.etag) is not True and self._refused(op, "Conflict"):
                yield state.life
            return
        left = life._replace(messages=life.messages[: place + op.given["behind"]])
        done = self._logged(left, op, messages=left.messages + labels)
        done = done.renewed(op, self.tolerance, surely=True) if labels else done
        clash = self._taken(left, labels)
        yield from self._settled(state, op, self._matches(op, life.etag), done, clash=clash)

    def _rate(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        """Something is kept beside a message."""
        life, target = self._visible(view, op), op.given["target"]
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        place = self._place(life, target)
        if self._refused(op, "MessageNotFound") and (place is None or self._twice(op, target)):
            yield state.life
        elif place is not None and self._done(op):
            label = life.messages[place]
            if op.ok and self.labels[op.result.text] != label:
                return
            root = self._root(label)
            others = {one for one in life.rated if one[0] != root}
            yield life._replace(rated=frozenset({*others, (root, op.given["stars"])}), etag=None)

    def _absent(self, state: State, op: Op) -> Iterator[Life | None]:
        """What is taken away from no thread."""
        if op.given["if_match"] is not None:
            if self._refused(op, "Conflict"):
                yield state.life
        elif op.unknown or missed(op):
            yield state.life

    def _clear(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            yield from self._absent(state, op)
            return
        if missed(op):
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

    def _update(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, patch = self._visible(view, op), op.given["patch"]
        if life is None:
            if self._refused(op, "ThreadNotFound"):
                yield state.life
            return
        done = self._patched(life, patch, op)
        if not op.unknown and op.error is None:
            done = self._stamped(done, op.result)
        yield from self._conditional(state, op, life.revision, done)

    def _delete(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life = self._visible(view, op)
        if life is None:
            yield from self._absent(state, op)
            return
        if missed(op):
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
        done = life._replace(messages=tuple(messages), etag=None).renewed(op, self.tolerance, surely=False)
        clash = self._taken(life, op.given["labels"])
        yield from self._settled(state, op, self._matches(op, life.etag), done, clash=clash)

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
        epoch = epoch_of(op.result.etag)
        if life.epoch not in (None, epoch) or span.epoch not in (None, epoch):
            return
        key = op.key._replace(owner=None)
        begins = [0]
        if span.after is not None:
            texts = [(key, self.roots.get(label, label)) for label in life.messages]
            ids = [self.ids.get(text, set()) for text in texts]
            if any(len(some) > 1 or text in self.maybe for text, some in zip(texts, ids, strict=True)):
                yield life._replace(etag=op.result.etag, epoch=epoch)
                return
            # One that nobody has seen is where those around it are.
            places = [self.places[key, next(iter(some))] if some else None for some in ids]
            low = max((at for at, place in enumerate(places, 1) if place and place <= span.after), default=0)
            high = next((at for at, place in enumerate(places) if place and place > span.after), len(places))
            begins = list(range(low, high + 1))
        if any(self._pages(life, life.messages[begin:], op) for begin in begins):
            yield life._replace(etag=op.result.etag, epoch=epoch)

    def _pages(self, life: Life, labels: Sequence[str], op: Op) -> bool:
        """Whether a page shows what it should of the messages that its span leads to."""
        span, page = op.given["span"], op.result
        shown = labels[-span.limit :] if span.newest else labels[: span.limit]
        return [self._shown(one) for one in page.items] == [self._kept(life, label) for label in shown] and (
            page.next is not None
        ) == (len(labels) > span.limit)

    def _find(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        life, target = self._visible(view, op), op.given["target"]
        place = None if life is None else self._place(life, target)
        if op.unknown or (life is None and op.error == "ThreadNotFound"):
            yield state.life
        elif life is None:
            return
        elif op.error == "MessageNotFound":
            if place is None or self._twice(op, target):
                yield state.life
        elif place is not None and op.ok and self._shown(op.result) == self._kept(life, life.messages[place]):
            yield state.life

    def _shown(self, message: Message) -> tuple[str | None, object]:
        """What an answer says of a message, and what is kept beside it."""
        return self.labels.get(message.text), message.metadata.get("stars")

    def _kept(self, life: Life, label: str) -> tuple[str | None, object]:
        return label, dict(life.rated).get(self._root(label))

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
        elif op.error is None and (
            copied is None
            or (copied, op.given["rated"]) == (life.messages[: last + 1], self._rated(life, copied))
        ):
            yield state.life

    def _rated(self, life: Life, labels: Sequence[str]) -> frozenset[tuple[str, int]]:
        """What is kept beside some messages."""
        roots = {self._root(label) for label in labels}
        return frozenset(one for one in life.rated if one[0] in roots)

    def _born(self, state: State, view: Life | None, op: Op) -> Iterator[Life | None]:
        origin, thread = op.given["from"].given, op.result
        life = Life(thread.owner, thread.topic, None, messages=origin["copied"], rated=origin["rated"])
        yield self._stamped(life, thread)
