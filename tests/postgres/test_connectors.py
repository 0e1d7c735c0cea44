"""Google's own connectors, whose network below TLS is of this machine."""

from __future__ import annotations

import asyncio
import datetime
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import google.auth
import google.auth.credentials
import google.auth.exceptions
import pytest
from google.cloud.alloydbconnector import connector as alloydb
from google.cloud.sql.connector import connector as cloud_sql

import chatstore
from chatstore.errors import ConfigurationError, Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres.fronts import IAM, Front, Papers, fronting, papers
from tests.postgres.servers import prepared

# The connectors leave loops and listeners of theirs to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class Credentials(google.auth.credentials.Credentials):
    """An account of nobody's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = "token"
        self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)

    def refresh(self, request: object) -> None:
        del request


class Api:
    """What either connector asks Google for."""

    def __init__(self, known: Any) -> None:
        self._known = known
        self.failure: Exception | None = None
        self._user_agent = "tests"

    async def get_connection_info(self, *_: object, **__: object) -> Any:
        if self.failure is not None:
            raise self.failure
        return self._known

    async def close(self) -> None:
        """Nothing is open."""


class World(NamedTuple):
    url: str
    front: Front
    api: Api


@pytest.fixture(scope="session")
def own() -> Papers:
    return papers()


@pytest.fixture(params=["cloudsql-postgres", "alloydb"])
def world(
    request: pytest.FixtureRequest,
    postgres: str,
    own: Papers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    port = urlsplit(postgres).port
    assert port is not None
    exchanges = request.param == "alloydb"
    front = Front(port, own, tmp_path, exchanges=exchanges)
    module, instance = (alloydb, "acme/eu/main/one") if exchanges else (cloud_sql, "acme:eu:one")
    api = Api(front.known_to_alloydb() if exchanges else front.known_to_cloud_sql(instance))
    with fronting(front) as listening:
        monkeypatch.setattr(module, "SERVER_PROXY_PORT", listening)
        name = "AlloyDBClient" if exchanges else "CloudSQLClient"
        monkeypatch.setattr(module, name, lambda *_, **__: api)
        monkeypatch.setattr(module, "default", lambda **_: (Credentials(), "acme"), raising=False)
        monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(), "acme"))
        yield World(
            f"{request.param}://postgres@{instance}/postgres?schema=behind+tls&timeout=60", front, api
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_store_through_a_connector_in_both_colours(world: World) -> None:
    url = prepared(world.url)
    with chatstore.connect(url) as store:
        thread = chatstore.uuid7()
        store.append(thread, say("a"), say("b"), request_id="once")
        store.append(thread, say("a"), say("b"), request_id="once")
        assert contents(whole(store, thread)) == ["a", "b"]

    async def main() -> None:
        async with chatstore.aconnect(f"{url}&pool=3") as store:
            before = world.front.clients
            await asyncio.gather(*[store.append(thread, say(n)) for n in range(20)])
            assert world.front.clients - before <= 3
            assert len((await store.read(thread)).items) == 22
            assert (await store.read(thread)).items[0].text == '{"role":"user","content":"a"}'

    asyncio.run(main())
    if world.front.asked:
        assert {one.auth_type for one in world.front.asked} == {IAM}


def test_what_google_refuses_says_what_to_do(world: World) -> None:
    class Forbidden(Exception):
        status = 403

    for failure in (Forbidden(), google.auth.exceptions.DefaultCredentialsError()):
        world.api.failure = failure
        with chatstore.connect(world.url) as store, pytest.raises(ConfigurationError, match="account needs"):
            store.append("t", say("a"))


def test_google_is_not_reached_for_a_while(world: World) -> None:
    prepared(world.url)
    world.api.failure = OSError("no route")
    with chatstore.connect(world.url.replace("=60", "=0.3")) as store:
        with pytest.raises(Unavailable):
            store.append("t", say("a"))
        world.api.failure = None
        # On a busy machine the first connection after it may take longer than the store waits for one.
        for left in reversed(range(10)):
            try:
                store.append("t", say("a"), request_id="a")
                break
            except Unavailable:
                if not left:
                    raise
        assert contents(whole(store, "t")).count("a") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cloudsql-postgres://acme:eu/db", "PROJECT:REGION:INSTANCE"),
        ("cloudsql-postgres://ada@acme:eu:one/", "PROJECT:REGION:INSTANCE"),
        ("alloydb://acme/eu/main/db", "REGION/CLUSTER/INSTANCE"),
        ("alloydb://ada:x@acme/eu/main/one/db", "PGPASSWORD"),
        ("alloydb://ada@acme/eu/main/one/db?ip=fastest", "ip=FASTEST"),
        ("alloydb://ada@acme/eu/main/one/db?reads=replica", "reads=replica"),
        ("alloydb://ada@acme/eu/main/one/db?sslmod=require", "libpq"),
    ],
)
def test_urls_that_name_no_instance(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said), chatstore.connect(url):
        pass


@pytest.mark.parametrize(
    ("scheme", "extra"), [("cloudsql-postgres://a:b:c/d", "cloud-sql"), ("alloydb://a/b/c/d/e", "alloydb")]
)
def test_a_connector_that_is_not_installed(scheme: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("google.cloud.sql.connector", "google.cloud.alloydbconnector"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"\.\[{extra}\]"), chatstore.connect(scheme):
        pass
