"""Open the catalogue to write or to read: make it, or bring it to this version, first.

Takes the path of the file; gives connections with the settings of a writer or a reader. A foreign or newer
database is refused before SQLite may touch it. Fails with: ForeignDatabase, ConfigError (nothing there to read, too
old to read, not accessible), DiskFull, Unavailable. Source: sqlite.org/wal.html (who may checkpoint).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from importlib.resources import files
from pathlib import Path

from mediasluice.catalogue.connect import (
    COMPANIONS,
    MIGRATIONS,
    SCHEMA_VERSION,
    beside,
    connect,
    inaccessible,
    sync_directory,
    translated,
    version_of,
)
from mediasluice.errors import ConfigError, ForeignDatabase
from mediasluice.model.paths import text

OLDEST_SQLITE = (3, 35, 0)  # RETURNING and JSON functions

PAGE_SIZE = 8192  # measured: in chunks of 1,000 as good as 4,096 and 16,384, in chunks of 5,000 6 % before 4,096
WRITER_CACHE_KIB = 24 * 1024  # measured: the writer grows by 38 MB over a million files
READER_CACHE_KIB = 4 * 1024  # chosen: every thread and every command has one
CHECKPOINT_PAGES = 4000  # 32 MB of WAL: hot pages are written back once for many chunks
WAL_KEPT = 64 << 20  # bytes; a longer WAL file is cut when it is used up


def prepare(file: Path, wanted: int = SCHEMA_VERSION, revisions: Path = MIGRATIONS / "versions") -> None:
    """Make ``file`` a catalogue of version ``wanted``: create it, migrate it, or leave it as it is."""
    found = version_of(file)
    if found is None:
        create(file)
        found = SCHEMA_VERSION
    if found > wanted:
        raise _newer(file, found, wanted)
    if found < wanted:
        # Alembic and SQLAlchemy take 0.4 s to import: only who migrates pays for it.
        from mediasluice.catalogue.migrate import migrate  # noqa: PLC0415

        migrate(file, found, wanted, revisions)


def create(file: Path) -> None:
    """Make a fresh catalogue. It appears under its name whole or not at all."""
    target = Path(os.path.realpath(file))
    unfinished = beside(target, ".new")
    with translated(file):
        try:
            # A WAL or journal that outlived its database would be applied to the new one.
            for left in [unfinished, *(beside(at, end) for at in (target, unfinished) for end in COMPANIONS)]:
                left.unlink(missing_ok=True)
            with contextlib.closing(connect(unfinished, "rwc")) as connection:
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
            sync_directory(target.parent)
        except OSError as error:
            raise inaccessible(file, error.strerror or str(error)) from error


def open_writer(file: Path) -> sqlite3.Connection:
    """Connect as the one writer. The caller holds the lock of the data directory."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(
            f"SQLite {sqlite3.sqlite_version} is too old, {'.'.join(map(str, OLDEST_SQLITE))} is needed",
            hint="use a Python that is built with a newer SQLite",
        )
    prepare(file)
    connection = connect(file, "rw")
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
    found = version_of(file)
    if found is None:
        raise ConfigError("there is no catalogue yet", path=text(os.fsencode(file)), hint="begin with: sluice run DIR")
    if found > SCHEMA_VERSION:
        raise _newer(file, found, SCHEMA_VERSION)
    if found < SCHEMA_VERSION:
        raise ConfigError(
            f"the catalogue has schema version {found}, this program reads {SCHEMA_VERSION}",
            path=text(os.fsencode(file)),
            hint="bring it up to date once with: sluice scan, or start the service",
        )
    connection = connect(file, "ro")
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


def schema_text() -> str:
    """The statements of a fresh catalogue, each ended by a semicolon and a line end."""
    return files("mediasluice.catalogue").joinpath("schema.sql").read_text(encoding="utf-8")


def _newer(file: Path, found: int, wanted: int) -> ForeignDatabase:
    return ForeignDatabase(
        f"the catalogue has schema version {found}, this program knows {wanted} and older; it was not touched",
        path=text(os.fsencode(file)),
        hint=f"install the newer mediasluice again, or put the copy {file.name}.before-{wanted} in its place",
    )
