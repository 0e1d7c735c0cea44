"""Any sequence of operations on a store, held against plain lists after every step.

Hypothesis makes up the sequences, and shortens one that goes wrong. Each example is a tenant of its
own in one store, so that a backend is opened once.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from chatstore.store import ChatStore
from chatstore.testing.colours import Colour
from chatstore.testing.machine.messages import MessageRules
from chatstore.testing.machine.reading import ReadingRules
from chatstore.testing.machine.threads import ThreadRules
from chatstore.testing.machine.together import TogetherRules
from chatstore.testing.machine.twice import RepeatRules
from chatstore.testing.manual_clock import ManualClock

__all__ = ["StoreMachine", "run_machine"]


class StoreMachine(ThreadRules, MessageRules, TogetherRules, ReadingRules, RepeatRules):
    """A rule for every operation; the invariant compares all that can be read."""


def run_machine(store: ChatStore, colour: Colour, clock: ManualClock, *, one_in: int = 3) -> None:
    """Run the machine on `store` for one in so many examples of the Hypothesis profile."""

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(store, colour, clock)

    profile = settings.get_current_profile_name()
    examples = settings.get_profile(profile).max_examples
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(1, examples // one_in), deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
