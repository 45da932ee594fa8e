"""Start a program of the user and listen to it: pipes, a group of its own, and no setting of the service.

Takes a list of arguments, run as they are without a shell. What a process starts belongs to its group and is ended
with it. Fails with: OSError (it cannot be started), ValueError (an argument that cannot be passed).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO


def environment() -> dict[str, str]:
    """What a program of the user may know of ours: all but the settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def start(argv: Sequence[str], env: Mapping[str, str], *, is_one_stream: bool = False) -> subprocess.Popen[bytes]:
    """Start it. ``is_one_stream``: what it complains of comes with what it says, in the order of both."""
    return subprocess.Popen(  # noqa: S603 - the user named this very command
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if is_one_stream else subprocess.PIPE,
        env=env,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes], number: int = getattr(signal, "SIGKILL", signal.SIGTERM)) -> None:
    """End it and what it started, or send them another signal: they are a group of their own."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, number)
    else:
        process.kill()


class Tail(threading.Thread):
    """Reads a pipe to its end and keeps the last bytes of it. A thread: some grandchild may hold the pipe for ever."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        super().__init__(name="tail", daemon=True)
        self.kept = b""
        self._pipe, self._most = pipe, most
        self.start()

    def run(self) -> None:
        with self._pipe as pipe:
            while part := os.read(pipe.fileno(), self._most):
                self.kept = (self.kept + part)[-self._most :]
