"""Read and write single rows for the one writer, and keep what only a single writer may remember.

Takes a connection in a transaction; gives row ids, rows and events in order. Ids of files and contents are
counted in memory and directory ids are remembered, which saves a look-up for each file; :meth:`Ledger.forget` after
a rollback. Fails with: sqlite3.Error, which ``store`` translates.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.contents import Contents
from mediasluice.catalogue.rows import signed, unsigned
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey, in_range
from mediasluice.model.flow import RootId

DIRECTORIES_KEPT = 10_000  # chosen: about 2 MB

_TOP = (1 << 63) - 1

DISK = "CASE WHEN length(r.filesystem) > 0 THEN r.filesystem ELSE r.id END"
"""What inode numbers count within: the file system, or only the root where that is not known."""


class FileRow(NamedTuple):
    """A row of ``file``, with its inode and times as they are stored."""

    id: int
    dir: int
    name: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    ino: int
    links: int
    kind: str
    state: str
    reason: str | None
    content: int | None
    quick: bytes | None
    version: int
    at_us: int
    birth_ns: int | None


COLUMNS = ", ".join(f"f.{name}" for name in FileRow._fields)


_EVENTS = Rows(
    "INSERT INTO event (type, at_us, file, version, dir, name, old_dir, old_name, size, content, origin, data)"
    " VALUES {}",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)


class Ledger:
    """The rows of one connection. One thread at a time, always inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._directories: dict[tuple[RootId, bytes], int] = {}
        self._touched: set[int] = set()
        self._events: list[tuple[Any, ...]] = []
        self._disks: dict[RootId, bytes | int] = {}
        self.next_file = 0
        self.contents = Contents(connection)
        self.forget()

    def forget(self) -> None:
        """Drop what is remembered: the transaction that it was true in was rolled back."""
        self._directories.clear()
        self._disks.clear()
        self._touched.clear()
        self._events.clear()
        # An id that an event names never comes back, even when its row is gone.
        self.next_file = 1 + self._number(
            "SELECT max(coalesce((SELECT max(id) FROM file), 0), coalesce((SELECT max(file) FROM event), 0))"
        )
        self.contents.load()

    def flush(self) -> None:
        """Write the events that were told and clear the signatures of the directories that were touched."""
        if self._events:
            _EVENTS.insert(self.connection, self._events)
            self._events.clear()
        if self._touched:
            self.connection.executemany(
                "UPDATE dir SET signature = NULL WHERE id = ? AND signature IS NOT NULL",
                [(directory,) for directory in self._touched],
            )
            self._touched.clear()

    def forget_disks(self) -> None:
        """A root has another identity."""
        self._disks.clear()

    # -- directories ------------------------------------------------------------------------------

    def directory(self, root: RootId, path: bytes) -> int:
        """The id of a directory's row, made if there is none."""
        known = self._directories.get((root, path))
        if known is not None:
            return known
        found = self.known_directory(root, path)
        if found is None:
            found = self.connection.execute("INSERT INTO dir (root, path) VALUES (?, ?)", (root, path)).lastrowid
            assert found is not None
            self._remember(root, path, found)
        return found

    def known_directory(self, root: RootId, path: bytes) -> int | None:
        """The id of a directory's row, or ``None``."""
        known = self._directories.get((root, path))
        if known is not None:
            return known
        row = self.connection.execute("SELECT id FROM dir WHERE root = ? AND path = ?", (root, path)).fetchone()
        if row is None:
            return None
        identity: int = row[0]
        self._remember(root, path, identity)
        return identity

    def touch(self, directory: int) -> None:
        """What a directory holds changed: its signature is not true any more."""
        self._touched.add(directory)

    def disk(self, root: RootId) -> bytes | int:
        """What the inode numbers of this root count within; see ``DISK``."""
        if root not in self._disks:
            self._disks.update(self.connection.execute(f"SELECT r.id, {DISK} FROM root r"))
        return self._disks[root]

    # -- files ------------------------------------------------------------------------------------

    def at(self, directory: int, name: bytes) -> FileRow | None:
        """The file at a path, present or departed."""
        return self.one("f.dir = ? AND f.name = ? AND f.state <> 'missing'", directory, name)

    def one(self, where: str, *values: object) -> FileRow | None:
        """The first file that fits."""
        row = self.connection.execute(f"SELECT {COLUMNS} FROM file f WHERE {where} LIMIT 1", values).fetchone()
        return None if row is None else FileRow._make(row)

    def some_departed(self) -> bool:
        """Whether any file's fate is undecided."""
        found = self.connection.execute("SELECT 1 FROM file WHERE state = 'departed' AND gone_us IS NOT NULL LIMIT 1")
        return found.fetchone() is not None

    def drop(self, row: FileRow) -> None:
        """Remove a file that no event ever told of."""
        self.connection.execute("DELETE FROM file WHERE id = ?", (row.id,))

    def replace(self, row: FileRow, at_us: int) -> None:
        """Another file took the path of this one: it is deleted, or leaves silently if no event told of it."""
        self.touch(row.dir)
        if not row.version:
            self.drop(row)
            return
        self.connection.execute(
            "UPDATE file SET state = 'missing', gone_us = coalesce(gone_us, ?) WHERE id = ?", (at_us, row.id)
        )
        self.tell(EventType.FILE_DELETED, row, at_us, data='{"replaced":true}')

    def supersede(self, row: FileRow) -> None:
        """Keep the values of a version that is about to be overwritten."""
        self.connection.execute(
            "INSERT INTO file_version (file, version, size, mtime_ns, content, at_us) VALUES (?, ?, ?, ?, ?, ?)",
            (row.id, row.version, row.size, row.mtime_ns, row.content, row.at_us),
        )

    def tell(
        self,
        what: EventType,
        row: FileRow,
        at_us: int,
        *,
        other: tuple[int, bytes] | None = None,
        origin: str | None = None,
        data: str | None = None,
    ) -> None:
        """Add an event of a file as it is in ``row``; ``other`` is the other place of the event."""
        old_dir, old_name = other or (None, None)
        place = (row.dir, row.name, old_dir, old_name)
        self._events.append((what.value, at_us, row.id, row.version, *place, row.size, row.content, origin, data))

    def tell_duplicate(
        self,
        file: int,
        version: int,
        place: tuple[int, bytes],
        copy: tuple[int, int, bytes],
        size: int,
        content: int,
        origin: str,
        at_us: int,
    ) -> None:
        """Add the event that a file has the content of another one, ``copy``: its id, directory and name."""
        of, old_dir, old_name = copy
        self._events.append(
            (
                EventType.FILE_DUPLICATE.value, at_us, file, version, *place, old_dir, old_name, size, content, origin,
                f'{{"of":{of}}}',
            )
        )  # fmt: skip

    def tell_root(self, what: EventType, root: RootId, at_us: int, data: str | None) -> None:
        """Add an event of a root; it stands at the directory row of the root itself."""
        home = self.directory(root, b"")
        self._events.append((what.value, at_us, None, None, home, b"", None, None, None, None, None, data))

    # -- the rest ---------------------------------------------------------------------------------

    def _remember(self, root: RootId, path: bytes, identity: int) -> None:
        if len(self._directories) >= DIRECTORIES_KEPT:
            self._directories.clear()
        self._directories[root, path] = identity

    def _number(self, query: str, *values: object) -> int:
        number: int = self.connection.execute(query, values).fetchone()[0]
        return number


def stored(key: ChangeKey) -> ChangeKey:
    """A change key as 64 signed bits: an inode by its bits, a time beyond the year 2262 as the last one."""
    ino, size, mtime_ns, ctime_ns = key
    return ChangeKey(
        signed(ino),
        size,
        in_range(mtime_ns),
        in_range(ctime_ns),
    )


def fits(key: ChangeKey) -> bool:
    """Whether :func:`stored` would give the same key."""
    return key[0] <= _TOP and -_TOP <= key[2] <= _TOP and -_TOP <= key[3] <= _TOP


def loaded(ino: int, size: int, mtime_ns: int, ctime_ns: int) -> ChangeKey:
    """A stored key as a file system gives it."""
    return ChangeKey(unsigned(ino), size, mtime_ns, ctime_ns)
