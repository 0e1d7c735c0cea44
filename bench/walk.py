"""``python -m bench.walk``: how far one request walks through the package's files, from route to driver.

A turn is appended and the last twenty are read over the service in this process, on SQLite, and on the
examples' drivers of the log engine (DynamoDB's) and of the fenced one (Azure's). Each function of the package
that calls another of it is a step; one that calls none is read where it is called. A *return* is a step
into a file that the walk had been in and had left: what a reader has to come back to. Both are counted on the
second request of a kind, when everything is loaded. ``-v`` lists the files.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import chatstore
from chatstore.contract import system_clock
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.urls import open_backend
from examples.fenced_driver import FencedInMemory, MemoryDriver, MemoryGroups
from examples.log_driver import LogInMemory, MemoryTable

ROOT = str(Path(chatstore.__file__).parent)
TURN = [{"role": "user", "content": "and then?"}, {"role": "assistant", "content": "then this"}]


class Walk(NamedTuple):
    """Files in the order in which their functions are entered, runs of one file drawn together."""

    functions: int
    files: list[str]

    @property
    def returns(self) -> int:
        """Steps into a file that was left before."""
        return len(self.files) - len(set(self.files))


def main() -> None:
    """Print the table."""
    print(f"{'':8} {'':8} {'functions':>9} {'files':>6} {'returns':>8}")
    for name, opened in STORES.items():
        with tempfile.TemporaryDirectory() as folder:
            for verb, walk in asyncio.run(_walked(opened(folder))).items():
                found = f"{walk.functions:>9} {len(set(walk.files)):>6} {walk.returns:>8}"
                print(f"{name:8} {verb:8} {found}")
                if "-v" in sys.argv:
                    print("   ", " ".join(walk.files))


async def _walked(store: AsyncChatStore) -> dict[str, Walk]:
    app = create_app(store, Settings(sweep_every=0))
    walks: dict[str, Walk] = {}
    body = json.dumps(TURN).encode()
    for _ in range(2):
        walks["append"] = await _asked(app, "POST", "/v1/threads/t/messages", b"", body)
        walks["last 20"] = await _asked(app, "GET", "/v1/threads/t/messages", b"last=20", b"")
    await store.close()
    return walks


async def _asked(app: Callable[..., object], method: str, path: str, query: bytes, body: bytes) -> Walk:
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query, "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 9),
        "headers": [
            (b"host", b"127.0.0.1"), (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }  # fmt: skip
    incoming = iter([{"type": "http.request", "body": body, "more_body": False}])
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        message = next(incoming, None)
        if message is None:
            await asyncio.Event().wait()
        return message or {}

    async def send(message: dict[str, int]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    with _traced() as walk:
        await app(scope, receive, send)  # type: ignore[misc]
    assert statuses, "there was an answer"
    assert statuses[0] in (200, 201), statuses
    return walk()


@contextmanager
def _traced() -> Iterator[Callable[[], Walk]]:
    # Frames are kept, so that none takes the place of another: a coroutine that goes on is entered again.
    entered: dict[FrameType, str] = {}
    callers: set[FrameType] = set()

    def enter(frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or frame in entered or not frame.f_code.co_filename.startswith(ROOT):
            return
        entered[frame] = frame.f_code.co_filename[len(ROOT) + 1 :]
        caller = frame.f_back
        while caller is not None and caller not in entered:
            caller = caller.f_back
        if caller is not None:
            callers.add(caller)

    def walk() -> Walk:
        steps = [file for frame, file in entered.items() if frame in callers]
        return Walk(
            len(steps), [file for before, file in zip(["", *steps], steps, strict=False) if before != file]
        )

    sys.setprofile(enter)
    try:
        yield walk
    finally:
        sys.setprofile(None)


STORES: dict[str, Callable[[str], AsyncChatStore]] = {
    "sqlite": lambda folder: AsyncChatStore(
        open_backend(f"sqlite:///{folder}/chat.db", blocking=True, clock=system_clock)
    ),
    "log": lambda _folder: AsyncChatStore(LogInMemory(MemoryTable(), system_clock)),
    "fenced": lambda _folder: AsyncChatStore(FencedInMemory(MemoryDriver(MemoryGroups()), system_clock)),
}

if __name__ == "__main__":
    main()
