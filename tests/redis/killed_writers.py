"""Writers that kill themselves at one request after another, in front of it or behind it.

Run as a script, as `tests.backends.killing` says.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.backends import killing

REQUESTS = 24


def arm(number: int) -> None:
    """Kill this process at a request that the number of the round tells."""
    last, behind = 1 + number % REQUESTS, (number + number // REQUESTS) % 2
    sent = 0
    send = socket.socket.sendall

    def counted(self: socket.socket, data: Any, *flags: int) -> None:
        nonlocal sent
        sent += 1
        if sent == last and not behind:
            os.kill(os.getpid(), signal.SIGKILL)
        send(self, data, *flags)
        if sent == last:
            os.kill(os.getpid(), signal.SIGKILL)

    socket.socket.sendall = counted  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    killing.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 0, arm)
