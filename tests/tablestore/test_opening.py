"""What a URL and the environment name, how the table is made, whose time counts, and what the SDK says."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore import ChatStore, ConfigurationError, StorageError
from chatstore.contract import system_clock
from chatstore.errors import ClockUncertain, Unavailable
from chatstore.testing.samples import contents, say
from chatstore.urls import open_backend
from tests.cli.running import Cli
from tests.servers import free_port
from tests.tablestore.connected import connected, url_for
from tests.tablestore.service import KEY_ID, KEY_SECRET, Service

URL = "tablestore://tests/chat?region=cn-hangzhou"


def prepared(url: str) -> ChatStore:
    store = chatstore.connect(url)
    store.prepare()
    return store


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("tablestore://tests?region=cn-hangzhou", "name the instance and the table"),
        ("tablestore://t/chat?region=cn-hangzhou", "name the instance and the table"),
        ("tablestore://tests/my-chat?region=cn-hangzhou", "name the instance and the table"),
        ("tablestore://tests/chat", "name the region"),
        ("tablestore://id:hidden@tests/chat", "ACCESS_KEY_SECRET"),  # pragma: allowlist secret
        (f"{URL}&key=hidden", "no option 'key'"),
        ("tablestore://tests/chat?endpoint=tests.cn", "check region= and endpoint="),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_change(service: Service, url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised, chatstore.connect(url) as store:
        store.ping()
    assert "hidden" not in str(raised.value)


def test_credentials_come_from_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLESTORE_ACCESS_KEY_ID")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID)
    # The secret of another pair is no secret of this one.
    with pytest.raises(ConfigurationError, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        chatstore.connect(URL)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY_SECRET)
    with prepared(URL) as store:
        store.append("t", say("hello"))
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another")
    with chatstore.connect(URL) as store, pytest.raises(StorageError, match="OTSAuthFailed") as raised:
        store.read("t")
    assert "another" not in str(raised.value)


def test_requests_are_signed_in_either_form(service: Service) -> None:
    with prepared(URL) as store:
        store.append("t", say("hello"))
    with chatstore.connect("tablestore://tests/chat?endpoint=https://tests.example") as store:
        assert contents(store.read("t")) == ["hello"]


def test_init_makes_the_table_and_waits_for_it(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    service.loading = 3
    with chatstore.connect(URL) as store, pytest.raises(ConfigurationError, match="chatstore init"):
        store.read("t")
    for _ in range(2):
        done = Cli(capfd)("init", URL)
        assert (done.code, done.out) == (0, "ready\n")
    with chatstore.connect(URL) as store:
        store.append("t", say("hello"))
        store.prepare()
        assert contents(store.read("t")) == ["hello"]


def test_a_table_that_would_lose_rows_is_refused(service: Service) -> None:
    with prepared(URL) as store:
        service.tables["chat"].options.time_to_live = 86_400
        with pytest.raises(ConfigurationError, match="drops rows after 86400 seconds"):
            store.prepare()
        service.tables["chat"].schema.primary_key[1].name = "number"
        with pytest.raises(ConfigurationError, match="chatstore did not make it"):
            store.prepare()


def test_without_the_sdk_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("chatstore.backends.tablestore")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tablestore", None)
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[tablestore\]'"):
        open_backend(URL, blocking=True, clock=system_clock)


@pytest.mark.parametrize("off", [timedelta(minutes=14), -timedelta(minutes=14)], ids=str)
def test_a_machine_that_is_minutes_off_goes_by_the_server_s_time(tmp_path: Path, off: timedelta) -> None:
    with connected(Service(lambda: time.time() + off.total_seconds())), prepared(url_for(tmp_path)) as store:
        there = datetime.now(UTC) + off
        written = store.append("living", say("hello"), ttl=10 * 60).messages[0].created_at
        assert written is not None
        assert abs(written - there) < timedelta(seconds=10)
        assert store.sweep().threads == 0
        assert contents(store.read("living")) == ["hello"]


@pytest.mark.parametrize("off", [timedelta(minutes=61), -timedelta(days=3)], ids=str)
def test_a_machine_that_is_far_off_removes_nothing_and_says_so(
    tmp_path: Path, off: timedelta, capfd: pytest.CaptureFixture[str]
) -> None:
    apart = 0.0
    with connected(Service(lambda: time.time() + apart)), prepared(url_for(tmp_path)) as store:
        store.append("gone", say("hello"), ttl=1e-6)
        apart = off.total_seconds()
        for call in (store.sweep, lambda: store.append("t", say("more")), lambda: store.read("gone")):
            with pytest.raises(ClockUncertain, match="keep it with NTP"):
                call()
        done = Cli(capfd)("sweep", "--from", url_for(tmp_path))
        assert (done.code, done.out) == (1, "")
        assert "NTP" in done.err
        apart = 0.0
        assert contents(store.read("t")) == []


def test_an_answer_from_another_time_is_not_believed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with prepared(URL) as store:
        store.append("t", say("hello"))
        # The request is taken, and then the service's clock jumps.
        monkeypatch.setattr(
            service, "_authorize", lambda *_: setattr(service, "now", lambda: time.time() - 3600)
        )
        with pytest.raises(Unavailable, match="more than 15 minutes"):
            store.read("t")


def test_the_sdk_logs_no_message(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with prepared(URL) as store:
        store.append("t", say("quite secret"))
        store.read("t")
        service.tables.clear()
        with pytest.raises(ConfigurationError):
            store.read("t")
    assert "secret" not in caplog.text
    assert "OTS request" not in caplog.text


QUIET = """
import sys
import chatstore
with chatstore.connect(sys.argv[1]) as store:
    try:
        store.read("t")
    except chatstore.Unavailable as error:
        assert error.__cause__ is not None
    else:
        raise AssertionError
"""


def test_a_server_that_is_not_there_is_unavailable_and_nothing_is_printed(service: Service) -> None:
    """A process of its own, in which nothing is replaced and every warning is an error."""
    url = f"{URL}&endpoint=http://127.0.0.1:{free_port()}&timeout=0.2"
    command = [sys.executable, "-W", "error", "-c", QUIET, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
