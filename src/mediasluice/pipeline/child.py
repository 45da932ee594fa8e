"""What a process does first that the service has started: tie its life to the service's, and keep its pipes apart.

Takes the process id of the service. Fails with: ``SystemExit`` when the service has gone already.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with the thread that started it; leave when that is too late."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - libc only where it exists

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def take_pipes() -> tuple[int, int]:
    """Move the pipes to the service away from standard input and output: the descriptors of jobs and of answers.

    A stray print must not end up between two frames, and programs that are started later must not inherit them.
    """
    jobs, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return jobs, answers
