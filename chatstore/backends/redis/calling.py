"""How a script is called, whoever carries it: by its digest, or by its text where that is not known."""

from __future__ import annotations

import asyncio
import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from chatstore.backends.redis.resp import Look, looking
from chatstore.backends.redis.rows import keys_of
from chatstore.backends.redis.scripts import Script, UnknownScript
from chatstore.clocks import ServerClock
from chatstore.contract import Clock
from chatstore.errors import StorageError, Unavailable
from chatstore.metering import spent
from chatstore.turns import AsyncTurns, BlockingTurns

__all__ = ["AsyncScripts", "BlockingScripts", "Command", "Terms"]

Command: TypeAlias = tuple[Any, ...]


class Terms(NamedTuple):
    """How calls are made: what stands in front of keys, and how many replicas must have each write.

    What the server says of the time goes to `clock`, if that follows it. `confirmed` says that a write must
    be on the server's disk, and on those of the replicas.
    """

    prefix: str
    replicas: int
    seconds: float
    clock: Clock
    confirmed: bool = False

    def command(self, how: str, script: Script, key: str, arguments: Sequence[Any]) -> Command:
        """A command that runs a script on the keys of a place: by its digest, or by its text."""
        said = script.digest if how == "EVALSHA" else script.text
        keys = keys_of(self.prefix, key)
        return how, said, len(keys), *keys, *arguments

    def look(self, partition: str, count: int) -> bytes:
        """The commands of a `Look` at a thread."""
        return _looking(self.prefix, partition, count)

    def asked(self) -> int | None:
        """When a call begins that is to tell the time; None where it need not, as the time is known."""
        if isinstance(self.clock, ServerClock) and not self.clock.is_fresh:
            return self.clock.monotonic()
        return None

    def answered(self, answer: Any, asked: int) -> None:
        """Take the time from the answer of a script that tells it."""
        told = answer[: answer.index(b"\n")].split() if isinstance(answer, bytes) else answer
        if isinstance(self.clock, ServerClock) and isinstance(told, list):
            self.clock.told(int(told[0]) * 1_000_000 + int(told[1]), asked)

    @property
    def wait(self) -> Command | None:
        """The command to be sent behind a write, which is answered once that is as safe as it must be."""
        milliseconds = int(self.seconds * 500)
        if self.confirmed:
            return "WAITAOF", 1, self.replicas, milliseconds
        return ("WAIT", self.replicas, milliseconds) if self.replicas else None

    def require_safe(self, answer: Any) -> None:
        """Raise Unavailable where that command's answer says that what was written is not as safe."""
        if isinstance(answer, Exception):
            raise StorageError(
                "durable=confirmed needs Redis 7.2 or newer with appendonly yes: "
                "what was written is not confirmed"
            ) from answer
        own, count = answer if self.confirmed else (1, answer)
        if own < 1 or count < self.replicas:
            who = f"only {count} of {self.replicas} replicas" if own else "its disk has not"
            raise Unavailable(
                f"the write took place, but {who} confirmed it in time: it may be lost if the server fails. "
                "Repeat the request with the same request id"
            )


class _Scripts(ABC):
    """A `Caller` of the driver. A call whose answer is lost is never made again here."""

    prices: ClassVar[str]
    unit: ClassVar[str]
    """What each command is counted as, in which price list."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._wait = terms.wait

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:
        """What a script answers; texts are bytes."""
        terms, asked = self._terms, self._terms.asked()
        script, sent = self._carried(script, [b"" if asked is None else b"1", *arguments])
        spent(self.prices, {self.unit: 1})
        try:
            answer = await self._sent(terms.command("EVALSHA", script, key, sent), writing=writing)
        except UnknownScript:
            spent(self.prices, {self.unit: 1})
            answer = await self._sent(terms.command("EVAL", script, key, sent), writing=writing)
        if asked is not None:
            terms.answered(answer, asked)
        return answer

    async def look(self, partition: str, count: int) -> Look | None:  # noqa: ARG002 - as others have it
        """As `Caller.look`; None, because each command would be paid for."""
        return None

    def _confirmed(self, answer: Any) -> None:
        """Count the command that was sent behind a write, and see what it says."""
        spent(self.prices, {self.unit: 1}, trips=0)
        self._terms.require_safe(answer)

    def _carried(self, script: Script, arguments: Sequence[bytes]) -> tuple[Script, Sequence[Any]]:
        """The script and its arguments as they travel."""
        return script, arguments

    @abstractmethod
    async def _sent(self, command: Command, *, writing: bool) -> Any:
        """What the server answers. Raises UnknownScript, `Again` and errors of ours."""


@functools.lru_cache(4096)
def _looking(prefix: str, partition: str, count: int) -> bytes:
    return looking(keys_of(prefix, partition), count)


class BlockingScripts(_Scripts):
    """For blocking callers."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.turn = BlockingTurns().turn

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this caller serves blocking callers


class AsyncScripts(_Scripts):
    """For event loops."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.turn = AsyncTurns().turn

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
