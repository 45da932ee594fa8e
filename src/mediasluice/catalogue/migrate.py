"""Bring an older catalogue to this version, with a copy of it kept beside it.

Takes the file and both versions; all revisions run in one transaction, so that a failure leaves the database as
it was. The copy ``<file>.before-<version>`` is made through SQLite's backup API first. Imported only to migrate:
it needs Alembic and SQLAlchemy. Fails with: DiskFull, ConfigError (a revision failed; the catalogue is unchanged).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.pool import StaticPool

from mediasluice.catalogue.connect import MIGRATIONS, copy_database, translated, translation
from mediasluice.errors import ConfigError
from mediasluice.model.paths import text


def migrate(file: Path, found: int, wanted: int, revisions: Path) -> None:
    """Upgrade from ``found`` to ``wanted`` by the revisions in that directory."""
    copy = file.with_name(f"{file.name}.before-{found}")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection, translated(file):
        connection.execute("PRAGMA synchronous = FULL")
        copy_database(connection, copy)
        connection.execute("PRAGMA foreign_keys = OFF")  # tables are rebuilt under their referrers
        try:
            _upgrade(connection, wanted, revisions)
        except (sqlalchemy.exc.SQLAlchemyError, CommandError, sqlite3.Error) as error:
            cause = getattr(error, "orig", None) or error
            ours = translation(cause, file) if isinstance(cause, sqlite3.DatabaseError) else None
            raise ours or ConfigError(
                f"the catalogue could not be brought from schema version {found} to {wanted}: {cause}",
                path=text(os.fsencode(file)),
                hint=f"it is unchanged; the older mediasluice can use it. A copy is in {copy.name}",
            ) from error


def _upgrade(connection: sqlite3.Connection, wanted: int, revisions: Path) -> None:
    """Run Alembic in one transaction on this connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    places = dict.fromkeys([MIGRATIONS / "versions", revisions])
    config.set_main_option("version_locations", os.pathsep.join(map(str, places)).replace("%", "%%"))
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as bind:  # rolls back what is not committed when it is left
        bind.exec_driver_sql("BEGIN IMMEDIATE")  # only now: SQLAlchemy ends what was open on a connection that it gets
        config.attributes["connection"] = bind
        command.upgrade(config, f"{wanted:04}")
        bind.exec_driver_sql(f"PRAGMA user_version = {wanted:d}")
        bind.commit()
