"""A cluster keeps the contract, also while the slot of a thread moves from one server to another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn

import pytest

import chatstore
from chatstore.contract import Backend, Clock
from chatstore.engines.fenced import layout
from chatstore.errors import StorageError
from chatstore.testing import BackendContract
from chatstore.testing.colours import Colour
from chatstore.testing.history import Turn, find_faults, marked
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.redis.cluster import Cluster, cluster_in
from tests.redis.servers import NEWEST, absence, prefixed, program


@pytest.fixture(scope="module")
def cluster(
    absent: Callable[[str, str], NoReturn], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    if program(NEWEST) is None:
        absent(*absence(NEWEST))
    with cluster_in(tmp_path_factory.mktemp("cluster"), NEWEST) as cluster:
        yield cluster


class TestCluster(BackendContract):
    """A third of the suite: what differs from one server is where commands go."""

    thirds: ClassVar = {Colour.BLOCKING: (0,)}
    one_case_in = 1 if SOAK else 12
    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.BLOCKING,)

    @pytest.fixture(autouse=True)
    def _servers(self, cluster: Cluster) -> None:
        self.url = f"redis+cluster://127.0.0.1:{cluster.ports[0]},127.0.0.1:{cluster.ports[1]}"

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(f"{prefixed(self.url, tmp_path)}&durable=always", blocking=blocking, clock=clock)


def test_a_slot_moves_while_a_thread_in_it_is_written(cluster: Cluster, tmp_path: Path) -> None:
    url = prefixed(f"redis+cluster://127.0.0.1:{cluster.ports[0]}", tmp_path)
    prefix = url.partition("prefix=")[2]
    key = f"{prefix}{{{layout.partition('default', 't')}}}"
    moved = threading.Event()
    told: dict[int, list[Turn]] = {}

    def write(writer: int) -> None:
        told[writer] = []
        with chatstore.connect(url) as store:
            number = 0
            while number < 10 or not moved.is_set():
                turn = Turn(f"writer-{writer}", number)
                while True:
                    try:
                        store.append("t", *marked(turn), request_id=f"{turn.writer}-{number}")
                        break
                    except StorageError:
                        continue
                told[writer].append(turn)
                number += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for one in writers:
        one.start()
    try:
        for _ in range(3):
            cluster.move(key)
    finally:
        moved.set()
        for one in writers:
            one.join()
    with chatstore.connect(url) as store:
        there = list(store.iter_messages("t"))
    assert not find_faults([turn for turns in told.values() for turn in turns], [], there, complete=False)
