"""The tables of the catalogue: the one definition from which databases are created and migrated.

Gives ``METADATA`` (SQLAlchemy) and ``schema_sql()``, its text for SQLite. A fresh database is made from that
text, kept beside this module as ``schema.sql``, so that nobody imports SQLAlchemy to run; write it again with
``python -m mediasluice.catalogue.schema > src/mediasluice/catalogue/schema.sql``. Units: sizes in bytes, ``_us``
microseconds since the epoch (UTC), ``_ns`` nanoseconds. Paths, names and digests are bytes. Fails with: nothing.
Source: measurements of directory-relative names and of index costs, docs/adr.
"""

from __future__ import annotations

import sys

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from mediasluice.catalogue.connect import APPLICATION_ID, SCHEMA_VERSION

METADATA = MetaData()

_ID = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows only by the type INTEGER


def _partial(name: str, *columns: Column[object], where: str, unique: bool = False) -> Index:
    """An index over some rows only, spelled the same for both engines."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


meta = Table(
    "meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""``epoch``: names this event log; a cursor of another log is worthless here."""

library = Table(
    "library",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

root = Table(
    "root",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("library", _ID, ForeignKey("library.id"), nullable=False),
    Column("path", LargeBinary, nullable=False, unique=True),  # absolute
    Column("filesystem", LargeBinary),  # with ino: RootIdentity; NULL until the root was seen
    Column("ino", BigInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("since_us", BigInteger, nullable=False),  # when this state began
    Column("watched", Text, nullable=False),
    Column("baseline_us", BigInteger),  # when a first pass was through: what was found until then was there before
)

mount = Table(
    "mount",
    METADATA,
    Column("root", _ID, ForeignKey("root.id"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),  # the mount point, relative to the root
    Column("filesystem", LargeBinary, nullable=False),
    Column("ino", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What is mounted inside a root: while it is not, its files are out of reach and not deleted."""

dir_ = Table(
    "dir",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("root", _ID, ForeignKey("root.id"), nullable=False),
    Column("path", LargeBinary, nullable=False),  # relative to the root, b"" is the root itself
    Column("signature", LargeBinary),  # only while every listed file is catalogued at exactly those values
    Column("mtime_ns", BigInteger),  # of the directory itself; NULL: never sealed, or not there any more
    UniqueConstraint("root", "path"),
)
"""A row never changes its path: a directory that is renamed gets another row, and events that name this one
go on to say what was true when they happened."""

content = Table(
    "content",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("blake3", LargeBinary, nullable=False),  # each once; found through `digest`
    Column("xxh128", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary),
    Column("md5", LargeBinary),
    Column("sha1", LargeBinary),
)

digest = Table(
    "digest",
    METADATA,
    Column("blake3", LargeBinary, primary_key=True),
    Column("content", _ID, ForeignKey("content.id"), nullable=False),
    sqlite_with_rowid=False,
)
"""Finds contents by their digest, up to the one that ``meta`` names as ``indexed``; see ``contents``."""

file = Table(
    "file",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("dir", _ID, ForeignKey("dir.id"), nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("ino", BigInteger, nullable=False),  # 64 bits, stored as signed; 0 where inodes are not stable
    Column("links", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("content", _ID, ForeignKey("content.id")),
    Column("quick", LargeBinary),
    Column("version", Integer, nullable=False),  # 0: no event has told of this file yet
    Column("at_us", BigInteger, nullable=False),  # when this version was recorded
    Column("gone_us", BigInteger),  # set in the states departed and missing
    Column("birth_ns", BigInteger),  # of the inode, with which it is unique; NULL: not known
)
# One row for each path that is not missing; a departed file keeps its path until it is decided about.
_partial("file_path", file.c.dir, file.c.name, where="state <> 'missing'", unique=True)
_partial("file_missing", file.c.dir, file.c.name, where="state = 'missing'")
# Copies of a content. With the inode, because hard links are one copy and must be told apart without a visit
# to each row; without the other states, so that totals are counted in the index alone.
_partial("file_copy", file.c.content, file.c.ino, where="state = 'catalogued' AND content IS NOT NULL")
# The next five hold a row only after something left, or while full digests are still owed: free on a first scan.
_partial("file_gone", file.c.state, file.c.gone_us, where="gone_us IS NOT NULL")
_partial("file_gone_content", file.c.content, file.c.state, file.c.ino, where="gone_us IS NOT NULL")
_partial("file_gone_quick", file.c.quick, where="gone_us IS NOT NULL")
_partial("file_gone_inode", file.c.ino, where="gone_us IS NOT NULL")
_partial("file_lacking", file.c.id, where="state = 'catalogued' AND content IS NULL")

file_version = Table(
    "file_version",
    METADATA,
    Column("file", _ID, ForeignKey("file.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content", _ID, ForeignKey("content.id")),
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Superseded versions; never changed once written. The current one is the row in ``file``."""

event = Table(
    "event",
    METADATA,
    Column("seq", _ID, primary_key=True),
    Column("type", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("file", _ID),  # NULL for events of a root; the file's row may be pruned before its events
    Column("version", Integer),
    Column("dir", _ID, ForeignKey("dir.id"), nullable=False),
    Column("name", LargeBinary, nullable=False),
    # The other place of the event: where a moved file was, where the original of a duplicate is, where a file
    # that came back was seen last.
    Column("old_dir", _ID, ForeignKey("dir.id")),
    Column("old_name", LargeBinary),
    Column("size", BigInteger),
    Column("content", _ID, ForeignKey("content.id")),
    Column("origin", Text),
    Column("data", Text),  # a JSON object
    sqlite_autoincrement=True,
)
Index("event_file", event.c.file)
Index("event_dir", event.c.dir)
_partial("event_old_dir", event.c.old_dir, where="old_dir IS NOT NULL")

learned = Table(
    "learned",
    METADATA,
    Column("root", _ID, ForeignKey("root.id"), primary_key=True),
    Column("directory", LargeBinary, primary_key=True),
    Column("extension", LargeBinary, primary_key=True),
    Column("quiet_s", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Quiet periods that were found too short for the files of this extension in this directory."""

account = Table(
    "account",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("at_us", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # scopes name accounts: no id is used twice
)
"""Who may own items."""

item = Table(
    "item",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("scope", Text, nullable=False),  # "": everything; "owner:ID", "library:ID"
    Column("content", _ID, ForeignKey("content.id"), nullable=False),
    Column("library", _ID, ForeignKey("library.id"), nullable=False),
    Column("owner", _ID, ForeignKey("account.id")),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("place", Text, nullable=False),  # pending: nowhere yet; file: where its file is; path: there
    Column("path", LargeBinary),  # absolute
    Column("file", _ID, nullable=False),  # the file that it came from; its row may be pruned
    Column("at_us", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # events name items: no id is used twice
)
# The guard of "never twice": a content is one item in its scope, also while its bytes are on their way.
Index("item_content", item.c.scope, item.c.content, unique=True)
Index("item_file", item.c.file)
_partial("item_path", item.c.path, where="path IS NOT NULL")

judgement = Table(
    "judgement",
    METADATA,
    Column("file", _ID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("judgement", Text, nullable=False),
    Column("item", _ID, ForeignKey("item.id")),  # that it is, or that it is a duplicate of
    Column("reason", Text),
    Column("todo", Text),  # import | processed: what is to be done with the file itself
    Column("due_us", BigInteger),  # not before; set with todo, and where a file is to be judged again at once
    Column("at_us", BigInteger, nullable=False),
)
"""What an importing library says of the present version of a file; no row: nothing yet."""
_partial("judgement_todo", judgement.c.due_us, where="todo IS NOT NULL")
_partial("judgement_again", judgement.c.file, where="judgement = 'again'")
Index("judgement_item", judgement.c.item)

step = Table(
    "step",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("file", _ID, nullable=False),
    Column("item", _ID),
    Column("purpose", Text, nullable=False),  # import | processed
    Column("mode", Text, nullable=False),  # as asked for; once done, as it was done
    Column("source", LargeBinary, nullable=False),  # absolute, as is the target
    Column("target", LargeBinary, nullable=False),
    Column("ino", BigInteger, nullable=False),  # with the next three the change key of the source
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("blake3", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # open | done | undone
    Column("note", Text),
    Column("at_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    sqlite_autoincrement=True,  # temporary names carry it
)
"""The journal: each change of a user's file, written before it is made and never removed."""
_partial("step_open", step.c.id, where="state = 'open'")
Index("step_file", step.c.file)

ground = Table(
    "ground",
    METADATA,
    Column("path", LargeBinary, primary_key=True),  # absolute
    Column("filesystem", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""On which file systems targets and processed directories lie: elsewhere, nothing is written there."""

reading = Table(
    "reading",
    METADATA,
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("version", Integer, nullable=False),  # of the readers; an older one is read anew in the background
    Column("state", Text, nullable=False),  # read | refused | timed out | crashed | mistaken: by us, with version 0
    Column("found", Text, nullable=False),  # a JSON object, as `model.media.to_json` writes it
    Column("pair", Text),  # what both halves of a Live Photo carry
    Column("at_us", BigInteger, nullable=False),
)
"""What the readers found inside a content: read once, wherever it lies."""
_partial("reading_pair", reading.c.pair, where="pair IS NOT NULL")

capture = Table(
    "capture",
    METADATA,
    Column("file", _ID, primary_key=True),
    Column("version", Integer, nullable=False),  # of the file, that it was worked out for
    Column("local", Text, nullable=False),  # YYYY-MM-DDTHH:MM:SS
    Column("offset_minutes", Integer),  # east of UTC; NULL: not known
    Column("source", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("rejected", Text),  # a JSON list: why the sources before it were passed over
)
"""When the present version of a file was made."""

member = Table(
    "member",
    METADATA,
    Column("file", _ID, primary_key=True),
    Column("home", _ID, ForeignKey("dir.id"), nullable=False),  # the directory with whose files it is compared
    Column("master", _ID),  # the file that its group is named by; NULL: it is alone
    Column("role", Text),
    Column("follows", _ID),  # the file whose name and place it goes by
)
"""Which files belong together."""
_partial("member_master", member.c.master, where="master IS NOT NULL")
_partial("member_follows", member.c.follows, where="follows IS NOT NULL")

kin = Table(
    "kin",
    METADATA,
    Column("home", _ID, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("file", _ID, primary_key=True),
    sqlite_with_rowid=False,
)
"""Files that may belong together share a key in their home; a file has few keys."""
Index("kin_file", kin.c.file)

unread = Table(
    "unread",
    METADATA,
    Column("file", _ID, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Files that could not be read, for a reason that may pass."""

external = Table(
    "external",
    METADATA,
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("source", Text, primary_key=True),  # its name in the document
    Column("place", Integer, nullable=False),  # of the source among all: the first one that knows a tag counts
    Column("found", Text),  # a JSON object of tags; NULL: it knows nothing, or did not answer yet
    Column("tries", Integer, nullable=False),  # that failed
    Column("due_us", BigInteger),  # when it is asked again; NULL: it has answered
    Column("reason", Text),  # why it did not
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What sources outside of the files say of contents, once each; never mixed with what stands inside."""
_partial("external_due", external.c.source, external.c.due_us, where="due_us IS NOT NULL")

product = Table(
    "product",
    METADATA,
    Column("what", Text, primary_key=True),  # preview | essence | likeness
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("version", Integer, nullable=False),  # of what makes it; an older one is made anew
    Column("state", Text, nullable=False),  # made | refused | timed out | crashed: not tried again by this version
    Column("reason", Text),
    sqlite_with_rowid=False,
)
"""What was made of a content beside its reading."""

stream = Table(
    "stream",
    METADATA,
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("type", Text, nullable=False),  # audio | video | samples
    Column("codec", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of its packets, or the MD5 of its samples
    Column("duration", Float),  # seconds
    sqlite_with_rowid=False,
)
"""The essence of a content: equal ones play the same, whatever container they lie in."""
Index("stream_digest", stream.c.digest)

likeness = Table(
    "likeness",
    METADATA,
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("pictures", LargeBinary),  # perceptual hashes, 8 bytes each, big endian: of a picture, or of a film's scenes
    Column("sound", LargeBinary),  # as Chromaprint gives it
    Column("duration", Float),  # seconds
)
"""What a content looks and sounds like."""

rendition = Table(
    "rendition",
    METADATA,
    Column("content", _ID, ForeignKey("content.id"), primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("blake3", LargeBinary, nullable=False),  # of the content: with profile and extension the name of its file
    Column("extension", Text, nullable=False),  # with its dot
    Column("state", Text, nullable=False),  # waiting | made | failed: not tried again by the same program
    Column("size", BigInteger),  # of the rendition, as is the duration
    Column("duration", Float),  # seconds
    Column("program", Text),  # the ffmpeg that made it, or could not
    Column("reason", Text),  # why it waits or failed, or what it lacks
    Column("tries", Integer, nullable=False),  # that were begun
    Column("due_us", BigInteger),  # not before; set while it waits
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What items play as everywhere, and which of them still wait for it."""
Index("rendition_blake3", rendition.c.blake3)
_partial("rendition_due", rendition.c.due_us, where="state = 'waiting'")


sink = Table(
    "sink",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("epoch", Text, nullable=False),  # the log that its cursor counts in
    Column("cursor", BigInteger, nullable=False),  # all events up to it are done
    Column("done", Text, nullable=False),  # a JSON list of spans: events after the cursor that are done as well
    Column("state", Text, nullable=False),  # active | paused | disabled, by the far side
    Column("reason", Text),
    Column("since_us", BigInteger, nullable=False),  # when this state began
    Column("lagged", BigInteger, nullable=False),  # up to this event only the last one of each file was kept for it
    Column("delivered", BigInteger, nullable=False),  # facts, ever
    Column("turn", BigInteger, nullable=False),  # grows when a person changes where it stands
    sqlite_with_rowid=False,
)
"""How far each sink of the document has got in the event log."""

dead_letter = Table(
    "dead_letter",
    METADATA,
    Column("sink", Text, ForeignKey("sink.name"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # of the event
    Column("state", Text, nullable=False),  # dead: given up; parked: behind one that is dead; due: to be tried again
    Column("keys", Text, nullable=False),  # a JSON list: what the order of deliveries goes by
    Column("tries", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Events that a sink could not take, and those that wait behind them to keep their order."""

announced = Table(
    "announced",
    METADATA,
    Column("sink", Text, ForeignKey("sink.name"), primary_key=True),
    Column("file", _ID, primary_key=True),
    Column("path", LargeBinary, nullable=False),  # absolute, as it was told
    Column("content", _ID),
    Column("how", Text, nullable=False),  # the sink's own word
    sqlite_with_rowid=False,
)
"""What a sink was told of files that it still counts with."""
_partial("announced_content", announced.c.sink, announced.c.content, where="content IS NOT NULL")
Index("announced_path", announced.c.sink, announced.c.path)

job = Table(
    "job",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),  # of those with one kind and key, one is queued or running
    Column("library", Text),
    Column("args", Text, nullable=False),  # a JSON object
    Column("asked_by", Text, nullable=False),  # a schedule, a person
    Column("state", Text, nullable=False),  # queued | running | done | cancelled | dead: given up
    Column("version", Integer, nullable=False),  # of its kind, that its marks belong to
    Column("attempts", Integer, nullable=False),  # begun since its last new mark
    Column("crashes", Integer, nullable=False),  # of them, those that the process did not survive
    Column("cancelling", Integer, nullable=False),  # 1: it is to stop at the next chance
    Column("due_us", BigInteger, nullable=False),  # not before
    Column("at_us", BigInteger, nullable=False),  # when it was asked for
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("done", BigInteger),  # in whatever its kind counts, as is the total
    Column("total", BigInteger),
    Column("reason", Text),  # why it waits, or ended so
    Column("result", Text),  # a JSON object
    sqlite_autoincrement=True,  # people name jobs by their number
)
"""Long work that goes on after a crash."""
_partial("job_alive", job.c.kind, job.c.key, where="ended_us IS NULL", unique=True)
_partial("job_due", job.c.due_us, where="state = 'queued'")
_partial("job_ended", job.c.ended_us, where="ended_us IS NOT NULL")

job_mark = Table(
    "job_mark",
    METADATA,
    Column("job", _ID, ForeignKey("job.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    Column("at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a job has behind it, and how far it is."""

schedule = Table(
    "schedule",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("times", Text, nullable=False),  # as the document has them
    Column("since_us", BigInteger, nullable=False),  # times up to this one are over
    sqlite_with_rowid=False,
)
"""How far each schedule is, so that a time that nobody was there for is made up for."""

damage = Table(
    "damage",
    METADATA,
    Column("file", _ID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("content", _ID, ForeignKey("content.id"), nullable=False),  # that it should have
    Column("blake3", LargeBinary, nullable=False),  # that it was read with
    Column("at_us", BigInteger, nullable=False),
)
"""Files that were read again and differ although nothing says that anybody wrote them."""


def schema_sql() -> str:
    """The statements that make an empty SQLite database a catalogue, apart from the rows of ``meta``."""
    dialect = sqlite.dialect()
    statements = [f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {SCHEMA_VERSION}"]
    for table in METADATA.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements.extend(str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes)
    # Alembic's own note of where it is; SCHEMA_VERSION says the same to those who do not import Alembic.
    statements.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    statements.append(f"INSERT INTO alembic_version VALUES ('{SCHEMA_VERSION:04}')")
    lines = (line.rstrip() for statement in statements for line in f"{statement};\n".split("\n"))
    return "\n".join(lines).replace("\t", "    ").replace("\n WITHOUT", " WITHOUT")


if __name__ == "__main__":
    sys.stdout.write(schema_sql())
