from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from mediasluice.catalogue import opening
from mediasluice.catalogue.connect import SCHEMA_VERSION, version_of
from mediasluice.catalogue.opening import prepare
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import ConfigError, ForeignDatabase
from tests.catalogues import add_root, identified, story

Opener = Callable[[Path], Catalogue | View]


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize("exists", [False, True], ids=["missing", "empty"])
def test_nothing_becomes_a_catalogue(file: Path, *, exists: bool) -> None:
    """Where no file is, or an empty one, a fresh catalogue is made with this schema."""
    if exists:
        file.touch()
    assert version_of(file) is None
    with Catalogue.open(file):
        pass
    assert version_of(file) == SCHEMA_VERSION
    assert _names(file.parent) == {file.name}


def test_left_parts_of_another_database_do_no_harm(file: Path) -> None:
    """The WAL of a database that was removed, and a copy that was never finished, are not taken into a fresh one."""
    with Catalogue.open(file) as catalogue:
        root = add_root(catalogue)
        catalogue.record([identified(root, b"x", b"one")], 10)
        wal = file.with_name(file.name + "-wal").read_bytes()
    file.unlink()
    file.with_name(file.name + "-wal").write_bytes(wal)
    file.with_name(file.name + ".new").write_bytes(b"half of something")
    with Catalogue.open(file):
        assert story(file) == []
    assert _names(file.parent) == {file.name}


def test_each_catalogue_has_its_own_epoch(tmp_path: Path) -> None:
    """Two catalogues name their event logs differently, one keeps its name."""
    epochs = []
    for name in ("a", "b", "a"):
        with Catalogue.open(tmp_path / name), View.open(tmp_path / name) as view:
            epochs.append(view.epoch())
    assert epochs[0] == epochs[2] != epochs[1]
    assert len(epochs[0]) == 32


def _foreign(file: Path, application: int, journal: str = "delete") -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute("CREATE TABLE theirs (x)")


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("application", [0, 0x12345678])
@pytest.mark.parametrize("opener", [Catalogue.open, View.open], ids=["write", "read"])
def test_a_foreign_database_is_not_touched(file: Path, application: int, journal: str, opener: Opener) -> None:
    """A database of another program is refused before anything is written, be it a file beside it."""
    _foreign(file, application, journal)
    before, names = file.read_bytes(), _names(file.parent)
    with pytest.raises(ForeignDatabase, match="another program") as refusal:
        opener(file)
    assert refusal.value.hint
    assert (file.read_bytes(), _names(file.parent)) == (before, names)


@pytest.mark.parametrize("content", [b"x", b"just some text\n" * 20, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_refused(file: Path, content: bytes) -> None:
    """A file of any other kind is refused and left alone."""
    file.write_bytes(content)
    with pytest.raises(ForeignDatabase, match="not an SQLite database"):
        Catalogue.open(file)
    assert file.read_bytes() == content


@pytest.mark.parametrize("in_wal", [False, True], ids=["in the file", "in the WAL"])
@pytest.mark.parametrize("opener", [Catalogue.open, View.open], ids=["write", "read"])
def test_a_newer_catalogue_is_refused(file: Path, *, in_wal: bool, opener: Opener) -> None:
    """The schema of a newer version is refused with both versions, also when only the WAL knows of it."""
    Catalogue.open(file).close()
    newer = sqlite3.connect(file, isolation_level=None)
    newer.execute("PRAGMA user_version = 7")
    if not in_wal:
        newer.close()
    before = file.read_bytes()
    with pytest.raises(ForeignDatabase, match=rf"version 7, this program knows {SCHEMA_VERSION}") as refusal:
        opener(file)
    assert refusal.value.hint is not None
    assert "before-7" not in refusal.value.hint
    assert file.read_bytes() == before
    if in_wal:
        newer.close()
    else:
        assert _names(file.parent) == {file.name}


def test_reading_needs_a_catalogue(file: Path) -> None:
    """Who only reads makes nothing: there is none yet, or it waits for its migration."""
    with pytest.raises(ConfigError, match="no catalogue yet"):
        View.open(file)
    assert not file.exists()
    Catalogue.open(file).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(ConfigError, match=f"version 0, this program reads {SCHEMA_VERSION}"):
        View.open(file)


def test_a_directory_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """A data directory that is missing is an error about that, not about SQL."""
    with pytest.raises(ConfigError, match="cannot be opened"):
        Catalogue.open(tmp_path / "nowhere" / "catalogue.sqlite")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Catalogue.open(tmp_path)


def test_a_damaged_catalogue_is_said_so(file: Path) -> None:
    """A header that is ours over pages that are not is a damaged catalogue."""
    Catalogue.open(file).close()
    file.write_bytes(file.read_bytes()[:100] + b"\x55" * 20_000)
    with pytest.raises(ConfigError, match="damaged"):
        Catalogue.open(file)


def test_paths_with_odd_characters_are_taken(tmp_path: Path) -> None:
    """Percent signs, question marks and hashes in the path mean nothing."""
    directory = tmp_path / "50%20 ?mode=memory#x"
    directory.mkdir()
    with Catalogue.open(directory / "c.sqlite") as catalogue:
        catalogue.record([identified(add_root(catalogue), b"x", b"one")], 10)
    assert len(story(directory / "c.sqlite")) == 1


def test_who_looks_inside_takes_nothing_away(file: Path) -> None:
    """Another program that opens the catalogue beside a running service, and leaves, does not remove its WAL."""
    look = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM meta').fetchall()"
    with Catalogue.open(file) as catalogue:
        root = add_root(catalogue)
        with View.open(file), View.open(file):
            pass
        subprocess.run([sys.executable, "-c", look, file], check=True)
        catalogue.record([identified(root, b"x", b"one")], 10)
        with View.open(file) as view:
            assert len(list(view.files())) == 1
    assert len(story(file)) == 1


def test_a_reader_needs_no_writer(file: Path) -> None:
    """A catalogue is read whole after its writer was killed in the middle, and the reader checkpoints nothing."""
    program = f"""
        import os
        from pathlib import Path
        from mediasluice.catalogue.store import Catalogue
        from tests.catalogues import add_root, identified
        catalogue = Catalogue.open(Path({str(file)!r}))
        root = add_root(catalogue)
        catalogue.record([identified(root, b"x", b"one")], 10)
        catalogue._connection.execute("BEGIN IMMEDIATE")
        catalogue._connection.execute("DELETE FROM event")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True)
    before = file.read_bytes()
    assert [path for _, path, _ in story(file)] == [b"x"]
    assert file.read_bytes() == before


# -- migrations -----------------------------------------------------------------------------------

NEXT = SCHEMA_VERSION + 1
_NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT:04}"
down_revision = "{SCHEMA_VERSION:04}"

def upgrade():
    with op.batch_alter_table("content") as table:
        table.add_column(sa.Column("crc32", sa.Integer))
    op.execute("UPDATE content SET crc32 = size")
"""


@pytest.fixture
def revisions(tmp_path: Path) -> Path:
    directory = tmp_path / "100% revisions"
    directory.mkdir()
    (directory / f"{NEXT:04}_next.py").write_text(_NEXT)
    return directory


def _fill(file: Path) -> list[tuple[str, bytes, bytes | None]]:
    with Catalogue.open(file) as catalogue:
        catalogue.record([identified(add_root(catalogue), b"x", b"one")], 10)
    return story(file)


def test_an_older_catalogue_is_migrated_beside_a_copy(file: Path, revisions: Path) -> None:
    """A migration changes the catalogue in place, leaves a copy of the old one, and the old program refuses it."""
    told = _fill(file)
    prepare(file, NEXT, revisions)
    assert version_of(file) == NEXT
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT size, crc32 FROM content").fetchall() == [(3, 3)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(f"{NEXT:04}",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with pytest.raises(ForeignDatabase, match=f"version {NEXT}, this program knows {SCHEMA_VERSION}"):
        Catalogue.open(file)
    copy = file.with_name(file.name + f".before-{NEXT}")
    assert not copy.exists()
    copy = file.with_name(file.name + f".before-{SCHEMA_VERSION}")
    assert version_of(copy) == SCHEMA_VERSION
    with Catalogue.open(copy):
        assert story(copy) == told


def test_a_migrated_catalogue_is_left_alone(file: Path, revisions: Path) -> None:
    """A second start at the same version changes nothing and copies nothing."""
    _fill(file)
    prepare(file, NEXT, revisions)
    file.with_name(file.name + f".before-{SCHEMA_VERSION}").unlink()
    before = file.read_bytes()
    prepare(file, NEXT, revisions)
    assert file.read_bytes() == before
    assert _names(file.parent) == {file.name, revisions.name}


@pytest.mark.parametrize(
    "ending",
    ['    op.execute("INSERT INTO nowhere VALUES (1)")\n', '    raise RuntimeError("no")\n', None],
    ids=["SQL error", "error", "no such revision"],
)
def test_a_failed_migration_changes_nothing(file: Path, revisions: Path, ending: str | None) -> None:
    """When a revision fails half way, the catalogue is as before and the old program goes on with it."""
    told = _fill(file)
    second = revisions / f"{NEXT:04}_next.py"
    if ending is None:
        second.unlink()
    else:
        second.write_text(_NEXT + ending)
    with pytest.raises((ConfigError, RuntimeError)):
        prepare(file, NEXT, revisions)
    assert version_of(file) == SCHEMA_VERSION
    with Catalogue.open(file) as catalogue:
        assert story(file) == told
        columns = {row[1] for row in catalogue._connection.execute("PRAGMA table_info(content)")}
    assert "crc32" not in columns


def test_starting_imports_neither_sqlalchemy_nor_alembic(file: Path) -> None:
    """Whoever does not migrate does not pay for the migration tools."""
    program = f"""
        import sys
        from pathlib import Path
        from mediasluice.catalogue.store import Catalogue
        from mediasluice.catalogue.view import View
        with Catalogue.open(Path({str(file)!r})), View.open(Path({str(file)!r})):
            assert not {{"sqlalchemy", "alembic"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True)


def test_an_old_sqlite_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python with an SQLite that lacks what is used says which one it needs."""
    monkeypatch.setattr(opening, "OLDEST_SQLITE", (99, 0, 0))
    with pytest.raises(ConfigError, match=r"too old, 99\.0\.0 is needed"):
        Catalogue.open(file)
    assert not file.exists()


def test_a_catalogue_without_imports_gets_their_tables(file: Path, tmp_path: Path) -> None:
    """One of the version before has, once opened, the tables of a fresh one, and all that it knew."""
    told = _fill(file)
    with closing(sqlite3.connect(file)) as connection:
        _drop_later(connection)
        for table in ("judgement", "step", "item", "account", "ground"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE root DROP COLUMN baseline_us")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    Catalogue.open(file).close()
    Catalogue.open(tmp_path / "fresh.sqlite").close()
    assert _tables(file) == _tables(tmp_path / "fresh.sqlite")
    assert story(file) == told
    with View.open(file) as view:
        assert [root.has_baseline for root in view.roots()] == [True]


def test_a_catalogue_without_readings_reads_all_that_it_knows(file: Path, tmp_path: Path) -> None:
    """One of the version before gets the tables of a fresh one, and its second pass begins at the first event."""
    told = _fill(file)
    with closing(sqlite3.connect(file)) as connection:
        _drop_later(connection)
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    Catalogue.open(file).close()
    Catalogue.open(tmp_path / "fresh.sqlite").close()
    assert _tables(file) == _tables(tmp_path / "fresh.sqlite")
    assert story(file) == told
    with View.open(file) as view:
        assert view.enriched() == 0
        assert [subject.name for subject in view.following(0, 100, frozenset())[1]] == [b"x"]


LATER = (
    *("capture", "external", "kin", "likeness", "member", "product", "reading", "rendition", "stream", "unread"),
    *("announced", "damage", "dead_letter", "job", "job_mark", "schedule", "sink"),
)
"""The tables of the third version and of those after it."""


def _drop_later(connection: sqlite3.Connection) -> None:
    for table in LATER:
        connection.execute(f"DROP TABLE {table}")
    connection.execute("DROP INDEX file_gone_inode")
    connection.execute("ALTER TABLE file DROP COLUMN birth_ns")


def _tables(file: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {(name, " ".join(sql.split())) for name, sql in found}
