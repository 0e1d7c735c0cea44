"""Every fault at every request of every kind of change: it takes effect once, or says that nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.data.tables import TableClient

import chatstore
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
from chatstore.contract import system_clock
from chatstore.engines.fenced import messages
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.azure_tables.unkind import FAULTS, Unkind
from tests.servers import table_for

Change = Callable[[chatstore.ChatStore, str], Any]

CHANGES: dict[str, tuple[Change, list[str]]] = {
    "append": (lambda store, t: store.append(t, say("c"), say("d")), ["a", "b", "c", "d"]),
    "append to a new thread": (lambda store, t: store.append(f"{t} new", say("c")), ["c"]),
    "pop": (lambda store, t: store.pop(t), ["a"]),
    "replace_all": (lambda store, t: store.replace_all(t, [say("x"), say("y")]), ["x", "y"]),
    "truncate": (lambda store, t: store.truncate(t, after="key:a"), ["a"]),
    "truncate far from the end": (lambda store, t: store.truncate(t, after="key:a"), ["a"]),
    "append after": (lambda store, t: store.append(t, say("c"), after="key:a", key="b"), ["a", "c"]),
    "append with a key": (lambda store, t: store.append(t, say("c"), key="c"), ["a", "b", "c"]),
    "append with a patch": (lambda store, t: store.append(t, say("c"), patch={"topic": t}), ["a", "b", "c"]),
    "metadata": (lambda store, t: store.update_message(t, "key:a", metadata={"stars": 5}), ["a", "b"]),
    "a message in pieces": (lambda store, t: store.append(t, say(_noise())), ["a", "b", "noise"]),
}


def _noise() -> str:
    """Text that does not compress, and is too long for a row."""
    import random

    return random.Random(1).randbytes(400_000).hex()


@pytest.fixture(scope="module")
def proxy(azurite: str) -> Iterator[Unkind]:
    with Unkind(azurite) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def url(proxy: Unkind, tmp_path_factory: pytest.TempPathFactory) -> str:
    table = table_for(tmp_path_factory.mktemp("faults"))
    return f"aztables://{ACCOUNT}/{table}?endpoint={proxy.endpoint}"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_effect_once(
    proxy: Unkind, url: str, name: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, expected = CHANGES[name]
    if "far" in name:
        monkeypatch.setattr(messages, "_NEAR", -1)
    with chatstore.connect(url) as store:
        for place in range(12):
            thread = f"{name} {fault} {place}"
            store.append(thread, say("a"), say("b"), key=["a", "b"])
            proxy.faults = [*[None] * place, fault]
            change(store, thread)
            missed, proxy.faults = bool(proxy.faults), []
            proxy.deliver()
            shown = f"{thread} new" if name.endswith("new thread") else thread
            found = ["noise" if len(str(one)) > 9 else one for one in contents(store.iter_messages(shown))]
            assert found == expected, f"at request {place}"
            if name == "append with a patch":
                assert store.get_thread(thread).topic == thread
            if name == "metadata":
                assert store.get_message(thread, "key:a").metadata == {"stars": 5}
            for message in store.iter_messages(shown):
                if message.key is not None:
                    assert store.get_message(shown, f"key:{message.key}") == message
            store.append(shown, say("later"))
            if missed:
                assert place > 0, "the fault was never done"
                return
    raise AssertionError("a change takes no twelve requests")


@pytest.mark.parametrize("fault", ["drop before", "429", "500", "503", "empty page", "malformed"])
def test_a_page_is_whole(proxy: Unkind, url: str, fault: str) -> None:
    with chatstore.connect(url) as store:
        thread = f"pages {fault}"
        for number in range(30):
            store.append(thread, say(number))
        for place in range(3):
            for ends in ({"last": 5}, {"limit": 25}, {"after": "0000000003", "limit": 5}):
                given: dict[str, Any] = ends
                expected = contents(store.read(thread, **given))
                proxy.faults = [*[None] * place, fault]
                assert contents(store.read(thread, **given)) == expected
                proxy.faults = []


class Recording(BlockingDriver):
    """Keeps in mind how long it was to wait, and does not."""

    def __init__(self, opening: Callable[[], AbstractContextManager[TableClient]]) -> None:
        super().__init__(opening)
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"Retry-After": "3600"}, 5),
        ({"x-ms-retry-after-ms": "3600000"}, 5),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.02),
        ({}, 0.02),
    ],
)
@pytest.mark.parametrize("status", ["429", "503"])
def test_a_service_that_says_when_to_come_again_is_heard(
    proxy: Unkind, url: str, status: str, told: dict[str, str], seconds: float
) -> None:
    given = f"AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={proxy.endpoint}"
    driver = Recording(
        lambda: TableClient.from_connection_string(given, urlsplit(url).path[1:], retry_total=0)
    )
    with ChatStore(AzureTablesBackend(driver, TABLES, system_clock)) as store:
        store.prepare()
        before, proxy.retry_after = proxy.retry_after, told
        for call in (lambda: store.read("told"), lambda: store.append("told", say("a"))):
            driver.pauses.clear()
            proxy.faults = [status]
            call()
            [pause] = driver.pauses
            assert seconds / 2 <= pause <= seconds, "a half of it at least, so that not all come at once"
        proxy.retry_after = before


def test_a_service_that_stays_away_is_unavailable(proxy: Unkind, url: str) -> None:
    with chatstore.connect(url) as store:
        store.append("away", say("a"))
        proxy.faults = ["503"] * 100
        with pytest.raises(chatstore.Unavailable) as raised:
            store.append("away", say("b"))
        assert raised.value.__cause__ is not None
        proxy.faults = []
        assert contents(store.read("away")) == ["a"]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    url = f"aztables://{ACCOUNT}/chat?endpoint=http://127.0.0.1:9/{ACCOUNT}"
    with chatstore.connect(url) as store, pytest.raises(chatstore.Unavailable):
        store.read("t")


def test_a_wrong_key(azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", "bm9uc2Vuc2U=")
    url = f"aztables://{ACCOUNT}/chat?endpoint={azurite}"
    with chatstore.connect(url) as store, pytest.raises(chatstore.StorageError, match="refuses these cred"):
        store.read("t")
