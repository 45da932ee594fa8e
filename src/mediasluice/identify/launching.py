"""Become a foreign program that works for a user: polite, limited, and gone when its starter is gone.

Started as ``python -P -m mediasluice.identify.launching PARENT MEMORY PROGRAM ARGUMENT...``, which :func:`launched`
puts together. Takes the process id of the service, the address space in bytes that the program may use (0: as much as
it likes), and the program. Lowers the priority, limits memory, leaves no image after a crash, treats every signal as
programs do by default, asks Linux to end this process with the thread that started it, and then is the program.
Fails with: ``SystemExit`` 0 when the service has gone already, 127 when the program cannot be started.

A process of its own before the program, because between fork and exec of a process with threads nothing may be done
that takes a lock, and Python takes some everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

NICENESS = 10  # chosen: a film may take all night; who looks at pictures meanwhile must not notice
_BADNESS = b"500"  # chosen: when memory runs out, the kernel shall end this first
_PR_SET_PDEATHSIG = 1


UNSTARTED = 127  # exit code: the program cannot be started


def launched(command: Sequence[str], memory: int = 0) -> list[str]:
    """The command that becomes ``command``, whose program is an absolute path."""
    if os.name != "posix":
        return list(command)
    return [sys.executable, "-P", "-m", "mediasluice.identify.launching", str(os.getpid()), str(memory), *command]


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
    _default_signals()
    try:
        os.execv(command[0], command)  # noqa: S606 - what the caller chose, without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(UNSTARTED)


def _limit(memory: int) -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    for limit, wanted in ((resource.RLIMIT_AS, memory or resource.RLIM_INFINITY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS does not know every limit; one that is lower already stays
            resource.setrlimit(limit, (wanted, resource.getrlimit(limit)[1]))


def _default_signals() -> None:
    """What is ignored or blocked stays so in a new program: Python ignores SIGPIPE, and the service more of them."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    main()
