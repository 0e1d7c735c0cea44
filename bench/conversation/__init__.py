"""A long conversation through chatstore and through a peer's store: what it takes over the wire.

A turn reads the last 20 messages, and adds a question and an answer. The peer's store runs in an
environment of its own, against the same server, and both are counted alike.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from chatstore.store import ChatStore

__all__ = ["EACH", "LAST", "SHARED", "THREAD", "WRITERS", "ours", "peer", "report", "run", "turn"]

Found: TypeAlias = dict[str, Any]

TURNS = 1000
LAST = 20
THREAD = "the conversation"
TOLD = (1, 10, 100, 200, 300, 500, 1000)
"""The turns after which the sums are told."""

SHARED, WRITERS, EACH = "shared", 2, 50
"""A thread to which so many add so many messages at once."""

_PYTHON = Path(__file__).parents[2] / ".venv-peers-llama-index" / "bin" / "python"


def turn(number: int) -> list[dict[str, str]]:
    """What is said and answered: about 200 and 800 bytes."""
    said = f"{number:06d} and what else is there to see in Lisbon? "
    return [
        {"role": "user", "content": said * 4},
        {"role": "assistant", "content": f"{said * 3} {number * 7919} is one of the things. " * 4},
    ]


def run(say: Callable[[list[dict[str, str]]], object], sums: Mapping[str, float]) -> Found:
    """Go through the conversation, or as far as it goes: the sums after some turns, and the failure."""
    began = time.perf_counter()
    told: dict[int, dict[str, float]] = {}
    for number in range(1, TURNS + 1):
        try:
            say(turn(number))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            return {"told": told, "failed": [f"turn {number}: {type(error).__name__}: {error}"]}
        if number in TOLD:
            told[number] = {**sums, "seconds": time.perf_counter() - began}
    return {"told": told, "failed": []}


def ours(opened: Callable[[], ChatStore], store: ChatStore, sums: Mapping[str, float]) -> Found:
    """The sums of chatstore, and what two writers with stores of their own left."""

    def say(turn: list[dict[str, str]]) -> None:
        assert len(store.read(THREAD, last=LAST)) <= LAST
        store.append(THREAD, *turn)

    found = run(say, sums)

    def write(writer: int) -> None:
        mine = opened()
        for number in range(EACH):
            mine.append(SHARED, {"role": "user", "content": f"{writer} {number}"})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    return {**found, "there": len(list(store.iter_messages(SHARED)))}


def peer(script: str, *arguments: str) -> Found:
    """What the peer's script tells, a JSON object."""
    if not _PYTHON.exists():
        sys.exit("run `make .venv-peers-llama-index/.installed node_modules/.installed` first")
    command = [str(_PYTHON), str(Path(__file__).with_name(script)), *arguments]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(finished.stdout)
    return found


def report(server: str, columns: Mapping[str, tuple[str, int]], mine: Found, theirs: Found) -> None:
    """Print both side by side. A column has the name of its sum, and its digits behind the point."""
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}; {server}\n"
        f"chatstore beside {theirs['peer']}, sums after so many turns\n"
    )
    print(f"{'':11}{'turns':>6}" + "".join(f"{title:>13}" for title in [*columns, "MB", "seconds"]))
    for name, found in (("chatstore", mine), ("LlamaIndex", theirs)):
        for turns, sums in found["told"].items():
            figures = [f"{sums[key]:>13,.{digits}f}" for key, digits in columns.values()]
            figures += [f"{sums['bytes'] / 1e6:>13,.2f}", f"{sums['seconds']:>13,.1f}"]
            print(f"{name:11}{int(turns):>6,}{''.join(figures)}")
        for failure in found["failed"]:
            print(f"{'':11}fails at {_line(failure)}")
        print(f"{'':11}of {WRITERS * EACH} messages by two writers at once {found['there']} are there\n")


def _line(text: str) -> str:
    return " ".join(text.split())[:160]
