"""Nineteen writers at once.

Nobody's file is taken half-written, and nobody waits longer than the rules say.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from tests.integration.writers import WRITERS, Places, prepare
from tests.service import Line, Sluice

TOLERANCE_S = 0.5  # the bar
SOURCE_BYTES = 16 << 20
LEARNED_S = 30.0  # a reopened file raises its quiet time to three times the gap: 24 s after the last piece
NEEDS = ("rsync", "tar")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than the test's own."""
    here = tmp_path.stat().st_dev
    for candidate in ("/dev/shm", "/var/tmp", "/tmp", "/run", str(Path.home())):
        if os.access(candidate, os.W_OK) and os.stat(candidate).st_dev != here:
            with tempfile.TemporaryDirectory(dir=candidate, prefix="sluice-test-") as directory:
                yield Path(directory)
            return
    pytest.skip("no second file system that can be written to")


def test_nineteen_writers(tmp_path: Path, elsewhere: Path) -> None:
    """18 of 19 patterns are catalogued once, complete, and in time.

    The documented one ends as version 2 of one file.
    """
    root = tmp_path / "incoming"
    places = prepare(root, tmp_path / "outside", elsewhere, SOURCE_BYTES)
    ended: dict[int, float] = {}
    failed: dict[int, Exception] = {}

    def write(number: int) -> None:
        try:
            ended[number] = WRITERS[number].write(places[number])
        except Exception as error:  # noqa: BLE001 - a thread has nobody above it; reported below
            failed[number] = error

    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root)
        with sluice.follow() as follower:
            threads = [threading.Thread(target=write, args=(number,)) for number in range(len(WRITERS))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=60)
            assert not failed
            arrived = follower.wait_created([at.final for at in places], timeout_s=10)
            service.wait(lambda: _complete(places, sluice.files()), "every file has its final content", LEARNED_S)
        rows, events = sluice.files(), sluice.events()
        service.stop()

    problems, table = [], [f"{'writer':38} {'late s':>8} {'allowed':>8}  version"]
    for number, (writer, at) in enumerate(zip(WRITERS, places, strict=True)):
        path = str(at.final)
        when, created = arrived[path]
        late, allowed = when - ended[number], writer.late_s + TOLERANCE_S
        digest = blake3(at.final.read_bytes()).hexdigest()
        is_early = created["blake3"] != digest
        times = sum(e["type"] == "file.created" and e["path"] == path for e in events)
        problems += [
            f"{writer.name}: {problem}"
            for problem, is_so in {
                "not catalogued with its final content": rows[path]["blake3"] != digest,
                f"{times} times file.created": times != 1,
                f"taken {-late:.1f} s before it was complete": is_early and not writer.may_be_early,
                f"version {rows[path]['version']}": rows[path]["version"] != (2 if writer.may_be_early else 1),
                f"{late:.2f} s late, {allowed:.2f} s allowed": late > allowed and not writer.may_be_early,
            }.items()
            if is_so
        ]
        mark = "  EARLY" if is_early else ""
        table.append(f"{writer.name:38} {late:8.2f} {allowed:8.2f}  {rows[path]['version']}{mark}")
    print("\n".join(table))  # noqa: T201 - the table is the evidence
    assert set(rows) == {str(at.final) for at in places}, "something else was catalogued"
    assert not problems, "\n".join([*problems, *table])


def _complete(places: list[Places], rows: dict[str, Line]) -> bool:
    return all(
        (row := rows.get(str(at.final))) is not None
        and row["size"] == at.final.stat().st_size
        and row["state"] == "catalogued"
        and row["blake3"] is not None
        for at in places
    )


def test_the_writers_end_when_they_say(tmp_path: Path, elsewhere: Path) -> None:
    """The loads themselves are honest: no pattern touches its file after the moment that it reports."""
    places = prepare(tmp_path / "incoming", tmp_path / "outside", elsewhere, 1 << 20)
    for writer, at in zip(WRITERS, places, strict=True):
        if writer.name in {
            "cp",
            "rsync",
            "mv cross-device",
            "mv same-device",
            "hard link",
            "O_TMPFILE + link",
            "tar x",
        }:
            ended = writer.write(at)
            assert at.final.stat().st_size > 0, writer.name
            assert at.final.stat().st_ctime <= ended + 0.02, writer.name
            assert time.time() - ended < 0.1, writer.name
