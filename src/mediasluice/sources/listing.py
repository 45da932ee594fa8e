"""List one directory and say in 16 bytes whether it is still the same.

Takes a root, a directory relative to it, name rules and the signature known of it; gives a :class:`Listing`.
Fails with: ``Vanished`` (not there, or no directory any more), ``Unreadable``.
The signature covers every regular file, also ignored ones, so that an unchanged directory needs no look at its rules.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from xxhash import xxh3_128_digest

from mediasluice.model.files import in_range
from mediasluice.model.paths import join, text
from mediasluice.sources.names import IGNORE_FILE, FileKey, NameRules
from mediasluice.sources.opening import GONE, open_directory, refusal, target_of

Entry = tuple[bytes, int, int, int, int, int]
"""name, size [bytes], mtime_ns, ctime_ns, ino (0 where inodes are not stable), links"""


class Listing(NamedTuple):
    """What one directory holds. ``files`` and ``size`` count the files that are not ignored."""

    directory: bytes
    signature: bytes
    same: bool  # the signature is the known one
    mtime_ns: int  # of the directory itself
    subdirectories: list[bytes]  # relative to the root, without those that the rules skip
    entries: list[Entry]  # sorted by name; empty when ``same``
    files: int
    size: int  # bytes
    ignored: list[bytes]  # names; what they are may matter to their neighbours
    special: int  # links, FIFOs, sockets, devices
    unreadable: list[tuple[bytes, str]]  # names whose status the system refuses, and why


_NUMBERS = struct.Struct("<QqqQ")  # size, mtime_ns, ctime_ns, ino

Reader: TypeAlias = Callable[[int, os.stat_result, list[bytes], list[bytes]], Mapping[bytes, os.stat_result]]
"""Takes the descriptor of a directory, its status, the names of regular files in it that are to be read and those of
the others; gives the status of those that it opened, which need not be asked for again."""

READ_AT_ONCE = 2_048  # files of one directory that are handed to a reader; bounds what is in memory


def list_directory(
    root: bytes,
    directory: bytes,
    rules: NameRules,
    known: bytes | None,
    *,
    stable_inodes: bool = True,
    device: int | None = None,
    follow_files: bool = False,
    read: Reader | None = None,
) -> Listing:
    """List ``root/directory``. With ``follow_files`` a link to a regular file inside the root counts as that file.

    ``device`` is the root's: on another one inode numbers begin anew, so that they say nothing here. ``read`` may open
    the first files on the way, so that one call tells their status and reads them.
    """
    found = _Found(root, directory, follow_files=follow_files)
    judged: Mapping[bytes, object] = {}  # names whose rules were asked before they were read
    ignored: frozenset[bytes] = frozenset()
    try:
        with _scan(root, directory) as (own, descriptor, scan):
            found.is_stable = stable_inodes and device in (None, own.st_dev)
            judged = later = found.sort(scan, READ_AT_ONCE if read is not None else 0)
            rules.saw(directory, found.ignore_file)
            if read is not None:
                ignored = frozenset(rules.ignored(directory, later))
                others = [*ignored, *(entry[0] for entry in found.entries)]
                opened = read(descriptor, own, [name for name in later if name not in ignored], others)
                for name, item in later.items():
                    found.add(name, item, opened.get(name))
    except OSError as error:
        raise refusal(error, join(root, directory) if directory else root) from error
    entries = found.entries
    entries.sort()
    names = [entry[0] for entry in entries]
    pack = _NUMBERS.pack
    try:
        numbers = b"".join([pack(size, mtime, ctime, ino) for _, size, mtime, ctime, ino, _ in entries])
    except struct.error:  # a time beyond the year 2262
        entries = [
            (name, size, in_range(mtime), in_range(ctime), ino, n) for name, size, mtime, ctime, ino, n in entries
        ]
        numbers = b"".join([pack(size, mtime, ctime, ino) for _, size, mtime, ctime, ino, _ in entries])
    refused = [name for name, _ in found.unreadable]
    signature = xxh3_128_digest(b"\0".join([rules.fingerprint(directory), numbers, *names, *refused]))
    unwanted = ignored.union(rules.ignored(directory, [name for name in names if name not in judged]))
    if unwanted:
        entries = [entry for entry in entries if entry[0] not in unwanted]
    same = signature == known
    paths = [join(directory, name) for name in found.below]
    return Listing(
        directory,
        signature,
        same,
        in_range(own.st_mtime_ns),
        [path for path in paths if rules.directory(path) is None],
        [] if same else entries,
        len(entries),
        sum([entry[1] for entry in entries]),
        list(unwanted),
        found.special,
        found.unreadable,
    )


class _Found:
    """What a directory holds, sorted as it is met."""

    def __init__(self, root: bytes, directory: bytes, *, follow_files: bool) -> None:
        self._root = root
        self._directory = directory
        self._follow_files = follow_files
        self.is_stable = True  # inode numbers mean something here
        self.entries: list[Entry] = []
        self.below: list[bytes] = []
        self.unreadable: list[tuple[bytes, str]] = []
        self.special = 0
        self.ignore_file: FileKey | None = None

    def sort(self, scan: Iterator[os.DirEntry[str]], later: int) -> dict[bytes, os.DirEntry[str]]:
        """Take what the scan gives; of the first files, so many, only the names, which it gives back."""
        encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
        put_off: dict[bytes, os.DirEntry[str]] = {}
        append, is_stable = self.entries.append, self.is_stable
        for item in scan:
            name = item.name.encode(encoding, errors)
            try:
                if item.is_file(follow_symlinks=False):
                    if later and len(put_off) < later and name != IGNORE_FILE:
                        put_off[name] = item
                        continue
                    status = item.stat(follow_symlinks=False)
                elif item.is_dir(follow_symlinks=False):
                    self.below.append(name)
                    continue
                elif self._follow_files and item.is_symlink() and target_of(self._root, self._directory, name):
                    status = item.stat()
                else:
                    self.special += 1
                    continue
            except OSError as error:
                self._refused(name, error)
                continue
            if not stat.S_ISREG(status.st_mode):  # what a link leads to
                self.special += 1
                continue
            size, mtime_ns, ctime_ns = status.st_size, status.st_mtime_ns, status.st_ctime_ns
            append((name, size, mtime_ns, ctime_ns, status.st_ino if is_stable else 0, status.st_nlink))
            if name == IGNORE_FILE:
                self.ignore_file = FileKey(size, mtime_ns, ctime_ns)
        return put_off

    def add(self, name: bytes, item: os.DirEntry[str], status: os.stat_result | None) -> None:
        """Take a file that was put off; its status is asked for where nobody knows it yet."""
        try:
            status = status or item.stat(follow_symlinks=False)
        except OSError as error:
            self._refused(name, error)
            return
        ino = status.st_ino if self.is_stable else 0
        self.entries.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, ino, status.st_nlink))

    def _refused(self, name: bytes, error: OSError) -> None:
        if error.errno not in GONE:
            self.unreadable.append((name, error.strerror or str(error)))


@contextmanager
def _scan(root: bytes, directory: bytes) -> Iterator[tuple[os.stat_result, int, Iterator[os.DirEntry[str]]]]:
    """The directory's own status, its descriptor and its entries.

    By descriptor where possible: any depth, and a tenth faster. Elsewhere the descriptor is -1.
    """
    if os.scandir not in os.supports_fd:
        path = text(join(root, directory) if directory else root)
        status = os.stat(path, follow_symlinks=not directory)
        with os.scandir(path) as scan:
            yield status, -1, scan
        return
    descriptor = open_directory(root, directory)
    try:
        status = os.fstat(descriptor)
        with os.scandir(descriptor) as scan:
            yield status, descriptor, scan
    finally:
        os.close(descriptor)
