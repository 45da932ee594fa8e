"""Open what lies below a root, however long its path is, and never through a link or a device; say where a link leads.

Takes a root, a directory relative to it and a name, all bytes; gives a file descriptor that the caller closes.
Fails with: ``OSError`` as the system says it; :func:`refusal` turns it into ``Vanished`` or ``Unreadable``.
"""

from __future__ import annotations

import errno
import os

from mediasluice.errors import FileError, Unreadable, Vanished
from mediasluice.model.paths import text

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
"""Not there as what it was: removed, replaced by a file (ENOTDIR) or by a symbolic link (ELOOP under O_NOFOLLOW)."""

# All zero on Windows, where none of them exists.
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FILE = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_FILE |= getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

_STEP = 1000  # bytes walked per open of a path that is too long at once; below PATH_MAX everywhere (1,024 on macOS)


def open_directory(root: bytes, directory: bytes) -> int:
    """Open ``root/directory``. Only the root itself may be a symbolic link."""
    if not directory:
        return os.open(root, _DIRECTORY)
    try:
        return os.open(root + b"/" + directory, _DIRECTORY | _NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    return _descend(root, directory)


def open_file(root: bytes, directory: bytes, name: bytes) -> int:
    """Open ``root/directory/name`` for reading; a FIFO does not block, so look at ``fstat`` before reading."""
    path = root + b"/" + directory + b"/" + name if directory else root + b"/" + name
    try:
        return os.open(path, _FILE)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or not directory:
            raise
    above = _descend(root, directory)
    try:
        return os.open(name, _FILE, dir_fd=above)
    finally:
        os.close(above)


def target_of(root: bytes, directory: bytes, name: bytes) -> bytes | None:
    """Where the symbolic link ``root/directory/name`` leads, absolute; ``None`` where that is outside of the root."""
    top = os.path.realpath(root)
    target = os.path.realpath(os.path.join(top, directory, name))
    return target if target.startswith(top.rstrip(b"/") + b"/") else None


def refusal(error: OSError, path: bytes) -> FileError:
    """Say what a refused open, listing or read means for the file or directory at ``path``."""
    kind = Vanished if error.errno in GONE else Unreadable
    return kind(error.strerror or str(error), path=text(path))


def _descend(root: bytes, directory: bytes) -> int:
    here = os.open(root, _DIRECTORY)
    names = directory.split(b"/")
    first = 0
    while first < len(names):
        last, length = first + 1, len(names[first])
        while last < len(names) and length + 1 + len(names[last]) <= _STEP:
            length += 1 + len(names[last])
            last += 1
        try:
            below = os.open(b"/".join(names[first:last]), _DIRECTORY | _NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)
        here, first = below, last
    return here
