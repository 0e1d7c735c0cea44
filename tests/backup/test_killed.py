"""A restore that is killed at any call to the storage is run again, and all is there once."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore, Message
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Backup, Chosen, Status, compare, kept_threads, restore_threads, write_backup
from chatstore.cli import main
from chatstore.contract import Backend, Listing
from chatstore.testing.manual_clock import ManualClock
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.backup.making import told
from tests.conftest import SOAK
from tests.log.memory_table import LogInMemory, MemoryTable


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """Stands before an object, and dies before or after its n-th call of those that write."""

    def __init__(self, inner: Any, names: set[str], number: int, after: bool) -> None:
        self._inner, self._names, self._left, self._after = inner, names, number, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if not self._left and not self._after:
                raise Killed
            result = await found(*args, **kwargs)
            if not self._left:
                raise Killed
            return result

        return call


Opener = Callable[[object, ManualClock, int, bool], Backend]


def memory(kept: object, _clock: ManualClock, number: int, after: bool) -> Backend:
    dying: Any = Dying(kept, {"restore"}, number, after)
    return dying  # type: ignore[no-any-return]  # it has the methods of what it stands before


def log(kept: object, clock: ManualClock, number: int, after: bool) -> Backend:
    dying: Any = Dying(kept, {"put_new", "swap", "write"}, number, after)
    return LogInMemory(dying, clock)


def tables(kept: object, clock: ManualClock, number: int, after: bool) -> Backend:
    assert isinstance(kept, FakeTable)
    dying: Any = Dying(FakeDriver(kept, page=7), {"submit"}, number, after)
    return AzureTablesBackend(dying, TABLES if number % 2 else COSMOS, clock)


PLACES: dict[str, tuple[Callable[[ManualClock], object], Opener]] = {
    "memory": (lambda clock: MemoryBackend(clock=clock), memory),
    "log": (lambda _: MemoryTable(), log),
    "tables": (lambda _: FakeTable(), tables),
}


def source_of(clock: ManualClock) -> ChatStore:
    """Threads of several steps each: many messages, a large one, some that expire, one that is empty."""
    store = ChatStore(MemoryBackend(clock=clock))
    long = [{"role": "user", "content": f"{number}"} for number in range(50)]
    store.append("long", *long, owner="ada")
    store.append("large", {"role": "user", "content": "x" * 900_000})
    store.append("large", {"role": "user", "content": "y"}, expires_in=60)
    store.for_tenant("acme").create_thread("empty", topic="x", ttl=3600)
    clock.advance(timedelta(hours=3))
    store.append("late", *long[:3])
    store.append("late", long[3], expires_in=86_400)
    return store


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_what_was_killed_anywhere_goes_on(place: str, after: bool, tmp_path: Path) -> None:
    clock = ManualClock()
    source = source_of(clock)
    path = tmp_path / "b.jsonl"
    with path.open("wb") as file:
        write_backup(source, Chosen(), file)
    backup = Backup(path)
    make, opener = PLACES[place]
    expected = told(source, ("default", "acme"))
    for number in itertools.count(1):
        kept = make(clock)
        try:
            list(restore_threads(ChatStore(opener(kept, clock, number, after)), backup.threads(Chosen())))
        except Killed:
            pass
        else:
            break
        again = ChatStore(opener(kept, clock, 10**9 + number, False))
        assert {one.status for one in restore_threads(again, backup.threads(Chosen()))} <= {
            Status.ADDED, Status.RESUMED, Status.UNCHANGED,
        }  # fmt: skip
        assert told(again, ("default", "acme")) == expected, number
        assert compare(again, backup.threads(Chosen())).equal
    assert number >= 4


class Meddled(Dying):
    """In front of one of those calls, another process lists and sweeps, and removes what leads nowhere."""

    def __init__(self, inner: Any, names: set[str], dies_at: int, other: Backend, met_at: int) -> None:
        super().__init__(inner, names, dies_at, after=True)
        self._other, self._until_met = other, met_at

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in self._names:
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._until_met -= 1
            if not self._until_met:
                for owner in ("ada", None):
                    await self._other.list_threads("default", Listing(100, owner))
                while (await self._other.sweep(1000)).more:
                    pass
            return await found(*args, **kwargs)

        return call


def meddled(place: str, kept: Any, clock: ManualClock, dies_at: int, met_at: int) -> ChatStore:
    """A store whose process meets another one, and dies."""
    other = PLACES[place][1](kept, clock, 10**9, False)
    if place == "log":
        log: Any = Meddled(kept, {"put_new", "swap", "write"}, dies_at, other, met_at)
        return ChatStore(LogInMemory(log, clock))
    driver: Any = Meddled(FakeDriver(kept, page=7), {"submit"}, dies_at, other, met_at)
    return ChatStore(AzureTablesBackend(driver, TABLES, clock))


@pytest.mark.parametrize("later", [0, 1, 2, 10**9])
@pytest.mark.parametrize("place", ["log", "tables"])
def test_what_others_cleared_up_before_it_was_there_is_listed_when_run_again(place: str, later: int) -> None:
    clock = ManualClock()
    source = ChatStore(MemoryBackend(clock=clock))
    source.create_thread("empty", owner="ada")
    source.append("t", *[{"role": "user", "content": f"{number}"} for number in range(20)])
    clock.advance(timedelta(days=3))
    expected = told(source, ("default",))
    for met_at in range(1, 12):
        kept = PLACES[place][0](clock)
        with suppress(Killed):
            first = meddled(place, kept, clock, met_at + later, met_at)
            list(restore_threads(first, kept_threads(source, Chosen())))
        target = ChatStore(PLACES[place][1](kept, clock, 10**9, False))
        list(restore_threads(target, kept_threads(source, Chosen())))
        assert told(target, ("default",)) == expected, met_at
        assert compare(target, kept_threads(source, Chosen())).equal, met_at


def test_a_thread_that_no_list_has_is_not_the_same() -> None:
    clock = ManualClock()
    source, table = source_of(clock), MemoryTable()
    target = ChatStore(LogInMemory(table, clock))
    list(restore_threads(target, kept_threads(source, Chosen())))
    assert compare(target, kept_threads(source, Chosen())).equal
    table.rows = {pk: rows for pk, rows in table.rows.items() if pk[:2] not in ("A#", "L#")}
    found = compare(target, kept_threads(source, Chosen()))
    assert not found.equal
    assert {thread for _, thread in found.unlisted} == {"long", "large", "late"}
    again = {one.status for one in restore_threads(target, kept_threads(source, Chosen()))}
    assert again == {Status.UNCHANGED}
    assert compare(target, kept_threads(source, Chosen())).equal


@pytest.mark.parametrize("into", ["memory", "log", "tables"])
def test_a_mirror_becomes_what_its_source_is(into: str) -> None:
    clock = ManualClock()
    source = source_of(clock)
    make, opener = PLACES[into]
    target = ChatStore(opener(make(clock), clock, 10**9, False))
    list(restore_threads(target, kept_threads(source, Chosen())))
    clock.advance(timedelta(minutes=5))
    first = next(source.iter_messages("long"))
    source.replace_message("long", first.id or "", {"role": "user", "content": "edited"})
    source.append("large", {"role": "user", "content": "new"})
    source.update_thread("late", topic="renamed")
    source.create_thread("new", owner="bob")
    target.append("late", {"role": "user", "content": "not of the source"})
    done = restore_threads(target, kept_threads(source, Chosen()))
    assert {one.thread_id for one in done if one.status is Status.CHANGED} >= {"long", "late"}
    list(restore_threads(target, kept_threads(source, Chosen()), mirror=True))
    assert told(target, ("default", "acme")) == told(source, ("default", "acme"))


def killed_restore(file: Path, url: str, seconds: float) -> None:
    """Restore in a process of its own, and kill it after so long."""
    command = [sys.executable, "-m", "chatstore", "restore", str(file), "--to", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()


def measured(arguments: list[object], tmp_path: Path) -> int:
    """The most memory that a command held, in KiB."""
    program = (
        "import sys; from chatstore.cli import main; code = main(sys.argv[1:]); "
        "most = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(most.split()[1], file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    return int(done.stderr.split()[-1])


def test_a_long_thread_takes_no_memory(tmp_path: Path) -> None:
    count = 100_000 if SOAK else 5_000
    held = {}
    for number in (100, count):
        url, path = f"sqlite:///{tmp_path}/{number}.db", tmp_path / f"{number}.jsonl"
        with chatstore.connect(url) as store:
            thread = store.create_thread("t")
            text = Message.from_dict({"role": "user", "content": "x" * (1000 if SOAK else 12_000)}).text
            etag = store.read("t").etag
            for start in range(0, number, 500):
                messages = [
                    Message(text, f"m{place}", created_at=thread.created_at)
                    for place in range(start, min(start + 500, number))
                ]
                etag = store.restore(replace(thread), messages, if_match=etag).etag
        backed = measured(["backup", "--from", url, "--out", path], tmp_path)
        target = f"sqlite:///{tmp_path}/{number}-restored.db"
        held[number] = max(backed, measured(["restore", path, "--to", target], tmp_path))
    # A spool of 8 MiB and a few pages of 4 MB, but not the 60 MB of texts, or 100.
    assert held[count] - held[100] < 32 * 1024
    killed = f"sqlite:///{tmp_path}/killed.db"
    killed_restore(tmp_path / f"{count}.jsonl", killed, 2.0 if SOAK else 0.6)
    assert main(["restore", str(tmp_path / f"{count}.jsonl"), "--to", killed, "--no-verify"]) == 0
    with chatstore.connect(killed) as store:
        assert sum(1 for _ in store.iter_messages("t")) == count
