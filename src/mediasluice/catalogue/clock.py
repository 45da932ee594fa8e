"""Put right what was written while the clock of this machine was ahead: nothing waits for a time that is far off.

A clock that stands in the year 2038 until the network sets it right leaves rows behind that are due then, and files
that departed then: without this they would wait for years. What is due later than anything ever waits is due now, and
what happened in the future happened now. Events keep the times that they were told with.
Takes the present time in microseconds. Fails with: sqlite3.Error.
"""

from __future__ import annotations

import sqlite3

from mediasluice.catalogue.readings import LATE_US, MOVES_KNOWN

EVENTS = 1_000  # chosen: the first start after the clock was set right sees them, and the table of judgements is long
DAY_US = 86_400 * 1_000_000  # the longest wait of an external source, and more than that of a rendition
WAIT_MAX_US = 2 * 3600 * 1_000_000  # chosen: twice the longest wait that anything here is given


def set_right(connection: sqlite3.Connection, now_us: int) -> int:
    """Bring times of the future back to now; gives how many rows there were. Indexes make it cheap where none is."""
    changes = [
        "UPDATE unread SET due_us = :now WHERE due_us > :latest",
        "UPDATE judgement SET due_us = :now WHERE todo IS NOT NULL AND due_us > :latest",
        # A missing one is only remembered for longer; while the clock is behind, this would make it long forgotten.
        "UPDATE file SET gone_us = :now WHERE state = 'departed' AND gone_us > :now",
        "UPDATE external SET due_us = :now WHERE due_us > :day",
        "UPDATE rendition SET due_us = :now WHERE state = 'waiting' AND due_us > :day",
        "UPDATE job SET due_us = :now WHERE state = 'queued' AND due_us > :day",
        f"UPDATE meta SET value = :known WHERE key = '{MOVES_KNOWN}' AND CAST(value AS INTEGER) > :known",
    ]
    last_us = connection.execute(
        "SELECT max(at_us) FROM (SELECT at_us FROM event ORDER BY seq DESC LIMIT ?)", (EVENTS,)
    ).fetchone()[0]
    if last_us is not None and last_us > now_us:
        changes.append("UPDATE judgement SET at_us = :now WHERE at_us > :now")  # companions become due by it
    values = {"now": now_us, "latest": now_us + WAIT_MAX_US, "known": now_us - LATE_US}
    values["day"] = now_us + DAY_US
    return sum(connection.execute(change, values).rowcount for change in changes)
