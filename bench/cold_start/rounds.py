"""New processes that take turns, and a table of how long each takes to its first answer."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["KEY", "KEYS", "PATH", "compare", "seconds"]

S = TypeVar("S")

KEY = "cs_bench_" + "a" * 43
KEYS = [
    {"id": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "tenant": "acme", "scopes": ["admin"]}
]
PATH = "/v1/threads/first/messages"


def seconds(command: Sequence[str | Path], environ: Mapping[str, str], sent: bytes) -> float:
    """From the start of a new process to its answer to what is `sent`."""
    began = time.perf_counter()
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sent)
        process.stdin.close()
        said = process.stdout.readline()
        taken = time.perf_counter() - began
    assert said.strip() in {b"200", b"201"}, f"{command}: {said!r}"
    return taken


def compare(
    subjects: Mapping[str, S],
    measure: Callable[[S, str], float],
    rounds: int,
    goals: Mapping[str, Mapping[str, float]],
) -> None:
    """Print milliseconds by method, in the order of `goals`, and chatstore's over each other's."""
    print(f"milliseconds from the start of a process to its first answer, {rounds} rounds\n")
    print(f"{'':8}{'':12}{'median':>8}{'minimum':>9}{'chatstore / it':>22}{'goal':>7}")
    for method, least in goals.items():
        for subject in subjects.values():
            measure(subject, method)
        taken: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(rounds):
            for name, subject in subjects.items():
                taken[name].append(measure(subject, method) * 1000)
        ours = taken["chatstore"]
        for name, times in taken.items():
            line = f"{method:8}{name:12}{statistics.median(times):8.0f}{min(times):9.0f}"
            if name in least:
                median = statistics.median(ours) / statistics.median(times)
                line += f"{median:14.2f}{min(ours) / min(times):8.2f}{least[name]:7.2f}"
            print(line)
