"""Kills a writing process again and again, and tells what it had acknowledged.

Run as a script: ``python killing.py URL ROUNDS SEED SECONDS``. Each round forks a writer, kills it with
SIGKILL after a random moment of up to so many seconds and starts the next. A writer first repeats,
under the same request id, the turn that its predecessor had begun and not acknowledged. Another script
can have writers kill themselves, at points of its choice. Prints a JSON object: the turns that were begun,
those that were acknowledged, and the last version of a document that was acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

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


def main(url: str, rounds: int, seed: int, longest: float, arm: Callable[[int], None] | None = None) -> None:
    """Kill so many writers at random moments, or let them kill themselves as `arm` has prepared them."""
    with chatstore.connect(url) as store:
        store.ping()  # imports what the writers need, once, before the forks
    chance = random.Random(seed)
    begun, acknowledged, version, kills = -1, -1, 0, 0
    while kills < rounds:
        reading, writing = os.pipe()
        writer = os.fork()
        if writer == 0:
            os.close(reading)
            try:
                if arm is not None:
                    arm(kills)
                write(url, acknowledged + 1, version + 1, writing)
            except chatstore.ChatStoreError:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(writing)
        heard = b""
        # So many words from the writer, then a moment: it gets as far on a busy machine as on an idle one.
        words = 0 if arm is not None else chance.randint(1, 7)
        while heard.count(b"\n") < words:
            more = os.read(reading, 1024)
            if not more:
                break
            heard += more
        if arm is None:
            time.sleep(chance.uniform(0, longest))
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


def check(url: str, rounds: int, longest: float, script: str = __file__) -> None:
    """Kill writers, then assert that what is there was acknowledged, whole, and in order."""
    seed = random.randrange(2**32)
    command = [sys.executable, script, url, str(rounds), str(seed), str(longest)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)

    with chatstore.connect(url) as store:
        parts = [
            (data["turn"], data["part"])
            for data in map(chatstore.Message.to_dict, store.iter_messages("log"))
        ]
        document = [message.to_dict()["version"] for message in store.iter_messages("document")]

    turns = len(parts) // PARTS
    assert parts == [(turn, part) for turn in range(turns) for part in range(PARTS)], f"seed {seed}"
    # The turn that was begun last may have landed or not; each before it was acknowledged in the end.
    assert turns - 1 in {told["acknowledged"], told["begun"]}, f"seed {seed}: {told}"
    assert told["kills"] >= rounds
    assert told["acknowledged"] > rounds
    if told["version"]:
        assert document == [document[0]] * VERSION_LENGTH, f"seed {seed}"
        assert document[0] >= told["version"], f"seed {seed}: {told}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
