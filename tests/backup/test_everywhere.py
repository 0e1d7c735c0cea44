"""What any store has is backed up, and reads the same when any other has taken it back."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chatstore import AsyncChatStore, ChatStore
from chatstore.api_keys import TENANT as KEYS
from chatstore.backends.service import ServiceBackend
from chatstore.backends.service.connection import Connection
from chatstore.backup import Backup, Chosen, Status, compare, kept_threads, restore_threads, write_backup
from chatstore.contract import Backend, Clock
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.testing.manual_clock import ManualClock
from tests.backup.making import STEPS, TENANTS, Step, make, told
from tests.backup.places import PLACES, SERVED, on_servers, opened
from tests.conftest import SOAK
from tests.http.serving import serving

KINDS = [*PLACES, "service"]
STORES = 1000 if SOAK else 24
EACH = settings(max_examples=-(-STORES // len(KINDS)), deadline=None)
ON_SERVERS = settings(max_examples=20 if SOAK else 1, deadline=None, phases=[Phase.generate])


@contextmanager
def service(over: ChatStore, clock: ManualClock) -> Iterator[ChatStore]:
    """A running service over a store."""
    app = create_app(AsyncChatStore(over.backend, owns_backend=False), Settings())
    with serving(app) as address:
        connection = Connection(address, blocking=True, seconds=30)
        with ChatStore(ServiceBackend(connection, "default", clock=clock)) as store:
            yield store


def written(store: ChatStore, chosen: Chosen, folder: Path) -> Backup:
    """A backup."""
    path = folder / f"{next(_numbers)}.jsonl"
    with path.open("wb") as file:
        done = write_backup(store, chosen, file)
    backup = Backup(path)
    assert backup.check() == done
    return backup


_numbers = itertools.count()


def check_everywhere(
    kind: str,
    steps: list[Step],
    folder: Path,
    places: Mapping[str, Callable[[Path, Clock], Backend]] = PLACES,
    served_by: str = "log",
) -> None:
    """Make a store, back it up, restore that to every other kind, and read all of it, now and later."""
    clock = ManualClock()
    with ExitStack() as stack:

        def fresh(name: str) -> ChatStore:
            return stack.enter_context(opened(name, folder, clock, places))

        source = fresh("memory" if kind == "service" else kind)
        make(source, clock, steps)
        chosen, tenants = (SERVED, ("default",)) if kind == "service" else (Chosen(), (*TENANTS, KEYS))
        outside = stack.enter_context(service(source, clock)) if kind == "service" else source
        backup = written(outside, chosen, folder)
        targets = {name: fresh(name) for name in places}
        for target in targets.values():
            done = list(restore_threads(target, backup.threads(chosen)))
            assert {one.status for one in done} <= {Status.ADDED}
        served = fresh(served_by)
        over = stack.enter_context(service(served, clock))
        list(restore_threads(over, backup.threads(SERVED)))
        expected = told(source, tenants)
        for later in (0, 3600, 100_000):
            clock.advance(timedelta(seconds=later))
            expected = told(source, tenants)
            for name, target in targets.items():
                assert told(target, tenants) == expected, name
                assert compare(target, kept_threads(outside, chosen)).equal, name
            assert told(over, ("default",))["default"] == expected["default"]
            assert told(served, ("default",))["default"] == expected["default"]
        for target in targets.values():
            again = {one.status for one in restore_threads(target, backup.threads(chosen))}
            assert again <= {Status.UNCHANGED, Status.EXPIRED}
            assert told(target, tenants) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_store_has_reads_the_same_everywhere(kind: str) -> None:
    @EACH
    @given(st.lists(STEPS, max_size=40))
    def check(steps: list[Step]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check_everywhere(kind, steps, Path(folder))

    check()


@pytest.mark.parametrize("kind", ["dynamodb", "azurite"])
def test_what_a_store_has_reads_the_same_on_servers(kind: str, moto: str, azurite: str) -> None:
    places = on_servers(moto, azurite)

    @ON_SERVERS
    @given(st.lists(STEPS, min_size=6, max_size=10))
    def check(steps: list[Step]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check_everywhere(kind, steps, Path(folder), places, served_by=kind)

    check()


def test_a_part_is_a_tenant_with_its_keys_or_an_owner_without() -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = opened("memory", folder, clock)
        steps = [Step("key", tenant, "t", "ada", number, None, "t") for number, tenant in enumerate(TENANTS)]
        steps += [Step("append", tenant, f"{owner}", owner, 2, None, "t") for tenant in TENANTS
                  for owner in ("ada", "bob")]  # fmt: skip
        make(store, clock, steps)
        for chosen, expected in (
            (Chosen("acme"), {("acme", "ada"), ("acme", "bob"), (KEYS, "acme")}),
            (Chosen("acme", keys=False), {("acme", "ada"), ("acme", "bob")}),
            (Chosen("acme", "ada"), {("acme", "ada")}),
            (Chosen(owner="bob"), {(tenant, "bob") for tenant in TENANTS}),
        ):
            kept = list(written(store, chosen, folder).threads(Chosen()))
            found = {(one.tenant, one.thread.metadata.get("tenant", one.thread.owner)) for one in kept}
            assert found == expected
            everything = written(store, Chosen(), folder)
            assert {one.thread.id for one in everything.threads(chosen)} == {one.thread.id for one in kept}


@pytest.mark.parametrize("apart", [timedelta(minutes=1), timedelta(microseconds=1)])
def test_a_thread_that_becomes_active_meanwhile_is_not_missed(apart: timedelta) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        store = opened("memory", Path(folder), clock)
        for number in range(250):
            store.append(f"{number}", {"role": "user"})
            clock.advance(apart)
        found: list[str] = []
        for one in kept_threads(store, Chosen()):
            found.append(one.thread.id)
            if len(found) in (1, 150):
                store.append(f"{len(found) // 2}", {"role": "user"})  # which is not listed yet
        assert sorted(found) == sorted(set(found))
        assert set(found) == {f"{number}" for number in range(250)}


def test_a_backup_is_whole_or_is_refused() -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as name:
        store = opened("memory", Path(name), clock)
        store.append("t", *[{"role": "user", "content": "x" * 50}] * 5)
        out = io.BytesIO()
        write_backup(store, Chosen(), out)
        whole, path = out.getvalue(), Path(name) / "b.jsonl"
        lines = whole.splitlines(keepends=True)
        for damaged in (
            b"", whole[:-1][: len(whole) // 2], b"".join(lines[:-1]), b"".join(lines[:1] + lines[2:]),
            whole.replace(b"xxx", b"xyx", 1), whole + lines[1], b"{}\n" + whole, b'{"id": "t"}\n',
            b"\x1f\x8b\x08", whole.replace(b'"version":1', b'"version":2'),
        ):  # fmt: skip
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"b\.jsonl"):
                Backup(path).check()
