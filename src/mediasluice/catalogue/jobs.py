"""Jobs as rows: which are to be done, how far each is, and what became of it.

    queued ──> running ──> done
      ^ │         │ ├────> dead        after MOST attempts without a new mark
      │ └─────────┼─┴────> cancelled
      └───────────┘ (again later, after a crash, at the end of the service)
    dead, cancelled ──> queued         when a person resumes them

An attempt is counted in the transaction that begins it, so a job that takes the process with it ends as dead. A new
mark, one that ``keep`` had not stored with this value before, begins the count anew: a long job that gets on survives
any number of restarts. One process runs jobs, so what is ``running`` when it starts was cut off.

Readers take a connection and writers the ledger, in a transaction. Times are microseconds (UTC), values JSON.
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from mediasluice.catalogue.ledger import Ledger

MOST = 5  # attempts without a new mark
ALONE = 2  # crashes in a row after which a job runs alone: it takes no other one along, and is known for what it does
WAIT_MAX_US = 25 * 3600 * 1_000_000  # chosen: no job waits longer than for an hour of the next day


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    DEAD = "dead"  # it failed too often; a person may resume it


class Job(NamedTuple):
    """A job as it is stored."""

    id: int
    kind: str
    key: str
    library: str | None
    args: Mapping[str, Any]
    asked_by: str
    state: JobState
    version: int  # of its kind
    attempts: int
    crashes: int
    is_cancelling: bool
    due_us: int
    at_us: int
    started_us: int | None
    ended_us: int | None
    done: int | None
    total: int | None
    reason: str | None
    result: Mapping[str, Any] | None


class Mark(NamedTuple):
    """What a job has behind it."""

    name: str
    value: Any
    at_us: int


class Cut(NamedTuple):
    """What became of the jobs that were cut off by the end of the process."""

    again: list[int]
    dead: list[int]
    cancelled: list[int]


_COLUMNS = (
    "id, kind, key, library, args, asked_by, state, version, attempts, crashes, cancelling, due_us, at_us, started_us,"
    " ended_us, done, total, reason, result"
)
_ALIVE = "ended_us IS NULL"


# -- questions --------------------------------------------------------------------------------------


def one(connection: sqlite3.Connection, job: int) -> Job | None:
    """A job by its number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (job,)).fetchone()
    return None if row is None else _job(row)


def listed(
    connection: sqlite3.Connection, states: Collection[JobState] = (), *, before: int | None = None, limit: int = 100
) -> list[Job]:
    """Jobs, the newest first; all states if none is named. ``before``: only older numbers, for the next page."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM job WHERE state IN (SELECT value FROM json_each(?)) AND (?2 IS NULL OR id < ?2)"
        " ORDER BY id DESC LIMIT ?3",
        (json.dumps([state.value for state in states or tuple(JobState)]), before, limit),
    )
    return [_job(row) for row in rows.fetchall()]


def marks(connection: sqlite3.Connection, job: int) -> list[Mark]:
    """What a job has behind it, in the order of time."""
    rows = connection.execute("SELECT name, value, at_us FROM job_mark WHERE job = ? ORDER BY at_us, name", (job,))
    return [Mark(name, json.loads(value), at_us) for name, value, at_us in rows.fetchall()]


def due(
    connection: sqlite3.Connection,
    now_us: int,
    kinds: Collection[str],
    full: Collection[tuple[str, str]],
) -> Job | None:
    """The job of these kinds that is to be begun next: what waits longest, those that run alone last.

    ``full``: pairs (kind, library) of which none may be begun now.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM job WHERE state = 'queued' AND due_us <= ?"
        " AND kind IN (SELECT value FROM json_each(?))"
        " AND json_array(kind, library) NOT IN (SELECT value FROM json_each(?))"
        f" ORDER BY crashes >= {ALONE}, due_us, id LIMIT 1",
        (
            now_us,
            json.dumps(list(kinds)),
            json.dumps([json.dumps(pair, ensure_ascii=False, separators=(",", ":")) for pair in full]),
        ),
    ).fetchone()
    return None if row is None else _job(row)


def next_due_us(connection: sqlite3.Connection, after_us: int) -> int | None:
    """When the next job that waits for its time becomes due."""
    row = connection.execute("SELECT min(due_us) FROM job WHERE state = 'queued' AND due_us > ?", (after_us,))
    found: int | None = row.fetchone()[0]
    return found


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many jobs there are in each state."""
    return dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())


# -- the life of a job ------------------------------------------------------------------------------


def add(
    ledger: Ledger, kind: str, key: str, library: str | None, args: Mapping[str, Any], asked_by: str, at_us: int
) -> int:
    """Queue a job; gives its number, or that of the one with this kind and key that is not over yet."""
    connection = ledger.connection
    alive = _alive(connection, kind, key)
    if alive is not None:
        return alive
    added = connection.execute(
        "INSERT INTO job (kind, key, library, args, asked_by, state, version, attempts, crashes, cancelling, due_us,"
        " at_us) VALUES (?, ?, ?, ?, ?, 'queued', 0, 0, 0, 0, ?, ?)",
        (kind, key, library, json.dumps(dict(args)), asked_by, at_us, at_us),
    ).lastrowid
    assert added is not None
    return added


def start(ledger: Ledger, job: int, version: int, at_us: int) -> Job | None:
    """Begin a job and count the attempt; ``None``: it is not queued any more.

    Marks that another version of its kind left mean nothing to this one: it begins anew.
    """
    connection = ledger.connection
    found = one(connection, job)
    if found is None or found.state is not JobState.QUEUED:
        return None
    if found.version != version:
        connection.execute("DELETE FROM job_mark WHERE job = ?", (job,))
    connection.execute(
        "UPDATE job SET state = 'running', version = ?, attempts = attempts + 1, started_us = ?, reason = NULL"
        " WHERE id = ?",
        (version, at_us, job),
    )
    return one(connection, job)


def keep(ledger: Ledger, job: int, name: str, value: Any, at_us: int) -> bool:  # noqa: ANN401 - whatever JSON holds
    """Store a mark of a running job; gives whether it is a new mark."""
    connection = ledger.connection
    changed = connection.execute(
        "INSERT INTO job_mark (job, name, value, at_us) SELECT id, ?, ?, ? FROM job WHERE id = ? AND state = 'running'"
        " ON CONFLICT DO UPDATE SET value = excluded.value, at_us = excluded.at_us WHERE value <> excluded.value",
        (name, json.dumps(value), at_us, job),
    ).rowcount
    if changed:
        connection.execute("UPDATE job SET attempts = 1, crashes = 0 WHERE id = ?", (job,))
    return changed == 1


def note(ledger: Ledger, progress: Mapping[int, tuple[int, int | None]]) -> None:
    """Store how far running jobs are."""
    ledger.connection.executemany(
        "UPDATE job SET done = ?, total = ? WHERE id = ? AND state = 'running'",
        [(done, total, job) for job, (done, total) in progress.items()],
    )


def end(
    ledger: Ledger, job: int, state: JobState, reason: str | None, result: Mapping[str, Any] | None, at_us: int
) -> None:
    """Note how a running job ended."""
    ledger.connection.execute(
        "UPDATE job SET state = ?, reason = ?, result = ?, ended_us = ?, cancelling = 0"
        " WHERE id = ? AND state = 'running'",
        (state.value, reason, None if result is None else json.dumps(dict(result)), at_us, job),
    )


def later(ledger: Ledger, job: int, due_us: int, reason: str, *, is_failure: bool, at_us: int) -> JobState:
    """Queue a running job again, unless it failed too often or is to be cancelled; gives its state.

    What is no failure counts for nothing: its time is over for today, or the service ends.
    """
    connection = ledger.connection
    found = one(connection, job)
    if found is None or found.state is not JobState.RUNNING:
        return JobState.DONE if found is None else found.state
    if found.is_cancelling:
        end(ledger, job, JobState.CANCELLED, None, None, at_us)
        return JobState.CANCELLED
    if is_failure and found.attempts >= MOST:
        end(ledger, job, JobState.DEAD, reason, None, at_us)
        return JobState.DEAD
    connection.execute(
        "UPDATE job SET state = 'queued', due_us = ?, reason = ?, attempts = max(0, attempts - ?) WHERE id = ?",
        (due_us, reason, 0 if is_failure else 1, job),
    )
    return JobState.QUEUED


def cancel(ledger: Ledger, job: int, at_us: int) -> JobState | None:
    """Cancel a queued job, or ask a running one to stop; gives its state after that, ``None``: there is none."""
    connection = ledger.connection
    connection.execute(
        "UPDATE job SET state = 'cancelled', ended_us = ? WHERE id = ? AND state = 'queued'",
        (at_us, job),
    )
    connection.execute("UPDATE job SET cancelling = 1 WHERE id = ? AND state = 'running'", (job,))
    found = one(connection, job)
    return None if found is None else found.state


def resume(ledger: Ledger, job: int, at_us: int) -> int | None:
    """Queue a cancelled or dead job again, behind its marks; gives its number. One that waits is due at once.

    That of another one if one of this kind and key is not over yet; ``None``: it is done, or there is none.
    """
    connection = ledger.connection
    found = one(connection, job)
    if found is None or found.state is JobState.DONE:
        return None
    connection.execute("UPDATE job SET due_us = min(due_us, ?) WHERE id = ? AND state = 'queued'", (at_us, job))
    alive = _alive(connection, found.kind, found.key)
    if alive is not None:
        return alive
    connection.execute(
        "UPDATE job SET state = 'queued', attempts = 0, crashes = 0, cancelling = 0, due_us = ?, ended_us = NULL,"
        " reason = NULL WHERE id = ?",
        (at_us, job),
    )
    return job


def take_up(ledger: Ledger, at_us: int) -> Cut:
    """Queue what was cut off when the process ended, before anything is begun; what crashed too often is dead."""
    connection = ledger.connection
    cut = Cut([], [], [])
    running = connection.execute(f"SELECT {_COLUMNS} FROM job WHERE state = 'running' ORDER BY id").fetchall()
    for found in map(_job, running):
        if found.is_cancelling:
            end(ledger, found.id, JobState.CANCELLED, None, None, at_us)
            cut.cancelled.append(found.id)
            continue
        connection.execute("UPDATE job SET crashes = crashes + 1 WHERE id = ?", (found.id,))
        if found.attempts >= MOST:
            why = f"the service ended {found.crashes + 1} times in a row while it ran, {found.attempts} attempts in all"
            end(ledger, found.id, JobState.DEAD, why, None, at_us)
            cut.dead.append(found.id)
            continue
        connection.execute(
            "UPDATE job SET state = 'queued', due_us = ?, reason = 'the service ended while it ran' WHERE id = ?",
            (at_us, found.id),
        )
        cut.again.append(found.id)
    # after a clock that was ahead
    connection.execute("UPDATE job SET due_us = ? WHERE state = 'queued' AND due_us > ?", (at_us, at_us + WAIT_MAX_US))
    return cut


def prune(ledger: Ledger, before_us: int, limit: int) -> int:
    """Forget jobs that ended before that time, so many at most; gives how many."""
    chosen = "SELECT id FROM job WHERE ended_us IS NOT NULL AND ended_us < ? ORDER BY ended_us LIMIT ?"
    connection = ledger.connection
    connection.execute(f"DELETE FROM job_mark WHERE job IN ({chosen})", (before_us, limit))
    return connection.execute(f"DELETE FROM job WHERE id IN ({chosen})", (before_us, limit)).rowcount


# -- schedules --------------------------------------------------------------------------------------


def schedules(ledger: Ledger, times: Mapping[str, str], now_us: int) -> dict[str, int]:
    """Take up schedules by name and times; gives up to when each is dealt with.

    A new one, and one with other times than before, begins now. Those that are not among them are forgotten. One that
    is dealt with up to a time of the future, because the clock was ahead, begins now too.
    """
    connection = ledger.connection
    connection.execute(
        "DELETE FROM schedule WHERE name NOT IN (SELECT value FROM json_each(?))", (json.dumps(list(times)),)
    )
    connection.executemany(
        "INSERT INTO schedule (name, times, since_us) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " times = excluded.times, since_us = excluded.since_us WHERE times <> excluded.times OR since_us > ?",
        [(name, spelled, now_us, now_us) for name, spelled in times.items()],
    )
    return dict(connection.execute("SELECT name, since_us FROM schedule").fetchall())


def has_come(ledger: Ledger, name: str, due_us: int, now_us: int) -> bool:
    """A schedule is dealt with up to now; gives whether that time of it was still to come."""
    changed = ledger.connection.execute(
        "UPDATE schedule SET since_us = ? WHERE name = ? AND since_us < ?", (now_us, name, due_us)
    )
    return changed.rowcount == 1


# -- the rest ---------------------------------------------------------------------------------------


def _alive(connection: sqlite3.Connection, kind: str, key: str) -> int | None:
    row = connection.execute(f"SELECT id FROM job WHERE kind = ? AND key = ? AND {_ALIVE}", (kind, key)).fetchone()
    return None if row is None else int(row[0])


def _as_sqlite_writes(pair: tuple[str, str]) -> str:
    return json.dumps(pair, ensure_ascii=False, separators=(",", ":"))


def _job(row: tuple[Any, ...]) -> Job:
    job = Job._make(row)
    return job._replace(
        args=json.loads(row[4]),
        state=JobState(row[6]),
        is_cancelling=bool(row[10]),
        result=None if row[18] is None else json.loads(row[18]),
    )
