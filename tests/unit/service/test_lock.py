"""The data lock: one writer per data directory, told by the kernel and not by a file's contents."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from mediasluice.errors import BadSetting, LockHeld
from mediasluice.service.lock import DataLock, recorded_pid

HOLD = """
import sys, time
from pathlib import Path
from mediasluice.service.lock import DataLock
lock = DataLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def hold_elsewhere(data: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_carries_the_pid_of_its_holder(tmp_path: Path) -> None:
    """Whoever holds the lock has written its pid into it, and takes it out again."""
    with DataLock.acquire(tmp_path / "new" / "data"):
        assert recorded_pid(tmp_path / "new" / "data") == os.getpid()
    assert recorded_pid(tmp_path / "new" / "data") is None


def test_a_second_process_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    """A held lock names the pid of the holder and advises another data directory."""
    with hold_elsewhere(tmp_path) as holder, pytest.raises(LockHeld) as raised:
        DataLock.acquire(tmp_path)
    assert raised.value.pid == holder.pid
    assert "--data DIR" in str(raised.value.hint)
    assert raised.value.path == str(tmp_path)


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    """A kill -9 releases the lock although the pid stays in the file."""
    holder = hold_elsewhere(tmp_path)
    holder.kill()
    holder.communicate()
    assert recorded_pid(tmp_path) == holder.pid
    DataLock.acquire(tmp_path).release()


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A worker that outlives the service does not keep the lock, even when it was started with open files."""
    lock = DataLock.acquire(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    lock.release()
    try:
        DataLock.acquire(tmp_path).release()
    finally:
        child.communicate(b"\n")


def test_release_twice_is_harmless(tmp_path: Path) -> None:
    """A second release does nothing."""
    lock = DataLock.acquire(tmp_path)
    lock.release()
    lock.release()
    DataLock.acquire(tmp_path).release()


def test_a_data_directory_that_cannot_be_made_is_a_bad_setting(tmp_path: Path) -> None:
    """A file in the place of the data directory gives a clear error and is left alone."""
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(BadSetting, match="cannot be used as data directory"):
        DataLock.acquire(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_without_fcntl_a_byte_range_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no flock, one far byte is locked through msvcrt, and the pid stays readable."""
    locked: set[tuple[int, int]] = set()

    def locking(fd: int, mode: int, count: int) -> None:
        inode = os.fstat(fd).st_ino
        byte = os.lseek(fd, 0, os.SEEK_CUR)
        assert (mode, count) == (2, 1)
        if (inode, byte) in locked:
            raise OSError(errno.EACCES, "locked")
        locked.add((inode, byte))

    msvcrt = types.ModuleType("msvcrt")
    msvcrt.LK_NBLCK, msvcrt.locking = 2, locking  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    with DataLock.acquire(tmp_path), pytest.raises(LockHeld) as raised:
        DataLock.acquire(tmp_path)
    assert raised.value.pid == os.getpid()
