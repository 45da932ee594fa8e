"""Which items want a rendition, which of them have one, and why the others have none.

A rendition belongs to a content and a profile: items of equal content share it. A row is a rendition that is made,
one that is still to be made, or one of which nothing came, with the program that could not; its file has the name
that :func:`place` gives it. Nothing here looks at a file.
Takes and gives named tuples; readers take a connection and writers the ledger, in a transaction. Times are
microseconds (UTC). Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.items import tell_of
from mediasluice.catalogue.ledger import Ledger, loaded
from mediasluice.catalogue.products import SCOPES
from mediasluice.catalogue.rows import storable
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey, Kind
from mediasluice.model.flow import RootId

WAITING, MADE, FAILED = "waiting", "made", "failed"
FOLDER = "renditions"  # in the data directory
_PLACES_MAX = 8  # chosen: files that are tried in turn
_SPARE = frozenset({"motion"})  # roles of items that get none: it is the movement of a picture, not a film


class Wish(NamedTuple):
    """Items of this library and kind are to have a rendition of this profile."""

    library: str
    profile: str
    kind: Kind
    extension: str


class Name(NamedTuple):
    """What a rendition is called."""

    blake3: bytes
    profile: str
    extension: str


class Missing(NamedTuple):
    """A rendition that is wanted, and of which there is no row."""

    content: int
    name: Name


class Waiting(NamedTuple):
    """A rendition that is to be made. ``found``: the reading of its content; ``tries``: that were begun before."""

    content: int
    name: Name
    kind: Kind
    size: int  # of the content
    found: str | None
    tries: int


class Rendition(NamedTuple):
    """A rendition as it is listed."""

    name: Name
    state: str
    size: int | None
    duration: float | None
    reason: str | None


class Holder(NamedTuple):
    """Where a content can be read; without a root and a key where an import brought it to."""

    root: RootId | None
    path: bytes  # of the root, or of the file
    directory: bytes
    name: bytes
    key: ChangeKey | None


class News(NamedTuple):
    """What the next events say: contents that became items, whether any ceased to be one, and the last event."""

    event: int
    contents: list[int]
    has_losses: bool


def place(name: Name) -> str:
    """Where a rendition lies below the data directory."""
    digest = name.blake3.hex()
    return f"{FOLDER}/{digest[:2]}/{digest}.{name.profile}{name.extension}"


# -- what is wanted -------------------------------------------------------------------------------

_NO_SPARE = (
    "NOT EXISTS (SELECT 1 FROM member m WHERE m.file = i.file"
    f" AND m.role IN ({', '.join(repr(role) for role in sorted(_SPARE))}))"
)
_FITS = (
    "json_extract(w.value, '$[0]') = l.name AND json_extract(w.value, '$[2]') = i.kind"
    f" AND i.place <> 'pending' AND {_NO_SPARE}"
)
_WANTED = (
    "EXISTS (SELECT 1 FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = r.content"
    " CROSS JOIN library l ON l.id = i.library CROSS JOIN json_each(:wishes) w"
    f" ON json_extract(w.value, '$[1]') = r.profile WHERE {_FITS})"
)
_HELD = "EXISTS (SELECT 1 FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = r.content)"
_MISSING = (
    "SELECT DISTINCT c.id, c.blake3, json_extract(w.value, '$[1]') AS profile, json_extract(w.value, '$[3]')"
    " FROM {} CROSS JOIN library l ON l.id = i.library CROSS JOIN json_each(:wishes) w"
    f" CROSS JOIN content c ON c.id = i.content WHERE {_FITS} AND NOT EXISTS"
    " (SELECT 1 FROM rendition r WHERE r.content = i.content AND r.profile = json_extract(w.value, '$[1]'))"
)


def missing(
    connection: sqlite3.Connection, wishes: Collection[Wish], after: int, limit: int
) -> tuple[int, list[Missing]]:
    """Look through so many items after that one; gives the last of them, or 0 at the end, and what they lack."""
    last = connection.execute(
        "SELECT coalesce(max(id), 0) FROM (SELECT id FROM item WHERE id > ? ORDER BY id LIMIT ?)", (after, limit)
    ).fetchone()[0]
    query = _MISSING.format("item i") + " AND i.id > :after AND i.id <= :last"
    found = connection.execute(query, {"wishes": _json(wishes), "after": after, "last": last})
    return last, [_missing(row) for row in found]


def missing_among(connection: sqlite3.Connection, wishes: Collection[Wish], contents: Collection[int]) -> list[Missing]:
    """What items of these contents lack."""
    items = "json_each(:among) a CROSS JOIN scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = a.value"
    values = {"wishes": _json(wishes), "among": json.dumps(list(contents))}
    return [_missing(row) for row in connection.execute(f"{SCOPES} {_MISSING.format(items)}", values)]


def told(connection: sqlite3.Connection, after: int, limit: int) -> News:
    """What the next events mean for renditions."""
    last = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?)", (after, limit)
    ).fetchone()[0]
    if last is None:
        return News(after, [], has_losses=False)
    found = connection.execute(
        "SELECT DISTINCT type, content FROM event WHERE seq > ? AND seq <= ?"
        " AND type IN ('item.imported', 'item.updated', 'item.deleted')",
        (after, last),
    ).fetchall()
    contents = {content for what, content in found if what != EventType.ITEM_DELETED and content is not None}
    return News(last, sorted(contents), any(what != EventType.ITEM_IMPORTED for what, _ in found))


def next_waiting(connection: sqlite3.Connection, wishes: Collection[Wish], now_us: int) -> Waiting | None:
    """The rendition that is to be made now: what waits longest."""
    row = connection.execute(
        f"{SCOPES} SELECT r.content, r.blake3, r.profile, r.extension, c.size, rd.found, r.tries,"
        " (SELECT i.kind FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = r.content)"
        " FROM rendition r CROSS JOIN content c ON c.id = r.content LEFT JOIN reading rd ON rd.content = r.content"
        f" WHERE r.state = '{WAITING}' AND r.due_us <= :now_us AND {_WANTED} ORDER BY r.due_us, r.content LIMIT 1",
        {"wishes": _json(wishes), "now_us": now_us},
    ).fetchone()
    if row is None:
        return None
    content, blake3, profile, extension, size, found, tries, kind = row
    return Waiting(content, Name(blake3, profile, extension), Kind(kind), size, found, tries)


def is_wanted(connection: sqlite3.Connection, wishes: Collection[Wish], content: int, profile: str) -> bool:
    """Whether a rendition is still to be made: its item may be gone."""
    query = f"{SCOPES} SELECT 1 FROM rendition r WHERE r.content = :content AND r.profile = :profile AND {_WANTED}"
    values = {"wishes": _json(wishes), "content": content, "profile": profile}
    return connection.execute(query, values).fetchone() is not None


def unwanted(
    connection: sqlite3.Connection, wishes: Collection[Wish], after: int, limit: int
) -> tuple[int, list[Missing]]:
    """Look through the renditions of so many contents; gives the last, or 0 at the end, and those nobody wants.

    What is made is wanted as long as there is an item of its content.
    """
    last = connection.execute(
        "SELECT coalesce(max(content), 0) FROM (SELECT DISTINCT content FROM rendition WHERE content > ?"
        " ORDER BY content LIMIT ?)",
        (after, limit),
    ).fetchone()[0]
    found = connection.execute(
        f"{SCOPES} SELECT r.content, r.blake3, r.profile, r.extension FROM rendition r WHERE r.content > :after"
        f" AND r.content <= :last AND NOT CASE r.state WHEN '{MADE}' THEN {_HELD} ELSE {_WANTED} END",
        {"wishes": _json(wishes), "after": after, "last": last},
    )
    return last, [_missing(row) for row in found]


def holders(connection: sqlite3.Connection, content: int, roots: Collection[RootId]) -> list[Holder]:
    """Where a content can be read: where imports brought it to, then the files of these roots."""
    stored = connection.execute(
        f"{SCOPES} SELECT i.path FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = ?"
        " WHERE i.path IS NOT NULL ORDER BY i.id LIMIT ?",
        (content, _PLACES_MAX),
    ).fetchall()
    files = connection.execute(
        "SELECT d.root, r.path, d.path, f.name, f.ino, f.size, f.mtime_ns, f.ctime_ns FROM file f"
        " CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
        " WHERE f.content = ? AND f.state = 'catalogued' AND d.root IN (SELECT value FROM json_each(?))"
        " ORDER BY f.id LIMIT ?",
        (content, json.dumps(list(roots)), _PLACES_MAX),
    ).fetchall()
    return [
        *(Holder(None, path, b"", b"", None) for (path,) in stored),
        *(Holder(RootId(root), path, directory, name, loaded(*key)) for root, path, directory, name, *key in files),
    ]


# -- what there is --------------------------------------------------------------------------------

_LISTED = Rows(
    "SELECT blake3, profile, extension, state, size, duration, reason FROM rendition WHERE blake3 IN ({})"
    " ORDER BY profile",
    "?",
)


def of_contents(connection: sqlite3.Connection, contents: Iterable[bytes]) -> dict[bytes, list[Rendition]]:
    """The renditions of contents, by their BLAKE3, and those that they wait for or cannot have."""
    found: dict[bytes, list[Rendition]] = {}
    for blake3, profile, extension, *rest in _LISTED.ask(connection, [(one,) for one in dict.fromkeys(contents)]):
        found.setdefault(blake3, []).append(Rendition(Name(blake3, profile, extension), *rest))
    return found


def beginning_with(connection: sqlite3.Connection, first: int) -> dict[Name, tuple[int, str, int | None]]:
    """Content, state and size of the renditions whose names begin with a byte."""
    end = bytes([first + 1]) if first < 255 else b"\xff" * 33  # longer than any digest
    found = connection.execute(
        "SELECT blake3, profile, extension, content, state, size FROM rendition INDEXED BY rendition_blake3"
        " WHERE blake3 >= ? AND blake3 < ?",
        (bytes([first]), end),
    )
    return {Name(*row[:3]): (row[3], row[4], row[5]) for row in found}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many renditions there are in which state."""
    return dict(connection.execute("SELECT state, count(*) FROM rendition GROUP BY state").fetchall())


# -- changes --------------------------------------------------------------------------------------


def want(ledger: Ledger, wanted: Sequence[Missing], at_us: int) -> None:
    """Note that these are to be made."""
    ledger.connection.executemany(
        "INSERT INTO rendition (content, blake3, profile, extension, state, tries, due_us, at_us)"
        f" VALUES (?, ?, ?, ?, '{WAITING}', 0, ?, ?) ON CONFLICT DO NOTHING",
        [(one.content, *one.name, at_us, at_us) for one in wanted],
    )


def begin(ledger: Ledger, one: Waiting, due_us: int) -> None:
    """Note that a try begins; should this process not survive it, the next one is not before ``due_us``."""
    ledger.connection.execute(
        "UPDATE rendition SET tries = tries + 1, due_us = ?, reason = NULL WHERE content = ? AND profile = ?"
        f" AND state = '{WAITING}'",
        (due_us, one.content, one.name.profile),
    )


def put_off(ledger: Ledger, one: Waiting, reason: str | None, due_us: int, *, counts_as_try: bool) -> None:
    """Note why one still waits, and until when."""
    ledger.connection.execute(
        "UPDATE rendition SET reason = ?, due_us = ?, tries = ? WHERE content = ? AND profile = ?"
        f" AND state = '{WAITING}'",
        (storable(reason), due_us, one.tries + counts_as_try, one.content, one.name.profile),
    )


def keep(
    ledger: Ledger,
    one: Missing,
    rendition: Rendition,
    program: str | None,
    at_us: int,
) -> bool:
    """Note what came of one, and tell it of each item; ``False``: nobody knows of it any more."""
    state, size, duration, reason = rendition[1:]
    changed = ledger.connection.execute(
        "UPDATE rendition SET state = ?, size = ?, duration = ?, reason = ?, program = ?, due_us = NULL, at_us = ?"
        f" WHERE content = ? AND profile = ? AND state = '{WAITING}'",
        (state, size, duration, storable(reason), storable(program), at_us, one.content, one.name.profile),
    )
    if not changed.rowcount:
        return False
    items = ledger.connection.execute(
        f"{SCOPES} SELECT i.id FROM scopes s CROSS JOIN item i ON i.scope = s.scope AND i.content = ? ORDER BY i.id",
        (one.content,),
    ).fetchall()
    data: dict[str, object] = {"profile": one.name.profile, "state": state}
    data |= {"path": place(one.name), "size": size, "duration": duration} if state == MADE else {}
    data |= {} if reason is None else {"reason": storable(reason)}
    for (item,) in items:
        tell_of(ledger, EventType.ITEM_RENDITION, item, at_us, data)
    ledger.flush()
    return True


def lose(ledger: Ledger, lost: Iterable[tuple[int, str]], at_us: int) -> None:
    """These renditions, (content, profile), are there no more: they are made again."""
    ledger.connection.executemany(
        f"UPDATE rendition SET state = '{WAITING}', size = NULL, duration = NULL, reason = NULL, tries = 0,"
        f" due_us = ?, at_us = ? WHERE content = ? AND profile = ? AND state = '{MADE}'",
        [(at_us, at_us, *one) for one in lost],
    )


def retry_failed(ledger: Ledger, program: str, at_us: int) -> int:
    """Another program is there: what others could not is tried again. Gives how many that are."""
    return ledger.connection.execute(
        f"UPDATE rendition SET state = '{WAITING}', tries = 0, due_us = ?, at_us = ?"
        f" WHERE state = '{FAILED}' AND program IS NOT ?",
        (at_us, at_us, program),
    ).rowcount


def forget(ledger: Ledger, those: Iterable[Missing]) -> None:
    """Nobody wants these any more."""
    ledger.connection.executemany(
        "DELETE FROM rendition WHERE content = ? AND profile = ?", [(one.content, one.name.profile) for one in those]
    )


def _json(wishes: Collection[Wish]) -> str:
    return json.dumps([list(wish) for wish in wishes])


def _missing(row: Sequence[object]) -> Missing:
    content, *name = row
    return Missing(content, Name(*name))  # type: ignore[arg-type]
