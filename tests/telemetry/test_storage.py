"""Units, retries and conflicts are counted where they happen, whatever becomes of the operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import httpx
import pytest

from chatstore import AsyncChatStore, ChatStore
from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.blocking import run
from chatstore.contract import Backend, system_clock
from chatstore.engines.fenced.port import Again, Op
from chatstore.engines.log import Key, Row
from chatstore.errors import Unavailable
from chatstore.http.app import create_app
from chatstore.http.telemetry import telemetry_to
from chatstore.metering import Watch, spent
from chatstore.settings import Settings
from examples.fenced_driver import FencedInMemory, MemoryDriver, MemoryGroups
from examples.log_driver import LogInMemory, MemoryTable
from tests.http.serving import serving
from tests.telemetry.exposition import parsed

SAID = {"role": "user", "content": "hello"}


class BilledTable(MemoryTable):
    """Bills a unit for each put, and answers as many of them as it is told with nothing."""

    silences = puts = 0

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self.puts += 1
        spent("toy", {"wru": 1})
        if self.silences:
            self.silences -= 1
            raise Unavailable("no answer")
        return await super().put_new(row, free=free)


class SilentDriver(MemoryDriver):
    silences = 0

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        if self.silences:
            self.silences -= 1
            raise Again
        return await super().submit(partition, ops)


def log() -> tuple[Backend, Backend, Callable[[int], None]]:
    table = BilledTable()

    def silence(times: int) -> None:
        table.silences = times

    return LogInMemory(table, system_clock), LogInMemory(table, system_clock), silence


def fenced() -> tuple[Backend, Backend, Callable[[int], None]]:
    groups = MemoryGroups()
    driver = SilentDriver(groups)

    def silence(times: int) -> None:
        driver.silences = times

    return (
        FencedInMemory(driver, system_clock),
        FencedInMemory(MemoryDriver(groups), system_clock),
        silence,
    )


@pytest.mark.parametrize("engine", [log, fenced])
def test_an_engine_tells_who_watches(
    engine: Callable[[], tuple[Backend, Backend, Callable[[int], None]]],
) -> None:
    one, other, silence = engine()
    here, elsewhere = ChatStore(one), ChatStore(other)
    with Watch() as calm:
        here.append("t", SAID)
        here.append("t", SAID)
    assert (calm.retries, calm.conflicts) == (0, 0)
    elsewhere.append("t", SAID)
    with Watch() as late:
        here.append("t", SAID)  # it takes what it saw last for the newest
    assert (late.retries, late.conflicts) == (0, 1)
    silence(2)
    with Watch() as silent:
        here.append("t", SAID)
    assert (silent.retries, silent.conflicts) == (2, 0)


def test_who_gives_up_was_billed_all_the_same() -> None:
    table = BilledTable()
    store = ChatStore(LogInMemory(table, system_clock))
    store.append("t", SAID)
    table.puts, table.silences = 0, 100
    with Watch() as watch, pytest.raises(Unavailable):
        store.append("t", SAID)
    assert watch.units == {"wru": table.puts}
    assert watch.retries == table.puts - 1 > 2


class Turning(BlockingCalls):
    """Turns calls away, as a table does that has too much to do."""

    async def call(self, operation: str, parameters: object) -> dict[str, object]:
        raise Unavailable("DynamoDB cannot answer for now: ThrottlingException")

    async def pause(self, seconds: float) -> None:
        return None


def test_what_dynamodb_turns_away_is_retried() -> None:
    client = Client("t", "us-east-1", "http://127.0.0.1:9", 1.0)
    table = DynamoTable(Turning(client), client)
    reading: Awaitable[object] = table.query("p", "a", "b", limit=1)
    with Watch() as watch, pytest.raises(Unavailable):
        run(reading)  # type: ignore[arg-type]  # it is a coroutine
    assert watch.retries == 3


def test_a_request_is_told_with_what_it_asked_of_the_storage() -> None:
    telemetry_to.cache_clear()
    table = BilledTable()
    one, elsewhere = (LogInMemory(table, system_clock) for _ in range(2))
    path = "/v1/threads/t/messages"
    settings = Settings(telemetry="prometheus", sweep_every=0)
    with (
        serving(create_app(AsyncChatStore(one), settings)) as base,
        httpx.Client(base_url=base) as http,
    ):
        assert http.post(path, json=SAID).status_code == 201
        ChatStore(elsewhere).append("t", SAID)
        assert http.post(path, json=SAID).status_code == 201
        done = table.puts
        table.silences = 100
        assert http.post(path, json=SAID).status_code == 503
        told = parsed(http.get("/metrics").text)
    operation = {"chatstore_operation": f"POST {path.replace('/t/', '/{id}/')}"}
    assert told["chatstore_storage_units_total"].value(**operation, chatstore_unit="wru") == table.puts - 1
    assert told["chatstore_storage_conflicts_total"].value(**operation) == 1
    assert told["chatstore_storage_retries_total"].value(**operation) == table.puts - done - 1
