"""Looks for an order of a thread's operations that explains all that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore.contract import ThreadKey
from tests.simulation.acting import Op
from tests.simulation.model import NOTHING, Rules, State

_MOST = 60_000


class Undecided(Exception):
    """There were too many orders to try them all."""


def operations_on(ops: Sequence[Op], key: ThreadKey) -> list[Op]:
    """Those that a thread's state tells or depends on."""
    own = [op for op in ops if op.kind not in ("erase", "list", "sweep") and op.key._replace(owner=None) == key]
    for op in ops:
        if op.kind == "erase" and op.key.tenant == key.tenant:
            # What is begun meanwhile may be erased again.
            own += [op, replace(op, unknown=True), replace(op, unknown=True)]
    return sorted(own, key=lambda op: op.start)


def explained(ops: Sequence[Op], rules: Rules) -> tuple[bool, list[Op]]:
    """Whether there is such an order; if not, the longest that explains as much as it can."""
    count = len(ops)
    known = sum(1 << number for number, op in enumerate(ops) if not op.unknown)
    before = [
        sum(1 << number for number, other in enumerate(ops) if not other.unknown and other.end < op.start)
        for op in ops
    ]
    # What must be over is needed; what is unknown may be left out, but not be done after its end.
    seen: set[tuple[int, State]] = set()
    todo: list[tuple[int, State, tuple[int, ...]]] = [(0, NOTHING, ())]
    best: tuple[int, ...] = ()
    tried = 0
    while todo:
        placed, state, order = todo.pop()
        if placed & known == known:
            return True, []
        if len(order) > len(best):
            best = order
        # The first end among those that must come: nothing that begins later can come before.
        ends = min(ops[number].end for number in range(count) if known >> number & 1 and not placed >> number & 1)
        for number in range(count - 1, -1, -1):
            op = ops[number]
            if placed >> number & 1 or op.start > ends or before[number] & ~placed:
                continue
            if op.unknown and any(ops[other].start > op.end for other in order):
                continue
            tried += 1
            if tried > _MOST:
                raise Undecided
            for then in rules.after(state, op):
                new = placed | 1 << number, then
                if new not in seen:
                    seen.add(new)
                    todo.append((*new, (*order, number)))
    return False, [ops[number] for number in best]
