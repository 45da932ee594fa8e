"""What is known of one file: its change key, its digests, what kind it is and what state it is in."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ChangeKey(NamedTuple):
    """The values that differ when a file was changed or replaced; compared within one root.

    ``ino`` is 0 where the file system invents inode numbers (SMB, FUSE). The device number is left
    out on purpose: it changes with every mount.
    """

    ino: int
    size: int  # bytes
    mtime_ns: int
    ctime_ns: int


_LAST_NS = (1 << 63) - 1


def in_range(time_ns: int) -> int:
    """A file time as 64 bits hold it: one before 1677 or after 2262 as the first or the last one there is."""
    return time_ns if -_LAST_NS <= time_ns <= _LAST_NS else _LAST_NS if time_ns > 0 else -_LAST_NS


class Digests(NamedTuple):
    """Digests of the whole content, from one pass. Raw bytes; ``None`` where nobody asked."""

    blake3: bytes  # 32 bytes: the identity of a content
    xxh128: bytes  # 16 bytes: XXH3-128, big endian
    sha256: bytes | None = None
    md5: bytes | None = None
    sha1: bytes | None = None


class Kind(StrEnum):
    """What a file is, judged by its first bytes and only then by its name."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    PDF = "pdf"
    SUBTITLE = "subtitle"
    SIDECAR = "sidecar"  # metadata about a neighbour: .xmp .nfo .xml .aae .json .cue
    ARCHIVE = "archive"
    OTHER = "other"


class FileState(StrEnum):
    """Where a file stands. A file that is ignored by name has no row and so no state."""

    SETTLING = "settling"  # not proven complete yet
    HELD = "held"  # carries the name of an unfinished transfer
    EMPTY = "empty"  # has no bytes; a later write takes it on
    CATALOGUED = "catalogued"  # complete, read and remembered
    JUNK = "junk"  # matched by a junk pattern and by no exclusion
    SKIPPED = "skipped"  # complete, but the library's rules do not want it
    UNREADABLE = "unreadable"  # the system refuses its bytes; tried again later
    DEPARTED = "departed"  # gone from its path; a move or a deletion, not decided yet
    MISSING = "missing"  # deleted; remembered for ``retention.missing``


OPEN_STATES = frozenset({FileState.SETTLING, FileState.HELD, FileState.UNREADABLE})
"""States that time alone may change: a directory that holds one keeps no signature. An empty file needs a write."""

GONE_STATES = frozenset({FileState.DEPARTED, FileState.MISSING})


class Origin(StrEnum):
    """Which way a file was noticed."""

    EVENT = "event"  # the kernel said so
    SCAN = "scan"  # a pass over the tree: start-up, overflow, audit, on request
    POLL = "poll"  # a regular pass where events cannot be trusted
    BASELINE = "baseline"  # the first pass over a new root
