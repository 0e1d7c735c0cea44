"""Looks for an order of a thread's operations that explains all that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore.contract import ThreadKey
from tests.simulation.acting import Op
from tests.simulation.model import NOTHING, Rules, State

_MOST = 60_000
_STILL = ("read", "get", "find", "fork", "erase")
"""What changes nothing; an erasure has others beside it that do."""


class Undecided(Exception):
    """There were too many orders to try them all."""


def operations_on(ops: Sequence[Op], key: ThreadKey) -> list[Op]:
    """Those that a thread's state tells or depends on."""
    own = [
        op for op in ops if op.kind not in ("erase", "list", "sweep") and op.key._replace(owner=None) == key
    ]
    for op in ops:
        if op.kind == "erase" and op.key.tenant == key.tenant:
            # What is begun meanwhile may be erased again, as often as it is begun.
            own += [op, replace(op, unknown=True)]
    return sorted(own, key=lambda op: op.start)


def explained(ops: Sequence[Op], rules: Rules) -> tuple[bool, list[Op]]:
    """Whether there is such an order; if not, the longest that explains as much as it can.

    What is unknown may be left out, but is not done after its end. An unknown erasure may be done again.
    """
    known = sum(1 << number for number, op in enumerate(ops) if not op.unknown)
    ends = sorted((op.end, number) for number, op in enumerate(ops) if not op.unknown)
    # Of two ways to one state, that whose last beginning is earlier leaves more to be placed.
    seen: dict[tuple[int, State], int] = {}
    todo: list[tuple[int, State, int, tuple[int, ...]]] = [(0, NOTHING, 0, ())]
    best: tuple[int, ...] = ()
    tried = 0
    while todo:
        placed, state, latest, order = todo.pop()
        if placed & known == known:
            return True, []
        if len(order) > len(best):
            best = order
        # The first end among those that must come: nothing that begins later can come before.
        first = next(end for end, number in ends if not placed >> number & 1)
        following: list[tuple[int, State, int, tuple[int, ...]]] = []
        for number, op in enumerate(ops):
            if op.start > first:
                break
            if placed >> number & 1 or (op.unknown and op.end < latest):
                continue
            tried += 1
            if tried > _MOST:
                raise Undecided
            now = placed if op.unknown and op.kind == "erase" else placed | 1 << number
            thens = set(rules.after(state, op))
            if state in thens:
                if op.unknown:
                    thens.remove(state)
                elif (op.kind in _STILL or op.error is not None) and not any(
                    other.unknown and latest <= other.end < op.start and not placed >> place & 1
                    for place, other in enumerate(ops)
                ):
                    # What never changes anything may as well come now, if no other misses its time.
                    following = [(now, state, max(latest, op.start), (*order, number))]
                    break
            following += [(now, then, max(latest, op.start), (*order, number)) for then in thens]
        for one in reversed(following):
            if seen.get(one[:2], one[2] + 1) > one[2]:
                seen[one[:2]] = one[2]
                todo.append(one)
    return False, [ops[number] for number in best]


def made_again(ops: Sequence[Op]) -> bool:
    """Whether a thread was erased and may have been made twice by a fork that was asked for twice."""
    return any(one.kind == "erase" for one in ops) and any(
        one.kind == "born" and one.given["from"].given.get("again") for one in ops
    )


def sent_again(ops: Sequence[Op]) -> set[tuple[ThreadKey, str]]:
    """Texts that a repetition of unknown outcome may have stored once more, after an erasure of the first."""
    sent: dict[tuple[ThreadKey, str], list[bool]] = {}
    for op in ops:
        for label in op.given.get("labels", ()) if op.request is not None else ():
            sent.setdefault((op.key._replace(owner=None), label), []).append(op.unknown)
    return {text for text, unknown in sent.items() if len(unknown) > 1 and any(unknown)}
