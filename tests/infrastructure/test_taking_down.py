"""A deployment is taken down against a stand-in for Resource Manager and for azd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from tests.infrastructure.bicep import INFRA

GROUP = "/subscriptions/s/resourceGroups/g"
MADE = {
    "st0": "Microsoft.Storage/storageAccounts", "plan": "Microsoft.Web/serverFarms",
    "site": "Microsoft.Web/sites", "insights": "microsoft.insights/components",
    "log": "Microsoft.OperationalInsights/workspaces", "rule": "microsoft.alertsmanagement/rules",
    "fails": "microsoft.insights/scheduledqueryrules", "people": "microsoft.insights/actiongroups",
}  # fmt: skip
AZD = """#!/bin/sh
echo "$*" >> "$AZD_CALLS"
case "$*" in
  "env get-values"*) echo 'AZURE_SUBSCRIPTION_ID="s"'; echo 'AZURE_RESOURCE_GROUP="g"' ;;
  "auth token"*) echo '{"token": "t"}' ;;
esac
"""


class Manager(ThreadingHTTPServer):
    """Stands in for Azure Resource Manager: lists what was made, and notes what is deleted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.deleted: list[str] = []


class Asked(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer t"
        assert "chatstore" in self.path
        page = {
            "value": [{"id": f"{GROUP}/{name}", "name": name, "type": kind} for name, kind in MADE.items()]
        }
        self._answer(json.dumps(page))

    def do_DELETE(self) -> None:
        cast("Manager", self.server).deleted.append(self.path.removeprefix(f"{GROUP}/"))
        self._answer("")

    def _answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager() as server:
        Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def destroy(manager: Manager, folder: Path, *options: str) -> tuple[str, list[str]]:
    """What the program says, and what it asked of azd."""
    (folder / "azd").write_text(AZD)
    (folder / "azd").chmod(0o700)
    address = f"http://127.0.0.1:{manager.server_port}"
    done = subprocess.run(
        [sys.executable, INFRA / "destroy.py", "chatstore", "--manager", address, *options],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "AZD_CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "calls").read_text().splitlines()


def test_what_is_taken_down_leaves_the_threads(manager: Manager, tmp_path: Path) -> None:
    said, asked = destroy(manager, tmp_path)
    assert "The threads stay in st0" in said
    gone = [one.partition("?")[0] for one in manager.deleted]
    assert gone == ["fails", "people", "site", "plan", "insights", "log"]
    assert all(re.search(r"\?api-version=\d{4}-\d\d-\d\d", one) for one in manager.deleted)
    assert not [one for one in asked if one.startswith("down")]


def test_the_threads_go_only_where_that_is_asked_for(manager: Manager, tmp_path: Path) -> None:
    said, asked = destroy(manager, tmp_path, "--delete-threads")
    assert "its threads in st0" in said
    [lock] = manager.deleted
    assert lock.startswith("st0/providers/Microsoft.Authorization/locks/threads?api-version=")
    assert asked[-1] == "down --force --purge -e chatstore"
