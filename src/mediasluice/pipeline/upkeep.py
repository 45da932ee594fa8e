"""What the intake does now and then: owed digests, learned quiet times, forgetting what is long gone."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.model.files import Origin
from mediasluice.model.roots import RootState
from mediasluice.pipeline.outcomes import Code, Look
from mediasluice.pipeline.recording import identified
from mediasluice.pipeline.workers import Lane
from mediasluice.pipeline.writer import now_us
from mediasluice.settle.decide import UNPROVEN_LOOKS, Arrival
from mediasluice.settle.tracker import Learned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.parts import Parts
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.workers import Answer

ROUND_S = 1.0  # chosen
PRUNE_S = 3600.0  # chosen
FILES_PER_ROUND = 64  # chosen: off-peak reading that stops within a round when the window closes


class Filling(NamedTuple):
    """Token of a job that computes full digests which waited for the off-peak window."""

    root: Watched
    paths: list[tuple[bytes, bytes]]


class Upkeep:
    """Slow work, in small portions. ``in_window`` says whether full digests that were put off may be computed now."""

    def __init__(
        self,
        parts: Parts,
        roots: Mapping[RootId, Watched],
        mark_dirty: Callable[[Watched, bytes], None],
        *,
        missing_s: float,
        in_window: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._roots = roots
        self._mark_dirty = mark_dirty
        self._missing_s = missing_s
        self._in_window = in_window
        self._filling = 0
        self._after = 0
        self._next_s = 0.0
        self._next_prune_s = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether digests are being computed."""
        return self._filling > 0

    def begin(self) -> None:
        """Take up what an earlier run learned."""
        rows = self._parts.view.learned().items()
        self._parts.tracker.load_learned(Learned(*place, quiet_s) for place, quiet_s in rows)
        view = self._parts.view
        last = next(iter(view.events(view.head() - 1, 1)), None)
        if last is not None and now_us() - last.at_us > self._missing_s * 1e6:
            # Either nothing ran for so long, or the clock is ahead until the network sets it: nothing is forgotten yet.
            self._next_prune_s = time.monotonic() + PRUNE_S

    def go_on(self) -> None:
        """Do what is due; call often."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + ROUND_S
        self.keep_learned()
        if not self._filling and self._in_window():
            self._fill()
        if now_s >= self._next_prune_s:
            self._next_prune_s = now_s + PRUNE_S
            before_us = now_us() - int(self._missing_s * 1e6)
            self._parts.writer.bulk(lambda catalogue: catalogue.prune(before_us))

    def keep_learned(self) -> None:
        """Store quiet times that were learned since the last call."""
        changes = {
            (learned.root, learned.directory, learned.extension): learned.quiet_s
            for learned in self._parts.tracker.learned_changes()
        }
        if changes:
            self._parts.writer.express(lambda catalogue: catalogue.save_learned(changes))

    def _fill(self) -> None:
        """Give some files that carry only a quick digest to the bulk lane; each gets one try per run over them all."""
        owed = self._parts.view.lacking_full(FILES_PER_ROUND, self._after)
        self._after = owed[-1].file if owed else 0
        by_root: dict[RootId, dict[bytes, list[tuple[Any, ...]]]] = {}
        for row in owed:
            root = self._roots.get(row.root)
            if root is None or root.state is RootState.OFFLINE:
                continue
            key = (row.key.ino, row.key.size, row.key.mtime_ns, row.key.ctime_ns)
            # It settled once at this key: as long as it still has it, the gate has nothing to wait for.
            look = Look(row.name, int(Arrival.LISTED), -math.inf, UNPROVEN_LOOKS, 0.0, key, None, False)
            by_root.setdefault(row.root, {}).setdefault(row.directory, []).append(tuple(look))
        for root_id, directories in by_root.items():
            root = self._roots[root_id]
            paths = [(directory, look[0]) for directory, looks in directories.items() for look in looks]
            groups = [(directory, False, looks) for directory, looks in directories.items()]
            self._filling += 1
            payload = (tuple(root.spec._replace(full=True)), False, groups)
            self._parts.workers.submit(Lane.BULK, Filling(root, paths), "look", payload, root_id)
        self._next_s = 0.0 if by_root else self._next_s

    def answered(self, token: Filling, answer: Answer) -> None:
        """Record what was read; what was not is left to the next pass over its directory."""
        self._filling -= 1
        if answer.value is None:
            return
        files = []
        for (directory, name), outcome in zip(token.paths, answer.value, strict=True):
            if outcome[0] == Code.READY:
                files.append(identified(token.root.id, directory, name, Origin.SCAN, outcome))
            elif outcome[0] != Code.WAIT:  # somebody is at it: an event follows
                self._mark_dirty(token.root, directory)
        if files:
            at_us, importer = now_us(), self._parts.importer
            self._parts.writer.bulk(lambda catalogue: importer.record(catalogue, token.root, files, at_us))
