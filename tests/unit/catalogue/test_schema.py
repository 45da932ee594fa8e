from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mediasluice.catalogue.connect import MIGRATIONS, SCHEMA_VERSION
from mediasluice.catalogue.opening import schema_text
from mediasluice.catalogue.schema import METADATA, schema_sql
from mediasluice.catalogue.store import Catalogue
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from tests.catalogues import add_root, digests, identified


def test_the_stored_schema_is_current() -> None:
    """The text in schema.sql is what the tables say; else write it anew, as schema.py tells."""
    assert schema_text() == schema_sql()


def test_a_fresh_database_is_at_the_newest_revision(file: Path) -> None:
    """What schema.sql makes is what the tables say, stamped with the last revision there is."""
    Catalogue.open(file).close()
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, METADATA)
        revision = context.get_current_revision()
    engine.dispose()
    assert differences == []
    assert revision == ScriptDirectory(str(MIGRATIONS)).get_current_head() == f"{SCHEMA_VERSION:04}"


def test_frequent_questions_use_an_index(file: Path) -> None:
    """No statement of an ordinary day walks through all files, contents, directories or events."""
    asked: list[str] = []
    with Catalogue.open(file) as catalogue:
        root = add_root(catalogue)
        catalogue._connection.set_trace_callback(asked.append)
        _ordinary_day(catalogue, root)
        catalogue._connection.set_trace_callback(None)
        plans = {statement: _plan(catalogue._connection, statement) for statement in set(asked)}
    assert len(plans) > 40
    walks = {statement: plan for statement, plan in plans.items() if "SCAN f" in plan or "SCAN dir" in plan}
    assert {statement: plan for statement, plan in walks.items() if "INDEX" not in plan} == {}


def _plan(connection: sqlite3.Connection, statement: str) -> str:
    if not statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")):
        return ""
    return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))


def _ordinary_day(catalogue: Catalogue, root: RootId) -> None:
    one = identified(root, b"a/x", b"one", ino=7)
    for file in (one, one, identified(root, b"b/y", b"one", ino=8), identified(root, b"b/y", b"two", ino=8)):
        catalogue.record([file], 10)
    catalogue.record([identified(root, b"c/x", b"one", ino=7, old=b"a/x")], 20)
    catalogue.move(root, b"c", b"x", b"d", b"x", one.key, 1, 30)
    catalogue.depart(root, [(b"d", b"x")], 40)
    song = identified(root, b"e/song", b"song", ino=10, birth_ns=4_000)._replace(kind=Kind.AUDIO)
    catalogue.record([song], 41)
    catalogue.save_essence(song, 1, "made", None, [("audio", "mp3", b"1", 1.0)])
    catalogue.depart(root, [(b"e", b"song")], 42)
    again = song._replace(name=b"again", digests=digests(b"tagged"))
    assert catalogue.awaited([again._replace(key=again.key._replace(ino=11))]) == [0]
    catalogue.save_essence(again, 1, "made", None, [("audio", "mp3", b"1", 1.0)])
    catalogue.record([again._replace(birth_ns=None)], 43)
    catalogue.record([identified(root, b"e/x", b"one", ino=9)], 50)
    catalogue.depart_tree(root, b"e", 60)
    catalogue.delete([row.file for row in catalogue.departed([root], 100)], 70)
    catalogue.record([identified(root, b"f/x", b"one"), identified(root, b"f/y", b"one", full=False)], 80)
    catalogue.move_tree(root, b"f", b"g", 90)
    catalogue.prune(100)
