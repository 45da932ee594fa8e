"""A clock that was ahead leaves nothing behind that waits for the time that it showed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mediasluice.catalogue import clock
from mediasluice.catalogue.readings import LATE_US, Unread
from mediasluice.catalogue.store import Catalogue
from mediasluice.model.flow import RootId
from tests.catalogues import identified

NOW_US = 1_700_000_000_000_000
AHEAD_US = NOW_US + 365 * 86_400_000_000
SOON_US = NOW_US + 3_600_000_000


@pytest.fixture
def files(catalogue: Catalogue, root: RootId) -> list[int]:
    """Three files, of which the clock had another idea when they came."""
    verdicts = catalogue.record([identified(root, name, name) for name in (b"a", b"b", b"c")], AHEAD_US)
    return [verdict.file for verdict in verdicts]


def rows(file: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(question).fetchall()


def test_nothing_waits_for_a_far_time(file: Path, catalogue: Catalogue, files: list[int]) -> None:
    """What could not be read is due at once if it was due in a year, and when it was due if that is soon."""
    left = [Unread(one, 1, due_us, "why") for one, due_us in zip(files, (AHEAD_US, SOON_US, 5), strict=True)]
    catalogue.save_readings([], [], left, NOW_US)
    assert catalogue.set_right(NOW_US) > 0
    assert rows(file, "SELECT due_us FROM unread ORDER BY file") == [(NOW_US,), (SOON_US,), (5,)]
    assert catalogue.set_right(NOW_US) == 0


def test_imports_do_not_wait_for_it_either(file: Path, catalogue: Catalogue, files: list[int]) -> None:
    """What is to be imported is due at once, and what is to be imported soon stays so."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(
            "INSERT INTO judgement (file, version, judgement, todo, due_us, at_us) VALUES (?, 1, ?, ?, ?, ?)",
            [
                (files[0], "pending", "import", AHEAD_US, AHEAD_US),
                (files[1], "pending", "import", SOON_US, NOW_US),
                (files[2], "companion", None, None, AHEAD_US),
            ],
        )
    catalogue.set_right(NOW_US)
    found = rows(file, "SELECT due_us, at_us FROM judgement ORDER BY file")
    assert found == [(NOW_US, NOW_US), (SOON_US, NOW_US), (None, NOW_US)]


def test_renditions_do_not_wait_for_it_either(file: Path, catalogue: Catalogue, files: list[int]) -> None:
    """One that is to be made in a year is to be made now; one that waits for an hour goes on waiting."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(
            "INSERT INTO rendition (content, profile, blake3, extension, state, tries, due_us, at_us)"
            " VALUES (1, ?, x'00', 'mp4', 'waiting', 1, ?, ?)",
            [("far", AHEAD_US, NOW_US), ("soon", SOON_US, NOW_US)],
        )
    catalogue.set_right(NOW_US)
    assert rows(file, "SELECT due_us FROM rendition ORDER BY profile") == [(NOW_US,), (SOON_US,)]


def test_a_missing_file_is_remembered(file: Path, catalogue: Catalogue, root: RootId, files: list[int]) -> None:
    """While the clock is behind nothing that is missing is made older than it is: it would be forgotten too early."""
    catalogue.depart(root, [(b"", b"a")], AHEAD_US)
    catalogue.delete([files[0]], AHEAD_US)
    catalogue.set_right(NOW_US)
    assert rows(file, "SELECT gone_us FROM file WHERE state = 'missing'") == [(AHEAD_US,)]


def test_who_departed_in_the_future_departed_now(file: Path, catalogue: Catalogue, root: RootId) -> None:
    """It is decided about after the usual grace, and remembered for the usual time."""
    catalogue.record([identified(root, b"a", b"a"), identified(root, b"b", b"b")], NOW_US)
    catalogue.depart(root, [(b"", b"a")], AHEAD_US)
    catalogue.depart(root, [(b"", b"b")], NOW_US - 7)
    catalogue.set_right(NOW_US)
    assert [one.gone_us for one in catalogue.departed([root], 10)] == [NOW_US - 7, NOW_US]


def test_moves_are_forgotten_again(file: Path, catalogue: Catalogue) -> None:
    """The mark up to which moves are forgotten is never later than they can be."""
    catalogue.save_readings([], [], [], AHEAD_US)
    catalogue.set_right(NOW_US)
    assert rows(file, "SELECT value FROM meta WHERE key = 'moves known'") == [(str(NOW_US - LATE_US),)]


def test_the_search_goes_by_indexes(file: Path, catalogue: Catalogue) -> None:
    """Where the clock was right, no long table is read."""
    asked: list[str] = []
    with closing(sqlite3.connect(file)) as connection:
        connection.set_trace_callback(asked.append)
        clock.set_right(connection, NOW_US)
        connection.set_trace_callback(None)
        plans = [
            row[3]
            for question in asked
            if question.startswith(("UPDATE", "SELECT"))
            for row in connection.execute(f"EXPLAIN QUERY PLAN {question}")
        ]
    short = ("SCAN unread", "SCAN event", "SCAN (subquery", "SCAN external USING COVERING INDEX external_due")
    assert not [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(short)]
