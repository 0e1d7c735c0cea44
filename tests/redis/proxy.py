"""A wire to a Redis that breaks at a chosen request, before the server has it or before it answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Collection, Iterator

__all__ = ["Wire", "wire_to"]


class Wire:
    """Counts what callers send; the one that counts `broken` has its connection cut."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self.sent = 0
        self.broken: int | None = None
        self.answered = False
        self.struck = 0
        self._strike: Callable[[], None] = _nothing
        self._before: Collection[int] = ()
        self._behind: Collection[int] = ()
        threading.Thread(target=self._serve, daemon=True).start()

    def arm(self, request: int | None, *, answered: bool) -> None:
        """Cut at that request from now on, once the server has `answered`, or before it is asked."""
        with self._lock:
            self.sent, self.broken, self.answered = 0, request, answered

    def strike(self, strike: Callable[[], None], *, before: Collection[int], behind: Collection[int]) -> None:
        """Call `strike` before some requests are sent on, and behind others as soon as they are."""
        with self._lock:
            self.sent, self.struck = 0, 0
            self._strike, self._before, self._behind = strike, before, behind

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._server)) as server,
        ):
            answers = threading.Thread(target=self._answers, args=(server, client), daemon=True)
            answers.start()
            while data := client.recv(1 << 20):
                with self._lock:
                    self.sent += 1
                    number, cut = self.sent, self.sent == self.broken
                self._struck(number, self._before)
                if cut and not self.answered:
                    break
                if cut:
                    self._muted = server
                server.sendall(data)
                self._struck(number, self._behind)
                if cut:
                    answers.join(5)
                    break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def _struck(self, number: int, points: Collection[int]) -> None:
        if number in points:
            self._strike()
            with self._lock:
                self.struck += 1

    _muted: socket.socket | None = None

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if self._muted is server:
                    return
                client.sendall(data)


def _nothing() -> None:
    """What happens at no request."""


@contextlib.contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to the server at a port."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()
