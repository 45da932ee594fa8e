"""Decide what became of files that are gone: moved, deleted, or only out of reach.

A name that disappears is marked departed at once. When its content turns up elsewhere, the catalogue
joins the two as a move. When nothing matches within the grace time it becomes a deletion, but never
under a root that is offline, never while a candidate of the same size or inode is not identified yet (at
most a minute, or as long as a pass takes that found its inode elsewhere), and never when a root loses
everything it had at once. One whose essence is known waits for others, too: it may have been written anew.
"""

from __future__ import annotations

import time
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.model.paths import is_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mediasluice.catalogue.rows import Departed
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

GRACE_S = 2.0  # design: an unlink becomes a deletion when nothing matching arrives
LIMIT_S = 60.0  # design: at most, while a candidate of equal size is not identified yet
SEEKING_S = 20.0  # chosen: as long as a new file is held back; anything that settles may be it
EMPTIED_COUNT = 10  # chosen: a root that loses so many files at once, and with them all, is not believed
NEAR_US = 5_000_000  # chosen: both halves of a move between roots are seen within this time
BATCH = 2000  # deletions in one transaction: about 20 ms


class Doubts(NamedTuple):
    """What speaks against calling a departed file deleted, at this moment."""

    online: frozenset[RootId]  # only here, and after a comparison, an absence means anything
    agreed: frozenset[RootId]  # of them, those where a person said that what is missing is right
    sizes: frozenset[int]  # of candidates that are not identified yet
    inodes: frozenset[int]  # likewise: a file that was changed on the way has another size
    listed: frozenset[int]  # inodes of missing files that a pass found under other names, and has not read yet
    moving: frozenset[tuple[RootId, bytes, bytes]]  # old paths of files whose new path is not identified yet
    arrivals_us: tuple[int, ...] = ()  # since when candidates wait that nobody has looked at yet
    kept: tuple[tuple[RootId, bytes], ...] = ()  # mount points that do not show what is known of them
    seeks: bool = False  # something is not identified yet that may play the same as what is gone
    holds: bool = False  # something is identified and held back, until it is known what it plays
    reads: bool = False  # as `seeks`, in a pass, which ends by itself
    since_us: Mapping[RootId, int] = MappingProxyType({})  # when roots were compared: what is gone longer counts anew


class _Expired(NamedTuple):
    considered: int
    deleted: int
    emptied: list[RootId]
    undecided: frozenset[RootId]  # roots that still have departed files


class Departures:
    """Marks names as departed and settles their fate; used on the intake thread only."""

    def __init__(
        self,
        writer: Writer,
        *,
        post: Callable[[Callable[[], None]], None],
        emptied: Callable[[RootId], None],
        moves: Callable[[RootId, bytes, bytes], bool],
    ) -> None:
        self._moves = moves  # whether we are moving a file ourselves
        self._writer = writer
        self._post = post
        self._emptied = emptied
        self._open = True  # rows of an earlier run may be waiting
        self._running = False
        self._next_s = 0.0
        self._agreed: set[RootId] = set()

    @property
    def is_open(self) -> bool:
        """Whether the fate of something is undecided that will be decided soon."""
        return self._open or self._running

    def reopen(self) -> None:
        """Look again, soon: a root came back, or was compared with what is known of it."""
        self._open = True
        self._next_s = 0.0

    def agree(self, root: RootId) -> None:
        """A person says that what is missing under a root is right: believe it even if that is everything."""
        self._agreed.add(root)
        self._open = True

    def depart(
        self, root: Watched, names: Sequence[tuple[bytes, bytes]], done: Callable[[Any], None] | None = None
    ) -> None:
        """Mark paths as gone; paths without a row are passed over by the catalogue."""
        names = [name for name in names if not self._moves(root.id, *name)]
        at_us = time.time_ns() // 1000
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
        self._open = False  # from here on a departure is a later one, and sets it again
        against = doubts()
        against = against._replace(agreed=against.agreed | self._agreed)

        def done(result: _Expired) -> None:
            self._post(lambda: self._expired(result))

        self._writer.express(lambda catalogue: _expire(catalogue, against), done)

    def _expired(self, result: _Expired) -> None:
        self._running = False
        self._open = self._open or result.considered > 0
        self._agreed &= result.undecided
        if result.deleted == BATCH:
            self._next_s = 0.0
        for root in result.emptied:
            self._emptied(root)
            self._take_back(root)

    def _take_back(self, root: RootId) -> None:
        """What is not believed did not happen: the files of an emptied root are known as before."""

        def done(count: int) -> None:
            if count == BATCH:
                self._post(lambda: self._take_back(root))

        self._writer.bulk(lambda catalogue: _restore(catalogue, root), done)


def _expire(catalogue: Catalogue, doubts: Doubts) -> _Expired:
    """Runs on the writer. ``considered`` counts departed files of online roots, overdue or not."""
    now_us = time.time_ns() // 1000
    rows = catalogue.departed(doubts.online, BATCH)
    if doubts.kept:
        kept = {
            row.file
            for row in rows
            if any(row.root == root and is_inside(row.directory, point) for root, point in doubts.kept)
        }
        catalogue.restore(kept)
        rows = [row for row in rows if row.file not in kept]
    counts = Counter(row.root for row in rows)
    found = {row.root for row in rows if row.ino in doubts.listed}  # it is not empty: they are about to be read there
    emptied = [
        root
        for root, count in counts.items()
        if count >= EMPTIED_COUNT and root not in doubts.agreed | found and not catalogue.present(root)
    ]
    overdue = [
        row.file
        for row in rows
        if row.gone_us <= now_us - GRACE_S * 1e6
        and row.root not in emptied
        and (row.root, row.directory, row.name) not in doubts.moving
        and row.ino not in doubts.listed
        and not (row.has_essence and doubts.reads)
        and not (_may_be_waiting(row, doubts) and _is_recent(row, doubts, now_us, LIMIT_S))
        and not (row.has_essence and doubts.seeks and _is_recent(row, doubts, now_us, SEEKING_S))
    ]
    if overdue:
        catalogue.delete(overdue, now_us)
    waiting = sum(count for root, count in counts.items() if root not in emptied)
    return _Expired(waiting, len(overdue), emptied, frozenset(counts))


def _restore(catalogue: Catalogue, root: RootId) -> int:
    """Runs on the writer; gives how many files were taken back, at most a batch."""
    rows = catalogue.departed([root], BATCH)
    catalogue.restore([row.file for row in rows])
    return len(rows)


def _is_recent(row: Departed, doubts: Doubts, now_us: int, limit_s: float) -> bool:
    """Whether it is gone, or was found to be gone in this run, for less than so long."""
    return max(row.gone_us, doubts.since_us.get(row.root, 0)) > now_us - limit_s * 1e6


def _may_be_waiting(row: Departed, doubts: Doubts) -> bool:
    """Whether a candidate that is not identified yet may be this file: of its size or inode, or come when it left."""
    if row.size in doubts.sizes or row.ino in doubts.inodes or (row.has_essence and doubts.holds):
        return True
    return any(abs(at_us - row.gone_us) <= NEAR_US for at_us in doubts.arrivals_us)
