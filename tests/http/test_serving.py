"""A server in a process of its own: the store is named by settings, opened late and closed at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

import chatstore
from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.http.serving import serving, serving_process


def test_threads_outlive_the_server(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with serving_process(url) as base:
        href = httpx.post(f"{base}/v1/threads").json()["href"]
        httpx.post(f"{base}{href}/messages", json={"role": "user", "content": "hello"})
    with serving_process(url) as base:
        [entry] = httpx.get(f"{base}{href}/messages?last=1").json()["items"]
    with chatstore.connect(url) as store:
        [message] = store.read(href.rpartition("/")[2])
    assert message.to_entry() == entry


def test_a_store_that_was_given_stays_open_and_is_the_same(tmp_path: Path) -> None:
    store = chatstore.aconnect("memory://")
    with serving(create_app(store)) as base:
        httpx.post(f"{base}/v1/threads/t/messages", json={"role": "user"})
    assert len(asyncio.run(store.read("t"))) == 1


def test_a_tenant_is_the_settings_to_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with serving(create_app(settings=Settings(url=url, tenant="acme"))) as base:
        httpx.post(f"{base}/v1/threads/t/messages", json={"role": "user"})
    with chatstore.connect(url) as store:
        assert len(store.read("t")) == 0
        assert len(store.for_tenant("acme").read("t")) == 1


def test_a_store_that_cannot_be_opened_stops_the_start() -> None:
    app = create_app(settings=Settings(url="nowhere://x"))
    with pytest.raises(chatstore.ConfigurationError, match="nowhere"):
        asyncio.run(start(app))


async def start(app: Starlette) -> None:
    async with app.router.lifespan_context(app):
        pass
