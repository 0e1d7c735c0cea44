"""``make bench``: append, last 20 and list, beside sqlite3 by hand and LlamaIndex's SQLite store.

Every figure is the median of seven rounds, in each of which chatstore and the code by hand take
turns in one process; LlamaIndex runs right after, in an environment of its own.
``python -m bench memories`` is another one, in `bench.memories`.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import chatstore
from bench import workload
from bench.by_hand import ByHand

PEER = Path(__file__).parents[1] / ".venv-bench-llama-index" / "bin" / "python"
TIMES = {"append": 300, "last": 100, "list": 100}


class Pair:
    """The same threads, one of them `length` long, in a file of chatstore's and in one by hand."""

    def __init__(self, path: str, length: int, synchronous: str) -> None:
        self.hand = ByHand(f"{path}-hand.db", synchronous)
        self.store = chatstore.connect(f"sqlite:///{path}-chatstore.db?synchronous={synchronous}")
        for thread in [*(f"other-{n}" for n in range(workload.OTHERS)), workload.THREAD]:
            messages = [workload.message(n) for n in range(length if thread == workload.THREAD else 1)]
            self.hand.create(thread)
            self.hand.append(thread, messages)
            self.store.append(thread, *messages)

    def operations(self, name: str) -> dict[str, Callable[[], object]]:
        """One operation in both forms."""
        store, hand, added = self.store, self.hand, workload.message(0)
        forms: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "append": (
                lambda: store.append(workload.THREAD, added),
                lambda: hand.append(workload.THREAD, [added]),
            ),
            "last": (
                lambda: [m.to_dict() for m in store.read(workload.THREAD, last=workload.LAST)],
                lambda: hand.last(workload.THREAD, workload.LAST),
            ),
            "list": (
                lambda: store.list_threads(limit=workload.LAST),
                lambda: hand.threads(workload.LAST),
            ),
        }
        return dict(zip(("chatstore", "by hand"), forms[name], strict=True))

    def close(self) -> None:
        self.store.close()
        self.hand.close()


def measured(folder: str, synchronous: str) -> dict[tuple[str, int, str], float]:
    """Microseconds by operation, length and form; all lengths and forms take turns in each round."""
    pairs = {n: Pair(f"{folder}/{synchronous}-{n}", n, synchronous) for n in workload.LENGTHS}
    found: dict[tuple[str, int, str], float] = {}
    for name, times in TIMES.items():
        operations = {
            (name, length, form): operation
            for length, pair in pairs.items()
            for form, operation in pair.operations(name).items()
        }
        found |= workload.side_by_side(operations, times)
    for pair in pairs.values():
        pair.close()
    return found


def llama_index(folder: str) -> tuple[str, dict[int, dict[str, float]]]:
    """The peer's name and version, and its microseconds by length and operation."""
    if not PEER.exists():
        sys.exit("the peer's environment is missing: run `make bench`, which makes it")
    finished = subprocess.run(
        [PEER, Path(__file__).with_name("llama_index.py"), folder], check=True, capture_output=True, text=True
    )
    told = json.loads(finished.stdout)
    return told["peer"], {int(length): values for length, values in told["lengths"].items()}


def main() -> None:
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
    print(
        f"a thread of N messages of about 200 bytes among {workload.OTHERS} others; "
        "microseconds an operation, the median of seven rounds\n"
    )
    shortest, longest = workload.LENGTHS[0], workload.LENGTHS[-1]
    with tempfile.TemporaryDirectory() as folder:
        peer, theirs = llama_index(folder)
        for synchronous in ("NORMAL", "FULL"):
            ours = measured(folder, synchronous)
            print(f"synchronous={synchronous}; LlamaIndex is {peer}, which leaves it at FULL")
            print(f"{'':8}{'N':>9}{'chatstore':>11}{'by hand':>9}{'ratio':>7}{'LlamaIndex':>12}{'ratio':>10}")
            for name in TIMES:
                for length in workload.LENGTHS:
                    mine, hand = ours[name, length, "chatstore"], ours[name, length, "by hand"]
                    other = theirs[length][name]
                    print(
                        f"{name:8}{length:>9,}{mine:>11,.1f}{hand:>9,.1f}{mine / hand:>7.2f}"
                        f"{other:>12,.0f}{other / mine:>10,.1f}"
                    )
                growth = ours[name, longest, "chatstore"] / ours[name, shortest, "chatstore"]
                print(f"{'':8}at {longest:,} messages {growth:.2f} times what it takes at {shortest}\n")
    print("The first ratio is chatstore's time over that by hand, the second LlamaIndex's over chatstore's.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memories"]:
        from bench import memories  # loads LlamaIndex, which the rest does not need

        memories.main(sys.argv[2:])
    elif sys.argv[1:2] == ["dynamodb"]:
        from bench.conversation import dynamodb

        dynamodb.main()
    elif sys.argv[1:2] == ["azure-tables"]:
        from bench.conversation import azure_tables

        azure_tables.main()
    elif sys.argv[1:2] == ["lists"]:
        from bench import lists

        lists.main()
    elif sys.argv[1:2] == ["service"]:
        from bench import service

        service.main(sys.argv[2:])
    else:
        main()
