"""All the tests of the contract, gathered: derive from these and say how to open a backend."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from chatstore.testing.backend_tests import BackendTests
from chatstore.testing.colours import Colour, drive
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.suite.append import Append
from chatstore.testing.suite.arguments import Arguments
from chatstore.testing.suite.beside import Keys, MessageMetadata
from chatstore.testing.suite.clear import Clear
from chatstore.testing.suite.conditions import Conditions
from chatstore.testing.suite.create_thread import CreateThread
from chatstore.testing.suite.delete_message import DeleteMessage
from chatstore.testing.suite.delete_thread import DeleteThread
from chatstore.testing.suite.erase import Erase
from chatstore.testing.suite.exactness import Exactness
from chatstore.testing.suite.expiry import Expiry
from chatstore.testing.suite.finding import Finding, Kinds, Searching
from chatstore.testing.suite.fork import Fork
from chatstore.testing.suite.get_message import GetMessage
from chatstore.testing.suite.get_thread import GetThread
from chatstore.testing.suite.insert import Insert
from chatstore.testing.suite.isolation import Isolation
from chatstore.testing.suite.iterate import Iterate
from chatstore.testing.suite.lifecycle import Lifecycle
from chatstore.testing.suite.list_threads import ListThreads
from chatstore.testing.suite.owners import Owners
from chatstore.testing.suite.pop import Pop
from chatstore.testing.suite.read import Read
from chatstore.testing.suite.remembered import Remembered
from chatstore.testing.suite.replace_all import ReplaceAll
from chatstore.testing.suite.replace_message import ReplaceMessage
from chatstore.testing.suite.requests import Requests
from chatstore.testing.suite.restore import Restore, Tenants
from chatstore.testing.suite.sliding import Sliding, SlidingArguments
from chatstore.testing.suite.sweep import Sweep
from chatstore.testing.suite.together import Together
from chatstore.testing.suite.truncate import Truncate
from chatstore.testing.suite.update_thread import UpdateThread
from chatstore.testing.suite.window import Window

__all__ = ["BackendContract", "MachineContract"]


class BackendContract(
    CreateThread,
    GetThread,
    UpdateThread,
    DeleteThread,
    ListThreads,
    Append,
    Exactness,
    Read,
    Iterate,
    Window,
    GetMessage,
    Insert,
    ReplaceMessage,
    DeleteMessage,
    Pop,
    Clear,
    ReplaceAll,
    Fork,
    Truncate,
    Together,
    MessageMetadata,
    Keys,
    Kinds,
    Finding,
    Searching,
    Sliding,
    SlidingArguments,
    Remembered,
    Requests,
    Conditions,
    Expiry,
    Sweep,
    Erase,
    Restore,
    Tenants,
    Isolation,
    Owners,
    Arguments,
    Lifecycle,
    BackendTests,
):
    """The contract suite: about 350 tests, each in every colour of the backend."""


class MachineContract(BackendTests):
    """Any sequence of operations, compared with a plain list after each one."""

    one_in: ClassVar[int] = 3
    """Of the Hypothesis profile's examples, one in so many is run; more for a slow server."""

    def test_any_sequence_of_operations(self, colour: Colour, clock: ManualClock, tmp_path: Path) -> None:
        from chatstore.testing.machine import run_machine

        backend = self.open_backend(blocking=colour is Colour.BLOCKING, clock=clock, tmp_path=tmp_path)
        with drive(backend, colour) as store:
            run_machine(store, colour, clock, one_in=self.one_in)
