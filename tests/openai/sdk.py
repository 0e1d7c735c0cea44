"""OpenAI's own clients, each in a process of its own that does what a test asks."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from tests.servers import ROOT

FOLDER = Path(__file__).parent
PYTHON = ROOT / ".venv-peers-openai/bin/python"
NODE = ROOT / "node_modules/openai"
HOW_TO_GET_IT = "make .venv-peers-openai/.installed node_modules/.installed"

NOTHING: Mapping[str, Any] = MappingProxyType({})
KINDS = ("sync", "async", "javascript")
"""Both of Python's clients, and that for JavaScript."""


def secret(name: str) -> str:
    """The API key of a caller."""
    return f"cs_{name.ljust(16, '0')}_{'s' * 43}"


CALLERS: dict[str, dict[str, Any]] = {
    "all": {"scopes": ["read", "write", "admin"]},
    "ada": {"scopes": ["read", "write"], "owner": "ada"},
    "bob": {"scopes": ["read", "write"], "owner": "bob"},
    "reader": {"scopes": ["read"]},
    "writer": {"scopes": ["write"]},
}
KEYS = json.dumps(
    [
        {"id": name, "sha256": hashlib.sha256(secret(name).encode()).hexdigest(), "tenant": "acme", **rest}
        for name, rest in CALLERS.items()
    ]
)
SETTINGS: dict[str, Any] = {
    "tenant": "acme",
    "auth": "api-key",
    "api_keys": KEYS,
    "faces": "native,openai",
    "sweep_every": 0.0,
}
ENVIRON = {f"CHATSTORE_{name.upper()}": str(value) for name, value in SETTINGS.items()}


class Speaker:
    """A process that does one job after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, job: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client's process ended"
        return json.loads(line)


@contextmanager
def speaking(*command: object, environ: Mapping[str, str] | None = None) -> Iterator[Speaker]:
    parts = [str(part) for part in command]
    with subprocess.Popen(
        parts, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environ
    ) as process:
        try:
            yield Speaker(process)
        finally:
            process.kill()


@contextmanager
def clients(absent: Callable[[str, str], NoReturn]) -> Iterator[dict[str, Speaker]]:
    """A client of each kind."""
    for name, place in (("Python", PYTHON), ("JavaScript", NODE)):
        if not place.exists():
            absent(f"OpenAI's client for {name}", HOW_TO_GET_IT)
    with speaking(PYTHON, FOLDER / "client.py") as python, speaking("node", FOLDER / "client.mjs") as node:
        yield {"sync": python, "async": python, "javascript": node}


class Sdk(NamedTuple):
    """A client of a kind, of somebody, at a service."""

    speaker: Speaker
    kind: str
    base: str
    key: str

    def of(self, name: str) -> Sdk:
        """The same client of somebody else."""
        return self._replace(key=secret(name))

    def job(self, **more: Any) -> Any:
        return self.speaker.ask({"kind": self.kind, "base": self.base, "key": self.key, **more})

    def outcome(self, method: str, args: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What a method came to: ``{"ok": …}``, or the error with its fields."""
        told: dict[str, Any] = self.job(do="call", method=f"conversations.{method}", args=args, **more)
        return told

    def call(
        self, method: str, *, collect: bool = False, more: Mapping[str, Any] = NOTHING, **args: Any
    ) -> Any:
        """What a method gives, or with `collect` all that auto-paging brings."""
        told = self.outcome(method, args, collect=collect, **more)
        assert "ok" in told, told
        return told["ok"]

    def fails(self, method: str, **args: Any) -> dict[str, Any]:
        """The error of a method."""
        told = self.outcome(method, args)
        assert "error" in told, told
        return told

    def raw(self, method: str, path: str, **query: Any) -> Any:
        """A request that the client has no method for."""
        told = self.job(do="call", method=method, path=path, query=query)
        assert "ok" in told, told
        return told["ok"]
