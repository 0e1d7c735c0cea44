"""A write that the server, and its replicas, have to confirm before it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import redis

import chatstore
from chatstore.contract import Capability
from chatstore.errors import ConfigurationError, StorageError, Unavailable
from chatstore.testing.samples import contents, say
from tests.redis.servers import NEWEST, absence, prefixed, program, redis_server


def test_each_write_is_confirmed_by_the_disk_and_no_read(
    absent: Callable[[str, str], NoReturn], tmp_path: Path
) -> None:
    if program(NEWEST) is None:
        absent(*absence(NEWEST))
    options = ["--appendonly", "yes", "--appendfsync", "always", "--dir", tmp_path]
    with (
        redis_server(*options, release=NEWEST) as port,
        chatstore.connect(f"redis://127.0.0.1:{port}/0?durable=confirmed") as store,
        chatstore.connect(f"redis://127.0.0.1:{port}/0?durable=confirmed&replicas=1&timeout=2") as more,
        redis.Redis(port=port) as plain,
    ):
        assert Capability.DURABLE in store.backend.capabilities
        store.append("t", say("0"))
        store.append("t", say("1"))

        def confirmed() -> int:
            return int(plain.info("commandstats")["cmdstat_waitaof"]["calls"])

        before = confirmed()
        found = store.append("t", say("2"))
        assert confirmed() == before + 1
        assert found.cost is not None
        assert (found.cost.trips, dict(found.cost.units)) == (1, {"commands": 2})
        assert contents(store.read("t")) == ["0", "1", "2"]
        assert confirmed() == before + 1
        with pytest.raises(Unavailable, match="the write took place, but only 0 of 1 replicas"):
            more.append("t", say("3"))
        assert contents(store.read("t")) == ["0", "1", "2", "3"]


def test_a_server_that_cannot_confirm_says_what_it_needs(
    redis_url: str, newer_url: str, tmp_path: Path
) -> None:
    for url in (redis_url, newer_url):
        with (
            chatstore.connect(f"{prefixed(url, tmp_path)}&durable=confirmed") as store,
            pytest.raises(StorageError, match=r"Redis 7\.2 or newer with appendonly yes"),
        ):
            store.append("t", say("1"))


def test_a_cluster_is_not_asked_to_confirm() -> None:
    with pytest.raises(ConfigurationError, match="not for a cluster"):
        chatstore.connect("redis+cluster://127.0.0.1:1?durable=confirmed")
