"""Become a foreign program that works on files of users: polite, limited, and gone when its starter is gone.

Started as ``python -P -m mediasluice.actions.launching PARENT MEMORY PROGRAM ARGUMENT...``. Takes the process id of the
service, the address space in bytes that the program may use, and the program. Lowers the priority, limits memory,
leaves no image after a crash, asks Linux to end this process with the thread that started it, and then is the program.
Fails with: ``SystemExit`` 0 when the service has gone already, 127 when the program cannot be started.

A process of its own before the program, because between fork and exec of a process with threads nothing may be done
that takes a lock, and Python takes some everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

NICENESS = 10  # chosen: a film may take all night; who looks at pictures meanwhile must not notice
_BADNESS = b"500"  # chosen: when memory runs out, the kernel shall end this first
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program."""
    parent, memory, *command = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - libc only where it exists

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(_BADNESS)
    if os.getppid() != int(parent):
        sys.exit(0)
    with suppress(OSError, AttributeError):
        os.nice(max(0, NICENESS - os.nice(0)))  # who starts it may be one that was launched itself
    _limit(int(memory))
    try:
        os.execv(command[0], command)  # noqa: S606 - what the caller chose, without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


def _limit(memory: int) -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    for limit, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS does not know every limit; one that is lower already stays
            resource.setrlimit(limit, (wanted, resource.getrlimit(limit)[1]))


if __name__ == "__main__":
    main()
