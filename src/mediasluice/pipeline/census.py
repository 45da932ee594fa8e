"""List every regular file below some directories that is not empty, whatever its name.

Takes directories as bytes. Gives a Census: the files as columns, in the same order whenever the tree is the same.
Symbolic links are not followed, special files are passed over; a file below two of the directories is listed once.
Fails with: RootUnusable for a directory that cannot be used. What cannot be listed is in ``failed``, with its reason.
Source: measured, see benchmarks/; a second process takes a third off the time of a walk.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate

from mediasluice.errors import RootUnusable
from mediasluice.model import paths
from mediasluice.pipeline import forking
from mediasluice.sources.opening import open_directory, open_file

WALK_FILES = 4000  # a task leaves its unlisted directories to others after so many files; measured: 12 ms of work
UNSIGNED = (1 << 64) - 1  # inode numbers of 128 bits exist; their lower half tells files apart as well
BY_DESCRIPTOR = os.scandir in os.supports_fd  # saves 0.5 us per file; not on Windows

Directory = tuple[bytes, bytes]  # one of the given directories, and a path relative to it
Listed = tuple[bytes, bytes, bytes, bytes]  # a Directory, its absolute path with a slash, the names of its files
Columns = tuple[list[Listed], list[bytes], list[int], list[tuple[bytes, str]]]


class Census:
    """Files by number. Columns take some 70 bytes per file, and forked processes share them; objects take 400."""

    def __init__(self) -> None:
        self.directories: list[Listed] = []
        self.owners = array("I")  # into directories
        self.starts = array("I")  # of the name among the names of its directory
        self.lengths = array("H")  # bytes of the name
        self.sizes = array("Q")  # bytes
        self.inodes = array("Q")
        self.devices = array("Q")
        self.changed = array("d")  # s: ctime. The kernel moves it with every change of content; nobody can set it back
        self.linked: list[int] = []  # files with more than one name
        self.failed: list[tuple[bytes, str]] = []
        self._columns: tuple[array[int] | array[float], ...] = (
            self.starts,
            self.lengths,
            self.sizes,
            self.inodes,
            self.devices,
            self.changed,
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def path(self, number: int) -> bytes:
        """Absolute path."""
        _, _, absolute, names = self.directories[self.owners[number]]
        start = self.starts[number]
        return absolute + names[start : start + self.lengths[number]]

    def open(self, number: int) -> int:
        """Descriptor for reading, which the caller closes; raises OSError."""
        root, directory, _, names = self.directories[self.owners[number]]
        start = self.starts[number]
        return open_file(root, directory, names[start : start + self.lengths[number]])

    def is_unchanged(self, number: int, status: os.stat_result) -> bool:
        """Whether the file is now as it was when it was listed."""
        return status.st_ctime == self.changed[number] and status.st_size == self.sizes[number]

    def hard_links(self) -> Iterator[list[int]]:
        """The names of each inode that was found under several."""
        inodes: dict[tuple[int, int], list[int]] = {}
        for number in self.linked:
            inodes.setdefault((self.devices[number], self.inodes[number]), []).append(number)
        return (numbers for numbers in inodes.values() if len(numbers) > 1)

    def list_directory(self, root: bytes, directory: bytes, *, by_descriptor: bool = BY_DESCRIPTOR) -> list[Directory]:
        """Add the files of one directory; return the directories in it."""
        below: list[Directory] = []
        names: list[str] = []
        owner, fd = len(self.directories), -1
        try:
            if by_descriptor:
                fd = open_directory(root, directory)
            with os.scandir(fd if by_descriptor else os.fsdecode(_absolute(root, directory))) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        try:  # os.lstat where the listing itself carries no inode numbers
                            status = entry.stat(follow_symlinks=False) if by_descriptor else os.lstat(entry.path)
                        except OSError as error:
                            self._fail(root, paths.join(directory, os.fsencode(entry.name)), error)
                            continue
                        if not status.st_size:
                            continue
                        if status.st_nlink > 1:
                            self.linked.append(len(self.sizes))
                        names.append(entry.name)
                        self.owners.append(owner)
                        self.sizes.append(status.st_size)
                        self.inodes.append(status.st_ino & UNSIGNED)
                        self.devices.append(status.st_dev & UNSIGNED)
                        self.changed.append(status.st_ctime)
                    elif entry.is_dir(follow_symlinks=False):
                        below.append((root, paths.join(directory, os.fsencode(entry.name))))
        except OSError as error:
            self._fail(root, directory, error)
        finally:
            if fd >= 0:
                os.close(fd)
        if names:
            encoded = os.fsencode("\0".join(names)).split(b"\0")  # a third of the time of one call per name
            absolute = _absolute(root, directory).rstrip(b"/") + b"/"
            self.directories.append((root, directory, absolute, b"".join(encoded)))
            self.lengths.extend(map(len, encoded))
            self.starts.extend(accumulate(map(len, encoded[:-1]), initial=0))
        return below

    def columns(self) -> Columns:
        """Everything as plain values, to be sent to another process."""
        columns = [column.tobytes() for column in (self.owners, *self._columns)]
        return self.directories, columns, self.linked, self.failed

    def add(self, columns: Columns) -> None:
        """Append what another process listed."""
        directories, (owners, *others), linked, failed = columns
        first_directory, first = len(self.directories), len(self)
        self.directories += directories
        self.owners.extend([owner + first_directory for owner in array("I", owners)])
        for column, added in zip(self._columns, others, strict=True):
            column.frombytes(added)
        self.linked += [number + first for number in linked]
        self.failed += failed

    def _fail(self, root: bytes, relative: bytes, error: OSError) -> None:
        if error.errno != errno.ENOENT:  # what is gone is no file of the tree any more
            self.failed.append((_absolute(root, relative), error.strerror or str(error)))


def take(directories: Sequence[bytes], processes: int) -> Census:
    """List everything, in rounds: nobody knows beforehand which subtree is the large one."""
    census = Census()
    waiting: list[Directory] = [(root, b"") for root in distinct_roots(directories)]
    while waiting:
        tasks = min(len(waiting), forking.MOST_TASKS)

        def walk(
            number: int, waiting: list[Directory] = waiting, tasks: int = tasks
        ) -> tuple[Columns, list[Directory]]:
            found = Census()
            stack = waiting[number::tasks]
            while stack and len(found) < WALK_FILES:
                stack += found.list_directory(*stack.pop())
            return found.columns(), stack

        rounds = forking.share(walk, tasks, processes)
        waiting = []
        for columns, left in rounds:
            census.add(columns)
            waiting += left
    return census


def distinct_roots(directories: Sequence[bytes]) -> list[bytes]:
    """Absolute paths, without those of directories that are given twice or lie inside another one, judged by inode."""
    found: dict[tuple[int, int], bytes] = {}
    for given in directories:
        path = os.path.abspath(given)
        try:
            status = os.stat(given)
            if not stat.S_ISDIR(status.st_mode):
                raise RootUnusable("not a directory", path=paths.text(path))
            if not os.path.samestat(status, os.stat(path)):  # abspath took away a ".." behind a symbolic link
                path = os.path.realpath(given)
        except OSError as error:
            raise RootUnusable(error.strerror or str(error), path=paths.text(path)) from error
        found.setdefault((status.st_dev, status.st_ino), path)
    return [path for path in found.values() if not any(above in found for above in _above(path))]


def _above(path: bytes) -> Iterator[tuple[int, int]]:
    """Device and inode of the directories in which this one lies."""
    path = os.path.realpath(path)
    while (parent := os.path.dirname(path)) != path:
        path = parent
        status = os.stat(path)
        yield status.st_dev, status.st_ino


def _absolute(root: bytes, relative: bytes) -> bytes:
    return root.rstrip(b"/") + b"/" + relative if relative else root
