"""A file that is open for readers: bounded reads at any place, and a way for libraries that open by themselves.

Takes a descriptor that the caller owns. Fails with: :class:`Refused`, where a reader cannot make anything of a file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from mediasluice.model.files import Kind

HEAD_SIZE = 64 << 10  # bytes read at once at the beginning; chosen: headers of most formats lie in it
READ_MAX = 64 << 20  # bytes of one read; chosen: a length in a file is a claim, and memory is not


class Refused(Exception):
    """This reader can make nothing of the file; another one may. The message says why, for people."""


@dataclass(frozen=True)
class Opened:
    """An open file. ``size`` in bytes as it was when the file was opened; ``path`` is where it lies, absolute."""

    fd: int
    size: int
    path: bytes
    kind: Kind

    @cached_property
    def head(self) -> bytes:
        """The first bytes, at most HEAD_SIZE of them."""
        return _read_at(self.fd, min(self.size, HEAD_SIZE), 0)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer at the end of the file, none outside of it."""
        if offset < 0 or count <= 0 or offset >= self.size:
            return b""
        if offset + count <= len(self.head):
            return self.head[offset : offset + count]
        return _read_at(self.fd, min(count, self.size - offset, READ_MAX), offset)

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]

    @property
    def extension(self) -> bytes:
        """What follows the last dot, in lower case; empty where nothing does."""
        name = self.name
        return name[name.rfind(b".") + 1 :].lower() if b"." in name[1:] else b""

    @property
    def reopened(self) -> str:
        """A path by which a library of this process opens this very file, whatever it is called meanwhile."""
        return f"/proc/self/fd/{self.fd}" if sys.platform == "linux" else os.fsdecode(self.path)

    def stream(self) -> IO[bytes]:
        """The file from its first byte, as an object; close it, which leaves the descriptor open."""
        stream = os.fdopen(self.fd, "rb", closefd=False)
        stream.seek(0)
        return stream


def _read_at(fd: int, count: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, count, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)
