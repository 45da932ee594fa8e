"""When to pass over which root: start-up, lost events, polling, audit, on request.

Takes the roots and their coverage; gives scans to the intake. One root is in one pass at a time.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from mediasluice.model.files import Origin
from mediasluice.model.paths import text
from mediasluice.model.roots import RootState, WatchMode
from mediasluice.pipeline.scans import Scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.scans import Intake
    from mediasluice.pipeline.watched import Watched

RESCAN_GAP_S = 10.0  # watching.md: at most one rescan of a whole root in that time
DIRTY_DELAY_S = 0.2  # chosen: let a storm end before it is compared
POLL_MIN_S, POLL_SHARE = 2.0, 20.0  # watching.md: a poll pass takes at most a twentieth of a core
UNREADABLE_RETRY_S = 60.0  # chosen
AUDIT_JITTER = 0.1
DOUBT_MAX_S = 300.0  # chosen: a file that grows for ever does not keep it open for ever whether too much is missing


class Passes:
    """The scans that run and the times of the next ones; used on the intake thread only."""

    def __init__(
        self,
        intake: Intake,
        roots: Mapping[RootId, Watched],
        log: Log,
        *,
        audit_s: float | None,
        knows_files: bool,
    ) -> None:
        self._intake = intake
        self._roots = roots
        self._log = log
        self._audit_s = audit_s
        self._knows_files = knows_files
        self._last_whole_s: dict[RootId, float] = {}
        self._next_retry_s = time.monotonic() + UNREADABLE_RETRY_S
        self.running: list[Scan] = []

    @property
    def are_open(self) -> bool:
        """Whether a pass runs or is due."""
        return any(scan.matters for scan in self.running) or any(
            root.dirty for root in self._roots.values() if root.armed and root.state is not RootState.OFFLINE
        )

    def begin(
        self,
        scope: Sequence[tuple[Watched, bytes]],
        origin: Origin,
        *,
        fast: bool = False,
        accept: bool = False,
        finished: Callable[[Scan], None] | None = None,
    ) -> Scan:
        """Start a pass. ``finished`` is called when everything was looked at."""

        def end(scan: Scan) -> None:
            self._ended(scan)
            if finished is not None:
                finished(scan)

        # Nothing can be missing where nothing was known, and there is nothing to find out before reading.
        first = not self._knows_files or all(root.baseline for root, _ in scope)
        scan = Scan(self._intake, scope, origin, first=first, fast=fast, accept=accept, finished=end)
        self.running.append(scan)
        if first:
            for root, _ in scope:
                self._intake.listed(root)
                self._intake.compared(root)
        for root, directory in scope:
            if not directory:
                self._last_whole_s[root.id] = time.monotonic()
        return scan

    def mark_dirty(self, root: Watched, directory: bytes) -> None:
        """Events of a directory and below were lost: compare it soon."""
        if not root.dirty:
            root.dirty_since_s = time.monotonic()
        root.dirty.add(directory)

    def compare_whole(self, root: Watched) -> None:
        """A root is there anew: compare it, however short ago that was done."""
        self._last_whole_s.pop(root.id, None)
        self.mark_dirty(root, b"")

    def cancel(self, root: Watched) -> None:
        """A root went offline: take it out of every pass."""
        root.dirty.clear()
        for scan in self.running:
            scan.cancel(root.id)

    def advance(self) -> None:
        """Start what is due and give running passes their next step."""
        now_s = time.monotonic()
        for root in list(self._roots.values()):
            if root.armed and root.state is not RootState.OFFLINE and not root.moving and not self._is_scanned(root):
                self._start_due(root, now_s)
        if now_s >= self._next_retry_s:
            self._next_retry_s = now_s + UNREADABLE_RETRY_S
            for root in [root for root in self._roots.values() if root.armed]:
                for directory in root.unreadable:
                    self.mark_dirty(root, directory)
                root.unreadable.clear()
        for scan in list(self.running):
            if not scan.is_finished:
                scan.advance()
            if scan.is_finished:
                self._wait_for(scan)

    def _wait_for(self, scan: Scan) -> None:
        """A pass has looked at everything: it stays until what it left unsettled is decided."""
        if not scan.waiting:
            self.running.remove(scan)
        if scan.doubted and (not scan.waiting or time.monotonic() - scan.started_s > DOUBT_MAX_S):
            doubted = {root.id: root for root, _ in scan.scope if root.id in scan.doubted}
            scan.doubted.clear()
            for root in doubted.values():
                if root.state is RootState.HELD:
                    self._intake.release(root, accepted=False)

    def forget_waiting(self, scan: Scan) -> None:
        """Nobody waits any more for the files that this pass left unsettled."""
        scan.waiting.clear()

    def waits_for(self, old: tuple[RootId, bytes, bytes], new: tuple[RootId, bytes, bytes]) -> None:
        """An unsettled file was renamed: passes that wait for it wait for its new name."""
        for scan in self.running:
            if old in scan.waiting:
                scan.waiting.discard(old)
                scan.waiting.add(new)

    def tree_left(self, root: Watched, directory: bytes) -> None:
        """A directory is gone or has another name: nobody waits for the files that were in it."""
        below = directory + b"/"
        for scan in self.running:
            scan.waiting -= {
                place
                for place in scan.waiting
                if place[0] == root.id and (place[1] == directory or place[1].startswith(below))
            }

    def carry_dirt(self, root: Watched, old: bytes, directory: bytes) -> None:
        """A directory was renamed: what was to be compared in it is to be compared under its new name."""
        below = old + b"/"
        for dirty in [dirty for dirty in root.dirty if dirty == old or dirty.startswith(below)]:
            root.dirty.add(directory + dirty[len(old) :])

    def sighted(self, root: Watched, directory: bytes, name: bytes) -> None:
        """A name is there: no pass may call it missing."""
        for scan in self.running:
            scan.is_there(root.id, directory, name)

    def _is_scanned(self, root: Watched) -> bool:
        return any(scan.covers(root.id) and not scan.is_finished for scan in self.running)

    def _start_due(self, root: Watched, now_s: float) -> None:
        if root.dirty and now_s >= root.dirty_since_s + DIRTY_DELAY_S:
            whole = b"" in root.dirty
            if not whole or now_s >= self._last_whole_s.get(root.id, -RESCAN_GAP_S) + RESCAN_GAP_S:
                scope = [(root, b"")] if whole else [(root, directory) for directory in _topmost(root.dirty)]
                root.dirty.clear()
                self.begin(scope, Origin.SCAN)
                return
        if root.source is None and not root.watch:
            return
        if root.mode is WatchMode.POLL and now_s >= root.next_poll_s:
            self.begin([(root, b"")], Origin.POLL)
        elif root.mode is WatchMode.EVENTS and now_s >= root.next_poll_s and (uncovered := self._uncovered(root)):
            self.begin([(root, directory) for directory in uncovered], Origin.POLL)
        elif self._audit_s is not None and root.next_audit_s and now_s >= root.next_audit_s:
            self.begin([(root, b"")], Origin.SCAN, finished=lambda scan: self._audited(root, scan))

    def _uncovered(self, root: Watched) -> tuple[bytes, ...]:
        if root.source is None:
            return ()
        coverage = root.source.coverage()
        if coverage.uncovered and root.reason != coverage.reason:
            root.reason = coverage.reason
            self._log.warning(
                "partly_polled",
                library=root.library,
                path=text(root.path),
                directories=len(coverage.uncovered),
                reason=coverage.reason,
            )
        root.next_poll_s = time.monotonic() + POLL_MIN_S
        return coverage.uncovered

    def _ended(self, scan: Scan) -> None:
        now_s = time.monotonic()
        took_s = now_s - scan.started_s
        self._knows_files = True
        for root in {root.id: root for root, _ in scan.scope}.values():
            root.next_poll_s = now_s + max(POLL_MIN_S, POLL_SHARE * took_s)
            if root.id in scan.cancelled:
                continue
            root.baseline = False
            if not root.has_baseline and (root, b"") in scan.scope:
                self._intake.passed_over(root)
            self._intake.compared(root)
            if scan.accept and root.state is not RootState.HELD:
                self._intake.agree(root)
            # a part of a root says nothing about what is missing elsewhere in it
            is_whole = scan.accept or (root, b"") in scan.scope
            is_clear = root.id not in scan.held | scan.doubted and (scan.accept or not self._is_doubted(root, scan))
            if root.state is RootState.HELD and is_clear and is_whole:
                self._intake.release(root, accepted=scan.accept)
            if self._audit_s is not None:
                root.next_audit_s = now_s + self._audit_s * random.uniform(1 - AUDIT_JITTER, 1 + AUDIT_JITTER)  # noqa: S311

    def _is_doubted(self, root: Watched, scan: Scan) -> bool:
        """Whether another pass still waits for files that may be those that are missing."""
        return any(root.id in other.doubted for other in self.running if other is not scan)

    def _audited(self, root: Watched, scan: Scan) -> None:
        """An audit found files that no event told of: twice in a row, and the root is polled from now on."""
        missed = scan.missed.get(root.id, 0)
        root.missed += missed
        root.audits_with_misses = root.audits_with_misses + 1 if missed else 0
        if missed:
            self._log.warning("events_missing", library=root.library, path=text(root.path), files=missed)
        if root.audits_with_misses > 1 and root.mode is WatchMode.EVENTS:
            root.mode = WatchMode.POLL
            root.reason = "two audits in a row found files that made no event: polled as well"


def _topmost(directories: Iterable[bytes]) -> list[bytes]:
    """Leave out directories that lie below another one of the set."""
    kept: list[bytes] = []
    for directory in sorted(directories, key=lambda directory: directory.split(b"/")):
        if not kept or not (directory == kept[-1] or directory.startswith(kept[-1] + b"/")):
            kept.append(directory)
    return kept
