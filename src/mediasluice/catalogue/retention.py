"""What of the event log is kept: what somebody still has to read, what is young, and the last word on each file.

An event is outlived when a later one of the same file says more: one of the same family (``file.``, ``item.``), and
one that names a content where it does. Events of roots are outlived by age alone. What waits as a dead letter stays.
Past the cap of the log, outlived events go however young they are; a sink that had not read them is behind a gap from
then on, and its row says so: ``lagged``. Who follows the state of files loses nothing by that.

Readers take a connection, look at a bounded number of events and give numbers; writers take the ledger, in a
transaction, and ask again what may have changed meanwhile. Sizes are bytes, times microseconds (UTC).
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

from mediasluice.catalogue import readings
from mediasluice.catalogue.ledger import Ledger
from mediasluice.catalogue.outbox import DISABLED, PARKED

ENRICHING = "the second pass"
_NEVER = (1 << 63) - 1
_SAMPLE = 1_000  # events; chosen: a few milliseconds
_ROW = 53  # bytes of an event beside its texts, with its places in the indexes; measured with dbstat
_FAMILY = 5  # characters: ``file.``, ``item.``, ``root.``

_OUTLIVED = (
    "(e.file IS NULL OR (EXISTS (SELECT 1 FROM event n WHERE n.file = e.file AND n.seq > e.seq"
    f" AND substr(n.type, 1, {_FAMILY}) = substr(e.type, 1, {_FAMILY}))"
    " AND (e.content IS NULL OR EXISTS"
    " (SELECT 1 FROM event n WHERE n.file = e.file AND n.seq > e.seq AND n.content IS NOT NULL))))"
)


class Hold(NamedTuple):
    """Events after ``seq`` are still to be read by somebody, ``by``."""

    seq: int
    by: str


class Found(NamedTuple):
    """Outlived events, and after which event to look on; ``None``: this was the end."""

    seqs: list[int]
    after: int | None


class Dropped(NamedTuple):
    """How many events were dropped, and which sinks are behind a gap since then."""

    events: int
    lagged: list[str]


def hold(connection: sqlite3.Connection, sinks: Collection[str]) -> Hold:
    """Who is least far in the log: one of these sinks or the second pass. Disabled sinks hold nothing, paused ones do.

    Sinks that are not in the document any more are not to be among them: nobody would ever read on for them.
    """
    row = connection.execute(
        "SELECT cursor, name FROM sink WHERE state <> ? AND name IN (SELECT value FROM json_each(?))"
        " ORDER BY cursor LIMIT 1",
        (DISABLED, json.dumps(list(sinks))),
    ).fetchone()
    second = Hold(readings.cursor(connection), ENRICHING)
    return second if row is None or second.seq <= row[0] else Hold(*row)


def outlived(
    connection: sqlite3.Connection, after: int, limit: int, *, upto: int = _NEVER, before_us: int = _NEVER
) -> Found:
    """Those of the next ``limit`` events that are outlived, none after ``upto`` and none from ``before_us`` on."""
    last, looked_at = connection.execute(
        "SELECT max(seq), count(*) FROM (SELECT seq FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
        (after, upto, limit),
    ).fetchone()
    if last is None:
        return Found([], None)
    found = connection.execute(
        f"SELECT e.seq FROM event e WHERE e.seq > ? AND e.seq <= ? AND e.at_us < ? AND {_OUTLIVED} ORDER BY e.seq",
        (after, last, before_us),
    )
    return Found([row[0] for row in found.fetchall()], last if looked_at == limit else None)


def drop(ledger: Ledger, seqs: Sequence[int], sinks: Collection[str] | None) -> Dropped:
    """Drop outlived events. ``sinks``: those that hold what they have not read; ``None``: nothing is held, by the cap.

    A sink that had not got as far as what was dropped is marked: up to there it knows of the last event of each file.
    """
    connection = ledger.connection
    upto = _NEVER if sinks is None else hold(connection, sinks).seq
    wanted = json.dumps([seq for seq in seqs if seq <= upto])
    # By the cap, what only waits behind a dead letter goes too: a file that changes on and on would keep the whole log.
    held = "state <> :parked" if sinks is None else "sink IN (SELECT value FROM json_each(:sinks))"
    gone = [
        row[0]
        for row in connection.execute(
            "DELETE FROM event AS e WHERE e.seq IN (SELECT value FROM json_each(:seqs))"
            f" AND e.seq NOT IN (SELECT seq FROM dead_letter WHERE {held}) AND {_OUTLIVED} RETURNING seq",
            {"seqs": wanted, "sinks": json.dumps(list(sinks or ())), "parked": PARKED},
        ).fetchall()
    ]
    if not gone:
        return Dropped(0, [])
    connection.execute(
        "DELETE FROM dead_letter WHERE seq IN (SELECT value FROM json_each(?)) AND state = ?",
        (json.dumps(gone), PARKED),
    )
    last = max(gone)
    lagged = connection.execute(
        "SELECT name FROM sink WHERE cursor < ? AND lagged <= cursor ORDER BY name", (last,)
    ).fetchall()
    connection.execute("UPDATE sink SET lagged = max(lagged, ?) WHERE cursor < ?", (last, last))
    return Dropped(len(gone), [row[0] for row in lagged])


def count(connection: sqlite3.Connection) -> int:
    """How many events there are."""
    return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])


def size(connection: sqlite3.Connection) -> int:
    """About how many bytes the event log takes with its indexes: its rows, times what the first and last ones take."""
    events = count(connection)
    if not events:
        return 0
    texts = (
        "length(type) + length(name) + coalesce(length(old_name), 0) + coalesce(length(origin), 0)"
        " + coalesce(length(data), 0)"
    )
    mean = connection.execute(
        f"SELECT avg(bytes) FROM (SELECT * FROM (SELECT {texts} AS bytes FROM event ORDER BY seq LIMIT {_SAMPLE})"
        f" UNION ALL SELECT * FROM (SELECT {texts} AS bytes FROM event ORDER BY seq DESC LIMIT {_SAMPLE}))"
    ).fetchone()[0]
    return int(events * (float(mean) + _ROW))
