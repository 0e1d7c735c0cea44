"""What a face adds to the start of an instance: ``python -m bench.faces``, the best of ten processes each."""

from __future__ import annotations

import subprocess
import sys

RUNS = 10
PROGRAM = """
import gc, sys, time
gc.disable()
import chatstore
from chatstore.settings import Settings
began = time.process_time()
from chatstore.http.app import create_app
create_app(chatstore.aconnect("memory://"), Settings(faces=sys.argv[1]))
print(time.process_time() - began)
"""


def milliseconds(faces: str) -> float:
    """The processor time that an application with these faces takes to be made."""
    command = [sys.executable, "-c", PROGRAM, faces]
    return min(float(subprocess.check_output(command)) for _ in range(RUNS)) * 1000


def main() -> None:
    native = milliseconds("native")
    print(f"native: {native:.1f} ms")
    for face in ("openai", "acs"):
        print(f"{face}: {milliseconds(f'native,{face}') - native:+.1f} ms")


if __name__ == "__main__":
    main()
