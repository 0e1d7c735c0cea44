"""Kills a writing process again and again, and tells what it had acknowledged.

Run as a script: ``python killing.py URL ROUNDS SEED``. Each round forks a writer, kills it with
SIGKILL after a random moment and starts the next. A writer first repeats, under the same request
id, the turn that its predecessor had begun and not acknowledged. Prints a JSON object: the turns that
were begun, those that were acknowledged, and the last version of a document that was acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import chatstore

PARTS = 3
VERSION_LENGTH = 40


def write(url: str, turn: int, version: int, told: int) -> None:
    """Append turns and replace a document, telling before and after each, until killed."""
    store = chatstore.connect(url)
    while True:
        os.write(told, f"begin {turn}\n".encode())
        parts = [{"role": "user", "content": "x" * 300, "turn": turn, "part": part} for part in range(PARTS)]
        store.append("log", *parts, request_id=f"turn-{turn}")
        os.write(told, f"acknowledge {turn}\n".encode())
        turn += 1
        version += 1
        document = [{"role": "user", "content": "y" * 50, "version": version}] * VERSION_LENGTH
        store.replace_all("document", document, create=True)
        os.write(told, f"version {version}\n".encode())


def main(url: str, rounds: int, seed: int) -> None:
    chatstore.connect(url)  # imports what the writers need, once, before the forks
    chance = random.Random(seed)
    begun, acknowledged, version, kills = -1, -1, 0, 0
    while kills < rounds:
        reading, writing = os.pipe()
        writer = os.fork()
        if writer == 0:
            os.close(reading)
            try:
                write(url, acknowledged + 1, version + 1, writing)
            finally:
                os._exit(1)
        os.close(writing)
        heard = b""
        # So many words from the writer, then a moment: it gets as far on a busy machine as on an idle one.
        words = chance.randint(1, 7)
        while heard.count(b"\n") < words:
            heard += os.read(reading, 1024)
        time.sleep(chance.uniform(0, 0.004))
        os.kill(writer, signal.SIGKILL)
        _, status = os.waitpid(writer, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"the writer ended by itself: {status}")
        kills += 1
        while more := os.read(reading, 65536):
            heard += more
        os.close(reading)
        for line in heard.decode().splitlines():
            what, _, number = line.partition(" ")
            if what == "begin":
                begun = int(number)
            elif what == "acknowledge":
                acknowledged = int(number)
            else:
                version = int(number)
    print(json.dumps({"kills": kills, "begun": begun, "acknowledged": acknowledged, "version": version}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
