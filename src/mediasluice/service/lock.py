"""Make one process the writer of a data directory.

Takes the data directory (created when it is missing, mode 0700); gives a held :class:`DataLock`. The kernel
drops the lock with the process, so a kill leaves nothing to clean up; the file itself is never removed,
because a waiting process would then lock a name that nobody else sees.
Fails with: LockHeld (with the pid of the holder), BadSetting (the directory cannot be used), DiskFull.
Source: one writer per data directory, docs/architecture.md.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mediasluice.errors import BadSetting, DiskFull, LockHeld

LOCK_NAME = "lock"

_FAR_BYTE = 1 << 30
"""Where the Windows fallback locks: a locked byte cannot be read there, and the pid has to stay readable."""

_PID_ATTEMPTS = 10
"""Chosen: a holder needs far less than 10 x 10 ms between taking the lock and writing its pid."""


class DataLock:
    """The right to write a data directory, held until :meth:`release` or the end of the process."""

    def __init__(self, data: Path, fd: int) -> None:
        self.data = data
        self._fd: int | None = fd

    @classmethod
    def acquire(cls, data: Path) -> DataLock:
        """Take the lock at once or raise :class:`LockHeld`; never waits for the holder."""
        path = data / LOCK_NAME
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise _unusable(data, error) from error
        try:
            for _ in range(_PID_ATTEMPTS):
                if _try_lock(fd):
                    _write_pid(fd)
                    return cls(data, fd)
                if pid := _read_pid(fd):
                    raise _held(data, pid)
                time.sleep(0.01)
            raise _held(data, 0)
        except OSError as error:
            os.close(fd)
            raise _unusable(data, error) from error
        except LockHeld:
            os.close(fd)
            raise

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def recorded_pid(data: Path) -> int | None:
    """The pid that the last holder wrote. Whether that process still holds the lock is another question."""
    try:
        fd = os.open(data / LOCK_NAME, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return None
    try:
        return _read_pid(fd) or None
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        import msvcrt  # noqa: PLC0415 - only on Windows

        os.lseek(fd, _FAR_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                return False
            raise
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_pid(fd: int) -> None:
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"%d\n" % os.getpid())


def _read_pid(fd: int) -> int:
    os.lseek(fd, 0, os.SEEK_SET)
    written = os.read(fd, 32).strip()
    return int(written) if written.isdigit() else 0


def _held(data: Path, pid: int) -> LockHeld:
    who = f"process {pid}" if pid else "another process"
    return LockHeld(
        f"{who} is working with this data directory",
        pid=pid,
        path=str(data),
        hint=f"stop it (kill {pid}), or use another directory: --data DIR" if pid else "use another one: --data DIR",
    )


def _unusable(data: Path, error: OSError) -> BadSetting | DiskFull:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no room left for the data directory", path=str(data), hint="free some space, or --data DIR")
    return BadSetting(
        f"cannot be used as data directory: {error.strerror}",
        path=str(data),
        hint="name a directory on a local disk that this user may write: --data DIR",
    )
