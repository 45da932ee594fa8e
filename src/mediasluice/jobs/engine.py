"""Run jobs that are rows of the catalogue, on threads of the process that holds the lock of the data directory.

    enqueue ──> row ──> dispatcher ──Job──> a thread for each running job ──> row
                            ^ wakes when something is queued, ends or becomes due

Nothing is polled: the dispatcher sleeps until the next time that a row or a schedule names, at most RECHECK_S, because
clocks are set. What was running when the process ended is queued again before anything is begun. Each change of a row
is one transaction of the one writer. How far a job is stays in memory and is stored now and then.

Takes kinds and wishes; gives rows. Fails with: UsageError (a wish for no kind). What a job raises is written to
its row; what the writer raises ends the threads, and the service with them.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mediasluice.catalogue import jobs
from mediasluice.catalogue.jobs import Job, JobState
from mediasluice.errors import ConfigError, SluiceError, UsageError
from mediasluice.jobs.port import Kind, Later, Schedule, Shown, Stopped, Wish
from mediasluice.pipeline.writer import Abandoned

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.writer import Writer

_T = TypeVar("_T")

SLOTS = 4  # chosen: jobs of all kinds at once; most wait for a disk
RECHECK_S = 60.0  # chosen: the longest error after the clock was set
NOTE_US = 5_000_000  # chosen: how often it is stored how far a job is
BACKOFF_US = 10_000_000  # chosen: before the second attempt; four times as long before each one after it
BACKOFF_MAX_US = 3_600_000_000  # chosen
CLOSE_S = 5.0  # chosen: as long as a job that asks now and then needs; who does not is cut off


class _Running:
    """One attempt: what its job sees, and what the engine knows of it."""

    def __init__(self, job: Job, engine: Engine) -> None:
        self.job = job
        self.done, self.total = job.done, job.total
        self.is_begun = False
        self._engine = engine
        self._steps: dict[str, Any] = {}
        self._stop = threading.Event()
        self._calls: list[Callable[[], object]] = []
        self._noted_us = 0

    def begin(self, job: Job, marks: Mapping[str, Any]) -> None:
        self.job, self._steps, self.is_begun = job, dict(marks), True

    def stop(self) -> None:
        self._stop.set()
        for call in list(self._calls):
            call()

    # -- as its job sees it -----------------------------------------------------------------------

    @property
    def is_cancelled(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def progress(self, done: int, total: int | None = None) -> None:
        self.done, self.total = done, total
        now_us = self._engine.clock()
        if not 0 <= now_us - self._noted_us < NOTE_US:
            self._noted_us = now_us
            self._engine.note(self.job.id, done, total)

    def kept(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        return self._steps.get(name)

    def keep(self, name: str, value: Any, change: Callable[[Catalogue], _T] | None = None) -> _T | None:  # noqa: ANN401
        job, now_us, far = self.job.id, self._engine.clock(), (self.done, self.total)

        def together(catalogue: Catalogue) -> _T | None:
            catalogue.change(jobs.keep, job, name, value, now_us)
            if far[0] is not None:
                catalogue.change(jobs.note, {job: (far[0], far[1])})
            return None if change is None else change(catalogue)

        result = self._engine.write(together)
        value = json.loads(json.dumps(value))  # as another attempt would read it
        if self._steps.get(name) != value:
            self._steps[name] = value
            self.job = self.job._replace(attempts=1, crashes=0)
        return result

    def when_stopped(self, call: Callable[[], object]) -> None:
        self._calls.append(call)
        if self._stop.is_set():
            call()


class Engine:
    """All jobs of one data directory. Build it, :meth:`schedule`, then :meth:`start`."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        open_view: Callable[[], View],
        writer: Writer,
        log: Log,
        *,
        clock: Callable[[], int],
        failed: Callable[[BaseException], None],
        slots: int = SLOTS,
    ) -> None:
        """Connect. ``clock`` gives microseconds (UTC); ``slots``: how many jobs run at once."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._open_view = open_view
        self._writer = writer
        self._log = log
        self.clock = clock
        self._failed = failed
        self._slots = slots
        self._schedules: dict[str, Schedule] = {}
        self._due_us: dict[str, int] = {}  # when each schedule comes next
        self._running: dict[int, _Running] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._lock = threading.Lock()  # over the two above and the schedules
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._is_closed = False
        self._dispatcher = threading.Thread(target=self._run, name="jobs")

    # -- the port ---------------------------------------------------------------------------------

    def enqueue(self, wish: Wish) -> int:
        """Queue a job; gives its number, or that of the one that is queued or running for the same kind and key."""
        self._check(wish)
        now_us = self.clock()
        job = self.write(lambda catalogue: catalogue.change(jobs.add, *wish, now_us))
        self._wake.set()
        return job

    def cancel(self, job: int) -> JobState | None:
        """Cancel it, or ask it to stop; gives its state after that, ``None``: there is none."""
        now_us = self.clock()
        state = self.write(lambda catalogue: catalogue.change(jobs.cancel, job, now_us))
        with self._lock:
            running = self._running.get(job)
        if running is not None and state is JobState.RUNNING:
            running.stop()
        return state

    def resume(self, job: int) -> int | None:
        """Queue one that was cancelled or given up again, behind its marks, or begin one that waits; ``None``: done."""
        now_us = self.clock()
        resumed = self.write(lambda catalogue: catalogue.change(jobs.resume, job, now_us))
        self._wake.set()
        return resumed

    def list(self, states: Sequence[JobState] = (), *, before: int | None = None, limit: int = 100) -> list[Job]:
        """Jobs, the newest first."""
        with self._open_view() as view:
            return [self._as_it_is(job) for job in view.ask(jobs.listed, states, before=before, limit=limit)]

    def show(self, job: int) -> Shown | None:
        """A job with its marks; ``None``: there is none."""
        with self._open_view() as view:
            found = view.ask(jobs.one, job)
            return None if found is None else Shown(self._as_it_is(found), view.ask(jobs.marks, job))

    def schedule(self, entries: Sequence[Schedule]) -> None:
        """Make these wishes at their times from now on, and no others. A time that was missed is made up for once."""
        for entry in entries:
            self._check(entry.wish)
        now_us = self.clock()
        texts = {entry.name: entry.times.text for entry in entries}
        since = self.write(lambda catalogue: catalogue.change(jobs.schedules, texts, now_us))
        with self._lock:
            self._schedules = {entry.name: entry for entry in entries}
            self._due_us = {entry.name: entry.times.after(since[entry.name]) for entry in entries}
        self._wake.set()

    def _check(self, wish: Wish) -> None:
        if wish.kind not in self._kinds:
            raise UsageError(f"there is no kind of job {wish.kind!r}", hint=f"one of: {', '.join(sorted(self._kinds))}")

    def _as_it_is(self, job: Job) -> Job:
        with self._lock:
            running = self._running.get(job.id)
        return job if running is None or not running.is_begun else job._replace(done=running.done, total=running.total)

    # -- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Queue what was cut off, and begin to work."""
        now_us = self.clock()
        cut = self.write(lambda catalogue: catalogue.change(jobs.take_up, now_us))
        if any(cut):
            self._log.warning("jobs_were_cut_off", again=cut.again, dead=cut.dead, cancelled=cut.cancelled)
        self._dispatcher.start()

    def close(self) -> None:
        """Stop all jobs between two pieces of work, and give back what they did not finish; it costs no attempt."""
        self._closing.set()
        self._wake.set()
        if self._dispatcher.ident is not None:
            self._dispatcher.join()  # first: nothing is begun any more
        with self._lock:
            running, threads = list(self._running.values()), dict(self._threads)
        for one in running:
            one.stop()
        for thread in threads.values():
            thread.join(CLOSE_S / len(threads))
        for job, thread in threads.items():
            if thread.is_alive():  # stuck on a disk that hangs; it reads only, and what it says is heard no more
                with suppress(Abandoned):
                    self._give_back(job, self.clock(), "the service ended")
        self._is_closed = True

    def write(self, change: Callable[[Catalogue], _T]) -> _T:
        """Have the writer make a change, and wait until it is committed."""
        if self._is_closed:  # somebody who was left behind
            raise Abandoned
        return self._writer.call(change, abandon=self._closing.is_set)

    def note(self, job: int, done: int, total: int | None) -> None:
        """Have it stored how far a job is; nobody waits for that."""
        self._writer.express(lambda catalogue: catalogue.change(jobs.note, {job: (done, total)}), is_awaited=False)

    # -- the dispatcher ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._open_view() as view:
                while not self._closing.is_set():
                    self._wake.clear()
                    self._make_wishes()
                    while not self._closing.is_set() and self._begin_next(view):
                        pass
                    self._wake.wait(self._rest_s(view))
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _make_wishes(self) -> None:
        now_us = self.clock()
        with self._lock:
            for name, due_us in self._due_us.items():  # worked out by a clock that was ahead?
                self._due_us[name] = min(due_us, self._schedules[name].times.after(now_us))
            come = [(self._schedules[name], due_us) for name, due_us in self._due_us.items() if due_us <= now_us]
        if not come:
            return

        def all_at_once(catalogue: Catalogue) -> None:
            for entry, due_us in come:
                if catalogue.change(jobs.has_come, entry.name, due_us, now_us):
                    catalogue.change(jobs.add, *entry.wish, now_us)

        self.write(all_at_once)
        with self._lock:
            self._due_us.update(
                {one.name: one.times.after(now_us) for one, _ in come if self._schedules.get(one.name) is one}
            )

    def _rest_s(self, view: View) -> float:
        now_us = self.clock()
        with self._lock:
            moments = list(self._due_us.values())
        row_us = view.ask(jobs.next_due_us, now_us)
        if row_us is not None:
            moments.append(row_us)
        return min([RECHECK_S, *(max(0.0, (moment - now_us) / 1e6) for moment in moments)])

    def _begin_next(self, view: View) -> bool:
        """Begin one job; gives whether there may be another one that can be begun."""
        with self._lock:
            under_way = [one.job for one in self._running.values()]
        if len(under_way) >= self._slots or any(job.crashes >= jobs.ALONE for job in under_way):
            return False
        by_kind = Counter(job.kind for job in under_way)
        by_library = Counter((job.kind, job.library) for job in under_way if job.library)
        free = [kind.name for kind in self._kinds.values() if by_kind[kind.name] < kind.at_once]
        full = [
            (kind, library) for (kind, library), count in by_library.items() if count >= self._kinds[kind].per_library
        ]
        job = view.ask(jobs.due, self.clock(), free, full)
        if job is None or (job.crashes >= jobs.ALONE and under_way):
            return False
        self._begin(job, view)
        return True

    def _begin(self, job: Job, view: View) -> None:
        running = _Running(job, self)
        with self._lock:
            self._running[job.id] = running  # before it runs: who cancels it from now on finds it here
        kind, now_us = self._kinds[job.kind], self.clock()
        begun = self.write(lambda catalogue: catalogue.change(jobs.start, job.id, kind.version, now_us))
        if begun is None:  # cancelled meanwhile
            with self._lock:
                del self._running[job.id]
            return
        running.begin(begun, {mark.name: mark.value for mark in view.ask(jobs.marks, job.id)})
        thread = threading.Thread(target=self._work, args=(kind, running), name=f"job-{job.kind}-{job.id}", daemon=True)
        with self._lock:
            self._threads[job.id] = thread
        thread.start()

    # -- one job ----------------------------------------------------------------------------------

    def _work(self, kind: Kind, running: _Running) -> None:
        job = running.job
        try:
            self._end(kind, running)
        except Abandoned:  # the service ends; the row says that the job was cut off
            pass
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)
        finally:
            with self._lock:
                del self._running[job.id], self._threads[job.id]
            self._wake.set()

    def _end(self, kind: Kind, running: _Running) -> None:
        """Run a job, and write down how that ended."""
        job = running.job
        try:
            running.check()
            result = kind.run(running, job.args)
        except Abandoned:  # the disk of the catalogue is full, and somebody wants it to stop
            if self._closing.is_set():
                raise
            self._give_back(job.id, self.clock(), "the service ended")
        except Stopped:
            self._give_back(job.id, self.clock(), "the service ended")
        except Later as later:
            self._give_back(job.id, later.due_us, later.reason)
        except (UsageError, ConfigError) as error:  # it would fail again each time
            self._finish(job, JobState.DEAD, _reason(error), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the job's and not the service's
            self._try_again(running.job, error)
        else:
            if running.done is not None:
                self.note(job.id, running.done, running.total)
            self._finish(job, JobState.DONE, None, result)

    def _finish(self, job: Job, state: JobState, reason: str | None, result: Mapping[str, Any] | None) -> None:
        now_us = self.clock()
        self.write(lambda catalogue: catalogue.change(jobs.end, job.id, state, reason, result, now_us))
        tell = self._log.info if state is JobState.DONE else self._log.error
        tell("job_ended", job=job.id, kind=job.kind, key=job.key, state=state.value, reason=reason, result=result)

    def _give_back(self, job: int, due_us: int, reason: str) -> None:
        later = partial(jobs.later, job=job, due_us=due_us, reason=reason, is_failure=False, at_us=self.clock())
        self.write(lambda catalogue: catalogue.change(later))

    def _try_again(self, job: Job, error: Exception) -> None:
        now_us, reason = self.clock(), _reason(error)
        wait_us = min(BACKOFF_MAX_US, BACKOFF_US * 4 ** (job.attempts - 1))
        later = partial(jobs.later, job=job.id, due_us=now_us + wait_us, reason=reason, is_failure=True, at_us=now_us)
        state = self.write(lambda catalogue: catalogue.change(later))
        tell = self._log.error if state is JobState.DEAD else self._log.warning
        tell("job_failed", job=job.id, kind=job.kind, key=job.key, state=state.value, reason=reason, exc_info=error)


def _reason(error: Exception) -> str:
    """Why a job failed, in one line."""
    if isinstance(error, SluiceError):
        where = "" if error.path is None else f"{error.path}: "
        return where + error.message + ("" if error.hint is None else f"; {error.hint}")
    return f"{type(error).__name__}: {error}"
