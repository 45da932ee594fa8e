"""A TCP proxy for tests: what goes wrong between two machines, at the moment that a test chooses.

Takes the port of a server on loopback; listens on ``port``, which stays the same while it is down. ``cut`` resets
every connection, ``down`` refuses new ones as well until ``up``, ``stall`` passes nothing on until ``resume``,
``delay`` makes every piece come later. Nothing outlives the ``with`` block. Fails with: OSError (no port).
"""

# ruff: noqa: TID251 - it delays real bytes
from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 65_536  # bytes that are passed on at once
_RESET = struct.pack("ii", 1, 0)  # linger 0: close sends RST


class Proxy:
    """Stands between a client and the server at ``target``, a port of loopback."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self._target = (host, target)
        self._lock = threading.Lock()
        self._open: dict[tuple[socket.socket, socket.socket], int] = {}  # and how many directions are over
        self._goes = threading.Event()
        self._goes.set()
        self._delay_s = 0.0
        self._ended = threading.Event()
        self._listener: socket.socket | None = None
        self.connections = 0  # that were ever taken
        self.port = 0
        self.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._goes.set()
        self.down()

    def up(self) -> None:
        """Take connections, on the same port as before."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._target[0], self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._take, args=(listener,), name="proxy", daemon=True).start()

    def down(self) -> None:
        """Refuse new connections and reset those that are there."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes up who accepts
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection on both sides; new ones are taken."""
        with self._lock:
            pairs, self._open = [*self._open], {}
        for connection in (one for pair in pairs for one in pair):
            _reset(connection)

    def stall(self) -> None:
        """Pass nothing on from now on; connections stay open, and new ones are taken."""
        self._goes.clear()

    def resume(self) -> None:
        """Pass on what was held back, and everything after it."""
        self._goes.set()

    def delay(self, seconds: float) -> None:
        """Pass each piece on so much later, from now on."""
        self._delay_s = seconds

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open[near, far] = 0
                self.connections += 1
            if self._listener is not listener:  # it went down in this very moment
                self.cut()
            for one, other in ((near, far), (far, near)):
                passing = threading.Thread(target=self._pass_on, args=(one, other, (near, far)), daemon=True)
                passing.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        try:
            while piece := source.recv(PIECE):
                if self._delay_s:
                    time.sleep(self._delay_s)
                self._goes.wait()
                if self._ended.is_set():
                    return
                target.sendall(piece)
            self._goes.wait()
            with self._lock:
                if pair in self._open:  # else it was reset, and this end is only that of the waiting
                    target.shutdown(socket.SHUT_WR)
        except OSError:  # what happened on one side happens on the other one
            with self._lock:
                is_ours = self._open.pop(pair, None) is not None
            if is_ours:
                _reset(source)
                _reset(target)
            return
        with self._lock:
            over = self._open.get(pair)
            if over is None:
                return
            self._open[pair] = over + 1
            if over:
                del self._open[pair]
        if over:
            source.close()
            target.close()


def _reset(connection: socket.socket) -> None:
    """Close a connection as if its machine had crashed, and wake up who reads from it here."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RD)
    connection.close()
