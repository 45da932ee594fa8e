"""What every engine of jobs must do, whatever stands behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.jobs import MOST, JobState
from mediasluice.errors import Unreadable, UsageError
from mediasluice.jobs import engine, times
from mediasluice.jobs.engine import BACKOFF_US, RECHECK_S
from mediasluice.jobs.port import Context, Jobs, Kind, Later, Schedule, Wish
from tests.jobs import LIMIT_S, Bench, Clock, at_work, until

OVER = (JobState.DONE, JobState.DEAD, JobState.CANCELLED)
Run = Callable[[Context, Mapping[str, Any]], Mapping[str, Any] | None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


class Held:
    """A job that waits until it is let go, and says how many of it run."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, context: Context, _: Mapping[str, Any]) -> None:
        context.when_stopped(self.go.set)
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.begun.release()
        assert self.go.wait(LIMIT_S)
        with self._lock:
            self.now -= 1
        context.check()


def test_a_job_runs_and_says_what_came_of_it(file: Path) -> None:
    """What a job returns, how far it got and its marks are there when it is done."""

    def run(context: Context, args: Mapping[str, Any]) -> Mapping[str, Any]:
        context.progress(3, 4)
        context.keep("half", {"at": args["begin"]})
        context.progress(4, 4)
        return {"files": 7}

    with at_work(file, [Kind("count", run)]) as bench:
        port: Jobs = bench.jobs
        number = port.enqueue(Wish("count", "all", "photos", {"begin": 2}, "daily"))
        job = until(bench, number, *OVER)
        assert (job.state, job.result, job.done, job.total) == (JobState.DONE, {"files": 7}, 4, 4)
        assert (job.kind, job.key, job.library, job.asked_by) == ("count", "all", "photos", "daily")
        shown = port.show(number)
        assert shown is not None
        assert [(mark.name, mark.value) for mark in shown.marks] == [("half", {"at": 2})]
        assert [one.id for one in port.list()] == [number]
        assert port.list([JobState.DEAD]) == []
        assert port.show(number + 1) is None


def test_an_unknown_kind_is_refused(file: Path) -> None:
    """Who asks for a job that nobody can do is told which ones there are."""
    with at_work(file, [Kind("scan", Held())]) as bench:
        with pytest.raises(UsageError, match="one of: scan"):
            bench.jobs.enqueue(Wish("sacn"))
        with pytest.raises(UsageError, match="one of: scan"):
            bench.jobs.schedule([Schedule("nightly", times.parse("@daily"), Wish("sacn"))])


def test_of_one_kind_and_key_there_is_one(file: Path) -> None:
    """A second wish gives the number of the first job while it is queued or runs, and a new one afterwards."""
    held = Held()
    with at_work(file, [Kind("held", held)]) as bench:
        first = bench.jobs.enqueue(Wish("held", "a"))
        other = bench.jobs.enqueue(Wish("held", "b"))
        assert held.begun.acquire(timeout=LIMIT_S)
        assert bench.jobs.enqueue(Wish("held", "a")) == first != other
        assert bench.jobs.enqueue(Wish("held", "b")) == other
        held.go.set()
        until(bench, first, JobState.DONE)
        assert bench.jobs.enqueue(Wish("held", "a")) > other


@pytest.mark.parametrize(
    ("kind", "libraries", "most"),
    [
        (Kind("held", Held(), at_once=2, per_library=9), "aaaa", 2),
        (Kind("held", Held(), at_once=9, per_library=1), "aabb", 2),
        (Kind("held", Held(), at_once=9, per_library=9), "aabb", 3),
    ],
    ids=["kind", "library", "slots"],
)
def test_no_more_run_at_once_than_allowed(file: Path, kind: Kind, libraries: str, most: int) -> None:
    """Limits of a kind, of a library and of all jobs hold, and are used to the full."""
    held = Held()
    with at_work(file, [kind._replace(run=held)], slots=3) as bench:
        numbers = [bench.jobs.enqueue(Wish("held", str(n), library)) for n, library in enumerate(libraries)]
        for _ in range(most):
            assert held.begun.acquire(timeout=LIMIT_S)
        assert not held.begun.acquire(timeout=0.1)
        held.go.set()
        assert {until(bench, number, *OVER).state for number in numbers} == {JobState.DONE}
    assert held.most == most


def test_a_queued_job_is_cancelled_at_once(file: Path) -> None:
    """What did not begin never begins."""
    held = Held()
    with at_work(file, [Kind("held", held)]) as bench:
        first, second = bench.jobs.enqueue(Wish("held", "a")), bench.jobs.enqueue(Wish("held", "b"))
        assert held.begun.acquire(timeout=LIMIT_S)
        assert bench.jobs.cancel(second) is JobState.CANCELLED
        held.go.set()
        assert until(bench, first, *OVER).state is JobState.DONE
        assert bench.jobs.cancel(first) is JobState.DONE
        assert bench.jobs.cancel(99) is None
    assert held.most == 1


def test_a_running_job_stops_between_two_pieces_and_is_resumed_behind_them(file: Path) -> None:
    """A cancelled job ends at its next check; resumed, it goes on where it was."""
    done: list[int] = []
    reached, go = threading.Event(), threading.Event()

    def run(context: Context, _: Mapping[str, Any]) -> None:
        for piece in range(context.kept("piece") or 0, 4):
            if piece == 2 and not go.is_set():
                reached.set()
                assert go.wait(LIMIT_S)
            context.check()
            done.append(piece)
            context.keep("piece", piece + 1)

    with at_work(file, [Kind("four", run)]) as bench:
        number = bench.jobs.enqueue(Wish("four"))
        assert reached.wait(LIMIT_S)
        assert bench.jobs.cancel(number) is JobState.RUNNING
        go.set()
        assert until(bench, number, *OVER).state is JobState.CANCELLED
        assert done == [0, 1]
        assert bench.jobs.resume(number) == number
        assert until(bench, number, JobState.DONE).state is JobState.DONE
        assert done == [0, 1, 2, 3]
        assert bench.jobs.resume(number) is None


def test_a_job_that_fails_is_tried_again_and_given_up_at_last(file: Path) -> None:
    """Each attempt waits longer than the one before; the last one leaves the job dead with its reason."""
    clock, tries = Clock(), list[int]()

    def run(_: Context, __: Mapping[str, Any]) -> None:
        tries.append(clock())
        raise Unreadable("cannot be read: input/output error", path="/photos/a.jpg")

    with at_work(file, [Kind("bad", run)], clock=clock) as bench:
        number = bench.jobs.enqueue(Wish("bad"))
        for attempt in range(1, MOST):
            _wait_for(partial(_has_tried, bench, number, attempt))
            job = bench.job(number)
            assert job.due_us - clock() == BACKOFF_US * 4 ** (attempt - 1)
            assert "input/output error" in (job.reason or "")
            bench.jobs.resume(number)  # it need not be waited for
        job = until(bench, number, *OVER)
        assert (job.state, job.attempts, len(tries)) == (JobState.DEAD, MOST, MOST)
        assert [one.id for one in bench.jobs.list([JobState.DEAD])] == [number]


def test_what_would_fail_each_time_is_dead_at_once(file: Path) -> None:
    """A job that was asked for wrongly is not tried five times."""

    def run(_: Context, __: Mapping[str, Any]) -> None:
        raise UsageError("there is no library 'musik'")

    with at_work(file, [Kind("bad", run)]) as bench:
        job = until(bench, bench.jobs.enqueue(Wish("bad")), *OVER)
    assert (job.state, job.attempts, job.reason) == (JobState.DEAD, 1, "there is no library 'musik'")


def test_a_new_mark_begins_the_count_anew(file: Path) -> None:
    """A job that gets on between its failures may fail any number of times."""
    clock = Clock()

    def run(context: Context, _: Mapping[str, Any]) -> None:
        done = context.kept("done") or 0
        if done < 2 * MOST:
            context.keep("done", done + 1)
            raise Unreadable("not today")

    with at_work(file, [Kind("slow", run)], clock=clock) as bench:
        number = bench.jobs.enqueue(Wish("slow"))
        while (job := until(bench, number, JobState.QUEUED, *OVER)).state is JobState.QUEUED:
            bench.jobs.resume(number)
        assert job.state is JobState.DONE


def test_a_job_may_ask_for_another_time(file: Path) -> None:
    """Later is no failure: it costs no attempt, and the marks are still there."""
    clock = Clock()

    def run(context: Context, _: Mapping[str, Any]) -> None:
        if context.kept("evening") is None:
            context.keep("evening", True)
            raise Later(clock() + 60_000_000, "outside of its hours")

    with at_work(file, [Kind("night", run)], clock=clock) as bench:
        number = bench.jobs.enqueue(Wish("night"))
        _wait_for(lambda: bench.job(number).reason == "outside of its hours")
        job = bench.job(number)
        assert (job.state, job.attempts, job.due_us) == (JobState.QUEUED, 0, clock() + 60_000_000)
        clock.at_us = job.due_us
        bench.jobs.resume(number)
        until(bench, number, JobState.DONE)


def test_the_end_of_the_service_costs_no_attempt(file: Path) -> None:
    """A job that stops because the service ends is taken up by the next one, behind its marks."""
    held = Held()

    def run(context: Context, args: Mapping[str, Any]) -> None:
        if context.kept("begun") is None:
            context.keep("begun", 1)
            held(context, args)

    with at_work(file, [Kind("held", run)]) as bench:
        number = bench.jobs.enqueue(Wish("held"))
        assert held.begun.acquire(timeout=LIMIT_S)
    with at_work(file, [Kind("held", run)]) as again:
        job = until(again, number, *OVER)
    assert (job.state, job.attempts, job.crashes) == (JobState.DONE, 1, 0)


def test_a_job_that_hears_nothing_does_not_hold_the_service_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never looks whether it is to stop is left behind; the next process takes it up without a lost attempt."""
    monkeypatch.setattr(engine, "CLOSE_S", 0.05)
    begun, never = threading.Event(), threading.Event()

    def deaf(_: Context, __: Mapping[str, Any]) -> None:
        begun.set()
        never.wait(LIMIT_S)

    with at_work(file, [Kind("deaf", deaf)]) as bench:
        number = bench.jobs.enqueue(Wish("deaf"))
        assert begun.wait(LIMIT_S)
    never.set()
    with at_work(file, [Kind("deaf", lambda _, __: None)]) as again:
        job = until(again, number, *OVER)
    assert (job.state, job.attempts, job.crashes) == (JobState.DONE, 1, 0)


def test_another_version_of_a_kind_begins_anew(file: Path) -> None:
    """Marks that an older version left are not read by a newer one."""
    held = Held()

    def old(context: Context, args: Mapping[str, Any]) -> None:
        context.keep("page", "seven")
        held(context, args)

    def new(context: Context, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"page": context.kept("page")}

    with at_work(file, [Kind("book", old)]) as bench:
        number = bench.jobs.enqueue(Wish("book"))
        assert held.begun.acquire(timeout=LIMIT_S)
    with at_work(file, [Kind("book", new, version=2)]) as again:
        assert until(again, number, *OVER).result == {"page": None}


def test_schedules_make_wishes_and_make_up_for_missed_times(file: Path) -> None:
    """At its time a wish is made once; times that nobody was there for are made up for by one job."""
    clock, kinds = Clock(), [Kind("hourly", lambda _, __: {"fine": True})]
    entry = Schedule("audit", times.parse("@hourly"), Wish("hourly", asked_by="audit"))
    with at_work(file, kinds, clock=clock) as bench:
        bench.jobs.schedule([entry])
        assert bench.jobs.list() == []  # a new schedule begins with its next time
        clock.at_us = entry.times.after(clock())
        bench.jobs.schedule([entry])  # the document was read again: nothing is forgotten by that
        _wait_for(lambda: len(bench.jobs.list([JobState.DONE])) == 1)
    clock.at_us += 5 * 3_600_000_000
    with at_work(file, kinds, clock=clock) as bench:
        bench.jobs.schedule([entry])
        _wait_for(lambda: len(bench.jobs.list([JobState.DONE])) == 2)
        bench.jobs.schedule([])
        clock.at_us += 5 * 3_600_000_000
        bench.jobs.schedule([])
        assert len(bench.jobs.list()) == 2
    assert RECHECK_S <= 60


def _has_tried(bench: Bench, number: int, attempts: int) -> bool:
    job = bench.job(number)
    return job.attempts == attempts and job.state is not JobState.RUNNING


def _wait_for(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to be")
