"""What is made of contents beside their readings: previews, essences, likenesses; and what still lacks one.

A product belongs to a content, as a reading does: it is made once, from whichever file holds it. What could not be
made is remembered with the reason, so that nothing is tried twice by the same version.
Takes and gives named tuples. Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from mediasluice.catalogue.ledger import loaded
from mediasluice.catalogue.rows import storable
from mediasluice.model.files import ChangeKey, Kind
from mediasluice.model.flow import RootId

PREVIEW, ESSENCE, LIKENESS = "preview", "essence", "likeness"
MADE, REFUSED, TIMED_OUT, CRASHED = "made", "refused", "timed out", "crashed"


HAS_ESSENCE = (
    f"EXISTS (SELECT 1 FROM product p WHERE p.what = '{ESSENCE}' AND p.content = f.content AND p.state = '{MADE}')"
)
"""Whether the essence of a file ``f`` is known."""

SPAN_S = 1.0
"""By which durations of equal streams differ less, as in ``identify.essence``."""


class Lack(NamedTuple):
    """A content that lacks a product, and where it can be read. ``key`` is ``None`` where no root holds it."""

    content: int
    blake3: bytes
    kind: Kind
    found: str | None  # its reading
    root: RootId | None
    path: bytes  # of the root; without one of the directory
    directory: bytes
    name: bytes
    key: ChangeKey | None


class Search(NamedTuple):
    """What is looked for: contents of these kinds that lack ``what``, after that content; or only some of them."""

    what: str
    version: int
    kinds: frozenset[Kind]
    after: int
    limit: int
    among: Collection[int] | None = None


class Product(NamedTuple):
    content: int
    state: str
    reason: str | None


class Streams(NamedTuple):
    """The essence of a content: (type, codec, digest, duration in seconds) of each stream."""

    content: int
    streams: Sequence[tuple[str, str, bytes, float | None]]


class Likeness(NamedTuple):
    content: int
    pictures: bytes | None
    sound: bytes | None
    duration: float | None


class Holder(NamedTuple):
    """A file that holds a content."""

    content: int
    library: str
    path: bytes
    size: int
    kind: Kind
    blake3: bytes


_LACKS = (
    "NOT EXISTS (SELECT 1 FROM product p WHERE p.what = :what AND p.content = c.id AND p.version >= :version)"
    " AND c.id > :after"
)
SCOPES = (
    "WITH RECURSIVE scopes (scope) AS (SELECT min(scope) FROM item UNION ALL"
    " SELECT (SELECT min(item.scope) FROM item WHERE item.scope > scopes.scope) FROM scopes"
    " WHERE scopes.scope IS NOT NULL)"
)
"""There are few, and items are found by scope and content together."""


def lacking(connection: sqlite3.Connection, search: Search, roots: Collection[RootId], *, of_items: bool) -> list[Lack]:
    """Contents without a product that these roots hold, by id; ``of_items``: only those that were imported."""
    values = {**_values(search), "roots": json.dumps(list(roots))}
    item = "SELECT 1 FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = c.id"
    imported = f"AND EXISTS ({item})" if of_items else ""
    found = connection.execute(
        f"{SCOPES} SELECT c.id, c.blake3, f.kind, rd.found, d.root, r.path, d.path, f.name, f.ino, f.size, f.mtime_ns,"
        " f.ctime_ns FROM content c CROSS JOIN file f ON f.id = (SELECT min(x.id) FROM file x CROSS JOIN dir xd"
        " ON xd.id = x.dir AND xd.root IN (SELECT value FROM json_each(:roots))"
        " WHERE x.content = c.id AND x.state = 'catalogued' AND x.kind IN (SELECT value FROM json_each(:kinds)))"
        " CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
        " LEFT JOIN reading rd ON rd.content = c.id"
        f" WHERE {_LACKS} {imported} {_among(search)} ORDER BY c.id LIMIT :limit",
        values,
    ).fetchall()
    return [
        Lack(content, blake3, Kind(kind), reading, RootId(root), path, directory, name, loaded(*key))
        for content, blake3, kind, reading, root, path, directory, name, *key in found
    ]


def count_lacking(connection: sqlite3.Connection, search: Search, roots: Collection[RootId]) -> int:
    """How many contents :func:`lacking` would give altogether."""
    found = connection.execute(
        f"SELECT count(*) FROM content c WHERE {_LACKS} AND EXISTS (SELECT 1 FROM file x"
        " CROSS JOIN dir xd ON xd.id = x.dir AND xd.root IN (SELECT value FROM json_each(:roots))"
        " WHERE x.content = c.id AND x.state = 'catalogued' AND x.kind IN (SELECT value FROM json_each(:kinds)))",
        {**_values(search), "roots": json.dumps(list(roots))},
    )
    return int(found.fetchone()[0])


def made(connection: sqlite3.Connection, what: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Contents after that one of which a product was made, with their BLAKE3."""
    return connection.execute(
        "SELECT p.content, c.blake3 FROM product p CROSS JOIN content c ON c.id = p.content"
        f" WHERE p.what = ? AND p.content > ? AND p.state = '{MADE}' ORDER BY p.content LIMIT ?",
        (what, after, limit),
    ).fetchall()


def forget(connection: sqlite3.Connection, what: str, contents: Collection[int]) -> None:
    """A product of these contents is there no more: it is made again."""
    connection.execute(
        "DELETE FROM product WHERE what = ? AND content IN (SELECT value FROM json_each(?))",
        (what, json.dumps(list(contents))),
    )


def stored_lacking(connection: sqlite3.Connection, search: Search) -> list[Lack]:
    """Contents of items without a product that no root holds any more, where their target has them."""
    values = _values(search)
    found = connection.execute(
        f"{SCOPES} SELECT c.id, c.blake3, i.kind, rd.found, i.path FROM content c"
        " CROSS JOIN item i ON i.id = (SELECT min(x.id) FROM scopes s CROSS JOIN item x ON x.scope = s.scope"
        " AND x.content = c.id AND x.path IS NOT NULL AND x.kind IN (SELECT value FROM json_each(:kinds)))"
        f" LEFT JOIN reading rd ON rd.content = c.id WHERE {_LACKS} {_among(search)}"
        " AND NOT EXISTS (SELECT 1 FROM file f WHERE f.content = c.id AND f.state = 'catalogued')"
        " ORDER BY c.id LIMIT :limit",
        values,
    ).fetchall()
    lacks = []
    for content, blake3, kind, reading, path in found:
        directory, _, name = path.rpartition(b"/")
        lacks.append(Lack(content, blake3, Kind(kind), reading, None, directory or b"/", b"", name, None))
    return lacks


def _among(search: Search) -> str:
    """The condition that a content is one of those that are named: written so that only these are looked at."""
    return "" if search.among is None else "AND c.id IN (SELECT value FROM json_each(:among))"


def _values(search: Search) -> dict[str, object]:
    return {
        **search._asdict(),
        "kinds": json.dumps(sorted(search.kinds)),
        "among": None if search.among is None else json.dumps(list(search.among)),
    }


def told(connection: sqlite3.Connection, after: int, limit: int, *, of_items: bool) -> tuple[int, list[int]]:
    """The contents that the next events brought, as items or as files, and the last of these events."""
    last = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?)", (after, limit)
    ).fetchone()[0]
    if last is None:
        return after, []
    types = "'item.imported', 'item.updated'" if of_items else "'file.created', 'file.modified'"
    found = connection.execute(
        f"SELECT DISTINCT content FROM event WHERE seq > ? AND seq <= ? AND type IN ({types}) AND content IS NOT NULL",
        (after, last),
    )
    return int(last), [row[0] for row in found]


def save(
    connection: sqlite3.Connection,
    what: str,
    version: int,
    products: Sequence[Product],
    streams: Sequence[Streams],
    likenesses: Sequence[Likeness],
) -> None:
    """Keep what was made."""
    connection.executemany(
        "INSERT INTO product (what, content, version, state, reason) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (what, content) DO UPDATE SET version = excluded.version, state = excluded.state,"
        " reason = excluded.reason",
        [(what, one.content, version, one.state, storable(one.reason)) for one in products],
    )
    connection.executemany("DELETE FROM stream WHERE content = ?", [(one.content,) for one in streams])
    connection.executemany(
        "INSERT INTO stream (content, number, type, codec, digest, duration) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.content, number, *stream) for one in streams for number, stream in enumerate(one.streams)],
    )
    connection.executemany(
        "INSERT INTO likeness (content, pictures, sound, duration) VALUES (?, ?, ?, ?) ON CONFLICT (content)"
        " DO UPDATE SET pictures = excluded.pictures, sound = excluded.sound, duration = excluded.duration",
        list(likenesses),
    )


def of_content(connection: sqlite3.Connection, blake3: bytes) -> dict[str, tuple[str, str | None]]:
    """State and reason of what was made of a content, by product."""
    found = connection.execute(
        "SELECT p.what, p.state, p.reason FROM (SELECT content FROM digest WHERE blake3 = :blake3 UNION"
        " SELECT id FROM content WHERE blake3 = :blake3 AND id >"  # those that the index has not taken in yet
        " (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'indexed')) c"
        " CROSS JOIN product p ON p.content = c.content",
        {"blake3": blake3},
    )
    return {what: (state, reason) for what, state, reason in found}


def play_alike(connection: sqlite3.Connection, one: int, other: int) -> bool:
    """Whether two contents have the same essence: equal streams, none longer. What is not known is not the same."""
    streams = [_playing(connection, content) for content in (one, other)]
    if not streams[0] or len(streams[0]) != len(streams[1]):
        return False
    return all(
        a[:3] == b[:3] and a[3] is not None and b[3] is not None and abs(a[3] - b[3]) < SPAN_S
        for a, b in zip(*streams, strict=True)
    )


def _playing(connection: sqlite3.Connection, content: int) -> list[tuple[str, str, bytes, float | None]]:
    """The streams of a content as they are coded, in an order that is always the same."""
    query = (
        "SELECT type, codec, digest, duration FROM stream WHERE content = ? AND type <> 'samples'"
        " ORDER BY type, codec, digest, duration"
    )
    return connection.execute(query, (content,)).fetchall()


# -- reports --------------------------------------------------------------------------------------


def shared_streams(connection: sqlite3.Connection) -> Iterator[Streams]:
    """The streams of all contents that share at least one with another present content, by content."""
    found = connection.execute(
        "WITH present AS (SELECT DISTINCT s.content FROM stream s WHERE EXISTS"
        " (SELECT 1 FROM file f WHERE f.content = s.content AND f.state = 'catalogued')),"
        " shared AS (SELECT s.digest FROM stream s CROSS JOIN present ON present.content = s.content"
        " GROUP BY s.digest HAVING count(DISTINCT s.content) > 1)"
        " SELECT content, type, codec, digest, duration FROM stream WHERE content IN"
        " (SELECT s.content FROM stream s CROSS JOIN shared ON shared.digest = s.digest"
        " CROSS JOIN present ON present.content = s.content) ORDER BY content, number"
    )
    content, rows = None, []
    for number, *stream in found:
        if number != content and content is not None:
            yield Streams(content, rows)
            rows = []
        content = number
        rows.append(tuple(stream))
    if content is not None:
        yield Streams(content, rows)


def likely(connection: sqlite3.Connection, kind: Kind) -> list[int]:
    """The present contents of a kind that look or sound like something, by duration."""
    found = connection.execute(
        "SELECT l.content FROM likeness l WHERE (l.pictures IS NOT NULL OR l.sound IS NOT NULL) AND EXISTS"
        " (SELECT 1 FROM file f WHERE f.content = l.content AND f.state = 'catalogued' AND f.kind = ?)"
        " ORDER BY l.duration, l.content",
        (kind.value,),
    )
    return [row[0] for row in found]


def likenesses(connection: sqlite3.Connection, contents: Sequence[int]) -> list[Likeness]:
    """What these contents look and sound like, in their order."""
    found = connection.execute(
        "SELECT content, pictures, sound, duration FROM json_each(?) wanted"
        " CROSS JOIN likeness l ON l.content = wanted.value ORDER BY wanted.key",
        (json.dumps(contents),),
    )
    return [Likeness(*row) for row in found]


def holders(connection: sqlite3.Connection, contents: Collection[int]) -> list[Holder]:
    """The files that hold these contents, by content and path."""
    found = connection.execute(
        "SELECT f.content, l.name, r.path, d.path, f.name, f.size, f.kind, c.blake3 FROM json_each(?) wanted"
        " CROSS JOIN file f ON f.content = wanted.value AND f.state = 'catalogued' CROSS JOIN dir d ON d.id = f.dir"
        " CROSS JOIN root r ON r.id = d.root CROSS JOIN library l ON l.id = r.library"
        " CROSS JOIN content c ON c.id = f.content ORDER BY f.content, r.path, d.path, f.name",
        (json.dumps(list(contents)),),
    ).fetchall()
    return [
        Holder(
            content, library, b"/".join(filter(None, (root.rstrip(b"/"), directory, name))), size, Kind(kind), blake3
        )
        for content, library, root, directory, name, size, kind, blake3 in found
    ]
