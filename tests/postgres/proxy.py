"""A server's address with a wire that counts round trips, can be cut, and can hang."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["Wire", "wired"]


class Wire:
    """What passes: a trip begins with what a client sends after it heard something, or first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.trips = 0
        self.clients = 0
        """How many were let in."""
        self.lose_request: Callable[[bytes], bool] = lambda _: False
        """Says of what a client sends whether the connection is cut in front of it."""
        self.lose_answer: Callable[[bytes], bool] = lambda _: False
        """Says of what a client sends whether the connection is cut behind it, before the answer."""
        self.hangs = False
        self.refuses = False
        """Whether nobody is let in."""

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                client.close()
                continue
            self.clients += 1
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(one)
            state = {"asking": False, "mute": False}
            for source, target, asks in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, target, asks, state), daemon=True).start()

    def cut(self) -> None:
        """Cut all that is connected."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pass(self, source: socket.socket, target: socket.socket, asks: bool, state: dict[str, bool]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self.hangs:
                    continue
                if asks:
                    with self._lock:
                        self.trips += not state["asking"]
                        state["asking"] = True
                    if self.lose_request(data):
                        break
                    state["mute"] = state["mute"] or self.lose_answer(data)
                else:
                    state["asking"] = False
                    if state["mute"]:
                        break  # the server has done it, and nobody hears so
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wired(url: str) -> Iterator[tuple[str, Wire]]:
    """The URL of the same server through a wire, and the wire."""
    before, _, rest = url.partition("@127.0.0.1:")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    wire = Wire(int(rest[:digits]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=wire.serve, args=(listener,), daemon=True).start()
        try:
            yield f"{before}@127.0.0.1:{listener.getsockname()[1]}{rest[digits:]}", wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            wire.cut()
