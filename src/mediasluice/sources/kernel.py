"""Speak inotify: one instance, its watches and the layout of its events.

Takes a root and directories relative to it; gives watch numbers.
Fails with: ``OSError`` as the kernel says it.
Source: inotify(7), linux/inotify.h.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct

from mediasluice.sources.opening import open_directory

IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_EXCL_UNLINK = 0x4000000
IN_ISDIR = 0x40000000

MASK = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
MASK |= IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
"""No OPEN, ACCESS or MODIFY: they are half of all events, and our own reads would make some."""

HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name with its padding


class Instance:
    """One inotify instance for one root. Whoever reads the descriptor closes it."""

    def __init__(self, root: bytes, mask: int = MASK) -> None:
        descriptor = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise _error()
        self.descriptor: int = descriptor
        self._root = root
        self._mask = mask

    def add(self, directory: bytes) -> int:
        """Watch a directory; the number is the old one if this very directory is watched already."""
        # "/." so that the root may be a link while nothing below it may.
        path = self._root + b"/" + directory if directory else self._root + b"/."
        watch: int = _libc().inotify_add_watch(self.descriptor, path, self._mask)
        if watch >= 0:
            return watch
        error = _error()
        if error.errno != errno.ENAMETOOLONG:
            raise error
        opened = open_directory(self._root, directory)
        try:
            watch = _libc().inotify_add_watch(self.descriptor, b"/proc/self/fd/%d/." % opened, self._mask)
            if watch < 0:
                raise _error()
            return watch
        finally:
            os.close(opened)

    def remove(self, watch: int) -> bool:
        """Remove a watch; ``False`` when the kernel had done so already. Else its ``IN_IGNORED`` is still to come."""
        return bool(_libc().inotify_rm_watch(self.descriptor, watch) == 0)


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


@functools.cache
def _libc() -> ctypes.CDLL:
    # Loaded when the first root is opened: this module can be imported where there is no such library.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
    return libc
