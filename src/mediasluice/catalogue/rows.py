"""What the catalogue takes and gives: its frozen row types.

Paths are bytes, absolute where a field is called ``path``; sizes in bytes, ``_ns`` nanoseconds and ``_us``
microseconds since the epoch (UTC); digests are raw bytes or ``None``. Fails with: nothing.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from typing import NamedTuple

from mediasluice.model.files import ChangeKey, FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import Judgement
from mediasluice.model.media import Capture
from mediasluice.model.roots import RootIdentity, RootState, WatchMode


def signed(ino: int) -> int:
    """An inode number as 64 bits with a sign, which is what the database has."""
    return ino if ino < 1 << 63 else ino - (1 << 64)


def unsigned(ino: int) -> int:
    """A stored inode number as a file system gives it."""
    return ino if ino >= 0 else ino + (1 << 64)


def storable(reason: str | None) -> str | None:
    """A text for people as SQLite takes it: what could not be decoded in a name is shown escaped."""
    return None if reason is None else reason.encode("utf-8", "backslashreplace").decode()


class RootRow(NamedTuple):
    """A root with what is known of it. ``identity`` is ``None`` until it was seen for the first time."""

    id: RootId
    library: str
    path: bytes
    identity: RootIdentity | None
    state: RootState
    reason: str | None
    since_us: int  # when this state began
    watched: WatchMode
    has_files: bool  # at least one is present, and not being moved away
    has_baseline: bool = False  # a first pass over it was through


_ROOTS = (
    "SELECT r.id, l.name, r.path, r.filesystem, r.ino, r.state, r.reason, r.since_us, r.watched,"
    " EXISTS (SELECT 1 FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing'"
    " WHERE d.root = r.id AND f.gone_us IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM step s WHERE s.file = f.id AND s.state = 'open')), r.baseline_us IS NOT NULL"
    " FROM root r JOIN library l ON l.id = r.library"
)


def roots_of(connection: sqlite3.Connection, where: str = "1", *values: object) -> list[RootRow]:
    """Read the roots that fit, in the order of their paths."""
    rows = []
    found = connection.execute(f"{_ROOTS} WHERE {where} ORDER BY r.path", values)
    for root, library, path, filesystem, ino, state, reason, since_us, watched, has_files, has_baseline in found:
        identity = None if filesystem is None else RootIdentity(filesystem, unsigned(ino))
        rows.append(
            RootRow(
                root,
                library,
                path,
                identity,
                RootState(state),
                reason,
                since_us,
                WatchMode(watched),
                bool(has_files),
                bool(has_baseline),
            )
        )
    return rows


class Observed(NamedTuple):
    """A file that is there but not catalogued: unsettled, held, empty, junk, skipped or unreadable."""

    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
    links: int
    kind: Kind
    state: FileState
    reason: str | None


class Outcome(StrEnum):
    """What became of a file that was recorded."""

    CREATED = "created"
    MODIFIED = "modified"
    MOVED = "moved"  # it is known from another path; it may have changed on the way
    RESTORED = "restored"  # it was missing and its content came back
    UNCHANGED = "unchanged"  # nothing to tell


class Verdict(NamedTuple):
    """What recording one file came to."""

    file: int
    version: int
    outcome: Outcome
    duplicate_of: int | None  # another present file with the same content, if that is news


class Departed(NamedTuple):
    """A file that left its path; nobody has decided yet whether it moved or was deleted."""

    file: int
    root: RootId
    directory: bytes
    name: bytes
    size: int
    has_content: bool
    gone_us: int
    ino: int  # 0 where it says nothing
    has_essence: bool  # a new file that plays the same would be this one


class Known(NamedTuple):
    """A file that is present or departed, as a scan compares it.

    ``key`` is the one at which the content was read. A catalogued file that is being rewritten keeps it.
    """

    file: int
    key: ChangeKey
    state: FileState
    has_content: bool
    links: int


class Inside(NamedTuple):
    """What the second pass found out about a file. ``found``: a reading as ``model.media`` writes it."""

    found: str | None
    capture: Capture | None
    master: int | None  # the file that its group is named by
    role: str | None
    waits: str | None  # why it could not be read yet
    told: str | None = None  # by sources outside of the file, see `identify.external.merged`


class FileLine(NamedTuple):
    """A file as it is listed."""

    id: int
    library: str
    path: bytes
    size: int
    mtime_ns: int
    kind: Kind
    state: FileState
    reason: str | None
    blake3: bytes | None
    xxh128: bytes | None
    links: int
    version: int
    inside: Inside | None = None


class Copy(NamedTuple):
    """One name of a content. Names with equal ``filesystem`` and ``ino`` are one file, unless ``ino`` is 0."""

    library: str
    path: bytes
    filesystem: bytes
    ino: int


class DuplicateGroup(NamedTuple):
    """All names of one content that exists in at least two files."""

    size: int
    blake3: bytes
    files: list[Copy]


class DuplicateTotals(NamedTuple):
    """Groups of equal files, the files beyond the first of each group, and the bytes these take."""

    groups: int
    files: int
    bytes: int


class ItemLine(NamedTuple):
    """An item as it is listed. ``path``: where its bytes are; ``None`` while they are on their way.

    ``collides_with``: the item whose content the file has by now that this one came from.
    """

    id: int
    title: str
    description: str
    library: str
    owner: str | None
    state: str
    kind: str
    path: bytes | None
    size: int
    blake3: bytes
    file: int
    at_us: int
    collides_with: int | None = None


class Judged(NamedTuple):
    """What an importing library says of a file."""

    judgement: Judgement
    reason: str | None
    item: int | None
    item_path: bytes | None
    todo: str | None
    due_us: int | None


class StepLine(NamedTuple):
    """A step of the journal as it is listed."""

    id: int
    purpose: str
    mode: str
    source: bytes
    target: bytes
    state: str
    note: str | None
    at_us: int
    ended_us: int | None


class Lacking(NamedTuple):
    """A catalogued file whose full digests are still owed."""

    file: int
    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
