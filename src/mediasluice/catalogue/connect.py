"""Reach the catalogue's file: judge whose it is, connect to it, copy it, say what its errors mean.

Takes the path of the file; gives its version and ``sqlite3`` connections in autocommit mode. What lies at the path
is judged by its header alone: a foreign database gets not even a WAL file beside it.
Fails with: ForeignDatabase (another program's), ConfigError (not accessible, damaged), DiskFull, Unavailable
(somebody else holds SQLite's write lock, or the disk fails). Source: sqlite.org/fileformat.html (header).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mediasluice.errors import ConfigError, DiskFull, ForeignDatabase, Unavailable
from mediasluice.model.paths import text

APPLICATION_ID = 0x534C5543  # "SLUC"
SCHEMA_VERSION = 4  # number of the newest revision in migrations/versions
MIGRATIONS = Path(__file__).parent / "migrations"

LOCK_WAIT_S = 5.0  # chosen; nobody else writes, but a person may look inside with other programs

_connected: Counter[tuple[int, int]] = Counter()
"""Connections of this process, by (device, inode) of the database. Such a file is opened by nobody else here: with its
end the system would drop all locks that SQLite holds on it in this process. Another program that looks inside and
leaves takes itself for the last one then, and removes the WAL that we go on to write into
(sqlite.org/howtocorrupt.html, 2.2)."""
_opening = threading.RLock()  # over that set: no header is read while somebody connects

_LITTLE = 128 << 10  # bytes; chosen: SQLite writes some pages at once
_HEADER = 100  # bytes
_MAGIC = b"SQLite format 3\0"

COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database."""


def version_of(file: Path) -> int | None:
    """The schema version of the catalogue at ``file``, which is not changed; ``None`` for nothing or an empty file."""
    try:
        with _opening:
            if _connected[_identity(file)] > 0:
                return _version_by_connection(file)
            with file.open("rb") as stream:
                header = stream.read(_HEADER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise inaccessible(file, error.strerror or str(error)) from error
    if not header:
        return None
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise _foreign(file, "this is not an SQLite database")
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        raise _foreign(file, f"this database belongs to another program (application id 0x{application:08X})")
    version = int.from_bytes(header[60:64], "big")
    if _has_content(beside(file, "-wal")):  # the newest header may still be in there
        return _version_by_connection(file)
    return version


def _version_by_connection(file: Path) -> int:
    with contextlib.closing(connect(file, "ro")) as connection, translated(file):
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """Copy a database through the backup API, with what is still in its WAL. The copy appears whole or not at all."""
    unfinished = beside(target, ".new")
    unfinished.unlink(missing_ok=True)
    try:
        with contextlib.closing(connect(unfinished, "rwc")) as copy, translated(target):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        unfinished.replace(target)
    except BaseException:
        for left in (unfinished, *(beside(unfinished, end) for end in COMPANIONS)):
            left.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


@contextlib.contextmanager
def translated(file: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; what has no meaning for a user passes as it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        ours = translation(error, file)
        if ours is None:
            raise
        raise ours from error


def translation(error: sqlite3.DatabaseError, file: Path) -> ConfigError | Unavailable | None:
    """What an error of SQLite means for the user; ``None`` for what can only be a mistake of ours."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = text(os.fsencode(file))
    # Where SQLite makes or extends its -wal and -shm files, a full disk comes as an I/O error or CANTOPEN.
    if primary == sqlite3.SQLITE_FULL or (
        primary in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _is_full(file.parent)
    ):
        return DiskFull(
            "the file system of the catalogue is full; nothing was committed half",
            path=where,
            hint="free some space there; the work goes on by itself",
        )
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unavailable(
            "another program holds the catalogue's write lock",
            path=where,
            hint="close the program that has the database open",
        )
    if primary == sqlite3.SQLITE_IOERR:
        return Unavailable(
            f"the catalogue cannot be read or written: {error}", path=where, hint="look at the health of that disk"
        )
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return inaccessible(file, str(error))
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return ConfigError(
            f"the catalogue is damaged: {error}",
            path=where,
            hint="put a backup in its place, or move it away and let it be made again from the files",
        )
    return None


def connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{Path(os.path.abspath(file)).as_uri()}?mode={mode}"
    with translated(file), _opening:
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=LOCK_WAIT_S,
            isolation_level=None,
            check_same_thread=False,  # made on one thread, used on another; never on two at a time
            cached_statements=256,
            factory=_Connection,
        )
        with contextlib.suppress(OSError):  # removed under us: whatever comes there is another file
            connection.identity = _identity(file)
            _connected[connection.identity] += 1
    return connection


class _Connection(sqlite3.Connection):
    """Counted while it is open."""

    identity: tuple[int, int] | None = None

    def close(self) -> None:
        with _opening:
            super().close()
            if self.identity is not None:
                _connected[self.identity] -= 1
                self.identity = None


def _identity(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino


def beside(file: Path, end: str) -> Path:
    return file.with_name(file.name + end)


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _is_full(directory: Path) -> bool:
    """Whether less than a few pages are free; ``False`` where nobody can tell."""
    if not hasattr(os, "statvfs"):
        return False
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize < _LITTLE


def _foreign(file: Path, why: str) -> ForeignDatabase:
    return ForeignDatabase(
        f"{why}; it was not touched",
        path=text(os.fsencode(file)),
        hint="choose another directory with --data, or move this file away",
    )


def inaccessible(file: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the catalogue cannot be opened: {why}",
        path=text(os.fsencode(file)),
        hint="check that the directory exists and that this user may write there",
    )


def sync_directory(directory: Path) -> None:
    """Make a rename in this directory last; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
