"""The states of a job, against everything that may happen to it in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mediasluice.catalogue import jobs
from mediasluice.catalogue.jobs import ALONE, MOST, Job, JobState
from mediasluice.catalogue.store import Catalogue

KEYS = st.sampled_from(["", "a", "b"])
OVER = {JobState.DONE, JobState.CANCELLED, JobState.DEAD}


class JobMachine(RuleBasedStateMachine):
    """One catalogue, jobs of one kind, and a process that runs them and now and then dies."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalogue = Catalogue.open(Path(self.folder.name) / "catalogue.sqlite")
        self.now_us = 1
        self.over: dict[int, Job] = {}
        self.tries: dict[int, int] = {}  # attempts since the last new mark, by our own count
        self.marks: dict[int, int] = {}

    def teardown(self) -> None:
        self.catalogue.close()
        self.folder.cleanup()

    def all(self) -> list[Job]:
        return jobs.listed(self.catalogue._connection, limit=1_000)

    def running(self) -> list[Job]:
        return [job for job in self.all() if job.state is JobState.RUNNING]

    @rule(key=KEYS)
    def enqueue(self, key: str) -> None:
        alive = [job.id for job in self.all() if job.key == key and job.state not in OVER]
        number = self.catalogue.change(jobs.add, "k", key, None, {}, "user", self.now_us)
        assert [number] == alive or not alive
        if not alive:
            self.tries[number] = 0

    @rule(wait_us=st.integers(0, 100))
    def begin(self, wait_us: int) -> None:
        self.now_us += wait_us
        job = jobs.due(self.catalogue._connection, self.now_us, ["k"], [])
        if job is None:
            assert not [one for one in self.all() if one.state is JobState.QUEUED and one.due_us <= self.now_us]
            return
        begun = self.catalogue.change(jobs.start, job.id, 1, self.now_us)
        assert begun is not None
        assert begun.attempts == job.attempts + 1 <= MOST
        assert self.catalogue.change(jobs.start, job.id, 1, self.now_us) is None  # nobody begins it twice
        self.tries[job.id] += 1

    @precondition(lambda self: self.running())
    @rule(value=st.integers(0, 2))
    def keep(self, value: int) -> None:
        job = self.running()[0]
        is_forward = self.catalogue.change(jobs.keep, job.id, "s", value, self.now_us)
        assert is_forward == (self.marks.get(job.id) != value)
        self.marks[job.id] = value
        if is_forward:
            self.tries[job.id] = 1

    @precondition(lambda self: self.running())
    @rule(is_failure=st.booleans(), wait_us=st.integers(0, 50))
    def stop(self, wait_us: int, *, is_failure: bool) -> None:
        job = self.running()[-1]
        state = self.catalogue.change(
            jobs.later, job.id, self.now_us + wait_us, "why", is_failure=is_failure, at_us=self.now_us
        )
        is_last = is_failure and self.tries[job.id] >= MOST
        wanted = JobState.CANCELLED if job.is_cancelling else JobState.DEAD if is_last else JobState.QUEUED
        assert state is wanted
        if not is_failure and state is JobState.QUEUED:
            self.tries[job.id] -= 1

    @precondition(lambda self: self.running())
    @rule()
    def finish(self) -> None:
        self.catalogue.change(jobs.end, self.running()[0].id, JobState.DONE, None, {"n": 1}, self.now_us)

    @precondition(lambda self: self.all())
    @rule(pick=st.integers(0, 20))
    def cancel(self, pick: int) -> None:
        job = self.all()[pick % len(self.all())]
        state = self.catalogue.change(jobs.cancel, job.id, self.now_us)
        assert state is (JobState.CANCELLED if job.state is JobState.QUEUED else job.state)

    @precondition(lambda self: self.over)
    @rule(pick=st.integers(0, 20))
    def resume(self, pick: int) -> None:
        job = self.over[sorted(self.over)[pick % len(self.over)]]
        number = self.catalogue.change(jobs.resume, job.id, self.now_us)
        if number == job.id:
            assert job.state in {JobState.CANCELLED, JobState.DEAD}
            del self.over[job.id]
            self.tries[job.id] = 0
        else:
            assert number is not None or job.state is JobState.DONE

    @rule()
    def die(self) -> None:
        before = {job.id: job for job in self.running()}
        cut = self.catalogue.change(jobs.take_up, self.now_us)
        assert sorted([*cut.again, *cut.dead, *cut.cancelled]) == sorted(before)
        assert all(before[number].attempts >= MOST for number in cut.dead)
        assert all(before[number].is_cancelling for number in cut.cancelled)
        assert not self.running()

    @invariant()
    def every_row_is_true(self) -> None:
        found = self.all()
        for job in found:
            assert (job.state in OVER) == (job.ended_us is not None)
            assert job.attempts == self.tries[job.id] <= MOST
            assert job.crashes <= job.attempts
            assert not job.is_cancelling or job.state is JobState.RUNNING
            if job.id in self.over:
                assert job == self.over[job.id]  # what is over never changes by itself
            if job.state in OVER:
                self.over[job.id] = job
        alive = [job.key for job in found if job.state not in OVER]
        assert len(alive) == len(set(alive))
        assert ALONE < MOST


TestJobs = JobMachine.TestCase
TestJobs.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
