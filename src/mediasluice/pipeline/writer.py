"""The one thread that changes the catalogue, with two queues: arrivals first, bulk after them.

Takes operations (functions of the catalogue) and runs them in transactions; gives back what they
returned through an optional callback, after the commit. Bulk operations share a transaction for at most
``slice_s``; an arrival joins it after the operation that runs, and then it is committed at once. While files arrive,
each bulk operation has a transaction of its own: who follows the events reads fewer before the one that matters.
Fails with: the error of the catalogue is handed to ``failed`` once; afterwards the writer takes nothing
more, because a catalogue that cannot be written must stop the service, not lose facts one by one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mediasluice.errors import DiskFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediasluice.catalogue.store import Catalogue

_T = TypeVar("_T")

MOST = 1000  # operations of one transaction; chosen: bounds its memory
RETRY_S = 5.0  # chosen: how often a full disk is tried again
ARRIVING_S = 1.0  # chosen: files arrive as long as the last one is no older


class Abandoned(Exception):
    """Nobody waits for this operation any more; whether it is committed is not known."""


class _Operation(NamedTuple):
    change: Callable[[Catalogue], Any]
    done: Callable[[Any], None] | None
    is_awaited: bool = False


class Writer:
    """Owns the catalogue's writing connection from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        open_catalogue: Callable[[], Catalogue],
        *,
        slice_s: float,
        portion: int,
        is_alone: bool = False,
        committed: Callable[[], None],
        failed: Callable[[BaseException], None],
        disk_full: Callable[[bool, DiskFull | None], None],
    ) -> None:
        self._open = open_catalogue
        self._slice_s = slice_s
        self.portion = portion  # files that one operation of a pass should record
        self._committed = committed
        self._failed = failed
        self._disk_full = disk_full
        self._bulk: deque[_Operation] = deque()
        # without a service nobody waits for single facts: one queue, and far fewer commits
        self._express: deque[_Operation] = self._bulk if is_alone else deque()
        self._awaited = 0  # of the express operations, those that somebody waits for
        self._arrived_s = -ARRIVING_S  # when the last of them came
        self._wake = threading.Condition()
        self._closing = False
        self._working = False
        self._broken = False
        self._is_full = False
        self._thread = threading.Thread(target=self._run, name="writer")

    def start(self) -> None:
        """Start the thread; it opens the catalogue itself, because SQLite connections are bound to theirs."""
        self._thread.start()

    @property
    def _is_alone(self) -> bool:
        return self._express is self._bulk

    def express(
        self,
        change: Callable[[Catalogue], Any],
        done: Callable[[Any], None] | None = None,
        *,
        is_awaited: bool = True,
    ) -> None:
        """Queue something that goes before the parts of a pass; if it ``is_awaited``, it is committed at once."""
        self._put(self._express, _Operation(change, done, is_awaited and not self._is_alone))

    def bulk(self, change: Callable[[Catalogue], Any], done: Callable[[Any], None] | None = None) -> None:
        """Queue a part of a pass."""
        self._put(self._bulk, _Operation(change, done))

    def call(
        self, change: Callable[[Catalogue], _T], *, abandon: Callable[[], bool] | None = None, is_bulk: bool = False
    ) -> _T:
        """Run one operation and wait for its commit; for set-up, control requests and imports, not for the intake.

        While the disk is full, ``abandon`` is asked whether to go on waiting; else :class:`Abandoned` is raised.
        """
        finished = threading.Event()
        result: list[_T] = []

        def done(value: _T) -> None:
            result.append(value)
            finished.set()

        if is_bulk:
            self.bulk(change, done)
        else:
            self.express(change, done)
        while not finished.wait(0.2):
            if self._is_full and abandon is not None and abandon():
                raise Abandoned
            if self._broken:
                message = "the catalogue cannot be written"
                raise DiskFull(message, hint="see the log of the service for the first error")
        return result[0]

    def backlog(self) -> int:
        """Operations that are not committed yet."""
        return len(self._bulk) + (0 if self._is_alone else len(self._express)) + self._working

    def arrivals(self) -> int:
        """Operations among them that somebody waits for."""
        return self._awaited

    def close(self) -> None:
        """Commit what is queued, then close the catalogue."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _put(self, queue: deque[_Operation], operation: _Operation) -> None:
        with self._wake:
            queue.append(operation)
            if operation.is_awaited:
                self._awaited += 1
                self._arrived_s = time.monotonic()
            self._wake.notify()

    def _run(self) -> None:
        try:
            catalogue = self._open()
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._broken = True
            self._failed(error)
            return
        try:
            while self._next(catalogue):
                pass
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._broken = True
            self._failed(error)
        finally:
            catalogue.close()

    def _next(self, catalogue: Catalogue) -> bool:
        """Run one transaction; ``False`` when everything is committed and the writer is to close."""
        with self._wake:
            while not self._express and not self._bulk:
                if self._closing:
                    return False
                self._working = False
                self._wake.wait()
            self._working = True
        batch: list[_Operation] = []
        results: list[Any] = []
        full_since: float | None = None
        while True:
            try:
                if batch:  # again after a full disk: the same operations, in the same order
                    results = []
                    with catalogue.transaction():
                        results.extend(operation.change(catalogue) for operation in batch)
                else:
                    with catalogue.transaction():
                        self._fill(catalogue, batch, results)
            except DiskFull as error:
                if full_since is None:
                    full_since = time.monotonic()
                    self._is_full = True
                    self._disk_full(True, error)
                if self._closing:
                    raise
                with self._wake:
                    self._wake.wait_for(lambda: self._closing, RETRY_S)
                continue
            break
        if full_since is not None:
            self._is_full = False
            self._disk_full(False, None)
        self._committed()
        for operation, result in zip(batch, results, strict=True):
            if operation.done is not None:
                operation.done(result)
        return True

    def _fill(self, catalogue: Catalogue, batch: list[_Operation], results: list[Any]) -> None:
        """Run what goes first, then bulk operations until the slice is used up or somebody waits."""
        now_s = time.monotonic()
        until_s = now_s + (0.0 if now_s - self._arrived_s < ARRIVING_S else self._slice_s)
        while True:
            is_awaited = False
            while not self._is_alone and self._express and len(batch) < MOST:
                is_awaited = self._run_one(catalogue, self._express, batch, results) or is_awaited
            if is_awaited or not self._bulk or len(batch) >= MOST:
                return
            self._run_one(catalogue, self._bulk, batch, results)
            if time.monotonic() >= until_s and not self._awaited:
                return

    def _run_one(
        self, catalogue: Catalogue, queue: deque[_Operation], batch: list[_Operation], results: list[Any]
    ) -> bool:
        """Run the first operation of a queue; gives whether somebody waits for it."""
        operation = queue.popleft()
        if operation.is_awaited:
            with self._wake:
                self._awaited -= 1
        batch.append(operation)
        results.append(operation.change(catalogue))
        return operation.is_awaited


def now_us() -> int:
    """Microseconds since the epoch, for facts."""
    return time.time_ns() // 1000
