"""The proof that a backend keeps the contract, for the ones that come with chatstore and for anybody's.

::

    class TestMine(BackendContract, MachineContract):
        def open_backend(self, *, blocking, clock, tmp_path):
            return MyBackend(tmp_path / "data", clock=clock)

Every test then runs with the blocking store and with the asynchronous one on an event loop. Put
``pytest_plugins = ["chatstore.testing.summary"]`` into the topmost conftest.py. Then pytest's summary says
what was opted out of, and how many operations the state machine ran. Needs the extra ``testing``.
"""

from __future__ import annotations

import pytest

# Before the modules that hold the assertions are imported, or they fail without saying how.
pytest.register_assert_rewrite("chatstore.testing.suite", "chatstore.testing.machine")

from chatstore.testing.backend_tests import opted_out  # noqa: E402
from chatstore.testing.colours import Colour, drive  # noqa: E402
from chatstore.testing.contract import BackendContract, MachineContract  # noqa: E402
from chatstore.testing.manual_clock import ManualClock  # noqa: E402

__all__ = ["BackendContract", "Colour", "MachineContract", "ManualClock", "drive", "opted_out"]
