"""What machines with wrong clocks do to one table: nothing that is acknowledged goes, nothing happens twice.

Each store here has a machine's clock of its own, and finds the time in the answers of a real server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.clocks import ServerClock
from chatstore.contract import system_clock
from chatstore.errors import ClockUncertain, RequestExpired, ThreadNotFound
from chatstore.sweeping import sweep_stored
from chatstore.testing.samples import contents, say
from tests.azure_tables.azurite import ACCOUNT
from tests.cli.running import Cli, service
from tests.dynamodb.servers import url_for
from tests.servers import table_for

NEAR = timedelta(minutes=14)
WRONG = [timedelta(minutes=61), timedelta(hours=26), -timedelta(days=3)]
FAR = pytest.mark.parametrize("off", WRONG, ids=str)
HOUR = 3600

Connect = Callable[[timedelta], chatstore.ChatStore]


@pytest.fixture(params=["moto", "dynalite", "azurite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    endpoint = request.getfixturevalue(request.param)
    if request.param == "azurite":
        return f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={endpoint}"
    return url_for(endpoint, tmp_path, transactions="on" if request.param == "moto" else "off")


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """A store of a machine whose clock is off by so much."""
    stores: list[chatstore.ChatStore] = []

    def opened(off: timedelta) -> chatstore.ChatStore:
        apart = off // timedelta(microseconds=1)
        stores.append(chatstore.connect(url, clock=ServerClock(lambda: system_clock() + apart)))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


RIGHT = timedelta(0)


@FAR
def test_a_sweep_by_a_machine_that_is_far_off_removes_nothing_and_says_so(
    connect: Connect, off: timedelta
) -> None:
    one, other, wrong = connect(RIGHT), connect(RIGHT), connect(off)
    one.append("t", say("old"))
    other.replace_all("t", [say("new")])
    one.append("expiring", say("still here"), ttl=HOUR)
    for _ in range(2):
        with pytest.raises(ClockUncertain, match="ahead of" if off > RIGHT else "behind"):
            wrong.sweep()
    one.append("t", say("acknowledged"))
    assert contents(connect(RIGHT).read("t")) == ["new", "acknowledged"]
    assert contents(connect(RIGHT).read("expiring")) == ["still here"]


@pytest.mark.parametrize("off", [NEAR, -NEAR], ids=str)
def test_a_sweep_by_a_machine_that_is_minutes_off_goes_by_the_server_s_time(
    connect: Connect, off: timedelta
) -> None:
    store, wrong = connect(RIGHT), connect(off)
    store.append("living", say("hello"), ttl=10 * 60)
    store.append("gone", say("hello"), ttl=1e-6)
    # What has expired by a machine's clock that is right may not yet have by one that is within seconds.
    swept = 0
    for _ in range(10_000):
        swept += wrong.sweep().threads
        if swept:
            break
    assert swept == 1
    assert contents(store.read("living")) == ["hello"]


@FAR
def test_what_lives_is_there_and_what_expired_is_not_whatever_a_machine_thinks(
    connect: Connect, off: timedelta
) -> None:
    store = connect(RIGHT)
    store.append("living", say("hello"), ttl=30 * 60)
    # Each asks first for something else, so that nobody was told the time before.
    assert contents(connect(off).read("living")) == ["hello"]
    assert connect(off).get_thread("living").id == "living"
    assert [thread.id for thread in connect(off).list_threads()] == ["living"]
    assert connect(off).append("living", say("more"), create=False).messages
    with pytest.raises(ThreadNotFound):
        connect(off).get_thread("other")


@FAR
def test_what_a_machine_writes_bears_the_server_s_time(connect: Connect, off: timedelta) -> None:
    wrong = connect(off)
    before = datetime.now(UTC) - timedelta(seconds=5)
    written = wrong.append("t", say("first"), ttl=HOUR).messages[0].created_at
    assert written is not None
    thread = connect(off).create_thread("u")
    after = datetime.now(UTC) + timedelta(seconds=5)
    assert before < written < after
    assert before < thread.created_at < after
    expires = connect(RIGHT).get_thread("t").expires_at
    assert expires is not None
    assert before < expires - timedelta(hours=1) < after


@FAR
def test_a_request_takes_effect_once_through_machines_that_disagree(connect: Connect, off: timedelta) -> None:
    timed = chatstore.uuid7()
    for id in ("order-1", timed):
        for _ in range(2):
            connect(RIGHT).append(id, say("pay 10"), request_id=id)
            connect(off).append(id, say("pay 10"), request_id=id)
        assert contents(connect(RIGHT).read(id)) == ["pay 10"]


@FAR
def test_an_id_that_a_wrong_machine_made_is_refused_or_recognised(connect: Connect, off: timedelta) -> None:
    wrong = connect(off)
    made = chatstore.uuid7(int((time.time() + off.total_seconds()) * 1000))
    within = timedelta(hours=-24) < off < timedelta(minutes=5)
    for store in (wrong, wrong, connect(RIGHT), connect(off)):
        if within:
            store.append("t", say("pay 10"), request_id=made)
        else:
            with pytest.raises(RequestExpired):
                store.append("t", say("pay 10"), request_id=made)
    assert contents(connect(RIGHT).read("t")) == (["pay 10"] if within else [])


@FAR
def test_an_owner_is_erased_from_a_machine_that_is_far_off(connect: Connect, off: timedelta) -> None:
    connect(RIGHT).append("t", say("mine"), owner="ann")
    erased = connect(off).erase("ann")
    assert (erased.threads, erased.messages) == (1, 1)
    assert contents(connect(RIGHT).read("t")) == []


def test_the_commands_fail_where_the_sweep_is_refused(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with chatstore.connect(url) as store:
        store.append("gone", say("hello"), ttl=1e-6)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3 * 86_400 * 10**9)
    for options in ((), ("--json",)):
        done = Cli(capfd)("sweep", "--from", url, *options)
        assert (done.code, done.out) == (1, "")
        assert "3 days, 0:00:00 ahead" in done.err
        assert "nothing is removed" in done.err
    monkeypatch.setenv("CHATSTORE_URL", url)
    with pytest.raises(ClockUncertain):
        sweep_stored(60)


@pytest.mark.parametrize("off", WRONG[1:], ids=str)
def test_a_client_of_a_service_goes_by_the_service_s_time(tmp_path: Path, off: timedelta) -> None:
    apart = off // timedelta(microseconds=1)
    made = chatstore.uuid7()
    with service(f"sqlite:///{tmp_path}/chat.db") as address:
        for _ in range(2):
            with chatstore.connect(address, clock=ServerClock(lambda: system_clock() + apart)) as store:
                for _ in range(2):
                    store.append("t", say("pay 10"), request_id=made)
                assert contents(store.read("t")) == ["pay 10"]


def test_every_driver_hears_the_time(url: str) -> None:
    ahead = 3 * 86_400 * 10**6
    for options in ("", "&client=blocking") if url.startswith("aztables") else ("",):
        clock = ServerClock(lambda: system_clock() + ahead)

        async def asked(url: str = url + options, clock: ServerClock = clock) -> None:
            async with chatstore.aconnect(url, clock=clock) as store:
                assert await store.read("nobody") is not None
                assert clock.offset is not None
                with pytest.raises(ClockUncertain):
                    await store.sweep()

        asyncio.run(asked())
