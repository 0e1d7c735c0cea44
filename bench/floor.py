"""The smallest service by hand over chatstore's rows, see `bench.service`."""

from __future__ import annotations

import json
import secrets
import sqlite3
import sys
import time
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

db = sqlite3.connect(sys.argv[2], isolation_level=None)
db.execute("PRAGMA synchronous = FULL")
ROW = tuple[str, str, str, int]


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="microseconds")


def _answer(rows: list[ROW], status: int = 200) -> Response:
    items = ",".join(
        [
            f'{{"id":"{id}","position":"{position}","created_at":"{_time(created)}","message":{text}}}'
            for text, id, position, created in rows
        ]
    )
    return Response(f'{{"items":[{items}]}}', status, media_type="application/json")


async def read(request: Request) -> Response:
    last, limit = request.query_params.get("last"), request.query_params.get("limit")
    order = "DESC" if last else "ASC"
    [key] = db.execute(
        "SELECT key FROM threads WHERE tenant = 'default' AND id = ?", (request.path_params["id"],)
    ).fetchone()
    select = "SELECT text, id, position, created_at FROM messages WHERE thread = ? ORDER BY position"
    rows = db.execute(f"{select} {order} LIMIT ?", (key, int(last or limit or 100))).fetchall()
    return _answer(rows[::-1] if last else rows)


async def append(request: Request) -> Response:
    texts = [json.dumps(message, separators=(",", ":")) for message in json.loads(await request.body())]
    now = time.time_ns() // 1000
    db.execute("BEGIN IMMEDIATE")
    key, tail = db.execute(
        "UPDATE threads SET tail = tail + ?, active_at = ? WHERE tenant = 'default' AND id = ? "
        "RETURNING key, tail",
        (len(texts), now, request.path_params["id"]),
    ).fetchone()
    first = tail - len(texts) + 1
    rows = [
        (text, f"{now:x}{secrets.token_hex(11)}", f"{first + n:010d}", now) for n, text in enumerate(texts)
    ]
    db.executemany(
        "INSERT INTO messages (text, id, position, created_at, expires_at, thread, revision) "
        "VALUES (?, ?, ?, ?, NULL, ?, 0)",
        [(*row, key) for row in rows],
    )
    db.execute("COMMIT")
    return _answer(rows, 201)


PATH = "/v1/threads/{id}/messages"
app = Starlette(routes=[Route(PATH, read, methods=["GET"]), Route(PATH, append, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), http=sys.argv[3], log_level="warning", access_log=False)
