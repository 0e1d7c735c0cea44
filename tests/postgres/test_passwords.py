"""A password that Secrets Manager keeps, which answers on loopback here, and a server that asks for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

import chatstore
from chatstore.errors import ConfigurationError, Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.dynamodb.servers import CREDENTIALS
from tests.postgres.servers import SCHEMA

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chats-AbCdEf"
ROLE = "rotated"


class Keeper(ThreadingHTTPServer):
    """Answers as Secrets Manager does when it is asked for the value of a secret."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.value = ""
        self.failure: tuple[int, str] | None = None
        self.asked: list[Any] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Asked(BaseHTTPRequestHandler):
    server: Keeper  # type: ignore[mutable-override]  # as every handler of http.server has it

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
        assert "/eu-west-1/secretsmanager/aws4_request" in self.headers["Authorization"]
        self.server.asked.append(body)
        status, code = self.server.failure or (200, "")
        answer = {"__type": code} if code else {"ARN": ARN, "SecretString": self.server.value}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    with Keeper() as keeper:
        thread = threading.Thread(target=keeper.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", keeper.address)
        monkeypatch.setenv("PGPASSWORD_SECRET", ARN)
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        yield keeper
        keeper.shutdown()
        thread.join()


class Served:
    """The store of a role that the server asks for its password."""

    def __init__(self, url: str, keeper: Keeper) -> None:
        self.owner = url
        self.url = url.replace("//postgres@", f"//{ROLE}@")
        self.keeper = keeper
        with psycopg.connect(url.partition("?")[0], autocommit=True) as db:
            if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                db.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
            db.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}".encode())
            db.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {ROLE}".encode()
            )
            self._demand(db)
        self.rotate("first")

    def _demand(self, db: psycopg.Connection[Any]) -> None:
        """Have the server ask this role for its password, and nobody else."""
        [name] = db.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(name).read_text()
        line = f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n"
        if not rules.startswith(line):
            Path(name).write_text(line + rules)
        db.execute("SELECT pg_reload_conf()")
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url.partition("?")[0]).close()
            except psycopg.OperationalError:
                return
            assert time.monotonic() < until

    def rotate(self, password: str, *, told: bool = True) -> None:
        """Change the password, and end the role's connections."""
        with psycopg.connect(self.owner.partition("?")[0], autocommit=True) as db:
            db.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'".encode())
            db.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s", [ROLE]
            )
        if told:
            self.keeper.value = json.dumps({"username": ROLE, "password": password})


@pytest.fixture
def served(url: str, keeper: Keeper) -> Served:
    return Served(url, keeper)


def test_a_password_is_read_once_and_again_when_it_was_changed(served: Served) -> None:
    with chatstore.connect(f"{served.url}&pool=2") as store:
        store.append("t", say("a"), request_id="one")
        served.rotate("first")
        store.append("t", say("b"), request_id="two")
        # Kept for all connections until a server refuses it.
        assert served.keeper.asked == [{"SecretId": ARN}]
        served.rotate("second")
        store.append("t", say("c"), request_id="three")
        assert len(served.keeper.asked) == 2
        assert contents(whole(store, "t")) == ["a", "b", "c"]
        assert len(served.keeper.asked) == 2


def test_loops_read_it_beside_their_work_and_all_who_were_refused_read_it_once(served: Served) -> None:
    async def main() -> None:
        async with chatstore.aconnect(f"{served.url}&pool=4") as store:
            await asyncio.gather(*[store.append(f"t{n}", say("a")) for n in range(4)])
            served.rotate("second")
            await asyncio.gather(*[store.read(f"t{n}") for n in range(4)])
            assert len(served.keeper.asked) == 2

    asyncio.run(main())


def test_a_password_that_nobody_was_told_of_says_so(served: Served) -> None:
    with chatstore.connect(served.url) as store:
        store.append("t", say("a"))
        served.rotate("second", told=False)
        with pytest.raises(ConfigurationError, match="lets nobody in"):
            store.read("t")
        served.rotate("second")
        assert contents(whole(store, "t")) == ["a"]


def test_what_secrets_manager_refuses_says_what_to_do(served: Served) -> None:
    keeper = served.keeper
    for failure, error, words in (
        ((400, "AccessDeniedException"), ConfigurationError, "secretsmanager:GetSecretValue"),
        ((400, "ResourceNotFoundException"), ConfigurationError, "PGPASSWORD_SECRET"),
        ((400, "ThrottlingException"), Unavailable, "try again"),
        ((500, "InternalServiceError"), Unavailable, "try again"),
    ):
        keeper.failure = failure
        with pytest.raises(error, match=words), chatstore.connect(served.url) as store:
            store.read("t")
    keeper.failure = None
    for keeper.value in ("secret", "[]", '{"username": "served"}', '{"password": 1}'):
        with pytest.raises(ConfigurationError, match='no JSON object with a "password"'):
            chatstore.connect(served.url).ping()


def test_where_secrets_manager_is_not_reached_a_vpc_is_thought_of(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as gone:
        port = gone.server_port
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match="from a VPC it needs an endpoint"):
        chatstore.connect(served.url).ping()


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("postgresql://served@db/app", "chats", "ARN"),
        ("yugabytedb://served@db/app?load_balance=true", ARN, "load_balance"),
        ("cloudsql-postgres://served@acme:eu:one/app", ARN, "Google"),
    ],
)
def test_what_it_does_not_go_with_is_refused(
    url: str, secret: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD_SECRET", secret)
    with pytest.raises(ConfigurationError, match=words):
        chatstore.connect(url)
