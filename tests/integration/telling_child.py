"""A process that reads media as the real one does, writes down the name of each file, and obeys what stands in some.

Run as a program by the tests of the second pass, with the paths of its diary and of a lock before the arguments that
any such process has. The words below stand in the first bytes of a file:

    CRASHES     the process dies as by a bad pointer
    NEVERENDS   it takes for ever
    DAWDLES     it takes some 30 ms
    ISHELD      it takes until nobody else holds the lock
    BROKENDISK  the disk fails, as long as a file beside the lock is there
    NONSENSE    what is found makes no sense
    MEMORYHOG   the kernel ends the process for want of memory, as long as that file beside the lock is there
    MISTAKEN    code of ours makes a mistake
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from typing import Any

from mediasluice.identify.opened import Opened
from mediasluice.identify.reading import read_file
from mediasluice.pipeline import isolated

DIARY, LOCK = sys.argv.pop(1), sys.argv.pop(1)
BROKEN = LOCK + ".broken"
LONG_S, SHORT_S = 3600.0, 0.03


def read(opened: Opened, extra: Any) -> object:
    """Read one file."""
    diary = os.open(DIARY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(diary, opened.name + b"\n")
    os.close(diary)
    said = opened.head
    if b"CRASHES" in said:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"NEVERENDS" in said:
        time.sleep(LONG_S)
    if b"DAWDLES" in said:
        time.sleep(SHORT_S)
    if b"ISHELD" in said:
        with open(LOCK, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    if b"MEMORYHOG" in said and os.path.exists(BROKEN):
        os.kill(os.getpid(), signal.SIGKILL)
    if b"MISTAKEN" in said:
        opened.pread("1", 0)  # type: ignore[arg-type]
    if b"BROKENDISK" in said and os.path.exists(BROKEN):
        raise OSError(errno.EIO, "no sector")
    return '{"dates":7}' if b"NONSENSE" in said else read_file(opened, extra)


if __name__ == "__main__":
    isolated.main({**isolated.VERBS, "read": lambda: read})
