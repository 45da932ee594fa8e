"""What is asked of whatever runs jobs, and what a job is given.

A job is a function of a context and arguments. It may be cut off between any two lines and is begun again by another
process, so it must be idempotent: what it ``keep``s is committed together with what it changed in the catalogue, and
read again by the next attempt with ``kept``. It calls ``check`` between two pieces of work of at most some seconds,
and never works on one file as a job of its own.

Takes ``Wish``; gives the rows of ``catalogue.jobs``. Fails with: UsageError (no such kind), what the writer fails with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from mediasluice.catalogue.jobs import Job, JobState, Mark

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.jobs.times import Times

_T = TypeVar("_T")


class Stopped(Exception):
    """The job is to stop here: somebody cancelled it, or the service ends."""


class Later(Exception):
    """Nothing is wrong, but the job is to go on at another time only."""

    def __init__(self, due_us: int, reason: str) -> None:
        super().__init__(reason)
        self.due_us = due_us
        self.reason = reason


class Wish(NamedTuple):
    """A job that somebody wants. Of one kind and key there is one at a time: who asks again gets the same number."""

    kind: str
    key: str = ""
    library: str | None = None  # whose share it counts against
    args: Mapping[str, Any] = {}
    asked_by: str = "user"


class Schedule(NamedTuple):
    """A wish that is made again and again."""

    name: str
    times: Times
    wish: Wish


class Context(Protocol):
    """What a job knows of itself. All calls come from the thread that runs it."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the job is to stop at the next chance."""

    def check(self) -> None:
        """Raise :class:`Stopped` if it is."""

    def progress(self, done: int, total: int | None = None) -> None:
        """Say how far it is, in whatever it counts. Costs nothing worth mentioning."""

    def kept(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What this job stored as this mark, in this attempt or an earlier one; ``None``: nothing."""

    def keep(self, name: str, value: Any, change: Callable[[Catalogue], _T] | None = None) -> _T | None:  # noqa: ANN401
        """Store a mark, in one transaction with a change of the catalogue; gives what that returned."""

    def when_stopped(self, call: Callable[[], object]) -> None:
        """Call this, on another thread, when the job is to stop: for work that cannot ask by itself."""


class Kind(NamedTuple):
    """A kind of jobs. ``run`` gives what is to be shown of the result."""

    name: str
    run: Callable[[Context, Mapping[str, Any]], Mapping[str, Any] | None]
    version: int = 1  # of what its marks mean; one that was left by another version begins anew
    at_once: int = 1  # jobs of this kind
    per_library: int = 1  # of them, for one library


class Shown(NamedTuple):
    """A job with what it has behind it."""

    job: Job
    marks: Sequence[Mark]


class Jobs(Protocol):
    """Long work that survives a crash. Thread-safe; no call waits for a job."""

    def enqueue(self, wish: Wish) -> int:
        """Queue a job; gives its number, or that of the one that is queued or running for the same kind and key."""

    def cancel(self, job: int) -> JobState | None:
        """Cancel it, or ask it to stop; gives its state after that, ``None``: there is none."""

    def resume(self, job: int) -> int | None:
        """Queue one that was cancelled or given up again, behind its marks, or begin one that waits; ``None``: done."""

    def list(self, states: Sequence[JobState] = (), *, before: int | None = None, limit: int = 100) -> list[Job]:
        """Jobs, the newest first."""

    def show(self, job: int) -> Shown | None:
        """A job with its marks; ``None``: there is none."""

    def schedule(self, entries: Sequence[Schedule]) -> None:
        """Make these wishes at their times from now on, and no others."""
