"""What a sink has to know to tell of files as somebody sees them who was told of some: what is told, what stands where.

Takes a connection; gives rows. All of it is asked for many files at once. Times are nanoseconds, as files have them.
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from mediasluice.catalogue.outbox import Announced
from mediasluice.model.files import Kind

# The indices are named: without statistics SQLite goes through all that a sink was told instead.
_COLUMNS = "a.file, a.path, a.content, a.how"
# One who was told of a file that is gone, and of whose end no event is to come, is never told of it again.
_ALIVE = (
    "(EXISTS (SELECT 1 FROM file f WHERE f.id = a.file AND f.state <> 'missing')"
    " OR EXISTS (SELECT 1 FROM event e WHERE e.file = a.file AND e.seq > :seq))"
)
_GONE = "('missing', 'junk', 'skipped', 'empty')"  # nobody is going to read these
_STANDING = (
    f"SELECT r.path, f.kind, f.version = wanted.version AND f.state NOT IN {_GONE},"
    " iif(ifnull(f.version = wanted.version, f.content = wanted.content), f.mtime_ns, v.mtime_ns),"
    " c.id, c.size, c.xxh128, c.sha256,"
    f" c.sha256 IS NOT NULL OR (f.content = c.id AND f.state NOT IN {_GONE})"
    " OR EXISTS (SELECT 1 FROM file h WHERE h.content = c.id AND h.state = 'catalogued'), rd.state, rd.found"
    " FROM (SELECT key, json_extract(value, '$[0]') AS file, json_extract(value, '$[1]') AS version,"
    " json_extract(value, '$[2]') AS content FROM json_each(?)) wanted"
    " LEFT JOIN file f ON f.id = wanted.file LEFT JOIN dir d ON d.id = f.dir LEFT JOIN root r ON r.id = d.root"
    " LEFT JOIN file_version v ON v.file = wanted.file AND v.version = wanted.version"
    " LEFT JOIN content c"
    " ON c.id = ifnull(wanted.content, iif(f.version = wanted.version, f.content, v.content))"
    " LEFT JOIN reading rd ON rd.content = c.id ORDER BY wanted.key"
)


class Wanted(NamedTuple):
    """A file that is asked about. ``content``: ``None`` where it is not known of that version."""

    file: int | None
    version: int | None  # ``None``: nothing is asked of the version
    content: int | None


class Standing(NamedTuple):
    """What is known of a file; ``None`` what is not."""

    root: bytes | None  # where it is now
    kind: Kind | None
    is_now: bool  # it still has this version, and may be read
    mtime_ns: int | None
    content: int | None
    size: int | None
    xxh128: bytes | None
    sha256: bytes | None
    is_held: bool  # some file still has the content, so that it can be read
    state: str | None  # of the reading, see ``readings``
    found: str | None  # the reading as JSON


def standing(connection: sqlite3.Connection, wanted: Sequence[Wanted]) -> list[Standing]:
    """What is known of each, in their order."""
    if not wanted:
        return []
    return [_standing(row) for row in connection.execute(_STANDING, (json.dumps(wanted),)).fetchall()]


def _standing(row: Sequence[Any]) -> Standing:
    root, kind, is_now, mtime_ns, content, size, xxh128, sha256, is_held, state, found = row
    known = None if kind is None else Kind(kind)
    return Standing(root, known, bool(is_now), mtime_ns, content, size, xxh128, sha256, bool(is_held), state, found)


def is_told_of_any(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a sink counts with any file."""
    found = connection.execute("SELECT EXISTS (SELECT 1 FROM announced WHERE sink = ?)", (name,)).fetchone()[0]
    return bool(found)


def told_at(connection: sqlite3.Connection, name: str, paths: Collection[bytes]) -> list[Announced]:
    """The files that a sink was told to be at these paths."""
    marks = ", ".join("?" * len(paths))
    query = f"SELECT {_COLUMNS} FROM announced a INDEXED BY announced_path WHERE a.sink = ? AND a.path IN ({marks})"
    return [Announced(*row) for row in connection.execute(query, (name, *paths)).fetchall()]


def told_of(
    connection: sqlite3.Connection, name: str, contents: Collection[int], how: str, most: int
) -> list[Announced]:
    """The files with these contents that a sink was told of in this way, at most so many of each."""
    query = (
        f"SELECT {_COLUMNS} FROM json_each(:contents) wanted CROSS JOIN announced a ON a.sink = :name AND a.file IN"
        " (SELECT b.file FROM announced b INDEXED BY announced_content WHERE b.sink = :name"
        " AND b.content = wanted.value AND b.how = :how ORDER BY b.file LIMIT :most)"
    )
    values = {"contents": json.dumps(list(contents)), "name": name, "how": how, "most": most}
    return [Announced(*row) for row in connection.execute(query, values).fetchall()]


def told_otherwise(
    connection: sqlite3.Connection, name: str, contents: Collection[int], how: str, seq: int, most: int
) -> list[Announced]:
    """The files with these contents that a sink was told of in another way, at most so many of each.

    Left out are those that are gone and of which no event after ``seq`` tells.
    """
    query = (
        f"SELECT {_COLUMNS} FROM announced a INDEXED BY announced_content WHERE a.sink = :name"
        f" AND a.content = :content AND a.how <> :how AND {_ALIVE} ORDER BY a.file LIMIT :most"
    )
    values = {"name": name, "how": how, "seq": seq, "most": most}
    rows = (connection.execute(query, values | {"content": content}).fetchall() for content in contents)
    return [Announced(*row) for found in rows for row in found]
