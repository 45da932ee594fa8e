"""Give a file another name on its file system, and never take a name that somebody has.

Takes absolute paths; changes directory entries only, so nothing is copied and nothing can be half. Three ways, each
for file systems that do not know the one before: ``renameat2`` with NOREPLACE, a link and the removal of the old
name, a reservation of the new name. The last two leave, if the process dies in between, what :func:`is_reservation`
and equal inodes tell the journal.
Fails with: FileExistsError (the name is taken), FileNotFoundError, ``OSError`` EXDEV (another file system, or another
mount of it), and what else the system says. Source: renameat2(2); measured: FUSE answers EINVAL, NFS and SMB refuse.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable

from mediasluice.actions.naming import numbered

_AT_FDCWD, _NOREPLACE = -100, 1

UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""What a file system answers that has no hard links, or no more of them for this file; FAT says EPERM."""


def rename_new(source: bytes, target: bytes, aside: bytes) -> None:
    """Rename ``source`` to ``target``, which must not exist. ``aside``: a name beside the source that is ours alone."""
    for way in WAYS:
        try:
            way(source, target, aside)
        except _NotHere:
            continue
        return
    raise OSError(errno.ENOTSUP, "no way to rename without replacing", os.fsdecode(target))


class _NotHere(Exception):
    """This file system does not know this way."""


def by_flag(source: bytes, target: bytes, _aside: bytes) -> None:
    """In one step, by the kernel."""
    libc = _libc()
    if libc is None:
        raise _NotHere
    if libc.renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code in UNKNOWN:
        raise _NotHere
    raise OSError(code, os.strerror(code), os.fsdecode(source), None, os.fsdecode(target))


def by_link(source: bytes, target: bytes, aside: bytes) -> None:
    """Link the new name, then remove the old one, unless another file has taken it meanwhile."""
    before = os.lstat(source)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in NO_LINKS:
            raise _NotHere from error
        raise
    remove_name(source, aside, lambda status: status.st_ino == before.st_ino)


def by_reservation(source: bytes, target: bytes, aside: bytes) -> None:
    """Take the new name with a file of ours, then replace that one; for file systems without links (FAT, SMB)."""
    if sys.platform == "win32":
        os.rename(source, target)  # refuses by itself to replace
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, os.path.basename(aside))
    finally:
        os.close(descriptor)
    try:
        if not is_reservation(target, aside):
            raise FileExistsError(errno.EEXIST, "another program took the name", os.fsdecode(target))
        os.rename(source, target)
    except OSError:
        if is_reservation(target, aside):
            os.unlink(target)
        raise


WAYS: tuple[Callable[[bytes, bytes, bytes], None], ...] = (by_flag, by_link, by_reservation)


def is_reservation(target: bytes, aside: bytes) -> bool:
    """Whether what has this name is the reservation that :func:`by_reservation` made with the same ``aside``."""
    mark = os.path.basename(aside)
    try:
        if os.lstat(target).st_size != len(mark):
            return False
        with open(target, "rb") as file:
            return file.read() == mark
    except OSError:
        return False


def remove_name(source: bytes, aside: bytes, is_right: Callable[[os.stat_result], bool]) -> bool:
    """Remove a name, if what has it is right at the last moment; ``False`` and nothing changed if it is not.

    The name is set aside first: between a look and an unlink somebody could put another file there.
    """
    # By a plain rename: ``aside`` is ours alone, and whatever is there by an earlier try is the same file.
    if os.path.lexists(aside):
        raise FileExistsError(errno.EEXIST, "left by an earlier try", os.fsdecode(aside))
    os.rename(source, aside)
    try:
        if is_right(os.lstat(aside)):
            os.unlink(aside)
            return True
    except OSError:
        give_back(aside, source)
        raise
    give_back(aside, source)
    return False


def give_back(aside: bytes, source: bytes) -> bytes:
    """Rename what was set aside back to its name, or beside it if that is taken by now; gives the name."""
    name, number = source, 1
    while True:
        try:
            by_flag(aside, name, b"")
        except _NotHere:
            try:
                os.link(aside, name, follow_symlinks=False)
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                if not os.path.lexists(name):
                    os.rename(aside, name)
                    return name
            else:
                os.unlink(aside)
                return name
        except FileExistsError:
            pass
        else:
            return name
        number += 1
        name = os.path.join(os.path.dirname(source), numbered(os.path.basename(source), number))


@functools.cache
def _libc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return None
    libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return libc
