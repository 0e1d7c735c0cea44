"""Two tenants of one ``chatstore serve``: whatever one of them does, the other is served.

``CHATSTORE_SOAK=1 pytest -s tests/http/test_neighbours.py`` prints what each attack did to the neighbour, on
SQLite, PostgreSQL and Redis. The short form, on SQLite, does the same for a moment, with less. What it allows
is told by the quiet moment before, because the machine may be busy with others.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from chatstore.api_keys import digest, new_key
from tests.cli.running import COMMAND
from tests.conftest import SOAK
from tests.postgres.servers import prepared
from tests.redis.servers import absence, program, redis_server

MEGABYTE = 1024 * 1024
QUIET_SECONDS, ATTACK_SECONDS = (5.0, 20.0) if SOAK else (0.2, 0.6)
TIMES = 5 if SOAK else 30
"""How much slower the neighbour's median may become."""
LEAST_SECONDS = 0.05 if SOAK else 0.5
"""A median below this is never too slow."""
P99_SECONDS = 1.0 if SOAK else 5.0
BACK_SECONDS = 5 if SOAK else 30
MOST_MEMORY = 512 * MEGABYTE
CREDENTIAL_SCOPES = ["read", "write", "admin"]


class Server(NamedTuple):
    port: int
    pid: int
    attacker: str
    neighbour: str
    user: str
    """A key of one owner, of the attacker's tenant."""

    def memory(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


class Client:
    """One connection, which is opened again when it was closed."""

    def __init__(self, server: Server, key: str | None) -> None:
        self._headers = {} if key is None else {"X-API-Key": key}
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        given = {**self._headers, "Content-Type": "application/json", **headers}
        for last in (False, True):
            try:
                self._connection.request(method, path, data, given)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self._connection.close()
                if last:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL", "Redis"] if SOAK else ["SQLite"])
def url(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    absent: Callable[[str, str], NoReturn],
) -> Iterator[str]:
    """Where the service keeps threads."""
    if request.param == "SQLite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store')}/chat.db"
    elif request.param == "PostgreSQL":
        yield prepared(str(request.getfixturevalue("postgres")))
    else:
        if program() is None:
            absent(*absence())
        with redis_server() as port:
            yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def server(url: str) -> Iterator[Server]:
    keys, texts = [], []
    for tenant, owner in (("attacker", None), ("neighbour", None), ("attacker", "user")):
        id, text = new_key()
        texts.append(text)
        scopes = CREDENTIAL_SCOPES if owner is None else ["read", "write"]
        key = {"id": id, "sha256": digest(text), "tenant": tenant, "scopes": scopes}
        keys.append(key if owner is None else key | {"owner": owner})
    environ = {
        **os.environ,
        "CHATSTORE_AUTH": "api-key",
        "CHATSTORE_API_KEYS": json.dumps(keys),
        "CHATSTORE_FACES": "native,openai,acs",
        "CHATSTORE_LOG": "off",
    }
    command = [*COMMAND, "serve", "--port", "0", "--url", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:(\d+)", process.stdout.readline())
            assert found is not None
            yield Server(int(found[1]), process.pid, *texts)
        finally:
            process.kill()


class Measured(NamedTuple):
    read: list[float]
    append: list[float]
    refused: int

    def median(self) -> float:
        return max(statistics.median(self.read), statistics.median(self.append))

    def p99(self) -> float:
        return max(sorted(some)[int(len(some) * 0.99) - 1] for some in (self.read, self.append))


def measured(neighbour: Client, until: Callable[[int], bool]) -> Measured:
    """What the neighbour's reads and appends take, one after another, `until` there are enough."""
    times: dict[str, list[float]] = {"GET": [], "POST": []}
    refused = 0
    while not until(len(times["POST"])):
        for method, query, body in (
            ("POST", "", {"role": "user", "content": "hello"}),
            ("GET", "?last=20", None),
        ):
            began = time.monotonic()
            status, _ = neighbour.ask(method, f"/v1/threads/mine/messages{query}", body)
            times[method].append(time.monotonic() - began)
            refused += status not in (200, 201)
    return Measured(times["GET"], times["POST"], refused)


class Attack:
    """What the attacker does: `step` again and again, by several at once, for as long as it lasts."""

    workers = 4

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stopped = threading.Event()
        self.numbers = itertools.count()
        self.statuses: set[int] = set()

    def prepare(self, client: Client) -> None:
        """Make what it needs."""

    def step(self, client: Client, number: int) -> None:
        raise NotImplementedError

    def note(self, answer: tuple[int, bytes]) -> bytes:
        self.statuses.add(answer[0])
        return answer[1]

    def work(self, number: int) -> None:
        client = Client(self.server, self.server.attacker)
        while not self.stopped.is_set():
            # What is refused or cut off is what an attacker can expect.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.step(client, number)
        client.close()


class ManyValues(Attack):
    """As many small JSON values as are taken, written and counted again and again, and bodies of more."""

    workers = 6
    BODY = b'{"role":"user","content":[' + b"[]," * 99_000 + b"[]]}"
    TOO_MANY = b'{"role":"user","content":[' + b"[]," * 1_300_000 + b"[]]}"

    def step(self, client: Client, number: int) -> None:
        path = f"/v1/threads/values-{number}/messages"
        if number < 4:
            self.note(client.ask("POST", path, self.BODY))
            self.note(client.ask("GET", f"{path}?max_tokens=9000000000"))
        else:
            assert self.note(client.ask("POST", path, self.TOO_MANY)).find(b'"too-large"') > 0


class OtherFaces(Attack):
    """As many values as are taken, read and written through the other faces, which decode what they show."""

    def step(self, client: Client, number: int) -> None:
        path = "/v1/conversations"
        owned = {"X-API-Key": self.server.user}
        if not hasattr(self, "item"):
            made = json.loads(self.note(client.ask("POST", path, {}, **owned)))["id"]
            added = self.note(client.ask("POST", f"{path}/{made}/items", self.BODY, **owned))
            self.item = made, json.loads(added)["data"][0]["id"]
        made, item = self.item
        if number == 0:
            self.note(client.ask("POST", f"{path}/{made}/items", self.BODY, **owned))
        elif number == 1:
            self.note(client.ask("GET", f"{path}/{made}/items?limit=100", **owned))
        elif number == 2:
            self.note(client.ask("GET", f"{path}/{made}/items/{item}", **owned))
        else:
            message = item.removeprefix("msg_")
            self.note(client.ask("GET", f"/chat/threads/{made}/messages/{message}", **owned))

    BODY = b'{"items":[{"role":"user","content":[' + b"[]," * 99_000 + b"[]]}]}"


class LongLists(Attack):
    """Pages of threads, each with as many properties as it may have."""

    def prepare(self, client: Client) -> None:
        people = [{"id": f"{number:04} {'x' * 400}"} for number in range(600)]
        for number in range(60 if SOAK else 12):
            self.note(client.ask("POST", "/v1/threads", {"id": f"people-{number}", "participants": people}))

    def step(self, client: Client, number: int) -> None:
        self.note(client.ask("GET", "/v1/threads?limit=1000"))


class Filters(Attack):
    """Pages that look for what is nowhere."""

    workers = 8

    def prepare(self, client: Client) -> None:
        metadata = {"a": "x" * 64_000}
        for number in range(300 if SOAK else 40):
            self.note(client.ask("POST", "/v1/threads", {"id": f"big-{number}", "metadata": metadata}))

    def step(self, client: Client, number: int) -> None:
        self.note(client.ask("GET", "/v1/threads?limit=1&metadata%5Bz%5D=z"))


class LongWork(Attack):
    """Forks and deletions of a long thread, and erasures of owners who are there, and of others."""

    workers = 8

    def prepare(self, client: Client) -> None:
        text = "x" * (2 * MEGABYTE)
        for _ in range(100 if SOAK else 5):
            self.note(client.ask("POST", "/v1/threads/long/messages", {"role": "user", "content": text}))

    def step(self, client: Client, number: int) -> None:
        if number < 3:
            fork = f"fork-{next(self.numbers)}"
            self.note(client.ask("POST", "/v1/threads/long/fork", {"id": fork}))
            self.note(client.ask("DELETE", f"/v1/threads/{fork}"))
        elif number < 7:
            self.note(client.ask("DELETE", "/v1/owners/nobody"))
        else:
            self.note(client.ask("POST", "/v1/threads", {"owner": "somebody"}))
            self.note(client.ask("DELETE", "/v1/owners/somebody"))


class Sockets(Attack):
    """Many connections, kept as long as it lasts."""

    workers = 1
    connections = 100

    def request(self, number: int) -> bytes:
        raise NotImplementedError

    def head(self, method: str, path: str, *lines: str) -> bytes:
        named = (f"{method} {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {self.server.attacker}", *lines)
        return "\r\n".join([*named, "", ""]).encode()

    def work(self, number: int) -> None:
        with contextlib.ExitStack() as opened:
            kept = []
            for each in itertools.count():
                # One after another: it is not their number in a moment that is measured.
                if self.stopped.wait(0.005 if each < self.connections else 0.05):
                    return
                connection = socket.socket()
                opened.callback(connection.close)
                # Little room: what is not read stays with the server.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(True)
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    connection.connect(("127.0.0.1", self.server.port))
                    connection.setblocking(False)
                    connection.send(self.request(each))
                kept.append(connection)
                if len(kept) > self.connections:
                    kept.pop(0).close()


class BodiesThatNeverCome(Sockets):
    connections = 400

    def request(self, number: int) -> bytes:
        lines = "Content-Type: application/json", f"Content-Length: {4_000_000 if number % 2 else 1000}"
        return self.head("POST", "/v1/threads/slow/messages", *lines)


class AnswersNobodyReads(Sockets):
    """The longest answers, and short ones by the thousand."""

    connections = 1500 if SOAK else 60

    def prepare(self, client: Client) -> None:
        for _ in range(2):
            body = {"role": "user", "content": "x" * (2 * MEGABYTE)}
            self.note(client.ask("POST", "/v1/threads/unread/messages", body))

    def request(self, number: int) -> bytes:
        if number % 2:
            return self.head("GET", "/v1/threads/unread/messages")
        return b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5


class Framing(Attack):
    """A body of chunks of a byte each, and a head of as many headers as fit, without a credential."""

    CHUNKS = (
        b"POST /v1/threads/t/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000
    )
    HEADERS = b"GET /v1/threads HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 15_500 + b"\r\n"

    def step(self, client: Client, number: int) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as connection:
            connection.sendall(self.CHUNKS if number % 2 else self.HEADERS)
            self.statuses.add(int(connection.recv(100).split()[1]))


def attack(kind: type[Attack], server: Server, stop: Path) -> list[int]:
    """Attack until `stop` is there; the statuses that the attacker got."""
    attack = kind(server)
    threads = [threading.Thread(target=attack.work, args=(number,)) for number in range(attack.workers)]
    for thread in threads:
        thread.start()
    while not stop.exists():
        time.sleep(0.02)
    attack.stopped.set()
    for thread in threads:
        thread.join()
    return sorted(attack.statuses)


@pytest.fixture(scope="module")
def attacker() -> Iterator[ProcessPoolExecutor]:
    """A process of the attacker's own, so that it takes no time from the one that measures."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        yield pool


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kind",
    [
        ManyValues,
        OtherFaces,
        LongLists,
        Filters,
        LongWork,
        BodiesThatNeverCome,
        AnswersNobodyReads,
        Framing,
    ],
)
def test_a_neighbour_is_served(
    url: str, server: Server, attacker: ProcessPoolExecutor, tmp_path: Path, kind: type[Attack]
) -> None:
    preparing = kind(server)
    with closing(Client(server, server.attacker)) as client:
        preparing.prepare(client)
    assert preparing.statuses <= {200, 201, 409}
    stop = tmp_path / "stop"
    with closing(Client(server, server.neighbour)) as neighbour:
        quiet = measured(neighbour, lasting(QUIET_SECONDS, 20))
        server.forget_peak()
        attacking = attacker.submit(attack, kind, server, stop)
        try:
            during = measured(neighbour, lasting(ATTACK_SECONDS, 20))
        finally:
            stop.touch()
            statuses = attacking.result()
        began = time.monotonic()
        peak = server.memory("VmHWM")
        print(
            f" {url.partition(':')[0]} {kind.__name__}: median {quiet.median() * 1000:.1f} ms quiet, "
            f"{during.median() * 1000:.1f} ms attacked, p99 {during.p99() * 1000:.0f} ms, "
            f"refused {during.refused}, peak {peak / MEGABYTE:.0f} MB, the attacker got {statuses}"
        )
        allowed = max(LEAST_SECONDS, TIMES * quiet.median())
        assert during.refused == 0
        assert during.median() < allowed
        assert during.p99() < max(P99_SECONDS, allowed)
        assert peak < MOST_MEMORY
        # What it began may go on for a while behind its last answer.
        while measured(neighbour, lasting(0, 10)).median() > max(LEAST_SECONDS, 2 * quiet.median()):
            assert time.monotonic() - began < BACK_SECONDS


def lasting(seconds: float, least: int) -> Callable[[int], bool]:
    """Whether so many seconds are over, and so many were measured."""
    until = time.monotonic() + seconds
    return lambda count: count >= least and time.monotonic() > until
