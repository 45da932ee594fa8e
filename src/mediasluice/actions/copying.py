"""Copy one file beside its target, byte by byte or by sharing its blocks, with all that belongs to it.

Takes an open source and the path of the part; gives the open part, complete and not synced. The source is only read.
Its content must have the digest that it was catalogued with: the bytes of a small file are hashed on their way, those
of a large one are read again, and blocks are shared only of a file whose change key is the catalogued one before and
after. Kept: times, mode, extended attributes with
access lists, and the owner as far as this process may set it.
Fails with: :class:`Differs`, :class:`Stopped`, ``OSError`` (ENOSPC, EDQUOT, EIO ...); the part is the caller's then.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from blake3 import blake3

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_BLOCK = 1 << 20  # bytes, measured: larger ones leave the cache of the processor
_FICLONE = 0x40049409  # linux/fs.h
_PORTION = 64 << 20  # bytes of one call, chosen: a copy can be stopped within a moment
LARGE = 1 << 20  # bytes, measured: from here on the kernel copies faster, and the check runs beside the next copy
_NO_CLONE = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY, errno.ETXTBSY, errno.EPERM}
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.EBADF}
_UNKEPT = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODATA, errno.ERANGE}


class Stopped(Exception):
    """Somebody wants the copy to end; nothing of it is of use."""


class Differs(Exception):
    """The bytes that were read are not those that were catalogued."""


class Owner(NamedTuple):
    """Whom new files belong to, and which permissions they never have; ``None``: as the source has it."""

    uid: int | None = None
    gid: int | None = None
    umask: int | None = None


AS_IT_IS = Owner()


class Copy(NamedTuple):
    """A part that is complete and not synced. ``is_checked``: its bytes were hashed on their way."""

    descriptor: int
    is_shared: bool  # shares blocks with its original
    is_checked: bool


def copy(
    source: int,
    status: os.stat_result,
    part: bytes,
    digest: bytes,
    owner: Owner,
    stopped: Callable[[], bool] = lambda: False,
) -> Copy:
    """Make ``part`` a copy of the open ``source``. A large file is copied by the kernel and is still to be checked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(part, flags, 0o600)
    try:
        is_shared = _share(source, descriptor)
        is_checked = is_shared
        if not is_shared and not (status.st_size >= LARGE and _copy_by_kernel(source, descriptor, status, stopped)):
            _copy_bytes(source, descriptor, status.st_size, digest, stopped)
            is_checked = True
        keep_what_belongs_to_it(source, status, descriptor, owner)
    except BaseException:
        os.close(descriptor)
        raise
    return Copy(descriptor, is_shared, is_checked)


def check(descriptor: int, digest: bytes, stopped: Callable[[], bool]) -> None:
    """Read a part again and compare its digest; raises :class:`Differs`."""
    hasher, offset = blake3(), 0
    block = memoryview(bytearray(_BLOCK))
    while count := os.preadv(descriptor, [block], offset):
        hasher.update(block[:count])
        offset += count
        if stopped():
            raise Stopped
    if hasher.digest() != digest:
        raise Differs


def _copy_by_kernel(source: int, target: int, status: os.stat_result, stopped: Callable[[], bool]) -> bool:
    """Let the kernel copy, or the file server; ``False`` and nothing copied where it cannot between these two."""
    copied = 0
    while copied < status.st_size:
        length = min(_PORTION, status.st_size - copied)
        try:
            count = os.copy_file_range(source, target, length, copied, copied)
        except (OSError, AttributeError) as error:
            if copied or getattr(error, "errno", errno.ENOSYS) not in _NO_KERNEL_COPY:
                raise
            return False
        if not count:
            raise Differs
        copied += count
        if stopped():
            raise Stopped
    return True


def _share(source: int, target: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        return False
    return True


def _copy_bytes(source: int, target: int, size: int, digest: bytes, stopped: Callable[[], bool]) -> None:
    hasher = blake3()
    block = memoryview(bytearray(min(_BLOCK, size + 1)))
    copied = 0
    while count := os.readv(source, [block]):
        view = block[:count]
        hasher.update(view)
        done = 0
        while done < count:
            done += os.write(target, view[done:])
        copied += count
        if copied > size:
            raise Differs
        if stopped():
            raise Stopped
    if copied != size or hasher.digest() != digest:
        raise Differs


def keep_what_belongs_to_it(source: int, status: os.stat_result, target: int, owner: Owner) -> None:
    """Give a copy the times, mode, owner and extended attributes of its original."""
    if hasattr(os, "listxattr"):
        _keep_attributes(source, target)
    give(
        target,
        status.st_uid if owner.uid is None else owner.uid,
        status.st_gid if owner.gid is None else owner.gid,
    )
    mode = status.st_mode & 0o777  # a set-uid bit is not for a copy
    if owner.umask is not None:
        mode &= ~owner.umask
    if hasattr(os, "fchmod"):
        with _as_far_as_possible():
            os.fchmod(target, mode)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _keep_attributes(source: int, target: int) -> None:
    names: list[str] = []
    with _as_far_as_possible():
        names = os.listxattr(source)
    for name in names:
        with _as_far_as_possible():  # the other file system may have none, or they are not ours to give
            os.setxattr(target, name, os.getxattr(source, name))


def give(what: int | bytes, uid: int, gid: int) -> None:
    """Give a file or directory to its owner, as far as this process may."""
    if hasattr(os, "chown"):
        with _as_far_as_possible():
            os.chown(what, uid, gid)


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNKEPT:
            raise


def digest_of(path: bytes) -> bytes | None:
    """The BLAKE3 digest of a file, or ``None`` if there is no file of this name."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    hasher = blake3()
    block = memoryview(bytearray(_BLOCK))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while count := file.readinto(block):
            hasher.update(block[:count])
    return hasher.digest()
