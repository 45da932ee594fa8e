"""The event log as sinks read it, how far each of them is, and what it was told.

A cursor belongs to one log, which its epoch names. What a sink did with a batch is recorded in one transaction: how
far it is, what it could not take, what it knows of files from now on. Readers take a connection and writers the ledger,
in a transaction. Times are microseconds (UTC). Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from mediasluice.catalogue import events
from mediasluice.catalogue.ledger import Ledger
from mediasluice.model.events import Event
from mediasluice.model.files import Kind

ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"
DEAD, PARKED, DUE = "dead", "parked", "due"

_FACTS = (
    f"SELECT {events.COLUMNS}, e.file, e.version, e.content, f.kind FROM {events.TABLES}"
    " LEFT JOIN file f ON f.id = e.file"
)
_DIGESTS = slice(events.WIDTH - 3, events.WIDTH)  # sha256, md5, sha1


class Fact(NamedTuple):
    """One event with what stands beside it in the catalogue when it is delivered."""

    event: Event
    root: bytes  # absolute path of the root that the event is about
    file: int | None  # id; ``None`` for events of a root
    version: int | None  # of the file, that the event is about
    content: int | None  # id, of that version
    kind: Kind | None  # of the file as it is now; ``None``: its row is gone
    sha256: bytes | None
    md5: bytes | None
    sha1: bytes | None

    @property
    def keys(self) -> tuple[str, ...]:
        """What keeps its order: facts that share a key are delivered one after the other."""
        event = self.event
        paths = (event.path,) if event.old_path is None else (event.path, event.old_path)
        keys = [path.hex() for path in paths]
        return tuple(keys) if self.file is None else (str(self.file), *keys)


class Announced(NamedTuple):
    """What a sink knows of a file. ``how`` is the sink's own word; ``None``: from now on it knows nothing of it."""

    file: int
    path: bytes  # absolute, as it was told
    content: int | None
    how: str | None


class Letter(NamedTuple):
    """An event that a sink could not take, or that waits behind one."""

    seq: int
    state: str  # DEAD | PARKED | DUE
    keys: tuple[str, ...]
    tries: int
    reason: str
    at_us: int


class Position(NamedTuple):
    """How far a sink is."""

    name: str
    type: str
    epoch: str
    cursor: int
    done: tuple[tuple[int, int], ...]  # events after the cursor that are done as well: first and last of each span
    state: str  # ACTIVE | PAUSED | DISABLED
    reason: str | None
    since_us: int
    lagged: int  # up to this event only the last one of each file was kept for it
    delivered: int
    turn: int  # grows when a person changes where it stands: what was under way by then moves it no more


class Progress(NamedTuple):
    """What became of a batch. ``letters`` replace those of the same events, ``settled`` are those that are over."""

    cursor: int
    done: Sequence[tuple[int, int]]
    delivered: int  # facts of this batch
    announced: Sequence[Announced] = ()
    letters: Sequence[Letter] = ()
    settled: Collection[int] = ()
    turn: int = 0  # of the position that it goes on from


# -- the log ----------------------------------------------------------------------------------------


def facts(connection: sqlite3.Connection, after: int, limit: int) -> list[Fact]:
    """The next facts of the log, in its order."""
    return _facts(connection, "e.seq > ? ORDER BY e.seq LIMIT ?", (after, limit))


def numbered(connection: sqlite3.Connection, seqs: Collection[int]) -> list[Fact]:
    """Those of these facts that are still kept, in the order of the log."""
    wanted = "e.seq IN (SELECT value FROM json_each(?)) ORDER BY e.seq"
    return _facts(connection, wanted, (json.dumps(list(seqs)),))


def _facts(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> list[Fact]:
    rows = connection.execute(f"{_FACTS} WHERE {condition}", values).fetchall()
    if not rows:
        return []
    epoch = epoch_of(connection)
    return [_fact(row, epoch) for row in rows]


def _fact(row: Sequence[Any], epoch: str) -> Fact:
    file, version, content, kind = row[events.WIDTH :]
    known = None if kind is None else Kind(kind)
    event = events.event_of(row[: events.WIDTH], epoch)
    return Fact(event, row[4], file, version, content, known, *row[_DIGESTS])


def epoch_of(connection: sqlite3.Connection) -> str:
    """The name of this log."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


def head(connection: sqlite3.Connection) -> int:
    """The number of the newest event, also when it is not kept any more; 0 if there never was one."""
    found = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'event'").fetchone()[0]
    return int(found or 0)


def count_after(connection: sqlite3.Connection, seq: int, most: int) -> tuple[int, int | None]:
    """How many events follow, counted up to ``most``, and when the first of them happened."""
    count = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM event WHERE seq > ? LIMIT ?)", (seq, most)
    ).fetchone()[0]
    oldest = connection.execute("SELECT at_us FROM event WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)).fetchone()
    return int(count), None if oldest is None else int(oldest[0])


def last_before(connection: sqlite3.Connection, at_us: int) -> int:
    """The number of the last event before a time; 0 if there is none. Goes through the whole log."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM event WHERE at_us < ?", (at_us,)).fetchone()[0])


# -- sinks ------------------------------------------------------------------------------------------


def positions(connection: sqlite3.Connection) -> dict[str, Position]:
    """How far each sink is that ever was in the document."""
    rows = connection.execute(
        "SELECT name, type, epoch, cursor, done, state, reason, since_us, lagged, delivered, turn FROM sink"
        " ORDER BY name"
    )
    found = (Position(*row) for row in rows.fetchall())
    return {one.name: one._replace(done=_spans(str(one.done))) for one in found}


def _spans(stored: str) -> tuple[tuple[int, int], ...]:
    return tuple((first, last) for first, last in json.loads(stored))


def register(ledger: Ledger, name: str, kind: str, at_us: int, *, from_start: bool) -> tuple[Position, str | None]:
    """Take up a sink where it was left; gives where that is, and what was put right about it.

    A new one begins at the head of the log, or at its start. One whose cursor belongs to another log, or lies ahead
    of this one because a copy of before was put back, begins at the head: nobody knows what it has seen.
    """
    connection = ledger.connection
    epoch, newest = epoch_of(connection), head(connection)
    found = positions(connection).get(name)
    if found is not None and found.type != kind:  # another system under the same name
        forget(ledger, name)
        found = None
    if found is None:
        connection.execute(
            "INSERT INTO sink VALUES (?, ?, ?, ?, '[]', ?, NULL, ?, 0, 0, 0)",
            (name, kind, epoch, 0 if from_start else newest, ACTIVE, at_us),
        )
        return positions(connection)[name], None
    if found.epoch == epoch and found.cursor <= newest:
        return found, None
    why = "its cursor belongs to another log" if found.epoch != epoch else f"its cursor {found.cursor} is ahead of"
    why += "" if found.epoch != epoch else f" the log, which ends at {newest}: an older copy was put back"
    connection.execute(
        "UPDATE sink SET epoch = ?, cursor = ?, done = '[]', lagged = 0 WHERE name = ?", (epoch, newest, name)
    )
    connection.execute("DELETE FROM dead_letter WHERE sink = ?", (name,))
    return positions(connection)[name], why


def forget(ledger: Ledger, name: str) -> None:
    """Forget a sink and all that it was told."""
    for table in ("announced", "dead_letter"):
        ledger.connection.execute(f"DELETE FROM {table} WHERE sink = ?", (name,))
    ledger.connection.execute("DELETE FROM sink WHERE name = ?", (name,))


def set_state(ledger: Ledger, name: str, state: str, reason: str | None, at_us: int) -> bool:
    """Pause a sink or let it go on; gives whether there is one of this name."""
    changed = ledger.connection.execute(
        "UPDATE sink SET state = ?, reason = ?, since_us = ? WHERE name = ?", (state, reason, at_us, name)
    )
    return changed.rowcount == 1


def replay(ledger: Ledger, name: str, cursor: int) -> bool:
    """Have a sink begin again after an event, as if it knew of none of the files that are told again.

    Gives whether there is one of this name.
    """
    ledger.connection.execute(
        "DELETE FROM announced WHERE sink = ? AND file IN (SELECT file FROM event WHERE seq > ?)", (name, cursor)
    )
    connection = ledger.connection
    changed = connection.execute(
        "UPDATE sink SET cursor = min(cursor, ?), done = '[]', turn = turn + 1 WHERE name = ?", (cursor, name)
    )
    connection.execute(
        "DELETE FROM dead_letter WHERE sink = ? AND seq > (SELECT cursor FROM sink WHERE name = ?)", (name, name)
    )
    return changed.rowcount == 1


def record(ledger: Ledger, name: str, progress: Progress) -> None:
    """Record what a sink did with a batch. Where it stands is left as a person set it while that was under way."""
    connection = ledger.connection
    moved = connection.execute(
        "UPDATE sink SET cursor = ?, done = ?, delivered = delivered + ? WHERE name = ? AND turn = ?",
        (progress.cursor, json.dumps(progress.done), progress.delivered, name, progress.turn),
    )
    if not moved.rowcount:
        progress = progress._replace(letters=())  # these events come again
    known: dict[int, Announced] = {one.file: one for one in progress.announced}  # the last word counts
    connection.executemany(
        "DELETE FROM announced WHERE sink = ? AND file = ?",
        [(name, one.file) for one in known.values() if one.how is None],
    )
    connection.executemany(
        "INSERT INTO announced (sink, file, path, content, how) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET path = excluded.path, content = excluded.content, how = excluded.how",
        [(name, *one) for one in known.values() if one.how is not None],
    )
    connection.executemany(
        "DELETE FROM dead_letter WHERE sink = ? AND seq = ?", [(name, seq) for seq in progress.settled]
    )
    connection.executemany(
        "INSERT INTO dead_letter (sink, seq, state, keys, tries, reason, at_us) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET state = excluded.state, tries = excluded.tries, reason = excluded.reason,"
        " at_us = excluded.at_us",
        [(name, one.seq, one.state, json.dumps(one.keys), *one[3:]) for one in progress.letters],
    )


# -- dead letters -----------------------------------------------------------------------------------


def count_letters(connection: sqlite3.Connection, name: str) -> dict[str, int]:
    """How many letters a sink has in each state."""
    rows = connection.execute("SELECT state, count(*) FROM dead_letter WHERE sink = ? GROUP BY state", (name,))
    return dict(rows.fetchall())


def lagged(connection: sqlite3.Connection, name: str) -> int:
    """Up to which event only the last one of each file was kept for a sink."""
    found = connection.execute("SELECT lagged FROM sink WHERE name = ?", (name,)).fetchone()
    return 0 if found is None else int(found[0])


def letters(connection: sqlite3.Connection, name: str, states: Collection[str] = ()) -> list[Letter]:
    """What a sink could not take, in the order of the log."""
    wanted = json.dumps(list(states or (DEAD, PARKED, DUE)))
    rows = connection.execute(
        "SELECT seq, state, keys, tries, reason, at_us FROM dead_letter"
        " WHERE sink = ? AND state IN (SELECT value FROM json_each(?)) ORDER BY seq",
        (name, wanted),
    )
    return [Letter(row[0], row[1], tuple(json.loads(row[2])), *row[3:]) for row in rows.fetchall()]


def retry_letters(ledger: Ledger, name: str) -> int:
    """Have all that a sink could not take tried again; gives how many that are."""
    changed = ledger.connection.execute("UPDATE dead_letter SET state = ? WHERE sink = ?", (DUE, name))
    _turn(ledger, name)
    return int(changed.rowcount)


def _turn(ledger: Ledger, name: str) -> None:
    ledger.connection.execute("UPDATE sink SET turn = turn + 1 WHERE name = ?", (name,))


def drop_letters(ledger: Ledger, name: str, seqs: Iterable[int]) -> int:
    """Give up events for good; what waits behind them goes on. Gives how many there were."""
    connection = ledger.connection
    count = sum(
        connection.execute("DELETE FROM dead_letter WHERE sink = ? AND seq = ?", (name, seq)).rowcount for seq in seqs
    )
    connection.execute("UPDATE dead_letter SET state = ? WHERE sink = ? AND state = ?", (DUE, name, PARKED))
    _turn(ledger, name)
    return count


# -- what was told ----------------------------------------------------------------------------------


def announced(connection: sqlite3.Connection, name: str, files: Collection[int]) -> dict[int, Announced]:
    """What a sink knows of these files; one of which it knows nothing is left out."""
    rows = connection.execute(
        "SELECT file, path, content, how FROM announced WHERE sink = ? AND file IN (SELECT value FROM json_each(?))",
        (name, json.dumps(list(files))),
    )
    return {row[0]: Announced(*row) for row in rows.fetchall()}
