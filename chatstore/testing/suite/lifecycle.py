"""Opening, closing, and what outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore.contract import Backend, Capability
from chatstore.models import Cost
from chatstore.store import ChatStore
from chatstore.testing.backend_tests import BackendTests
from chatstore.testing.colours import Colour, drive
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Lifecycle"]


class Lifecycle(BackendTests):
    """`close`, `ping`, and the capabilities that no call stands for: DURABLE, SHARED and COST."""

    def test_answers_a_ping(self, store: ChatStore) -> None:
        store.ping()

    def test_a_closed_store_opens_again(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        store.close()
        store.close()
        store.append("u", say("b"))
        assert contents(whole(store, "u")) == ["b"]

    def test_a_tenants_view_leaves_the_store_open(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        view = store.for_tenant("acme")
        view.append("t", say("b"))
        view.close()
        assert contents(whole(store, "t")) == ["a"]

    def test_declares_itself(self, store: ChatStore) -> None:
        assert isinstance(store.backend, Backend)
        assert store.backend.name
        assert all(isinstance(capability, Capability) for capability in store.backend.capabilities)

    def test_reports_what_it_costs_if_it_says_so(self, store: ChatStore) -> None:
        costs = [store.append("t", say("a")).cost, store.read("t").cost, store.get_thread("t").cost]
        if Capability.COST in store.backend.capabilities:
            told = all(isinstance(cost, Cost) and cost.backend and cost.trips > 0 for cost in costs)
            assert told, "call chatstore.metering.spent where the driver makes a call, or do not declare COST"
        else:
            assert costs == [None, None, None]

    def test_what_was_written_outlives_the_backend(
        self, colour: Colour, clock: ManualClock, tmp_path: Path
    ) -> None:
        with drive(
            self.open_backend(blocking=colour is Colour.BLOCKING, clock=clock, tmp_path=tmp_path), colour
        ) as first:
            assert Capability.DURABLE in first.backend.capabilities, "not DURABLE: opt out of this test"
            first.append("t", say("a"), say("b"), owner="ada")
            before, page = state(first, "t"), first.read("t", limit=1)
        for other in Colour:
            if other not in self.colours:
                continue
            backend = self.open_backend(blocking=other is Colour.BLOCKING, clock=clock, tmp_path=tmp_path)
            with drive(backend, other) as again:
                assert state(again, "t") == before
                assert contents(again.read("t", after=page.next)) == ["b"]

    def test_two_backends_see_each_others_writes(
        self, colour: Colour, clock: ManualClock, tmp_path: Path
    ) -> None:
        first, second = (
            self.open_backend(blocking=colour is Colour.BLOCKING, clock=clock, tmp_path=tmp_path)
            for _ in range(2)
        )
        with drive(first, colour) as one, drive(second, colour) as two:
            assert Capability.SHARED in one.backend.capabilities, "not SHARED: opt out of this test"
            for number in range(20):
                store = (one, two)[number % 2]
                etag = store.append("t", say(number)).etag
                assert (one, two)[1 - number % 2].read("t").etag == etag
            assert state(one, "t") == state(two, "t")
            # What one process remembers is no ground to refuse what another has made true.
            etag = two.append("t", say("beside")).etag
            assert len(one.append("t", say("behind"), if_match=etag).messages) == 1
            one.replace_all("t", [say("new")])
            assert contents(whole(two, "t")) == ["new"]
            two.delete_thread("t")
            with pytest.raises(LookupError):
                one.get_thread("t")
