"""Decide what became of files that are gone: moved, deleted, or only out of reach.

A name that disappears is marked departed at once. When its content turns up elsewhere, the catalogue
joins the two as a move. When nothing matches within the grace time it becomes a deletion, but never
under a root that is offline, never while a candidate of the same size is not identified yet (at most
a minute), and never when a root loses everything it had at once.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

GRACE_S = 2.0  # design: an unlink becomes a deletion when nothing matching arrives
LIMIT_S = 60.0  # design: at most, while a candidate of equal size is not identified yet
EMPTIED_COUNT = 10  # chosen: a root that loses so many files at once, and with them all, is not believed
BATCH = 2000  # deletions in one transaction: about 20 ms


class Doubts(NamedTuple):
    """What speaks against calling a departed file deleted, at this moment."""

    online: frozenset[RootId]  # only here an absence means anything
    sizes: frozenset[int]  # of candidates that are not identified yet
    moving: frozenset[tuple[RootId, bytes, bytes]]  # old paths of files whose new path is not identified yet


class _Expired(NamedTuple):
    considered: int
    deleted: int
    emptied: list[RootId]


class Departures:
    """Marks names as departed and settles their fate; used on the intake thread only."""

    def __init__(
        self,
        writer: Writer,
        *,
        post: Callable[[Callable[[], None]], None],
        emptied: Callable[[RootId], None],
    ) -> None:
        self._writer = writer
        self._post = post
        self._emptied = emptied
        self._open = True  # rows of an earlier run may be waiting
        self._running = False
        self._next_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the fate of something is undecided that will be decided soon."""
        return self._open or self._running

    def reopen(self) -> None:
        """Look again: a root came back."""
        self._open = True

    def depart(
        self, root: Watched, names: Sequence[tuple[bytes, bytes]], done: Callable[[Any], None] | None = None
    ) -> None:
        """Mark paths as gone; paths without a row are passed over by the catalogue."""
        names, at_us = list(names), time.time_ns() // 1000
        self._open = True
        self._writer.express(lambda catalogue: catalogue.depart(root.id, names, at_us), done)

    def depart_tree(self, root: Watched, directory: bytes) -> None:
        """Mark everything below a directory as gone."""
        at_us = time.time_ns() // 1000
        self._open = True
        self._writer.express(lambda catalogue: catalogue.depart_tree(root.id, directory, at_us))

    def expire(self, doubts: Callable[[], Doubts]) -> None:
        """Turn what is overdue into deletions; call often, works at most twice a second."""
        now_s = time.monotonic()
        if not self._open or self._running or now_s < self._next_s:
            return
        self._next_s = now_s + 0.5
        self._running = True
        against = doubts()

        def done(result: _Expired) -> None:
            self._post(lambda: self._expired(result))

        self._writer.express(lambda catalogue: _expire(catalogue, against), done)

    def _expired(self, result: _Expired) -> None:
        self._running = False
        self._open = result.considered > 0
        if result.deleted == BATCH:
            self._next_s = 0.0
        for root in result.emptied:
            self._emptied(root)


def _expire(catalogue: Catalogue, doubts: Doubts) -> _Expired:
    """Runs on the writer. ``considered`` counts departed files of online roots, overdue or not."""
    now_us = time.time_ns() // 1000
    rows = catalogue.departed(doubts.online, BATCH)
    counts = Counter(row.root for row in rows)
    emptied = [root for root, count in counts.items() if count >= EMPTIED_COUNT and not catalogue.present(root)]
    overdue = [
        row.file
        for row in rows
        if row.gone_us <= now_us - GRACE_S * 1e6
        and row.root not in emptied
        and (row.root, row.directory, row.name) not in doubts.moving
        and (row.size not in doubts.sizes or row.gone_us <= now_us - LIMIT_S * 1e6)
    ]
    if overdue:
        catalogue.delete(overdue, now_us)
    waiting = sum(count for root, count in counts.items() if root not in emptied)
    return _Expired(waiting, len(overdue), emptied)
