"""One process that may do anything but answer, seen from the service: it is heard without waiting, and ended surely.

Takes the command of a child that speaks :mod:`~mediasluice.pipeline.frames` on its standard pipes and leads a session
of its own. Gives the values that it says, what it printed last, and how it ended. No call waits longer than it is told
to, whatever the process does: it is polled, never read from blindly, and left behind when even the kernel cannot end
it.
Fails with: ``OSError`` where no process can be started.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mediasluice.pipeline.frames import take_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_MAX = 33 << 20  # bytes of an answer; a child keeps below it by itself
PRINTED_MAX = 8 << 10  # bytes that are kept of what it printed about one file
EXIT_S = 0.5  # chosen: between the end of its pipes and its own a process needs a millisecond
_READ = 1 << 20  # bytes of one read
_DRAINS = 256  # chosen: reads after the end; dead writers left at most what a pipe holds

_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
"""Each arena of the C library reserves 64 MiB, which counts against the limit although nobody uses it."""


class Confined:
    """A process and its pipes. It belongs to the thread that makes it, and ends with that thread."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # so that it can be ended together with what it starts
            env=_ENVIRONMENT | os.environ,
        )
        self.pid = self._process.pid
        self.files = 0  # that it has done
        self.is_ready = False  # it said once that it can work
        self.fault: str | None = None  # why nothing that it says can be understood any more
        self._is_gone = False
        self._is_mute = False
        self._unsent = memoryview(b"")
        self._heard = bytearray()
        self._printed = bytearray()
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._jobs, self._answers, self._errors = (-1 if pipe is None else pipe.fileno() for pipe in pipes)
        self._poll = select.poll()
        for fd in (self._jobs, self._answers, self._errors):
            os.set_blocking(fd, False)
        self._poll.register(self._answers, select.POLLIN)
        self._poll.register(self._errors, select.POLLIN)
        self._end = _descriptor_of(self.pid)
        if self._end is not None:
            self._poll.register(self._end, select.POLLIN)

    # -- talking ----------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Give it a job; what does not fit into the pipe goes out while it is listened to."""
        self._unsent = memoryview(bytes(self._unsent) + frame)
        self._write()
        if self._unsent:
            self._poll.register(self._jobs, select.POLLOUT)

    def listen(self, limit_s: float) -> list[Any]:
        """Wait so long at most for something to happen; gives what it said since the last call."""
        happened = self._poll.poll(max(0.0, limit_s) * 1e3)
        for fd, _ in happened:
            if fd == self._jobs:
                self._write()
                if not self._unsent:
                    self._poll.unregister(fd)
            elif fd == self._end:
                self._is_gone = True
            else:
                self._read(fd)
        if not happened and self._end is None:
            self._is_gone = self._has_ended(0.0)
        return self._said()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: it ended, or its answers did, or they make no sense."""
        return self._is_gone or self._is_mute or self.fault is not None

    def is_well(self) -> bool:
        """Whether it can be given a job."""
        return not self.is_over and not self._has_ended(0.0)

    @property
    def has_printed(self) -> bool:
        """Whether it printed something about the present file."""
        return bool(self._printed)

    @property
    def printed(self) -> str:
        """The end of what it printed about the present file."""
        return self._printed.decode("utf-8", "replace")

    def starved_s(self) -> float:
        """How long it waited for a processor since it was started; 0 where nobody says."""
        try:
            with open(f"/proc/{self.pid}/schedstat", "rb", buffering=0) as file:
                return int(file.read(128).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    # -- the end ----------------------------------------------------------------------------------

    def end(self, limit_s: float) -> list[Any]:
        """End it and all that it started; gives what it had still said. Look at :attr:`is_stuck` afterwards."""
        if self._is_mute and not self._has_ended(min(EXIT_S, limit_s)):  # else its own way to end is what counts
            self.fault = "ceased to answer"
        self._kill()
        if self._has_ended(limit_s):
            self._process.wait()
        else:  # it keeps its process id until somebody waits for it
            threading.Thread(target=self._process.wait, name=f"wait-{self.pid}", daemon=True).start()
        frames = self._drain()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._end is not None:
            os.close(self._end)
            self._end = None
        return frames

    @property
    def is_stuck(self) -> bool:
        """Whether it is still there although it was killed: the kernel ends it when what it waits for comes."""
        return self._process.poll() is None

    def way_it_ended(self) -> str:
        """How it ended, for people."""
        code = self._process.returncode
        if code is None:
            return "cannot be ended"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"ended by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:  # a real-time signal
            return f"ended by signal {-code}"

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self._process.returncode == -getattr(signal, "SIGKILL", 9)

    def _kill(self) -> None:
        # It leads its group and has not been waited for: the number is still its own.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def _has_ended(self, limit_s: float) -> bool:
        if self._process.returncode is not None:
            return True
        if self._end is not None:
            waiting = select.poll()
            waiting.register(self._end, select.POLLIN)
            return bool(waiting.poll(limit_s * 1e3))
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    # -- the pipes --------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._jobs, self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = memoryview(b"")  # it has ended, which is noticed elsewhere

    def _read(self, fd: int) -> bool:
        """Read once; gives whether there may be more."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        if not data:
            self._poll.unregister(fd)
            self._is_mute = self._is_mute or fd == self._answers
            return False
        if fd == self._answers:
            self._heard += data
        else:
            self._printed += data
            del self._printed[: self._printed.rfind(b"\0") + 1]
            del self._printed[:-PRINTED_MAX]
        return True

    def _said(self) -> list[Any]:
        values: list[Any] = []
        if self._heard and self.fault is None:
            try:
                for value in take_frames(self._heard, FRAME_MAX):
                    values.append(value)  # noqa: PERF402 - what came before nonsense counts
            except ValueError as error:
                self.fault = f"answered nonsense: {error}"
        return values

    def _drain(self) -> list[Any]:
        values: list[Any] = []
        for fd in (self._answers, self._errors):
            for _ in range(_DRAINS):
                with suppress(KeyError):
                    if not self._read(fd):
                        break
                values += self._said()
        return values


def _descriptor_of(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, though others keep its pipes open; Linux alone."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
