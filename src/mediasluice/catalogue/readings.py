"""What the second pass over files remembers: readings, capture times, who belongs to whom, and how far it is.

The second pass follows the event log with a cursor of its own, so nothing is queued and a crash loses nothing: what
was not committed is met again. A reading belongs to a content and is made once for it; a capture time and a place in
a group belong to a file, because its name and its neighbours say something, too.
Takes and gives named tuples; a reading as JSON text, see ``model.media``. Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.items import regroup
from mediasluice.catalogue.ledger import Ledger, loaded
from mediasluice.catalogue.rows import storable
from mediasluice.model.files import OPEN_STATES, ChangeKey, FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.media import Capture, Confidence, DateSource

READ, REFUSED, TIMED_OUT, CRASHED, MISTAKEN = "read", "refused", "timed out", "crashed", "mistaken"

FOLDER_MAX = 2_000  # files that share a key, chosen: the Bible read aloud has 1,189 chapters; so many more are a heap
# Measured: to compare them takes 0.06 ms of a processor for each, whenever one of them comes or changes.
REASONS_MAX = 10  # chosen: for a status that is read at a glance

LATE_US = 3600 * 1_000_000  # chosen: within an hour a name in a folder of arrivals means the same picture

MOVES_KNOWN = "moves known"  # in `meta`: moves up to this time [us] have no relatives any more
_CURSOR = "enriched"  # in `meta`: events up to this one are dealt with
_ITSELF = b"/itself"  # a key of one file alone, which stands in no table; the home is the file. No name holds a slash
_KINDS = ", ".join(f"'{kind}'" for kind in (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.PDF, Kind.SIDECAR, Kind.SUBTITLE))


class Subject(NamedTuple):
    """A file that the second pass is to look at, as it is now."""

    file: int
    version: int
    root: RootId
    dir: int
    directory: bytes
    name: bytes
    kind: Kind
    key: ChangeKey
    state: FileState
    content: int | None
    reading: int | None  # the version of the readers that read its content
    found: str | None  # what they found
    tries: int


class Timed(NamedTuple):
    """The capture time of one version of a file."""

    file: int
    version: int
    capture: Capture


class Relative(NamedTuple):
    """A file among those that may belong together. ``found``: the reading of its content.

    One that ``is_alone`` shares its keys with so many that it is compared with nobody.
    """

    file: int
    version: int
    root: RootId
    home: int
    directory: bytes
    name: bytes
    kind: Kind
    mtime_ns: int
    found: str | None
    master: int | None
    role: str | None
    follows: int | None
    is_ours: bool  # its name was made by a template of ours
    is_alone: bool
    timed: Timed | None  # the capture time that is kept of it


class Read(NamedTuple):
    """A reading to be kept."""

    content: int
    version: int
    state: str
    found: str
    pair: str | None


class Place(NamedTuple):
    """Where the second pass looks for relatives of a file: in which directory, by which keys."""

    file: int
    root: RootId
    home: bytes
    keys: tuple[bytes, ...]


class Unread(NamedTuple):
    """A file that could not be read now. ``due_us``: when it is tried again."""

    file: int
    tries: int
    due_us: int
    reason: str


class Tie(NamedTuple):
    """A file's place in a group; all ``None``: it is alone."""

    file: int
    master: int | None
    role: str | None
    follows: int | None  # the file whose name and place it goes by


_SUBJECTS = (
    "SELECT f.id, f.version, d.root, f.dir, d.path, f.name, f.kind, f.ino, f.size, f.mtime_ns, f.ctime_ns, f.state,"
    " f.content, rd.version, rd.found, ifnull(u.tries, 0) FROM {}"
    " CROSS JOIN file f ON f.id = {} CROSS JOIN dir d ON d.id = f.dir"
    " LEFT JOIN reading rd ON rd.content = f.content LEFT JOIN unread u ON u.file = f.id"
    " LEFT JOIN member m ON m.file = f.id"
)
# A name is ours where the journal says that the file came to it by another one. Steps are never removed.
_IS_OURS = (
    "EXISTS (SELECT 1 FROM item i CROSS JOIN step s ON s.file = i.file AND s.target = i.path AND s.state = 'done'"
    " AND substr(s.source, -1 - length(f.name)) <> CAST('/' || f.name AS BLOB) WHERE i.path = CAST("
    "rtrim(CAST(r.path AS TEXT), '/') || '/' || d.path || iif(length(d.path) > 0, '/', '') || f.name AS BLOB))"
)
# A file that is being written, or on its way, counts as it was: if it turns out to be so, nobody tells of it.
_HERE = ", ".join(
    f"'{state}'" for state in sorted({FileState.CATALOGUED, FileState.EMPTY, FileState.DEPARTED, *OPEN_STATES})
)
# What an import took from its path is a relative for a while, unless another file has its name by now.
_MOVED = (  # two questions, because an index answers each of them
    "(f.state = 'missing' AND f.reason = 'moved' AND NOT EXISTS"
    " (SELECT 1 FROM file n WHERE n.dir = f.dir AND n.name = f.name AND n.state <> 'missing') AND NOT EXISTS"
    " (SELECT 1 FROM file n WHERE n.dir = f.dir AND n.name = f.name AND n.state = 'missing' AND n.id > f.id))"
)
_RELATIVES = (
    "SELECT m.file, f.version, d.root, m.home, d.path, f.name, f.kind, f.mtime_ns, rd.found, m.master, m.role,"
    f" m.follows, {_IS_OURS}, cap.version, cap.local, cap.offset_minutes, cap.source, cap.confidence, cap.rejected"
    " FROM json_each(?) wanted CROSS JOIN member m ON m.file = wanted.value"
    f" CROSS JOIN file f ON f.id = m.file AND (f.state IN ({_HERE}) OR {_MOVED})"
    " CROSS JOIN dir d ON d.id = f.dir"
    # what we moved gave up its content, but its events tell of it; its item may be deleted
    " CROSS JOIN root r ON r.id = d.root LEFT JOIN reading rd ON rd.content = CASE WHEN f.state <> 'missing'"
    " THEN f.content ELSE (SELECT e.content FROM event e WHERE e.file = f.id AND e.content IS NOT NULL"
    " ORDER BY e.seq DESC LIMIT 1) END"
    " LEFT JOIN capture cap ON cap.file = f.id"
)
_READ = Rows(
    "INSERT INTO reading (content, version, state, found, pair, at_us) VALUES {} ON CONFLICT (content) DO UPDATE SET"
    " version = excluded.version, state = excluded.state, found = excluded.found, pair = excluded.pair,"
    " at_us = excluded.at_us",
    "(?, ?, ?, ?, ?, ?)",
)
_MEMBERS = Rows(
    "INSERT INTO member (file, home) VALUES {} ON CONFLICT (file) DO UPDATE SET home = excluded.home", "(?, ?)"
)
_KIN = Rows("INSERT OR IGNORE INTO kin (home, key, file) VALUES {}", "(?, ?, ?)")
_SHARING = f"SELECT file FROM kin WHERE home = ? AND key = ? LIMIT {FOLDER_MAX + 1}"  # a heap is not looked through
_CAPTURES = Rows(
    "INSERT INTO capture (file, version, local, offset_minutes, source, confidence, rejected) VALUES {}"
    " ON CONFLICT (file) DO UPDATE SET version = excluded.version, local = excluded.local,"
    " offset_minutes = excluded.offset_minutes, source = excluded.source, confidence = excluded.confidence,"
    " rejected = excluded.rejected",
    "(?, ?, ?, ?, ?, ?, ?)",
)


@lru_cache
def of_media(extensions: frozenset[str]) -> str:
    """The condition that a file is media, or may belong to media; ``extensions``: of files that are of no such kind.

    One that belonged to media may have got another name.
    """
    name = "CAST(f.name AS TEXT)"
    extension = f"lower(replace({name}, rtrim({name}, replace({name}, '.', '')), ''))"
    named = ", ".join(f"'{one}'" for one in sorted(extensions) if one.isalnum())
    return f"(f.kind IN ({_KINDS}) OR (f.kind = 'other' AND {extension} IN ({named})) OR m.file IS NOT NULL)"


# -- what is to be done -------------------------------------------------------------------------------


def cursor(connection: sqlite3.Connection) -> int:
    """The event up to which the second pass is done."""
    row = connection.execute(f"SELECT value FROM meta WHERE key = '{_CURSOR}'").fetchone()
    return 0 if row is None else int(row[0])


def following(
    connection: sqlite3.Connection, after: int, limit: int, extensions: frozenset[str]
) -> tuple[int, list[Subject]]:
    """The media that the next events of files are about, once each, and the last of all these events.

    See :func:`of_media`.
    """
    last = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?)", (after, limit)
    ).fetchone()[0]
    if last is None:
        return after, []
    told = "(SELECT DISTINCT file FROM event WHERE seq > ? AND seq <= ? AND type GLOB 'file.*') told"
    query = f"{_SUBJECTS.format(told, 'told.file')} WHERE {of_media(extensions)}"
    return int(last), [_subject(row) for row in connection.execute(query, (after, last)).fetchall()]


def subjects(
    connection: sqlite3.Connection, files: Collection[int], extensions: frozenset[str] = frozenset()
) -> list[Subject]:
    """Those of these files that are media; see :func:`of_media`."""
    wanted = "(SELECT value FROM json_each(?)) wanted"
    query = f"{_SUBJECTS.format(wanted, 'wanted.value')} WHERE {of_media(extensions)}"
    return [_subject(row) for row in connection.execute(query, (_ids(files),)).fetchall()]


def unread(connection: sqlite3.Connection, roots: Collection[RootId], now_us: int, limit: int) -> list[Subject]:
    """Files of these roots that are to be tried again now, those that wait longest first."""
    due = (
        "(SELECT w.file FROM unread w CROSS JOIN file wf ON wf.id = w.file CROSS JOIN dir wd ON wd.id = wf.dir"
        " WHERE w.due_us <= ? AND wd.root IN (SELECT value FROM json_each(?)) ORDER BY w.due_us LIMIT ?) due"
    )
    query = f"{_SUBJECTS.format(due, 'due.file')} ORDER BY u.due_us"
    return [_subject(row) for row in connection.execute(query, (now_us, json.dumps(list(roots)), limit)).fetchall()]


def outdated(connection: sqlite3.Connection, version: int, after: int, limit: int) -> tuple[int, list[Subject]]:
    """The files of contents that older readers read, after that content; and the last of these contents.

    All of them, because each has a capture time of its own.
    """
    contents = connection.execute(
        "SELECT content FROM reading WHERE content > ? AND version < ? ORDER BY content LIMIT ?",
        (after, version, limit),
    ).fetchall()
    if not contents:
        return after, []
    files = connection.execute(
        "SELECT f.id FROM json_each(?) old CROSS JOIN file f ON f.content = old.value AND f.state = 'catalogued'",
        (json.dumps([row[0] for row in contents]),),
    ).fetchall()
    return contents[-1][0], subjects(connection, [row[0] for row in files])


def behind(connection: sqlite3.Connection) -> int:
    """How many events of files the second pass has not dealt with."""
    query = "SELECT count(*) FROM event WHERE seq > ? AND type GLOB 'file.*'"
    return int(connection.execute(query, (cursor(connection),)).fetchone()[0])


def left(connection: sqlite3.Connection) -> dict[str, int]:
    """Why files are tried again, with how many of them; the most frequent reasons."""
    query = f"SELECT reason, count(*) FROM unread GROUP BY reason ORDER BY count(*) DESC, reason LIMIT {REASONS_MAX}"
    return {str(reason): int(count) for reason, count in connection.execute(query)}


def _subject(row: Sequence[object]) -> Subject:
    file, version, root, place, directory, name, kind, *key, state, content, reading, found, tries = row
    return Subject(
        file, version, RootId(root), place, directory, name, Kind(kind), loaded(*key), FileState(state), content,  # type: ignore[arg-type]
        reading, found, tries,  # type: ignore[arg-type]
    )  # fmt: skip


# -- relatives ----------------------------------------------------------------------------------------


def relatives(connection: sqlite3.Connection, kin: Collection[tuple[int, bytes]]) -> list[Relative]:
    """All known files that share one of these keys, (home, key), or share one with one that does, and so on.

    Who shares a key with more than FOLDER_MAX is not found by it; those that the keys came from are given anyway.
    """
    own = {home for home, key in kin if key == _ITSELF}
    files: set[int] = set()
    asked: set[tuple[int, bytes]] = set()
    wanted = {(home, key) for home, key in kin if key != _ITSELF}
    while wanted:
        asked |= wanted
        new: set[int] = set()
        for pair in wanted:
            sharing = connection.execute(_SHARING, pair).fetchall()
            if len(sharing) <= FOLDER_MAX:
                new.update(row[0] for row in sharing)
        new -= files
        files |= new
        wanted = _keys_of(connection, new) - asked
    found = connection.execute(_RELATIVES, (_ids(sorted(files | own)),)).fetchall()
    return [_relative(row, is_alone=row[0] not in files) for row in found]


def kin_of(connection: sqlite3.Connection, files: Collection[int]) -> set[tuple[int, bytes]]:
    """By what these files find their relatives: their keys, with their homes, and themselves."""
    return _keys_of(connection, files) | {(file, _ITSELF) for file in files}


def _keys_of(connection: sqlite3.Connection, files: Collection[int]) -> set[tuple[int, bytes]]:
    query = "SELECT kin.home, kin.key FROM json_each(?) wanted CROSS JOIN kin ON kin.file = wanted.value"
    return {(row[0], row[1]) for row in connection.execute(query, (_ids(files),)).fetchall()}


def _ids(files: Collection[int]) -> str:
    return json.dumps(list(files))


def _relative(row: Sequence[object], *, is_alone: bool) -> Relative:
    file, version, root, home, directory, name, kind, mtime_ns, found, master, role, follows, is_ours, *known = row
    capture = capture_of(known[1:])
    return Relative(
        file, version, RootId(root), home, directory, name, Kind(kind), mtime_ns, found, master, role, follows,  # type: ignore[arg-type]
        bool(is_ours), is_alone, None if capture is None else Timed(file, known[0], capture),  # type: ignore[arg-type]
    )  # fmt: skip


# -- what was found out -------------------------------------------------------------------------------


def save(
    ledger: Ledger,
    read: Sequence[Read],
    seen: Sequence[Place],
    left: Sequence[Unread],
    at_us: int,
) -> None:
    """Keep readings and where the files are now; ``left`` are tried again.

    The keys that files had before stay until :func:`relate`: by them who shared them is found, after a crash as well.
    """
    connection = ledger.connection
    _forget(connection, _too_late(connection, at_us))
    _READ.insert(connection, [(*one[:4], storable(one.pair), at_us) for one in read])
    homes = [ledger.directory(place.root, place.home) for place in seen]
    _MEMBERS.insert(connection, [(place.file, home) for place, home in zip(seen, homes, strict=True)])
    _KIN.insert(
        connection, [(home, key, place.file) for place, home in zip(seen, homes, strict=True) for key in place.keys]
    )
    _leave(connection, left)


def _leave(connection: sqlite3.Connection, left: Sequence[Unread]) -> None:
    connection.executemany(
        "INSERT INTO unread (file, tries, due_us, reason) VALUES (?, ?, ?, ?) ON CONFLICT (file) DO UPDATE SET"
        " tries = excluded.tries, due_us = excluded.due_us, reason = excluded.reason",
        [(one.file, one.tries, one.due_us, storable(one.reason)) for one in left],
    )


def _gone_for_good(connection: sqlite3.Connection, gone: Collection[int]) -> list[int]:
    query = (
        "SELECT wanted.value FROM json_each(?) wanted LEFT JOIN file f ON f.id = wanted.value"
        " WHERE f.id IS NULL OR f.state <> 'missing' OR f.reason IS NOT 'moved'"
    )
    return [row[0] for row in connection.execute(query, (_ids(gone),)).fetchall()] if gone else []


def _too_late(connection: sqlite3.Connection, at_us: int) -> list[int]:
    """Files that an import took away so long ago that nothing is expected to follow them; each is given once."""
    mark = connection.execute(f"SELECT value FROM meta WHERE key = '{MOVES_KNOWN}'").fetchone()
    since_us, until_us = 0 if mark is None else int(mark[0]), at_us - LATE_US
    if until_us <= since_us:
        return []
    found = connection.execute(
        "SELECT f.id FROM file f WHERE f.state = 'missing' AND f.gone_us > ? AND f.gone_us <= ? AND f.reason = 'moved'",
        (since_us, until_us),
    ).fetchall()
    connection.execute(
        f"INSERT INTO meta (key, value) VALUES ('{MOVES_KNOWN}', ?) ON CONFLICT (key) DO UPDATE SET"
        " value = excluded.value",
        (str(until_us),),
    )
    return [row[0] for row in found]


def relate(
    ledger: Ledger,
    ties: Collection[Tie],
    timed: Sequence[Timed],
    upto: int | None,
    seen: Sequence[Place] = (),
    gone: Collection[int] = (),
    left: Sequence[Unread] = (),
) -> None:
    """Keep who belongs to whom and when files were made; events up to ``upto`` are dealt with then.

    So are the files that were ``seen``, but for those that are ``left`` for another time. Those that are ``gone`` are
    nobody's relatives any more; but what an import took away stays one for what comes late, for :data:`LATE_US`.
    What an importing library decided about files that belong to others now is turned in the same transaction.
    """
    connection = ledger.connection
    _forget(connection, _gone_for_good(connection, gone))
    _forget(connection, [*gone, *(place.file for place in seen)], ("unread",))
    _leave(connection, left)
    _drop_old_keys(ledger, seen)
    connection.executemany(
        "UPDATE member SET master = ?, role = ?, follows = ? WHERE file = ?",
        [(tie.master, tie.role, tie.follows, tie.file) for tie in ties],
    )
    regroup(ledger, [(tie.file, tie.role, tie.follows) for tie in ties])
    _CAPTURES.insert(
        connection,
        [
            (
                file, version, capture.local, capture.offset, capture.source.value, capture.confidence.value,
                json.dumps(capture.rejected) if capture.rejected else None,
            )
            for file, version, capture in timed
        ],
    )  # fmt: skip
    if upto is not None:
        connection.execute(
            f"INSERT INTO meta (key, value) VALUES ('{_CURSOR}', ?) ON CONFLICT (key) DO UPDATE SET"
            " value = excluded.value",
            (str(upto),),
        )


def _forget(
    connection: sqlite3.Connection, files: Collection[int], tables: Sequence[str] = ("kin", "member", "capture")
) -> None:
    for table in tables if files else ():
        connection.execute(f"DELETE FROM {table} WHERE file IN (SELECT value FROM json_each(?))", (_ids(files),))


def _drop_old_keys(ledger: Ledger, seen: Sequence[Place]) -> None:
    """Forget the keys that these files had elsewhere, or under another name."""
    now = {(ledger.directory(place.root, place.home), key, place.file) for place in seen for key in place.keys}
    query = "SELECT kin.home, kin.key, kin.file FROM json_each(?) met CROSS JOIN kin ON kin.file = met.value"
    found = ledger.connection.execute(query, (_ids([place.file for place in seen]),)).fetchall()
    old = [row for row in found if row not in now]
    ledger.connection.executemany("DELETE FROM kin WHERE home = ? AND key = ? AND file = ?", old)


def retry(connection: sqlite3.Connection, root: RootId) -> None:
    """A root is back: what could not be read there is tried at once."""
    connection.execute(
        "UPDATE unread SET due_us = 0 WHERE file IN (SELECT f.id FROM unread u CROSS JOIN file f ON f.id = u.file"
        " CROSS JOIN dir d ON d.id = f.dir WHERE d.root = ?)",
        (root,),
    )


def capture_of(row: Sequence[object]) -> Capture | None:
    """A capture time out of (local, offset_minutes, source, confidence, rejected)."""
    local, offset, source, confidence, rejected = row
    if local is None:
        return None
    reasons = () if rejected is None else tuple(json.loads(rejected))  # type: ignore[arg-type]
    return Capture(local, offset, DateSource(source), Confidence(confidence), reasons)  # type: ignore[arg-type]
