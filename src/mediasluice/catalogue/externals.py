"""What sources outside of the files say of contents: what is still to be asked, and what was answered.

An answer belongs to a content and a source, and is kept apart from what the file says: when the readers or the sources
change, nothing has to be unravelled. That a source knows nothing is an answer; one that failed is asked again.
Takes and gives named tuples. Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

from mediasluice.catalogue.products import SCOPES
from mediasluice.catalogue.rows import storable
from mediasluice.model.files import Kind
from mediasluice.model.paths import join


class Question(NamedTuple):
    """What is known of a content. ``path``: of one file that holds it, absolute; ``tries``: that failed."""

    content: int
    path: bytes
    kind: Kind
    size: int  # bytes
    digests: dict[str, bytes]  # by algorithm
    found: str  # its reading
    tries: int


class Told(NamedTuple):
    """What a source said. ``found``: tags as JSON; ``due_us``: when it is asked again, as it could not answer."""

    content: int
    source: str
    place: int
    found: str | None
    tries: int
    due_us: int | None
    reason: str | None


TOLD = (
    "(SELECT json_group_array(json_array(x.place, x.source, json(x.found))) FROM external x"
    " WHERE x.content = {} AND x.found IS NOT NULL)"
)
"""All that sources know of a content, for ``identify.external.merged``."""

_DIGESTS = ("blake3", "xxh128", "sha256", "md5", "sha1")
_ANSWERED = "SELECT 1 FROM external x WHERE x.content = rd.content AND x.source = :source"


def lacking(
    connection: sqlite3.Connection, source: str, kinds: Collection[Kind], after: int, limit: int
) -> tuple[int, list[int]]:
    """The contents after that one about which a source was never asked, of the next so many; and their last."""
    last = connection.execute(
        "SELECT max(content) FROM (SELECT content FROM reading WHERE content > ? ORDER BY content LIMIT ?)",
        (after, limit),
    ).fetchone()[0]
    if last is None:
        return after, []
    wanted = "kind IN (SELECT value FROM json_each(:kinds))"
    found = connection.execute(
        f"{SCOPES} SELECT rd.content FROM reading rd WHERE rd.content > :after AND rd.content <= :last"
        f" AND NOT EXISTS ({_ANSWERED}) AND (EXISTS (SELECT 1 FROM file f WHERE f.content = rd.content"
        f" AND f.state = 'catalogued' AND f.{wanted}) OR EXISTS (SELECT 1 FROM scopes s CROSS JOIN item i"
        f" ON i.scope = s.scope AND i.content = rd.content AND i.path IS NOT NULL AND i.{wanted})) ORDER BY 1",
        {"source": source, "kinds": json.dumps(sorted(kinds)), "after": after, "last": last},
    ).fetchall()
    return int(last), [row[0] for row in found]


def due(connection: sqlite3.Connection, source: str, now_us: int) -> int | None:
    """A content about which a source that could not answer is to be asked again now."""
    row = connection.execute(
        "SELECT content FROM external WHERE source = ? AND due_us IS NOT NULL AND due_us <= ? ORDER BY due_us LIMIT 1",
        (source, now_us),
    ).fetchone()
    return None if row is None else int(row[0])


def question(connection: sqlite3.Connection, content: int, source: str) -> Question | None:
    """What to ask a source about a content; ``None`` where it has answered, or nobody holds or read that any more."""
    known = connection.execute(
        f"SELECT c.size, {', '.join(f'c.{one}' for one in _DIGESTS)}, rd.found, ifnull(x.tries, 0)"
        " FROM content c CROSS JOIN reading rd ON rd.content = c.id"
        " LEFT JOIN external x ON x.content = c.id AND x.source = ?"
        " WHERE c.id = ? AND (x.content IS NULL OR x.due_us IS NOT NULL)",
        (source, content),
    ).fetchone()
    held = _held(connection, content)
    if known is None or held is None:
        return None
    size, *digests, found, tries = known
    present = {name: digest for name, digest in zip(_DIGESTS, digests, strict=True) if digest is not None}
    return Question(content, *held, size, present, found, tries)


def _held(connection: sqlite3.Connection, content: int) -> tuple[bytes, Kind] | None:
    """Where a content lies: in a root, else at its target."""
    row = connection.execute(
        "SELECT r.path, d.path, f.name, f.kind FROM file f CROSS JOIN dir d ON d.id = f.dir"
        " CROSS JOIN root r ON r.id = d.root"
        " WHERE f.content = ? AND f.state = 'catalogued' AND f.content IS NOT NULL ORDER BY f.id LIMIT 1",
        (content,),
    ).fetchone()
    if row is not None:
        root, directory, name, kind = row
        return root.rstrip(b"/") + b"/" + join(directory, name), Kind(kind)
    row = connection.execute(
        f"{SCOPES} SELECT i.path, i.kind FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = ?"
        " WHERE i.path IS NOT NULL LIMIT 1",
        (content,),
    ).fetchone()
    return None if row is None else (row[0], Kind(row[1]))


def save(connection: sqlite3.Connection, told: Told, at_us: int) -> None:
    """Keep what a source said."""
    connection.execute(
        "INSERT INTO external (content, source, place, found, tries, due_us, reason, at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (content, source) DO UPDATE SET place = excluded.place,"
        " found = excluded.found, tries = excluded.tries, due_us = excluded.due_us, reason = excluded.reason,"
        " at_us = excluded.at_us",
        (*told[:-1], storable(told.reason), at_us),
    )


def drop(connection: sqlite3.Connection, content: int, source: str) -> None:
    """Ask a source no more about a content that nobody holds; once it is back, :func:`lacking` gives it again."""
    query = "DELETE FROM external WHERE content = ? AND source = ? AND due_us IS NOT NULL"
    connection.execute(query, (content, source))


def known(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """The sources that something is kept of, with their places; looks through all of it."""
    return connection.execute("SELECT DISTINCT source, place FROM external").fetchall()


def keep(connection: sqlite3.Connection, sources: Sequence[str]) -> None:
    """Forget what other sources than these said; these have this order from now on."""
    names = json.dumps(list(sources))
    connection.execute("DELETE FROM external WHERE source NOT IN (SELECT value FROM json_each(?))", (names,))
    connection.execute(
        "UPDATE external SET place = (SELECT key FROM json_each(:names) WHERE value = source)"
        " WHERE place <> (SELECT key FROM json_each(:names) WHERE value = source)",
        {"names": names},
    )
