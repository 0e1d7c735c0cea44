"""A server that is killed and started again, and one behind a pooler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import chatstore
from chatstore.errors import Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres import servers
from tests.postgres.servers import Emptied, Killable, bouncing, prepared


def test_a_server_that_is_killed_loses_nothing_acknowledged(killable: Killable) -> None:
    """Writers go on through two kills: each turn is there once, and in its writer's order."""
    url = prepared(f"{killable.url}?schema=chats&timeout=20")
    acknowledged: dict[int, int] = {}
    over, going = threading.Event(), threading.Barrier(5)

    def write(writer: int) -> None:
        with chatstore.connect(url) as store:
            number = 0
            while not over.is_set():
                request = f"{writer}-{number}"
                try:
                    store.append("t", say(request), request_id=request)
                except Unavailable:
                    continue  # nobody knows: once more, under the same id
                acknowledged[writer] = number
                number += 1
                if number == 20:
                    going.wait(60)

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, writer) for writer in range(4)]
        try:
            going.wait(60)
            for _ in range(2):
                killable.kill()
                killable.start()
        finally:
            over.set()
        for one in writers:
            one.result()
    with chatstore.connect(url) as store:
        found = [text.split("-") for text in contents(whole(store, "t"))]
    for writer in range(4):
        numbers = [int(number) for who, number in found if int(who) == writer]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > acknowledged[writer] >= 19


def test_through_a_pooler(postgres: str, tmp_path: Path, absent: Callable[[str, str], NoReturn]) -> None:
    """In transaction mode a connection is somebody else's after each transaction."""
    if not servers.bouncer_there():
        absent("pgbouncer", servers.HOW_TO_GET_BOUNCER)
    url = Emptied(postgres).url(tmp_path)
    with bouncing(url) as address, ThreadPoolExecutor(16) as threads:
        stores = [chatstore.connect(address) for _ in range(8)]
        list(threads.map(lambda n: stores[n % 8].append(f"t{n % 3}", say(n)), range(240)))
        list(threads.map(lambda n: stores[n % 8].fork(f"t{n % 3}", f"copy {n}"), range(16)))
        list(threads.map(lambda n: stores[n % 8].replace_all(f"copy {n % 16}", [say(n)]), range(32)))
        assert [len(whole(stores[0], f"t{n}")) for n in range(3)] == [80, 80, 80]
        for store in stores:
            store.close()
