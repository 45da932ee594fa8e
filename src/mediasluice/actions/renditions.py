"""Keep renditions below the data directory, where their names say of which content and profile they are.

Takes the data directory and places below it, as the catalogue names them; gives what is there. What lies there under
other names belongs to somebody else and is never touched. A rendition gets its name only when it is complete and
durable, so one that a crash kept from being recorded can be adopted.
Fails with: ``OSError``.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import struct
from typing import NamedTuple

from mediasluice.actions.transfer import sync_directory
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import headers, isomedia
from mediasluice.model.files import Kind
from mediasluice.settle import formats

FOLDER = b"renditions"
RESERVE = 1 << 30  # bytes, chosen, or a twentieth of a small disk: a catalogue that cannot be written stops the intake
_NAME = re.compile(rb"[0-9a-f]{64}\.[a-z0-9-]+\.[a-z0-9]+")
_PART = re.compile(rb"[0-9a-f]{16}\.part(\.src)?")


class Found(NamedTuple):
    """A rendition that is whole. ``duration`` in seconds, where its format says one."""

    size: int
    duration: float | None


def path_of(data: bytes, place: str) -> bytes:
    """The absolute path of a place."""
    return os.path.join(data, os.fsencode(place))


def part_of(data: bytes) -> bytes:
    """A name for a rendition that grows; all of them in one directory, where they are found again."""
    return os.path.join(data, FOLDER, secrets.token_hex(8).encode() + b".part")


def make_room(path: bytes) -> None:
    """Make the directory of a rendition, durably."""
    folder = os.path.dirname(path)
    above = os.path.dirname(folder)
    for directory in (above, folder):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
            sync_directory(os.path.dirname(directory))


def clear_parts(data: bytes) -> None:
    """Remove what a process has left that died while it made one. Nobody else may be making one meanwhile."""
    folder = os.path.join(data, FOLDER)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if _PART.fullmatch(name):
                os.unlink(os.path.join(folder, name))


def stored(data: bytes, first: int) -> dict[str, int]:
    """Place and size of what lies under names of renditions that begin with a byte."""
    folder = os.path.join(data, FOLDER, b"%02x" % first)
    found: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.name.startswith(b"%02x" % first):
                place = b"/".join((FOLDER, b"%02x" % first, entry.name)).decode()
                found[place] = entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else -1
    return found


def adopt(path: bytes) -> Found | None:
    """Make sure that what has the name of a rendition is one, whole and durable; ``None``: it is none, or not there."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        file = Opened(descriptor, size, path, Kind.VIDEO)
        if formats.completeness(descriptor, size, file.pread(4096, 0)) is not formats.Format.COMPLETE:
            return None
        os.fsync(descriptor)
        sync_directory(os.path.dirname(path))
        return Found(size, _duration(file))
    finally:
        os.close(descriptor)


def _duration(file: Opened) -> float | None:
    """What its own header says, which ffmpeg wrote."""
    for reader in (isomedia, headers):
        with contextlib.suppress(Refused, ValueError, LookupError, struct.error):
            seconds: float | None = reader.read(file).media.duration
            if seconds is not None:
                return seconds
    return None


def remove(path: bytes) -> None:
    """Remove what has the name of a rendition; what is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def free(data: bytes) -> int | None:
    """Bytes that may still be written where renditions are kept, less a reserve; ``None``: this system does not say."""
    folder = os.path.join(data, FOLDER)  # a person may have put it on another disk
    if not hasattr(os, "statvfs"):
        return None
    status = os.statvfs(folder if os.path.isdir(folder) else data)
    return (status.f_bavail - min(RESERVE // status.f_frsize, status.f_blocks // 20)) * status.f_frsize
