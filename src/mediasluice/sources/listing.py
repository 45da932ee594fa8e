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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from xxhash import xxh3_128_digest

from mediasluice.model.paths import join, text
from mediasluice.sources.names import IGNORE_FILE, FileKey, NameRules
from mediasluice.sources.opening import GONE, open_directory, refusal

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
    ignored: int
    special: int  # links, FIFOs, sockets, devices
    unreadable: list[tuple[bytes, str]]  # names whose status the system refuses, and why


_NUMBERS = struct.Struct("<QqqQ")  # size, mtime_ns, ctime_ns, ino


def list_directory(
    root: bytes,
    directory: bytes,
    rules: NameRules,
    known: bytes | None,
    *,
    stable_inodes: bool = True,
    device: int | None = None,
    follow_files: bool = False,
) -> Listing:
    """List ``root/directory``. With ``follow_files`` a link to a regular file inside the root counts as that file.

    ``device`` is the root's: on another one inode numbers begin anew, so that they say nothing here.
    """
    found: list[Entry] = []
    below: list[bytes] = []
    unreadable: list[tuple[bytes, str]] = []
    special = 0
    ignore_file = None
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    try:
        with _scan(root, directory) as (own, scan):
            mtime_ns = own.st_mtime_ns
            stable_inodes = stable_inodes and device in (None, own.st_dev)
            for item in scan:
                name = item.name.encode(encoding, errors)
                try:
                    if item.is_file(follow_symlinks=False):
                        status = item.stat(follow_symlinks=False)
                    elif item.is_dir(follow_symlinks=False):
                        below.append(name)
                        continue
                    elif follow_files and item.is_symlink() and _stays_inside(root, directory, name):
                        status = item.stat()
                        if not stat.S_ISREG(status.st_mode):
                            special += 1
                            continue
                    else:
                        special += 1
                        continue
                except OSError as error:
                    if error.errno not in GONE:
                        unreadable.append((name, error.strerror or str(error)))
                    continue
                found.append(
                    (
                        name,
                        status.st_size,
                        status.st_mtime_ns,
                        status.st_ctime_ns,
                        status.st_ino if stable_inodes else 0,
                        status.st_nlink,
                    )
                )
                if name == IGNORE_FILE:
                    ignore_file = FileKey(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError as error:
        raise refusal(error, join(root, directory) if directory else root) from error
    rules.saw(directory, ignore_file)
    found.sort()
    names = [entry[0] for entry in found]
    pack = _NUMBERS.pack
    numbers = b"".join([pack(size, mtime, ctime, ino) for _, size, mtime, ctime, ino, _ in found])
    refused = [name for name, _ in unreadable]
    signature = xxh3_128_digest(b"\0".join([rules.fingerprint(directory), numbers, *names, *refused]))
    ignored = rules.ignored(directory, names)
    if ignored:
        unwanted = frozenset(ignored)
        found = [entry for entry in found if entry[0] not in unwanted]
    same = signature == known
    paths = [join(directory, name) for name in below]
    return Listing(
        directory,
        signature,
        same,
        mtime_ns,
        [path for path in paths if rules.directory(path) is None],
        [] if same else found,
        len(found),
        sum([entry[1] for entry in found]),
        len(ignored),
        special,
        unreadable,
    )


@contextmanager
def _scan(root: bytes, directory: bytes) -> Iterator[tuple[os.stat_result, Iterator[os.DirEntry[str]]]]:
    """The directory's own status and its entries. By descriptor where possible: any depth, and a tenth faster."""
    if os.scandir not in os.supports_fd:
        path = text(join(root, directory) if directory else root)
        status = os.stat(path, follow_symlinks=not directory)
        with os.scandir(path) as scan:
            yield status, scan
        return
    descriptor = open_directory(root, directory)
    try:
        status = os.fstat(descriptor)
        with os.scandir(descriptor) as scan:
            yield status, scan
    finally:
        os.close(descriptor)


def _stays_inside(root: bytes, directory: bytes, name: bytes) -> bool:
    inside = os.path.realpath(root)
    target = os.path.realpath(join(join(inside, directory) if directory else inside, name))
    return target.startswith(inside.rstrip(b"/") + b"/")
