"""The life of a worker process: take a job from the pipe, do it, answer, until the pipe ends.

Takes frames on standard input and gives frames on standard output. A job is ``(verb, payload)``; an answer
is ``(code, value)`` where code is DONE, FAILED (the text of a bug in the worker) or PROGRESS (bytes read of
a huge file so far).

A worker reads users' files and never writes. It dies with the process that started it: by the parent
death signal on Linux, by the end of its pipe everywhere. Nothing heavy is imported here: no CLI, no
database, no configuration.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

from mediasluice.pipeline import examine, rereading
from mediasluice.pipeline.child import die_with_parent, take_pipes
from mediasluice.pipeline.frames import read_frame, write_frame
from mediasluice.settle.probes import ignore_lease_signals

if TYPE_CHECKING:
    from collections.abc import Callable

DONE, FAILED, PROGRESS = 0, 1, 2


def main() -> None:
    """Run until standard input ends."""
    die_with_parent(int(sys.argv[1]))
    os.nice(int(sys.argv[2])) if hasattr(os, "nice") else None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service decides
    ignore_lease_signals()
    jobs, answers = take_pipes()
    gc.disable()  # jobs make short-lived tuples without cycles

    def progress(done: int) -> None:
        write_frame(answers, (PROGRESS, done))

    verbs: dict[str, Callable[[Any], object]] = {
        "list": examine.list_directories,
        "take": examine.take_directories,
        "look": lambda payload: examine.look_at_files(payload, progress),
        "absent": examine.which_are_absent,
        "mounted": examine.what_is_mounted,
        "reread": lambda payload: rereading.read_again(payload, progress),
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
