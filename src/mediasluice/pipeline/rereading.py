"""Read files again that are known, in a worker, and say whether they are as they were.

A file whose change key is another one than the known one is not read: somebody wrote it, and a pass finds that out.
What is read comes from the disk and not from the memory of the system, as far as the system follows advice, and
leaves no trace there.

Takes ``Known`` files of one root; gives an outcome tuple each. Fails with: nothing. Every problem of one file is an
outcome of that file.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mediasluice.errors import ChangedWhileReading, FileError, Vanished
from mediasluice.identify import digests
from mediasluice.model.files import Digests, in_range
from mediasluice.sources.opening import open_file, refusal, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Code:
    """First field of every outcome, with the fields that follow."""

    READ: Final = 1  # digests
    CHANGED: Final = 2  # written since, or right now
    GONE: Final = 3  # not there, or no regular file
    UNREADABLE: Final = 4  # reason


class Known(NamedTuple):
    """A file as it is catalogued; the inode is 0 where inodes are not stable."""

    directory: bytes
    name: bytes
    key: tuple[int, int, int, int]


class Ground(NamedTuple):
    """A root, and what its library says of links to files."""

    path: bytes
    follow_files: bool


class Read(NamedTuple):
    """What became of one file. ``digests`` if it was read, else ``reason`` where it could not be."""

    code: int
    digests: Digests | None = None
    reason: str | None = None


def outcome_of(plain: tuple[Any, ...]) -> Read:
    """An outcome as it came over the pipe."""
    code, *rest = plain
    if code == Code.READ:
        return Read(code, Digests(*rest[0]))
    return Read(code, reason=rest[0] if rest else None)


def read_again(payload: tuple[Any, ...], progress: Callable[[int], None]) -> list[tuple[Any, ...]]:
    """What a worker does. ``payload``: the fields of a ``Ground``, algorithms, and those of ``Known`` for each file."""
    ground, algorithms, files = payload
    root = Ground(*ground)
    wanted = digests.ALWAYS | frozenset(algorithms)
    return [_look(root, Known(*file), wanted, progress) for file in files]


def _look(ground: Ground, known: Known, algorithms: frozenset[str], progress: Callable[[int], None]) -> tuple[Any, ...]:
    try:
        fd = _open(ground, known)
    except Vanished:
        return (Code.GONE,)
    except FileError as error:
        return (Code.UNREADABLE, error.message)
    try:
        return _digest(fd, tuple(known.key), algorithms, progress)
    except ChangedWhileReading:
        return (Code.CHANGED,)
    except Vanished:
        return (Code.GONE,)
    except FileError as error:
        return (Code.UNREADABLE, error.message)
    except OSError as error:
        return (Code.UNREADABLE, error.strerror or str(error))
    finally:
        os.close(fd)


def _open(ground: Ground, known: Known) -> int:
    try:
        return open_file(ground.path, known.directory, known.name)
    except OSError as error:
        target = target_of(ground.path, known.directory, known.name) if ground.follow_files else None
        if target is None:
            raise refusal(error, known.name) from error
    try:
        return os.open(target, _FLAGS)
    except OSError as error:
        raise refusal(error, known.name) from error


def _digest(
    fd: int, key: tuple[int, ...], algorithms: frozenset[str], progress: Callable[[int], None]
) -> tuple[Any, ...]:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return (Code.GONE,)
    if _key(status, key) != key:
        return (Code.CHANGED,)
    _forget(fd)
    try:
        found = digests.read(fd, status.st_size, algorithms, progress)
    finally:
        _forget(fd)
    if _key(os.fstat(fd), key) != key:
        return (Code.CHANGED,)
    return (Code.READ, tuple(found.digests))


def _key(status: os.stat_result, known: tuple[int, ...]) -> tuple[int, ...]:
    ino = status.st_ino if known[0] else 0
    return (ino, status.st_size, in_range(status.st_mtime_ns), in_range(status.st_ctime_ns))


def _forget(fd: int) -> None:
    """Have the system drop what it holds of this file in memory; what it has not written yet stays."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
