"""Histories of several processes in virtual time, each from a seed: the store's promises hold in all of them.

``CHATSTORE_SEED=17 pytest tests/simulation -k log`` plays one again; CHATSTORE_HISTORIES is their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.conftest import SOAK
from tests.simulation.plan import plan
from tests.simulation.playing import play, shrunk
from tests.simulation.storages import STORAGES

HISTORIES = int(os.environ.get("CHATSTORE_HISTORIES", "20000" if SOAK else "60"))
SEED = os.environ.get("CHATSTORE_SEED")
PARTS = 8 if SOAK else 1
"""So that several workers share them."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("storage", STORAGES)
def test_every_history_keeps_the_promises(
    storage: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    seeds = range(part, HISTORIES, PARTS) if SEED is None else [int(SEED)]
    operations = undecided = 0
    for seed in seeds:
        verdict = play(plan(seed), STORAGES[storage]())
        operations += verdict.operations
        undecided += verdict.undecided
        if verdict.failure is not None:
            pytest.fail(str(shrunk(verdict.failure, STORAGES[storage])), pytrace=False)
    record_property(f"histories on {storage}", len(seeds))
    record_property(f"operations in histories on {storage}", operations)
    record_property(f"threads on {storage} with too many orders to try", undecided)
    assert undecided <= len(seeds) // 20


@pytest.mark.parametrize("storage", STORAGES)
def test_a_seed_is_the_same_history_again(storage: str) -> None:
    first, second = (play(plan(3), STORAGES[storage]()).told for _ in range(2))
    assert first == second
    assert first
