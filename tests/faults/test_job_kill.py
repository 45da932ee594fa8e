"""kill -9 while jobs run: all of them end, at once after a restart, and nothing is there twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mediasluice.catalogue import jobs
from mediasluice.catalogue.jobs import MOST, Job, JobState
from mediasluice.catalogue.view import View
from tests.jobs import PIECES

JOBS = 50
KILLS = 3
LIMIT_S = 15.0  # what a job may take to be under way again


@contextmanager
def process(data: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs fifty jobs; it is killed at the end."""
    command = [sys.executable, "-m", "tests.jobs", str(data), str(JOBS), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"started\n" or more  # a deadly job may be quicker than that
            yield running
        finally:
            running.kill()


def rows(data: Path) -> list[Job]:
    with View.open(data / "catalogue.sqlite") as view:
        return view.ask(jobs.listed, limit=1_000)


def trace(data: Path) -> list[tuple[int, int]]:
    """(job, piece) in the order in which they were made."""
    path = data / "trace"
    if not path.exists():
        return []
    return [(int(number), int(piece)) for number, piece in map(str.split, path.read_text().splitlines())]


def wait_for(what: str, is_so: Callable[[], bool], limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def test_fifty_jobs_in_flight_survive_being_killed_again_and_again(tmp_path: Path) -> None:
    """After each kill every job is under way again within 15 s, behind its marks; each effect is there once."""
    for _ in range(KILLS):
        with process(tmp_path):
            seen = len(trace(tmp_path))

            def all_go_on(seen: int = seen) -> bool:
                return len({number for number, _ in trace(tmp_path)[seen:]}) == JOBS

            wait_for("a job is stuck after a kill", all_go_on, LIMIT_S)
            running = [job for job in rows(tmp_path) if job.state is JobState.RUNNING]
            assert len(running) == JOBS, "the kill is to come while all are in flight"
    with process(tmp_path):
        wait_for("a job never ended", lambda: {job.state for job in rows(tmp_path)} == {JobState.DONE})
    counts = Counter(trace(tmp_path))
    first = {(number, piece) for number in range(JOBS) for piece in range(PIECES)}
    assert counts.keys() == first
    made = sorted(path.name for path in tmp_path.glob("made-*") if "." not in path.name)
    assert len(made) == len(set(made)) == JOBS * PIECES
    # A piece is begun again only if the kill came between its effect and its mark: one of each job and kill at most.
    repeats = Counter(number for number, _ in counts.elements()) - Counter(dict.fromkeys(range(JOBS), PIECES))
    assert all(count <= KILLS for count in repeats.values())


def test_a_job_that_kills_its_process_ends_as_dead_and_takes_no_other_one_along(tmp_path: Path) -> None:
    """After five attempts it is dead and listed; from its second kill on it runs alone, and all others are done."""
    for _ in range(MOST):
        with process(tmp_path, "deadly") as running:
            running.wait(60)
    with process(tmp_path, "none"):
        wait_for("the others are not done", lambda: _states(tmp_path) == {"pieces": {"done"}, "deadly": {"dead"}})
    dead = next(job for job in rows(tmp_path) if job.kind == "deadly")
    assert dead.attempts == MOST
    assert "in a row" in (dead.reason or "")
    assert (tmp_path / "deaths").read_text() == "x" * MOST


def _states(data: Path) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for job in rows(data):
        states.setdefault(job.kind, set()).add(job.state.value)
    return states
