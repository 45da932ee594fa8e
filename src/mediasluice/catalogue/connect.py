"""Open the catalogue's file: make it, check whose it is, bring it to this version, connect to it.

Takes the path of the file; gives ``sqlite3`` connections in autocommit mode. What lies at the path is judged by
its header alone before SQLite may touch it: a foreign or newer database gets not even a WAL file beside it.
Fails with: ForeignDatabase (another program's, or of a newer version), ConfigError (nothing there to read, too old
to read, not accessible), DiskFull, Unavailable (somebody else holds SQLite's write lock).
Source: sqlite.org/fileformat.html (header), sqlite.org/wal.html (who may checkpoint).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from mediasluice.errors import ConfigError, DiskFull, ForeignDatabase, Unavailable
from mediasluice.model.paths import text

APPLICATION_ID = 0x534C5543  # "SLUC"
SCHEMA_VERSION = 1  # number of the newest revision in migrations/versions
MIGRATIONS = Path(__file__).parent / "migrations"

OLDEST_SQLITE = (3, 35, 0)  # RETURNING and JSON functions

PAGE_SIZE = 8192  # measured: in chunks of 1,000 as good as 4,096 and 16,384, in chunks of 5,000 6 % before 4,096
WRITER_CACHE_KIB = 24 * 1024  # measured: the writer stays below 40 MB at a million files
READER_CACHE_KIB = 4 * 1024  # chosen: every thread and every command has one
CHECKPOINT_PAGES = 4000  # 32 MB of WAL: hot pages are written back once for many chunks
WAL_KEPT = 64 << 20  # bytes; a longer WAL file is cut when it is used up
LOCK_WAIT_S = 5.0  # chosen; nobody else writes, but a person may look inside with other programs

_HEADER = 100  # bytes
_MAGIC = b"SQLite format 3\0"


class Found(NamedTuple):
    """A catalogue that exists. ``version`` is that of its schema."""

    version: int


def inspect(file: Path) -> Found | None:
    """Say what lies at ``file`` without changing anything there; ``None`` for nothing or an empty file."""
    try:
        with file.open("rb") as stream:
            header = stream.read(_HEADER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _inaccessible(file, error.strerror or str(error)) from error
    if not header:
        return None
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise _foreign(file, "this is not an SQLite database")
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        raise _foreign(file, f"this database belongs to another program (application id 0x{application:08X})")
    version = int.from_bytes(header[60:64], "big")
    if _has_content(_beside(file, "-wal")):  # the newest header may still be in there
        with contextlib.closing(_connect(file, "ro")) as connection, translated(file):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    return Found(version)


def prepare(file: Path, wanted: int = SCHEMA_VERSION, revisions: Path = MIGRATIONS / "versions") -> None:
    """Make ``file`` a catalogue of version ``wanted``: create it, migrate it, or leave it as it is."""
    found = inspect(file)
    if found is None:
        create(file)
        found = Found(SCHEMA_VERSION)
    if found.version > wanted:
        raise _newer(file, found.version, wanted)
    if found.version < wanted:
        # Alembic and SQLAlchemy take 0.4 s to import: only who migrates pays for it.
        from mediasluice.catalogue.migrate import migrate  # noqa: PLC0415

        migrate(file, found.version, wanted, revisions)


def create(file: Path) -> None:
    """Make a fresh catalogue. It appears under its name whole or not at all."""
    target = Path(os.path.realpath(file))
    unfinished = _beside(target, ".new")
    with translated(file):
        try:
            # A WAL or journal that outlived its database would be applied to the new one.
            for left in [unfinished, *(_beside(at, end) for at in (target, unfinished) for end in _COMPANIONS)]:
                left.unlink(missing_ok=True)
            with contextlib.closing(_connect(unfinished, "rwc")) as connection:
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in schema_text().split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(16))))")
                connection.execute("COMMIT")
                connection.execute("PRAGMA journal_mode = WAL")
            unfinished.replace(target)
            _sync_directory(target.parent)
        except OSError as error:
            raise _inaccessible(file, error.strerror or str(error)) from error


def open_writer(file: Path) -> sqlite3.Connection:
    """Connect as the one writer. The caller holds the lock of the data directory."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(
            f"SQLite {sqlite3.sqlite_version} is too old, {'.'.join(map(str, OLDEST_SQLITE))} is needed",
            hint="use a Python that is built with a newer SQLite",
        )
    prepare(file)
    connection = _connect(file, "rw")
    try:
        with translated(file):
            # FULL: an event that was delivered must not be forgotten by a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("SELECT value FROM meta").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(file: Path) -> sqlite3.Connection:
    """Connect to read only. Never checkpoints: two who do can lose pages in SQLite 3.7.0 to 3.51.2."""
    found = inspect(file)
    if found is None:
        raise ConfigError("there is no catalogue yet", path=text(os.fsencode(file)), hint="begin with: sluice run DIR")
    if found.version > SCHEMA_VERSION:
        raise _newer(file, found.version, SCHEMA_VERSION)
    if found.version < SCHEMA_VERSION:
        raise ConfigError(
            f"the catalogue has schema version {found.version}, this program reads {SCHEMA_VERSION}",
            path=text(os.fsencode(file)),
            hint="bring it up to date once with: sluice scan, or start the service",
        )
    connection = _connect(file, "ro")
    try:
        with translated(file):
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
            connection.execute("SELECT value FROM meta").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """Copy a database through the backup API, with what is still in its WAL. The copy appears whole or not at all."""
    unfinished = _beside(target, ".new")
    unfinished.unlink(missing_ok=True)
    try:
        with contextlib.closing(_connect(unfinished, "rwc")) as copy, translated(target):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        unfinished.replace(target)
    except BaseException:
        for left in (unfinished, *(_beside(unfinished, end) for end in _COMPANIONS)):
            left.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def schema_text() -> str:
    """The statements of a fresh catalogue, each ended by a semicolon and a line end."""
    return files("mediasluice.catalogue").joinpath("schema.sql").read_text(encoding="utf-8")


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
        return _inaccessible(file, str(error))
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return ConfigError(
            f"the catalogue is damaged: {error}",
            path=where,
            hint="put a backup in its place, or move it away and let it be made again from the files",
        )
    return None


_COMPANIONS = ("-wal", "-shm", "-journal")


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{Path(os.path.abspath(file)).as_uri()}?mode={mode}"
    with translated(file):
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=LOCK_WAIT_S,
            isolation_level=None,
            check_same_thread=False,  # made on one thread, used on another; never on two at a time
            cached_statements=256,
        )


def _beside(file: Path, end: str) -> Path:
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
    return room.f_bavail * room.f_frsize < 16 * PAGE_SIZE


def _sync_directory(directory: Path) -> None:
    """Make a rename in this directory last; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _foreign(file: Path, why: str) -> ForeignDatabase:
    return ForeignDatabase(
        f"{why}; it was not touched",
        path=text(os.fsencode(file)),
        hint="choose another directory with --data, or move this file away",
    )


def _newer(file: Path, found: int, wanted: int) -> ForeignDatabase:
    return ForeignDatabase(
        f"the catalogue has schema version {found}, this program knows {wanted} and older; it was not touched",
        path=text(os.fsencode(file)),
        hint=f"install the newer mediasluice again, or put the copy {file.name}.before-{wanted} in its place",
    )


def _inaccessible(file: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the catalogue cannot be opened: {why}",
        path=text(os.fsencode(file)),
        hint="check that the directory exists and that this user may write there",
    )
