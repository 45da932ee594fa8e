"""Join the stages: sightings become candidates, candidates are looked at, what settled is recorded.

One thread runs :meth:`Intake.run`. It never opens a user's file and never writes the catalogue: workers
look, the writer thread writes, and this thread only decides who does what next.

    sources ──Sighting──> tracker ──due──> Looks ──workers──> Recorder ──writer──> event log
       │ gone                                                     ^
       └───────> Departures ──writer──>        Passes ──Scan──> Chunks ──workers──┘

Other threads talk to it through :meth:`Intake.post`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.model.files import FileState
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.model.paths import is_inside, join, split, text
from mediasluice.model.roots import UNSURE, RootState
from mediasluice.pipeline.chunks import Chunks, count
from mediasluice.pipeline.departures import Departures, Doubts
from mediasluice.pipeline.looking import Looking, Looks, Noting
from mediasluice.pipeline.parts import Parts
from mediasluice.pipeline.passes import Passes
from mediasluice.pipeline.recording import Recorder
from mediasluice.pipeline.reuniting import Hearers, Reunions
from mediasluice.pipeline.scans import Chunk, Listing, Mounting, OpenDirectory, Taking, Verifying, is_too_much
from mediasluice.pipeline.upkeep import Filling, Upkeep
from mediasluice.pipeline.workers import Lane
from mediasluice.pipeline.writer import now_us
from mediasluice.settle.names import held_by
from mediasluice.sources.mounts import mounts_below
from mediasluice.sources.roots import BARE, lost_mounts

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mediasluice.catalogue.rows import Verdict
    from mediasluice.catalogue.view import View
    from mediasluice.model.flow import IdentifiedFile
    from mediasluice.model.roots import RootIdentity
    from mediasluice.pipeline.enriching import Enricher
    from mediasluice.pipeline.importing import Importer
    from mediasluice.pipeline.isolation import Isolation
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.parts import Row
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.workers import Answer, Workers
    from mediasluice.pipeline.writer import Writer
    from mediasluice.settle.tracker import Pending, Tracker

# A file may have been renamed into a directory that was not watched yet, and then be found by a listing or be seen
# renamed once more. Its source says after 0.2 s that its first name is gone, and what it was must be known before it
# is taken for new.
HALFWAY_S = 0.25
_RENAMES = (What.MOVED, What.RENAMED_IN)
BARE_S = 1.0  # chosen: a deletion whose event is under way, or half a rename, is known by then
PAUSE_S = 0.5  # longest pause of the loop; everything urgent wakes it


class Options(NamedTuple):
    """How the intake runs; durations in seconds."""

    audit_s: float | None  # None: no regular audit (one-shot scans)
    missing_s: float  # how long a deleted file is remembered
    in_window: Callable[[], bool]  # whether full digests that were put off may be computed now
    knows_files: bool  # the catalogue held files when this process began


class Intake:
    """The pipeline. Build it, then call :meth:`run` on its own thread."""

    def __init__(  # noqa: PLR0913 - it joins the parts
        self,
        roots: Sequence[Watched],
        options: Options,
        *,
        tracker: Tracker,
        workers: Workers,
        writer: Writer,
        view: View,
        importer: Importer,
        enricher: Enricher,
        isolation: Callable[[Callable[[], None]], Isolation],
        log: Log,
        wake: threading.Event,
    ) -> None:
        self.roots: dict[RootId, Watched] = {root.id: root for root in roots}
        for root in roots:
            root.mounts = view.mounts(root.id)
        self.tracker = tracker
        self.workers = workers
        self.view = view
        self.failure: BaseException | None = None
        self.idle_since_s: float | None = None
        self._reunions = Reunions(self.roots, importer, writer, lambda: isolation(wake.set), log, self._hearers())
        self._parts = Parts(tracker, workers, writer, log, self.post, {}, view, importer, self._reunions, enricher)
        self._recorder = Recorder(self._parts)
        self._departures = Departures(writer, post=self.post, emptied=self._emptied, moves=importer.moves)
        self.passes = Passes(self, self.roots, log, audit_s=options.audit_s, knows_files=options.knows_files)
        self._chunks = Chunks(self._parts, self._recorder, self.passes.mark_dirty)
        self._looks = Looks(
            self._parts, self._recorder, self._departures, self.roots, self._closed, self.passes.mark_dirty
        )
        self._upkeep = Upkeep(
            self._parts,
            self.roots,
            self.passes.mark_dirty,
            missing_s=options.missing_s,
            in_window=options.in_window,
        )
        self._importer = importer
        self._enricher = enricher
        for root in roots:
            importer.add(root)
        self._log = log
        self._writer = writer
        self._wake = wake
        self._messages: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._last_move: object = None  # root, old path, new path, time

    # -- for other threads ------------------------------------------------------------------------

    def post(self, message: Callable[[], None]) -> None:
        """Run something on the intake thread."""
        self._messages.append(message)
        self._wake.set()

    def stop(self) -> None:
        """Let :meth:`run` return after the present round; thread-safe."""
        self._stopping = True
        self._wake.set()

    def look_at(self, root: Watched, directory: bytes, name: bytes) -> None:
        """See what lies at a path now; thread-safe. A root that is away is compared as a whole when it is back."""
        self.post(lambda: self._look_now(root, directory, name))

    def _look_now(self, root: Watched, directory: bytes, name: bytes) -> None:
        is_there = self.roots.get(root.id) is root and root.state is not RootState.OFFLINE
        if is_there and not root.is_out_of_reach(directory):
            self._looks.look_at(root, directory, name)

    def pending(self) -> Iterator[Pending]:
        """All files that have arrived and are not decided; on the intake thread."""
        yield from self.tracker.pending()
        yield from self._reunions.pending()

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Go on until :meth:`stop`; whatever breaks the loop is kept in ``failure``."""
        try:
            self._upkeep.begin()
            while not self._stopping:
                self._wake.wait(self._pause_s())
                self._wake.clear()
                self._round()
            self._reunions.close()
            self._upkeep.keep_learned()
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service ends with it
            self.failure = error

    def _round(self) -> None:
        while self._messages:
            self._messages.popleft()()
        more = self._read_sources()
        for answer in self.workers.drain():  # little of a pass at a time: what arrives meanwhile goes first
            self._answered(answer)
        for root_id, directory, name in self.tracker.abandoned():
            root = self.roots.get(root_id)
            if root is not None and root.state is not RootState.OFFLINE and not root.is_out_of_reach(directory):
                self._looks.look_at(root, directory, name)  # elsewhere it would only look as if it were gone
        self._reunions.go_on()
        self._looks.send_due()
        self.passes.advance()
        self._departures.expire(self._doubts)
        self._upkeep.go_on()
        if more or self.workers.has_answers:
            self._wake.set()
        if more or self._is_busy():
            self.idle_since_s = None
        elif self.idle_since_s is None:
            self.idle_since_s = time.monotonic()

    def _pause_s(self) -> float:
        due_s = self.tracker.next_due_s() if self._looks.has_room else None
        return PAUSE_S if due_s is None else min(PAUSE_S, max(0.0, due_s - time.monotonic()))

    def _is_busy(self) -> bool:
        return bool(
            self._messages
            or self.workers.outstanding(Lane.EXPRESS)
            or self.workers.has_answers
            or self._writer.backlog()
            or self.passes.are_open
            or self._departures.is_open
            or self._upkeep.is_busy
            or self._reunions.is_open
            or self._importer.is_busy
            or self._enricher.is_busy
            or self.tracker.unsettled()
        )

    def _doubts(self) -> Doubts:
        sizes, listed = set(self.tracker.open_sizes()), set[int]()
        for scan in self.passes.running:
            sizes |= scan.open_sizes()
            listed |= scan.found_again()
        online = frozenset(
            root.id for root in self.roots.values() if root.state is RootState.ONLINE and root.is_compared
        )
        agreed = frozenset(root.id for scan in self.passes.running if scan.accept for root, _ in scan.scope)
        offset_s = time.time() - time.monotonic()
        arrivals = sorted({int((since_s + offset_s) * 10) for since_s in self.tracker.unlooked()})  # tenths: few values
        arrivals_us = tuple(tenth * 100_000 for tenth in arrivals)
        kept = tuple((root.id, point) for root in self.roots.values() if root.id in online for point in _kept(root))
        return Doubts(
            online,
            agreed,
            frozenset(sizes),
            frozenset(self.tracker.open_inodes()),
            frozenset(listed),
            frozenset(self.tracker.old_paths()),
            arrivals_us,
            kept,
            seeks=bool(self._looks.are_recording or self.tracker.unsettled()),
            holds=self._reunions.is_open,
            reads=any(scan.is_reading for scan in self.passes.running),
            since_us={root.id: root.compared_us for root in self.roots.values()},
        )

    def _answered(self, answer: Answer) -> None:
        if answer.failure is not None:
            self._log.error("worker_bug", detail=answer.failure, next="please report this; the files are tried again")
        match answer.token:
            case Looking() as token:
                self._looks.answered(token, answer)
            case Noting() as token:
                self._looks.looked_up(token, answer)
            case Chunk() as chunk:
                self._chunks.answered(chunk, answer)
            case Filling() as token:
                self._upkeep.answered(token, answer)
            case Taking() as token:
                self._chunks.taken(token, answer)
            case Listing() as token:
                token.scan.listed(token, answer.value)
            case Mounting() as token:
                token.scan.mounted(token, answer.value)
            case Verifying() as token:
                token.scan.verified(token, answer.value)

    # -- sightings --------------------------------------------------------------------------------

    def _read_sources(self) -> bool:
        """Read what the sources have; ``True`` when there may be more."""
        more = False
        for root in list(self.roots.values()):
            sightings = root.source.read() if root.source is not None else None
            if sightings:
                more = True
                self._sighted(root, sightings)
        return more

    def _sighted(self, root: Watched, sightings: Iterable[Sighting]) -> None:
        departed: list[tuple[bytes, bytes]] = []  # facts about one name keep their order: flushed before others
        is_halfway = root.source is not None and root.source.is_halfway
        for sighting in _within_reach(root, sightings):
            what = sighting.what
            if root.is_traced:
                path = text(join(root.path, join(sighting.directory, sighting.name)))
                self._log.debug("sighted", what=what.name, library=root.library, path=path)
            if self._chunks:
                self._chunks.touch(sighting)
            self._reunions.touch(sighting)
            if what is What.DEPARTED:
                departed.extend(self._forget(root, sighting.directory, sighting.name))
                continue
            if departed and what not in (What.CREATED, What.CLOSED, What.LISTED):
                self._departures.depart(root, departed)
                departed = []
            if what <= What.LISTED:
                if not root.has_baseline:  # it was not there before, though the first pass came upon it
                    self._parts.origins.pop((root.id, sighting.directory, sighting.name), None)
                self.passes.sighted(root, sighting.directory, sighting.name)
                if what is What.LISTED or (is_halfway and what in _RENAMES):
                    sighting = sighting._replace(at_s=sighting.at_s + HALFWAY_S)  # noqa: PLW2901 - the same one
                self._arrived(root, sighting)
            elif what is What.ATTRIBUTES:
                self._attributes_changed(root, sighting)
            else:
                self._tree_changed(root, sighting)
        if departed:
            self._departures.depart(root, departed)

    def _arrived(self, root: Watched, sighting: Sighting) -> None:
        directory, name = sighting.directory, sighting.name
        if held_by(name, directory) is not None:
            # not as a move: what had the old name is gone for the others, and nothing may hold up saying so
            self.tracker.sight(sighting._replace(what=What.RENAMED_IN) if sighting.what is What.MOVED else sighting)
            self._looks.note_later(root, directory, name, sighting.at_s)
        elif (pattern := root.junk.match(name)) is not None:
            self.tracker.forget(root.id, directory, name)
            self._looks.look_up(root, FileState.JUNK, [(directory, name, pattern)])
        elif self.tracker.sight(sighting):
            self._look_behind(root, sighting)
            if sighting.old_directory is not None and sighting.old_name is not None:
                old = (root.id, sighting.old_directory, sighting.old_name)
                self.passes.waits_for(old, (root.id, directory, name))
            return
        else:
            self.passes.mark_dirty(root, directory)
        if sighting.old_directory is not None and sighting.old_name is not None:
            # a file took a name under which it is not catalogued: from the outside its old name is gone
            self._departures.depart(root, self._forget(root, sighting.old_directory, sighting.old_name))

    def _look_behind(self, root: Watched, sighting: Sighting) -> None:
        """Two files that were exchanged look like one that went there and back: see what lies there now."""
        new, old = (sighting.directory, sighting.name), (sighting.old_directory, sighting.old_name)
        if sighting.what is not What.MOVED:
            self._last_move = None
        elif self._is_back_half(root, sighting, new, old):
            self.tracker.sight(sighting._replace(directory=old[0] or b"", name=old[1] or b"", what=What.LISTED))

    def _is_back_half(self, root: Watched, sighting: Sighting, new: object, old: object) -> bool:
        """Whether this rename undoes the one just before it: two that change places are told like that."""
        was, self._last_move = self._last_move, (root.id, old, new, sighting.at_s)
        return was == (root.id, new, old, sighting.at_s)

    def _forget(self, root: Watched, directory: bytes, name: bytes) -> list[tuple[bytes, bytes]]:
        """Drop a candidate whose path is gone; gives the paths that the catalogue must see departed."""
        candidate = self.tracker.forget(root.id, directory, name)
        self._closed(root.id, directory, name, None, None)
        if candidate is not None and candidate.old_directory is not None and candidate.old_name is not None:
            # It was renamed before, and its row is there still, unless another file has taken that name.
            self._looks.look_at(root, candidate.old_directory, candidate.old_name)
        return [(directory, name)]

    def _attributes_changed(self, root: Watched, sighting: Sighting) -> None:
        directory, name, at_us = sighting.directory, sighting.name, now_us()
        self._writer.express(lambda catalogue: catalogue.attributes(root.id, directory, name, at_us))

    def _tree_changed(self, root: Watched, sighting: Sighting) -> None:
        directory, old = sighting.directory, sighting.old_directory
        self._importer.tree_leaves(root.id, directory if old is None else old)
        if sighting.what is What.DIRECTORY_MOVED and old is not None:
            if self._is_back_half(root, sighting, directory, old):
                self._after_moves(root, directory, old)
                return
            self._move_mounts(root, old, directory)
            self.tracker.move_tree(root.id, old, directory)
            self.passes.tree_left(root, old)
            self.passes.carry_dirt(root, old, directory)
            at_us = now_us()
            self._writer.express(lambda catalogue: catalogue.move_tree(root.id, old, directory, at_us))
            self._after_moves(root, directory)
        elif sighting.what is What.DIRECTORY_DEPARTED:
            self.tracker.forget_tree(root.id, directory)
            self.passes.tree_left(root, directory)
            if any(is_inside(point, directory) for point in root.mounts):
                self.passes.mark_dirty(root, split(directory)[0])  # a mount point goes with its mount: a pass can tell
            else:
                self._departures.depart_tree(root, directory)
        elif sighting.what is What.DIRTY:
            if directory in root.mounts:
                root.shaken.add(directory)  # unmounted; it may be mounted again before somebody looks
            overflows = root.source.coverage().overflows if root.source is not None and not directory else 0
            if overflows > root.overflows:  # else its ignore file changed: no event was lost
                root.overflows = overflows
                root.is_listed = False
                self._log.warning(
                    "events_lost", library=root.library, path=text(root.path), next="the root is compared anew"
                )
            self.passes.mark_dirty(root, directory)
        elif sighting.what is What.ROOT_LOST:
            self.offline(root, "the root was renamed, removed or unmounted")

    def _after_moves(self, root: Watched, *directories: bytes) -> None:
        """Compare directories when their rows are where they belong: a pass before that would see them elsewhere."""
        root.moving += 1

        def moved() -> None:
            root.moving -= 1
            for directory in directories:
                self.passes.mark_dirty(root, directory)

        self._writer.express(lambda _: None, lambda _: self.post(moved))

    def _move_mounts(self, root: Watched, old: bytes, directory: bytes) -> None:
        """A directory above mount points was renamed: they are elsewhere now."""
        if any(is_inside(point, old) for point in root.mounts):
            mounts = {
                directory + point[len(old) :] if is_inside(point, old) else point: what
                for point, what in root.mounts.items()
            }
            root.mounts = mounts
            self._writer.express(lambda catalogue: catalogue.set_mounts(root.id, mounts))

    def _closed(
        self, root: RootId, directory: bytes, name: bytes, state: FileState | None, verdict: Verdict | None
    ) -> None:
        """A candidate is no longer waiting: tell the passes that wait for it."""
        place = (root, directory, name)
        self._parts.origins.pop(place, None)
        for scan in self.passes.running:
            if place in scan.waiting:
                scan.waiting.discard(place)
                if verdict is not None:
                    count(scan.totals, [verdict])
                elif state is FileState.UNREADABLE:
                    scan.totals.errors += 1
                elif state is FileState.SKIPPED:
                    scan.totals.skipped += 1
                elif state is FileState.EMPTY:
                    scan.totals.empty += 1

    def _hearers(self) -> Hearers:
        """What is done when something is known of a file that was held back."""

        def tell(root: Watched, files: Sequence[IdentifiedFile], verdicts: Sequence[Verdict | None]) -> None:
            self._recorder.hurry(verdicts)
            self._recorder.tell(root, files, verdicts)

        def waits(place: tuple[RootId, bytes, bytes]) -> None:
            for scan in self.passes.running:
                if scan.covers(place[0]):
                    scan.waiting.add(place)

        def is_recording(root: RootId, directory: bytes, name: bytes) -> bool:
            return self._looks.is_recording(root, directory, name)  # which is made later

        held = self.tracker.holds
        return Hearers(tell, self._closed, self._look_now, waits, held, is_recording, self.post)

    # -- what passes ask for ----------------------------------------------------------------------

    def begin_chunk(self, chunk: Chunk) -> None:
        """Send a part of a pass to the workers."""
        self._chunks.begin(chunk)

    def take(self, chunk: Chunk, directories: list[bytes], number: int) -> None:
        """Have new directories listed and read in one job."""
        self._chunks.take(chunk, directories, number)

    def note(self, root: Watched, rows: Sequence[Row]) -> None:
        """Record files that are not read."""
        self._recorder.note(root, rows, is_awaited=False)

    def missing(self, root: Watched, names: Sequence[tuple[bytes, bytes]], done: Callable[[], None]) -> None:
        """Mark names that a pass found gone; ``done`` follows the commit."""
        self._departures.depart(root, names, lambda _: self.post(done))

    def restore(self, files: Sequence[int]) -> None:
        """Departed files are at their place exactly as they were: nothing happened."""
        self._writer.express(lambda catalogue: catalogue.restore(files), is_awaited=False)

    def seal(self, root: Watched, directory: OpenDirectory) -> None:
        """Store the signature of a directory in which nothing is open."""
        seals = [(directory.directory, directory.signature, directory.mtime_ns)]
        self._writer.bulk(lambda catalogue: catalogue.seal(root.id, seals))

    def hold(self, root: Watched, missing: int, known: int, *, is_sure: bool = True) -> None:
        """Too much is missing at once: nothing is called deleted until a person agrees, or until it is found again."""
        if not is_sure:
            if root.state is not RootState.HELD:  # one that is held already stays so for its own reason
                self._set_state(root, RootState.HELD, UNSURE)
            return
        reason = (
            f"{missing} of {known} files are missing at once; nothing was recorded as deleted. "
            f"If that is right: sluice scan {root.library} --accept"
        )
        self._log.warning("held", library=root.library, path=text(root.path), missing=missing, known=known)
        self._set_state(root, RootState.HELD, reason)

    def release(self, root: Watched, *, accepted: bool) -> None:
        """Nothing that a listing told of is missing: what departed before may still be too much."""
        departed = self.view.departed(root.id)
        if accepted:
            self._departures.agree(root.id)
        if accepted or not is_too_much(departed, departed + self.view.present(root.id)):
            self._set_state(root, RootState.ONLINE, None)
            self._departures.reopen()
        elif root.reason == UNSURE:
            self.hold(root, departed, departed + self.view.present(root.id))

    def mounted(
        self, root: Watched, found: Mapping[bytes, RootIdentity], bare: frozenset[bytes], *, accept: bool
    ) -> frozenset[bytes]:
        """Take what is mounted inside a root; gives the mount points whose file system is out of reach.

        What was mounted and held files stays known until a person agrees that it is gone. ``bare`` are the places where
        not one entry is to be seen.
        """
        root.emptied = frozenset() if accept else root.emptied & bare & found.keys()
        now_s = time.monotonic()
        root.suspected = {} if accept else {place: root.suspected.get(place, now_s) for place in bare}
        if suspects := [place for place, since_s in root.suspected.items() if now_s >= since_s + BARE_S]:
            self._suspect(root, frozenset(suspects) - root.lost)
        known = {point: what for point, what in root.mounts.items() if what != BARE or point in found}
        for point in found.keys() - known.keys():  # what is known there lies under the mount
            known[point] = found[point] if accept or self.view.is_empty(root.id, point) else BARE
        lost = lost_mounts(known, found)
        for point in lost if accept else [point for point in lost if self.view.is_empty(root.id, point)]:
            del known[point]
            if point in found:
                known[point] = found[point]
        if known != root.mounts:
            root.mounts = known
            self._writer.express(lambda catalogue: catalogue.set_mounts(root.id, known))
        return self._lose(root, lost_mounts(known, found) | root.emptied)

    def _suspect(self, root: Watched, places: frozenset[bytes]) -> None:
        """Nothing shows at these places: do not believe it where files are known, when all that was told is written."""

        def found(emptied: list[bytes]) -> None:
            if self.roots.get(root.id) is not root or root.state is RootState.OFFLINE or not emptied:
                return
            if self._importer.moves_in(root.id):
                return  # it may be this process that empties it
            if b"" in emptied:
                self._not_believed(root)
            else:
                root.emptied |= frozenset(emptied)
                self._lose(root, root.lost | root.emptied)

        self._writer.express(
            lambda catalogue: [place for place in places if catalogue.present(root.id, place)],
            lambda emptied: self.post(lambda: found(emptied)),
        )

    def _lose(self, root: Watched, lost: frozenset[bytes]) -> frozenset[bytes]:
        """Take which mount points inside a root are out of reach now; gives them."""
        for point in lost - root.lost:
            self.tracker.forget_tree(root.id, point)
            left = Sighting(root.id, point, b"", What.DIRECTORY_DEPARTED, time.monotonic())
            self._chunks.touch(left)
            self._reunions.touch(left)
            self.passes.tree_left(root, point)
            self._log.warning(
                "mount_lost",
                library=root.library,
                path=text(join(root.path, point)),
                reason="it does not show what it did; nothing there is read or recorded as deleted",
                next=f"mount it as it was, or agree that its files are gone: sluice scan {root.library} --accept",
            )
        back, root.lost = root.lost - lost, lost
        for point in back:
            self._log.info("mount_back", library=root.library, path=text(join(root.path, point)))
            if root.source is not None:
                root.source.revisit(point)
        return lost

    def ground_changed(self, root: Watched, directory: bytes) -> None:
        """Something was mounted or unmounted there: watch and compare what is there now."""
        if root.source is not None:
            root.source.revisit(directory)
        self.passes.mark_dirty(root, directory)

    def is_tracked(self, root: Watched, directory: bytes, name: bytes) -> bool:
        """Whether a name is a candidate already, or was one a moment ago."""
        place = (root.id, directory, name)
        return self.tracker.holds(*place) or self._looks.is_recording(*place) or self._reunions.holds(*place)

    @property
    def has_enough(self) -> bool:
        """Whether so many files wait for their essences that no more should be read for a pass."""
        return self._reunions.has_enough

    def listed(self, root: Watched) -> None:
        """What is missing under a root is marked: what arrived meanwhile may be looked at."""
        root.is_listed = True

    def compared(self, root: Watched) -> None:
        """A pass over a root is through: what departed in an earlier run and is there again is known by now."""
        if not root.is_compared:
            root.compared_us = now_us()
        root.is_compared = True
        self._departures.reopen()
        self._importer.judge_known(root)

    def not_taken_away(self, root: Watched, names: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Leave out what an import is moving, or has moved since the pass read what is known."""
        if root.rules.imports is None:
            return names
        moves, known = self._importer.moves, self.view.known
        return [name for name in names if not moves(root.id, *name) and known(root.id, *name) is not None]

    def passed_over(self, root: Watched) -> None:
        """The first pass over a root is through: what is found from now on was not there before."""
        root.has_baseline = True
        at_us = now_us()
        self._writer.bulk(lambda catalogue: catalogue.set_baseline(root.id, at_us))

    def agree(self, root: Watched) -> None:
        """A person says that what is missing there is right."""
        self._departures.agree(root.id)

    # -- roots ------------------------------------------------------------------------------------

    def add(self, root: Watched) -> None:
        """Take on another root."""
        self.workers.trust(root.id)
        self._enricher.trust(root.id)
        self._reunions.trust(root.id)
        root.mounts = self.view.mounts(root.id)
        self.roots[root.id] = root
        self._importer.add(root)

    def remove(self, root: Watched) -> None:
        """Let a root go: what is under way of it is dropped, its rows stay."""
        if root.source is not None:
            root.source.close()
            root.source = None
        self._drop(root)
        self._importer.remove(root)
        self.workers.give_up(root.id)  # a job of it may hang, and nobody asks the root any more whether it does
        self._enricher.give_up(root.id)
        self._reunions.give_up(root.id)
        self.roots.pop(root.id, None)

    def offline(self, root: Watched, reason: str, *, keep_watching: bool = False) -> None:
        """A root is out of reach: nothing under it is called missing until it is back."""
        if root.source is not None and not keep_watching:
            root.source.close()
            root.source = None
        root.armed = root.armed and keep_watching
        root.is_listed = root.is_compared = False
        self._drop(root)
        if root.state is not RootState.OFFLINE or root.reason != reason:
            self._log.warning("root_offline", library=root.library, path=text(root.path), reason=reason)
            self._set_state(root, RootState.OFFLINE, reason)

    def hangs(self, root: Watched, reason: str) -> None:
        """A root does not answer any more: nothing else may wait for it."""
        if self.roots.get(root.id) is root:  # else it was let go or made anew since
            self.workers.give_up(root.id)
            self._enricher.give_up(root.id)
            self._reunions.give_up(root.id)
            self.offline(root, reason, keep_watching=True)

    def online(self, root: Watched) -> None:
        """A root is back as the same one: only what differs is read."""
        self.workers.trust(root.id)
        self._enricher.trust(root.id)
        self._reunions.trust(root.id)
        if root.state is RootState.OFFLINE:
            self._log.info("root_online", library=root.library, path=text(root.path))
            departed, present = self.view.departed(root.id), self.view.present(root.id)
            if is_too_much(departed, departed + present):  # it lost everything at once before
                self.hold(root, departed, departed + present)
            else:
                self._set_state(root, RootState.ONLINE, None)
        self._departures.reopen()
        self.armed(root)

    def armed(self, root: Watched) -> None:
        """Its watches are placed: compare the whole root once."""
        root.armed = True
        self.passes.compare_whole(root)

    def _drop(self, root: Watched) -> None:
        self.tracker.forget_tree(root.id, b"")
        self.passes.cancel(root)
        self._chunks.void(root)
        self._reunions.forget(root.id)

    def _emptied(self, root_id: RootId) -> None:
        root = self.roots.get(root_id)
        if root is not None and root.state is not RootState.OFFLINE:
            self._not_believed(root)

    def _not_believed(self, root: Watched) -> None:
        reason = "emptied: every file is gone at once; nothing was recorded as deleted"
        self.offline(root, reason, keep_watching=True)

    def _set_state(self, root: Watched, state: RootState, reason: str | None) -> None:
        root.state, root.reason = state, reason
        at_us = now_us()
        self._writer.express(lambda catalogue: catalogue.set_root(root.id, state=state, reason=reason, at_us=at_us))


def _within_reach(root: Watched, sightings: Iterable[Sighting]) -> Iterator[Sighting]:
    """Leave out what is seen where something is missing: it is not what is known there, and is compared later."""
    for sighting in sightings:
        what = sighting.what
        if root.state is RootState.OFFLINE and what is not What.ROOT_LOST:
            continue  # it is compared as a whole when it is back
        if root.lost and what is not What.DIRTY:
            if root.is_out_of_reach(sighting.directory):
                continue  # on a bare mount point, or on another disk
            if what is What.MOVED and root.is_out_of_reach(sighting.old_directory or b""):
                yield Sighting(*sighting[:3], What.RENAMED_IN, sighting.at_s)
                continue
        yield sighting


def _kept(root: Watched) -> set[bytes]:
    """Mount points inside a root below which nothing counts as deleted at this moment."""
    found = {mount.point[len(root.top) + 1 :] for mount in mounts_below(root.top)}
    there = {point for point, what in root.mounts.items() if what != BARE}
    return set(root.lost) | (there ^ found)
