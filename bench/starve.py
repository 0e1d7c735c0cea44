"""``python -m bench.starve URL [PROCESSES [THREADS]]``: an append beside others that never rest.

Each of the hot processes appends to one thread as fast as it can, on so many threads of its own. Meanwhile,
thirty times, a process that does not know the thread appends to it: what those took is printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time

import chatstore

TIMES, APART_SECONDS = 30, 0.3
SAY = {"role": "user", "content": "hot"}


def _hot(url: str, threads: int) -> None:
    store = chatstore.connect(url)

    def append() -> None:
        while True:
            store.append("t", SAY)

    for _ in range(threads):
        threading.Thread(target=append, daemon=True).start()
    sys.stdin.read()


def main(url: str, processes: int = 1, threads: int = 4) -> None:
    """Print a line of figures."""
    with chatstore.connect(url) as store:
        store.append("t", SAY)
        command = [sys.executable, "-m", "bench.starve", url, "--hot", str(threads)]
        hot = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(processes)]
        try:
            first = store.read("t", last=1).items[0].position
            while store.read("t", last=1).items[0].position == first:
                time.sleep(APART_SECONDS)
            began, took = time.monotonic(), []
            for _ in range(TIMES):
                time.sleep(APART_SECONDS)
                with chatstore.connect(url) as other:
                    start = time.monotonic()
                    other.append("t", SAY)
                    took.append(time.monotonic() - start)
            appended = int(store.read("t", last=1).items[0].position or "0") - int(first or "0")
            rate = appended / (time.monotonic() - began)
        finally:
            for process in hot:
                process.kill()
                process.wait()
    print(
        f"{processes} processes of {threads} threads, {rate:,.0f} appends a second; one more took "
        f"{statistics.median(took):.2f} s, at most {max(took):.2f} s"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "--hot" in arguments:
        _hot(arguments[0], int(arguments[2]))
    else:
        main(arguments[0], *map(int, arguments[1:]))
