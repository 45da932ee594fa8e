"""The life of a worker process: take a job from the pipe, do it, answer, until the pipe ends.

Takes frames on standard input and gives frames on standard output: four bytes of length (little
endian), then a ``marshal`` value. A job is ``(verb, payload)``; an answer is ``(code, value)`` where
code is DONE, FAILED (the text of a bug in the worker) or PROGRESS (bytes read of a huge file so far).
``marshal`` is used because both ends are the same interpreter and it costs a third of pickle.

A worker reads users' files and never writes. It dies with the process that started it: by the parent
death signal on Linux, by the end of its pipe everywhere. Nothing heavy is imported here: no CLI, no
database, no configuration.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import struct
import sys
import traceback
from typing import TYPE_CHECKING, Any

from mediasluice.pipeline import examine
from mediasluice.settle.probes import ignore_lease_signals

if TYPE_CHECKING:
    from collections.abc import Callable

DONE, FAILED, PROGRESS = 0, 1, 2
LENGTH = struct.Struct("<I")
_PR_SET_PDEATHSIG = 1


def read_frame(fd: int) -> Any:  # noqa: ANN401 - what marshal gives has no type
    """Read one frame; ``None`` when the other end is gone."""
    head = _read_exactly(fd, LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(fd, LENGTH.unpack(head)[0])
    return None if body is None else marshal.loads(body)  # noqa: S302 - both ends are this program


def write_frame(fd: int, value: object) -> None:
    """Write one frame; raises ``BrokenPipeError`` when the other end is gone."""
    body = marshal.dumps(value)  # type: ignore[arg-type] # tuples of plain values
    view = memoryview(LENGTH.pack(len(body)) + body)
    while view:
        view = view[os.write(fd, view) :]


def _read_exactly(fd: int, count: int) -> bytes | None:
    """Read exactly so many bytes; ``None`` at the end of the pipe."""
    data = os.read(fd, count)
    if len(data) == count:
        return data
    parts = [data]
    missing = count - len(data)
    while missing:
        if not data:
            return None
        data = os.read(fd, min(missing, 1 << 20))
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def _die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with the thread that started it; leave when that is too late."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - libc only where it exists

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Run until standard input ends."""
    _die_with_parent(int(sys.argv[1]))
    os.nice(int(sys.argv[2])) if hasattr(os, "nice") else None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service decides
    ignore_lease_signals()
    jobs, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # a stray print must not end up between two frames
    os.dup2(null, 1)
    gc.disable()  # jobs make short-lived tuples without cycles

    def progress(done: int) -> None:
        write_frame(answers, (PROGRESS, done))

    verbs: dict[str, Callable[[Any], object]] = {
        "list": examine.list_directories,
        "take": examine.take_directories,
        "look": lambda payload: examine.look_at_files(payload, progress),
        "absent": examine.which_are_absent,
        "mounted": examine.what_is_mounted,
        "there": lambda payload: examine.is_there(payload, progress),
    }
    while (job := read_frame(jobs)) is not None:
        verb, payload = job
        try:
            answer: tuple[int, object] = (DONE, verbs[verb](payload))
        except Exception:  # noqa: BLE001 - the border of the process: the parent reports it
            answer = (FAILED, traceback.format_exc())
        try:
            write_frame(answers, answer)
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
