"""The clients of Azure Communication Services, of a user, at a service of ours."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

from chatstore import user_tokens
from tests.openai.sdk import speaking
from tests.servers import ROOT

NODE = ROOT / "node_modules/@azure/communication-chat"
HOW_TO_GET_IT = "make node_modules/.installed"
KINDS = ("sync", "async", "javascript")
"""Both of Python's clients, and that for JavaScript."""

SECRET = "a secret of this test that is as long as need be"  # pragma: allowlist secret
SETTINGS: dict[str, Any] = {
    "tenant": "acme",
    "auth": "user-token",
    "user_token_secrets": SECRET,
    "faces": "native,acs",
    "sweep_every": 0.0,
    "requests_per_minute": 0,
}
ENVIRON = {f"CHATSTORE_{name.upper()}": str(value) for name, value in SETTINGS.items()}


@functools.cache
def token(user: str, scope: str = "chat") -> str:
    return user_tokens.issue(user, secret=SECRET, scopes=(scope,))


class Speaker(Protocol):
    """Does one job after another."""

    def ask(self, job: dict[str, Any]) -> Any: ...


@contextmanager
def javascript(certificate: Path, absent: Callable[[str, str], NoReturn]) -> Iterator[Speaker]:
    """The client for JavaScript, in a process of its own that trusts a certificate."""
    if not NODE.exists():
        absent("the chat client for JavaScript", HOW_TO_GET_IT)
    program = Path(__file__).with_name("client.mjs")
    trusting = {**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)}
    with speaking("node", program, environ=trusting) as speaker:
        yield speaker


class Sdk(NamedTuple):
    """A client of a kind, of a user, at a service."""

    speaker: Speaker
    kind: str
    base: str
    user: str = "ada"
    scope: str = "chat"

    def of(self, user: str) -> Sdk:
        """The same client of somebody else."""
        return self._replace(user=user)

    def outcome(self, do: str, thread: str | None = None, request: str | None = None, **args: Any) -> Any:
        """What a method came to: ``{"ok": …}``, or the error with its fields."""
        job: dict[str, Any] = {"do": do, "base": self.base, "token": token(self.user, self.scope)}
        job |= args if do == "turns" else {"args": args}
        job |= {} if thread is None else {"thread": thread}
        job |= {} if request is None else {"request": request}
        return self.speaker.ask(job)

    def __call__(self, do: str, thread: str | None = None, request: str | None = None, **args: Any) -> Any:
        """What a method gives."""
        told = self.outcome(do, thread, request, **args)
        assert "ok" in told, told
        return told["ok"]

    def fails(self, do: str, thread: str | None = None, **args: Any) -> tuple[str, int, str]:
        """The error of a method: its type, status and code."""
        told = self.outcome(do, thread, **args)
        assert "error" in told, told
        return told["error"], told["status"], told["code"]
