"""What the catalogue needs to have files read again: which ones, what they should be, and what was found instead.

A file is damaged when its size, times and inode are those under which it was catalogued, and its bytes are not. That
is kept in ``damage``, and nothing else follows from it: no file is changed, no content replaced. The row goes when the
file is read and found whole, has another version or is gone. Contents that lack a digest get it from any file that
holds them.

Readers take a connection and writers the ledger, in a transaction. Times are microseconds (UTC), digests raw bytes.
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from mediasluice.catalogue.events import absolute
from mediasluice.catalogue.ledger import Ledger, loaded
from mediasluice.model.files import ChangeKey, Digests
from mediasluice.model.flow import RootId

EXTRA = ("sha256", "md5", "sha1")  # digests that are not always made
_CURSOR = "verified"  # in `meta`, with the library: files up to this one were read again

_TARGETS = (
    "SELECT f.id, f.version, d.root, d.path, f.name, f.ino, f.size, f.mtime_ns, f.ctime_ns, c.id, c.blake3"
    " FROM {} CROSS JOIN dir d ON d.id = f.dir CROSS JOIN content c ON c.id = f.content"
)
_LIBRARY = (
    "d.root IN (SELECT r.id FROM root r CROSS JOIN library l ON l.id = r.library"
    " WHERE :library IS NULL OR l.name = :library)"
)


class Target(NamedTuple):
    """A catalogued file that is to be read again, and what it should be."""

    file: int
    version: int
    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
    content: int
    blake3: bytes


class Damage(NamedTuple):
    """A damaged file as it is listed."""

    file: int
    path: bytes  # absolute
    size: int
    expected: bytes  # BLAKE3
    found: bytes
    at_us: int


# -- reading everything again -------------------------------------------------------------------------


def next_targets(connection: sqlite3.Connection, library: str | None, after: int, limit: int) -> list[Target]:
    """The next files of a library, or of all, in the order of their numbers."""
    query = _TARGETS.format("file f") + (
        f" WHERE f.id > :after AND f.state = 'catalogued' AND {_LIBRARY} ORDER BY f.id LIMIT :limit"
    )
    return _targets(connection.execute(query, {"after": after, "library": library, "limit": limit}).fetchall())


def amount(connection: sqlite3.Connection, library: str | None) -> tuple[int, int]:
    """How many catalogued files a library has, or all have, and their bytes."""
    query = (
        "SELECT count(*), coalesce(sum(f.size), 0) FROM file f CROSS JOIN dir d ON d.id = f.dir"
        f" WHERE f.state = 'catalogued' AND f.content IS NOT NULL AND {_LIBRARY}"
    )
    count, size = connection.execute(query, {"library": library}).fetchone()
    return int(count), int(size)


def cursor(connection: sqlite3.Connection, library: str | None) -> int:
    """Up to which file they were read again."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_key(library),)).fetchone()
    return 0 if row is None else int(row[0])


def set_cursor(ledger: Ledger, library: str | None, file: int) -> None:
    """Go on after this file, also in a job of another day."""
    ledger.connection.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (_key(library), str(file)),
    )


def report(ledger: Ledger, damaged: Sequence[tuple[Target, bytes]], at_us: int) -> list[Target]:
    """Keep what files were found to be; gives those of which it was not known.

    A file that has another version or another key by now is left out: somebody wrote it after all.
    """
    connection = ledger.connection
    new = []
    for target, found in damaged:
        row = ledger.one("f.id = ? AND f.version = ? AND f.content = ?", target.file, target.version, target.content)
        if row is None or loaded(row.ino, row.size, row.mtime_ns, row.ctime_ns) != target.key:
            continue
        changed = connection.execute(
            "INSERT INTO damage (file, version, content, blake3, at_us) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET version = excluded.version, content = excluded.content, blake3 = excluded.blake3,"
            " at_us = excluded.at_us WHERE version <> excluded.version OR blake3 <> excluded.blake3",
            (target.file, target.version, target.content, found, at_us),
        ).rowcount
        if changed:
            new.append(target)
    return new


def clear(ledger: Ledger, whole: Iterable[int]) -> None:
    """These files are what they should be; and forget those that are gone or were written since."""
    connection = ledger.connection
    connection.execute("DELETE FROM damage WHERE file IN (SELECT value FROM json_each(?))", (json.dumps(list(whole)),))
    connection.execute(
        "DELETE FROM damage WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.id = damage.file"
        " AND f.version = damage.version AND f.state <> 'missing')"
    )


def damage_of(connection: sqlite3.Connection, file: int) -> Damage | None:
    """What is known of a file that was found damaged, while it has the version that was."""
    return next(iter(_damages(connection, "f.id = ?", (file,))), None)


def damages(connection: sqlite3.Connection, limit: int = 1_000) -> list[Damage]:
    """Files that are damaged as far as is known, by their numbers."""
    return _damages(connection, "1 ORDER BY f.id LIMIT ?", (limit,))


def count_damages(connection: sqlite3.Connection) -> int:
    """How many files are damaged as far as is known."""
    query = (
        "SELECT count(*) FROM damage m CROSS JOIN file f"
        " ON f.id = m.file AND f.version = m.version AND f.state <> 'missing'"
    )
    return int(connection.execute(query).fetchone()[0])


def _damages(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> list[Damage]:
    rows = connection.execute(
        "SELECT f.id, r.path, d.path, f.name, f.size, c.blake3, m.blake3, m.at_us FROM damage m"
        " CROSS JOIN file f ON f.id = m.file AND f.version = m.version AND f.state <> 'missing'"
        " CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
        f" CROSS JOIN content c ON c.id = m.content WHERE {condition}",
        values,
    )
    return [
        Damage(file, absolute(root, directory, name), *rest) for file, root, directory, name, *rest in rows.fetchall()
    ]


# -- digests that somebody asks for later -------------------------------------------------------------


def lacking(
    connection: sqlite3.Connection, algorithms: Collection[str], after: int, limit: int, roots: Collection[RootId]
) -> list[Target]:
    """The next contents, by their numbers, that lack one of these digests, each with a file in these roots."""
    wanted = [name for name in EXTRA if name in algorithms]
    if not wanted:
        return []
    missing = " OR ".join(f"c.{name} IS NULL" for name in wanted)
    query = (
        "SELECT f.id, f.version, d.root, d.path, f.name, f.ino, f.size, f.mtime_ns, f.ctime_ns, lack.id, lack.blake3"
        f" FROM (SELECT c.id, c.blake3 FROM content c WHERE c.id > :after AND ({missing}) AND EXISTS"
        " (SELECT 1 FROM file h CROSS JOIN dir hd ON hd.id = h.dir WHERE h.content = c.id AND h.state = 'catalogued'"
        " AND hd.root IN (SELECT value FROM json_each(:roots))) ORDER BY c.id LIMIT :limit) lack"
        " CROSS JOIN file f ON f.id = (SELECT min(h.id) FROM file h CROSS JOIN dir hd ON hd.id = h.dir"
        " WHERE h.content = lack.id AND h.state = 'catalogued'"
        " AND hd.root IN (SELECT value FROM json_each(:roots)))"
        " CROSS JOIN dir d ON d.id = f.dir ORDER BY lack.id"
    )
    values = {"after": after, "limit": limit, "roots": json.dumps(list(roots))}
    return _targets(connection.execute(query, values).fetchall())


def count_lacking(connection: sqlite3.Connection, algorithms: Collection[str]) -> int:
    """How many contents lack one of these digests."""
    wanted = [name for name in EXTRA if name in algorithms]
    missing = " OR ".join(f"{name} IS NULL" for name in wanted) or "0"
    return int(connection.execute(f"SELECT count(*) FROM content WHERE {missing}").fetchone()[0])


def fill_in(ledger: Ledger, found: Iterable[tuple[int, Digests]]) -> int:
    """Add digests to contents that were read again and found to be what they are; gives how many lacked any."""
    return sum(
        ledger.connection.execute(
            "UPDATE content SET sha256 = coalesce(sha256, ?), md5 = coalesce(md5, ?), sha1 = coalesce(sha1, ?)"
            " WHERE id = ? AND blake3 = ?",
            (digests.sha256, digests.md5, digests.sha1, content, digests.blake3),
        ).rowcount
        for content, digests in found
    )


def _key(library: str | None) -> str:
    return _CURSOR if library is None else f"{_CURSOR}:{library}"


def _targets(rows: Iterable[tuple[object, ...]]) -> list[Target]:
    found = []
    for row in rows:
        file, version, root, directory, name, ino, size, mtime_ns, ctime_ns, content, blake3 = row
        key = loaded(ino, size, mtime_ns, ctime_ns)  # type: ignore[arg-type] # columns of these types
        found.append(Target(file, version, root, directory, name, key, content, blake3))  # type: ignore[arg-type]
    return found
