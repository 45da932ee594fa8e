"""Look at an open file once and say what that proves: who writes it, has it holes, is its format whole.

Takes a descriptor opened for reading, its ``fstat`` and its first bytes; gives :class:`Evidence`. The
descriptor stays open, its offset ends at 0. Fails with: ``OSError`` of a read (EIO, ESTALE ...), for the
caller to sort.

Writers are found by asking the kernel for a read lease, which it refuses while anybody has the file open
for writing or mapped writable, and giving the lease back at once. On local file systems that is the
kernel's own writer count. On FUSE and overlay mounts a granted lease proves nothing, because writers
behind the mount are not counted. The NFSv4 and SMB clients answer EAGAIN as well where the server granted
no delegation or oplock, so there a refusal proves nothing either.
Source: fcntl(2); ``check_conflicting_open``, ``nfs4_add_lease`` and ``cifs_setlease`` of Linux.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from enum import IntEnum
from typing import NamedTuple

from mediasluice.model.files import ChangeKey
from mediasluice.settle.formats import Format, completeness

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LEASES = hasattr(fcntl, "F_SETLEASE")
_SEEK_HOLE = getattr(os, "SEEK_HOLE", None)
_HOLES_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


class Writer(IntEnum):
    """Whether anybody has the file open for writing."""

    UNKNOWN = 0
    FREE = 1
    BUSY = 2


class Evidence(NamedTuple):
    """What one look at one file found."""

    key: ChangeKey
    links: int
    writer: Writer
    holes: bool
    format: Format


def ignore_lease_signals() -> None:
    """Make lease breaks harmless: the default action of SIGIO ends the process. Main thread, once, first."""
    if HAS_LEASES:
        signal.signal(signal.SIGIO, signal.SIG_IGN)


def probe(
    fd: int,
    status: os.stat_result,
    head: bytes,
    *,
    lease_proves_free: bool,
    lease_proves_busy: bool = True,
    stable_inodes: bool = True,
) -> Evidence:
    """Collect the evidence of one look. ``head``: the file's first bytes, 64 or more where it has them.

    ``lease_proves_free`` and ``lease_proves_busy`` say what may be believed of a lease on this mount.
    """
    writer = writer_of(fd) if lease_proves_free or lease_proves_busy else Writer.UNKNOWN
    if (writer is Writer.FREE and not lease_proves_free) or (writer is Writer.BUSY and not lease_proves_busy):
        writer = Writer.UNKNOWN
    size = status.st_size
    return Evidence(
        ChangeKey(status.st_ino if stable_inodes else 0, size, status.st_mtime_ns, status.st_ctime_ns),
        status.st_nlink,
        writer,
        size > 0 and _has_holes(fd, size),
        completeness(fd, size, head),
    )


def writer_of(fd: int, *, leases: bool = HAS_LEASES) -> Writer:
    """Say whether anybody has the file of ``fd`` open for writing; ``leases=False`` = as on other systems."""
    if not leases:
        return _writer_by_sharing(fd)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return Writer.BUSY
    except OSError:  # EACCES: another owner's file without CAP_LEASE; EINVAL, ENOLCK: not supported here
        return Writer.UNKNOWN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)  # at once: a held lease blocks whoever opens the file
    return Writer.FREE


def is_free_at_last(fd: int) -> bool:
    """Whether nobody writes the file of ``fd``, asked right before it is closed: the close drops the lease."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False  # busy, or nobody can tell: the longer look finds out
    return True


def _writer_by_sharing(fd: int) -> Writer:
    """Windows: open the same file again and allow nobody else to write. Elsewhere nothing can be told."""
    if sys.platform != "win32":
        return Writer.UNKNOWN
    import ctypes  # noqa: PLC0415 - no libc at import time
    import msvcrt  # noqa: PLC0415 - exists on Windows only

    generic_read, share_read, sharing_violation = 0x80000000, 0x00000001, 32  # winnt.h, winerror.h
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.ReOpenFile.restype = ctypes.c_void_p
    kernel.ReOpenFile.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
    kernel.CloseHandle.argtypes = (ctypes.c_void_p,)
    handle = kernel.ReOpenFile(msvcrt.get_osfhandle(fd), generic_read, share_read, 0)
    if handle in {None, ctypes.c_void_p(-1).value}:
        return Writer.BUSY if ctypes.get_last_error() == sharing_violation else Writer.UNKNOWN
    kernel.CloseHandle(handle)
    return Writer.FREE


def _has_holes(fd: int, size: int) -> bool:
    """Whether parts of the file were never written. Unwritten preallocated parts count as holes."""
    if _SEEK_HOLE is None:
        return False
    try:
        return os.lseek(fd, 0, _SEEK_HOLE) < size
    except OSError as error:
        if error.errno in _HOLES_UNSUPPORTED:
            return False
        if error.errno == errno.ENXIO:  # emptied since the fstat: certainly not as it was
            return True
        raise
    finally:
        os.lseek(fd, 0, os.SEEK_SET)  # readers of this descriptor begin at the beginning
