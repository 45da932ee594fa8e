"""Ask roots whether they are there, in processes that may hang: what is stuck in the kernel holds up nobody else.

Takes roots; gives a :class:`RootCheck` when a root has answered. A process that waits for a root which hangs goes on
waiting, and another one asks the other roots. Fails with: ``OSError`` where no process can be started.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mediasluice.model.paths import text
from mediasluice.model.roots import RootIdentity
from mediasluice.pipeline.worker import DONE
from mediasluice.pipeline.workers import Process
from mediasluice.sources.mounts import mounts_below
from mediasluice.sources.roots import RootCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

HANGS = "hangs:"  # how the reason of such a root begins
HANGS_S = 15.0  # chosen: a disk that has to spin up first answers within ten seconds


class Probes:
    """The processes that ask; call it from threads that live as long as it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[Process] = []
        self._asking: set[Process] = set()

    def begin(self, path: bytes, top: bytes, known: RootIdentity | None, *, had_files: bool) -> Probe:
        """Ask a root, and what is mounted inside it; ``top`` is its path without symbolic links."""
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is None or not process.is_alive:
            process = Process()
        with self._lock:
            self._asking.add(process)
        identity = None if known is None else (known.filesystem, known.ino)
        points = [mount.point for mount in mounts_below(top)]
        return Probe(self, process, (path, identity, had_files, points))

    def give_back(self, process: Process) -> None:
        """A process has its answer; one of them is kept for the next question."""
        with self._lock:
            self._asking.discard(process)
            is_kept = not self._idle and not self._closed
            if is_kept:
                self._idle.append(process)
        if not is_kept:
            process.end()

    def close(self) -> None:
        """End the processes; one that is stuck ends when the kernel lets go of it."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for process in self._asking:
                process.kill()
        for process in idle:
            process.end()


class Probe:
    """One question to one root."""

    def __init__(
        self, probes: Probes, process: Process, payload: tuple[bytes, tuple[bytes, int] | None, bool, list[bytes]]
    ) -> None:
        self.path = payload[0]
        self.check: RootCheck | None = None  # also when the process died: then nothing is known
        self.failure: str | None = None  # the text of a bug
        self._points: Sequence[bytes] = payload[3]
        self._asked = self.path
        self._since_s = time.monotonic()
        self._thread = threading.Thread(target=self._ask, args=(probes, process, payload), name="probe", daemon=True)
        self._thread.start()

    @property
    def age_s(self) -> float:
        """How long it has been asked [s]."""
        return time.monotonic() - self._since_s

    @property
    def reason(self) -> str:
        """Why the root cannot be used as long as there is no answer."""
        return f"{HANGS} {text(self._asked)} does not answer"

    def ends_within(self, limit_s: float) -> bool:
        """Wait so long at most; whether the question is done with."""
        self._thread.join(max(0.0, limit_s))
        return not self._thread.is_alive()

    def _ask(self, probes: Probes, process: Process, payload: object) -> None:
        answer = process.ask("there", payload, self._progressed)
        if answer is not None and answer[0] != DONE:
            self.failure = answer[1]
        elif answer is not None:
            online, reason, found = answer[1]
            self.check = RootCheck(online, reason, None if found is None else RootIdentity(*found))
        probes.give_back(process)

    def _progressed(self, number: int) -> None:
        self._asked = self._points[number]
