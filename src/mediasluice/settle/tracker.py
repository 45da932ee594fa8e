"""Keep the candidates: every path that was seen to change and is not decided yet, and when to look at it.

Takes sightings and the outcome of looks, with monotonic times [s]; gives the candidates whose time has
come. Never sleeps, never opens a file, asks no clock. Not thread-safe: one thread owns it. Fails with
nothing; when it is full, :meth:`Tracker.sight` says so and the caller compares the directory later.

A candidate's clock starts at the last change that was seen: a sighting, a change key that differs between
two looks, or a writer found at work. A look that was under way when a sighting came is void. A candidate
ends when it is finished or forgotten; until then it has a time at which it is looked at.

Adaptive quiet: a file that was ready on weak proof and then changed shows a writer that pauses longer than
its quiet period. Later files of the same directory and extension get three times that pause.
Source: the writer matrix behind docs/guarantees.md, promise 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeVar

from mediasluice.model.files import ChangeKey
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.settle.decide import Arrival, Options, Wait, WaitReason, looks_needed
from mediasluice.settle.names import companion_of, held_by
from mediasluice.settle.probes import Evidence

_ARRIVALS = {
    What.CREATED: Arrival.CREATED,
    What.CLOSED: Arrival.CLOSED,
    What.RENAMED_IN: Arrival.RENAMED,
    What.MOVED: Arrival.RENAMED,
    What.LISTED: Arrival.LISTED,
}
_BACKOFF_S = 0.25  # first pause while a writer is at work; doubles
_BACKOFF_LIMIT_S = {
    WaitReason.WRITER: 5.0,
    WaitReason.COMPANION: 60.0,  # its end is an event too
    WaitReason.FOLLOWS: 1.0,
}
_UNDER_WAY = {None, WaitReason.FOLLOWS, WaitReason.VANISHED}
_VANISHED_S = 0.25  # chosen: the event of a rename is read within milliseconds; its source waits 0.2 s for both halves
_NEVER_SOONER_S = 0.01  # chosen: looks at one file are not closer, whatever the clocks of two processes say
_LEARNED_FACTOR, _LEARNED_MIN_S, _LEARNED_MAX_S = 3.0, 5.0, 600.0
_REMEMBERED = 10_000  # files and learned times, chosen: about 3 MB
_NO_TICKET = 0

_Place = tuple[RootId, bytes, bytes]
_Value = TypeVar("_Value")


class Candidate:
    """One path under observation. Only the tracker writes to it."""

    __slots__ = (
        "arrival",
        "backoff_s",
        "changed_s",
        "directory",
        "due_s",
        "first_s",
        "flight",
        "generation",
        "held",
        "is_pure_move",
        "key",
        "name",
        "observations",
        "old_directory",
        "old_name",
        "reason",
        "root",
        "size",
        "ticket",
        "was_ready",
    )

    def __init__(self, root: RootId, directory: bytes, name: bytes, arrival: Arrival, at_s: float) -> None:
        self.root = root
        self.directory = directory
        self.name = name
        self.arrival = arrival
        self.first_s = at_s
        self.changed_s = at_s  # the last change that was seen
        self.generation = 0  # sightings
        self.key: ChangeKey | None = None  # at the last look since the last sighting
        self.observations = 0  # looks in a row that found ``key``
        self.size: int | None = None  # at the last look
        self.reason: WaitReason | None = None
        self.old_directory: bytes | None = None  # where the catalogue may know the file
        self.old_name: bytes | None = None
        self.is_pure_move = False  # renamed while nothing else was pending: its content may be known
        self.due_s = at_s
        self.held = held_by(name, directory) is not None
        self.flight: int | None = None  # generation at which it was handed out; None = it waits for its time
        self.ticket = _NO_TICKET  # the number of its one valid entry in the heap
        self.backoff_s = _BACKOFF_S
        self.was_ready: tuple[ChangeKey, float] | None = None  # key when it was ready, pause until it changed


class Pending(NamedTuple):
    """A candidate as it is shown to people. ``reason`` is ``None`` before the first look."""

    root: RootId
    directory: bytes
    name: bytes
    reason: WaitReason | None
    since_s: float
    due_s: float


class Learned(NamedTuple):
    """Quiet time that files with this extension (lower case, with dot) in this directory need."""

    root: RootId
    directory: bytes
    extension: bytes
    quiet_s: float


class Tracker:
    """The only holder of candidates."""

    def __init__(self, options_of: Callable[[RootId], Options], limit: int = 100_000) -> None:
        self._options_of = options_of
        self._limit = limit
        self._count = 0
        self._held = 0  # of them, those with the name of an unfinished transfer
        self._open: dict[tuple[RootId, bytes], dict[bytes, Candidate]] = {}
        self._heap: list[tuple[float, int, Candidate]] = []
        self._tickets = _NO_TICKET
        self._ready: dict[_Place, tuple[ChangeKey, float]] = {}  # ready on weak proof: key, last change
        self._leaving: dict[_Place, dict[Candidate, None]] = {}  # by old path
        self._abandoned: list[_Place] = []
        self._learned: dict[_Place, float] = {}  # by (root, directory, extension)
        self._unsaved: set[_Place] = set()

    def __len__(self) -> int:
        return self._count

    # -- what was seen ----------------------------------------------------------------------------

    def sight(self, sighting: Sighting) -> bool:
        """Take a file's sighting (``CREATED`` to ``LISTED``); ``False``: no room for another candidate."""
        root, directory, name, what, at_s, old_directory, old_name = sighting
        before = None
        if what is What.MOVED and old_directory is not None and old_name is not None:
            before = self.forget(root, old_directory, old_name)
        candidate = self._find(root, directory, name)
        if candidate is None:
            candidate = self._add(root, directory, name, _ARRIVALS[what], at_s)
            if candidate is None:
                self._abandon(before)
                return False
        elif what is What.LISTED:  # no news: polling passes see it again and again
            return True
        if what is What.MOVED:
            if before is not None and before.old_name is not None:
                # renamed twice before it was looked at: the catalogue knows the first name
                old_directory, old_name = before.old_directory, before.old_name
            candidate.is_pure_move = before is None or before.is_pure_move
            if (old_directory, old_name) == (directory, name):
                old_directory = old_name = None
            if (candidate.old_directory, candidate.old_name) != (old_directory, old_name):
                self._abandon(candidate)  # it was renamed to this path, and now another file over it
            self._comes_from(candidate, old_directory, old_name)
        if candidate.reason is WaitReason.VANISHED:
            candidate.reason = None
        candidate.is_pure_move = candidate.is_pure_move and what is What.MOVED
        candidate.arrival = _ARRIVALS[what]
        candidate.changed_s = max(candidate.changed_s, at_s)
        candidate.generation += 1
        candidate.key, candidate.observations = None, 0
        candidate.backoff_s = _BACKOFF_S
        if candidate.flight is None:
            self._schedule_first(candidate)
        return True

    def add_listed(
        self,
        root: RootId,
        directory: bytes,
        name: bytes,
        key: ChangeKey,
        evidence: Evidence | None,
        wait: Wait,
        now_s: float,
    ) -> bool:
        """Take a file that a scan looked at and found unsettled; ``False``: no room."""
        candidate = self._find(root, directory, name)
        if candidate is None:
            candidate = self._add(root, directory, name, Arrival.LISTED, now_s)
            if candidate is None:
                return False
        elif candidate.flight is not None or candidate.key in {None, key}:
            return True  # known, and its own look is to come
        self._note(candidate, key, wait, now_s)
        self._schedule(candidate, evidence, wait, now_s)
        return True

    # -- what to look at --------------------------------------------------------------------------

    def due(self, now_s: float, limit: int) -> list[Candidate]:
        """Hand out candidates whose time has come; each must come back by one of the three calls below."""
        found: list[Candidate] = []
        while len(found) < limit and self._drop_stale_entries() and self._heap[0][0] <= now_s:
            candidate = heappop(self._heap)[2]
            candidate.ticket = _NO_TICKET
            candidate.flight = candidate.generation
            found.append(candidate)
        return found

    def next_due_s(self) -> float | None:
        """When the next candidate is due; ``None`` when nothing waits for its time."""
        return self._heap[0][0] if self._drop_stale_entries() else None

    def waited(self, candidate: Candidate, evidence: Evidence | None, wait: Wait, now_s: float) -> None:
        """Take back a candidate that is not settled. An empty file leaves: its next sighting brings it."""
        if not self._came_back(candidate):
            return
        candidate.flight = None
        if wait.reason is WaitReason.EMPTY:
            self._remove(candidate)
            return
        self._note(candidate, evidence.key if evidence is not None else None, wait, now_s)
        self._schedule(candidate, evidence, wait, now_s)

    def finished(self, candidate: Candidate, weak: ChangeKey | None = None) -> bool:
        """Take back a candidate that is decided. ``weak``: its key, where it became ready on weak proof.

        ``False``: the result is void, because the path was sighted, moved or forgotten meanwhile. Drop it;
        what is still to be looked at has its time.
        """
        if not self._came_back(candidate):
            return False
        self._remove(candidate)
        if weak is not None:
            self._learn(candidate, weak)
            place = (candidate.root, candidate.directory, candidate.name)
            _put(self._ready, place, (weak, candidate.changed_s))
        return True

    def still(self, candidate: Candidate) -> bool:
        """Whether a candidate that was handed out may be kept longer; ``False`` as in :meth:`finished`."""
        return self._came_back(candidate)

    # -- what went away or elsewhere --------------------------------------------------------------

    def forget(self, root: RootId, directory: bytes, name: bytes) -> Candidate | None:
        """Drop a path that is gone; gives the candidate if there was one."""
        self._ready.pop((root, directory, name), None)
        transferred = companion_of(name)
        if transferred is not None:
            self._companion_gone(self._find(root, directory, transferred))
        candidate = self._find(root, directory, name)
        if candidate is not None:
            self._remove(candidate)
        return candidate

    def _companion_gone(self, candidate: Candidate | None) -> None:
        if candidate is None:
            return
        if candidate.flight is not None:
            candidate.generation += 1  # the look under way may have seen the companion
        elif candidate.reason is WaitReason.COMPANION:
            self._schedule_first(candidate)

    def forget_tree(self, root: RootId, directory: bytes) -> None:
        """Drop everything in a directory and below."""
        for place in self._directories(root, directory):
            for candidate in list(self._open[place].values()):
                self._remove(candidate)
                self._abandon(candidate)

    def move_tree(self, root: RootId, old_directory: bytes, directory: bytes) -> None:
        """Carry candidates along with a renamed directory. Their clocks go on; looks under way are void."""
        for place in self._directories(root, old_directory):
            here = _carried(place[1], old_directory, directory)
            for old in list(self._open[place].values()):
                self._remove(old)
                if self._find(root, here, old.name) is None:
                    self._continue(old, self._add(root, here, old.name, old.arrival, old.first_s))
                else:  # it was sighted there already
                    self._abandon(old)
        for candidate in self._candidates(root):  # the catalogue's rows move as well
            if candidate.old_directory is not None:
                carried = _carried(candidate.old_directory, old_directory, directory)
                self._comes_from(candidate, carried, candidate.old_name)

    def _continue(self, old: Candidate, new: Candidate | None) -> None:
        if new is None:
            return
        new.changed_s, new.size, new.was_ready = old.changed_s, old.size, old.was_ready
        self._comes_from(new, old.old_directory, old.old_name)
        if not new.held and not old.held and old.reason is not WaitReason.VANISHED:
            new.reason = old.reason
        self._schedule_first(new)

    def abandoned(self) -> list[_Place]:
        """Old paths of candidates that ended without a word about them, since the last call: see what lies there."""
        found, self._abandoned = self._abandoned, []
        return found

    # -- what is there ----------------------------------------------------------------------------

    def holds(self, root: RootId, directory: bytes, name: bytes) -> bool:
        """Whether this path is a candidate."""
        return self._find(root, directory, name) is not None

    def pending(self, root: RootId | None = None) -> Iterator[Pending]:
        """Give all candidates, or those of one root. Not to be mixed with changes."""
        for candidate in self._candidates(root):
            yield Pending(
                candidate.root,
                candidate.directory,
                candidate.name,
                candidate.reason,
                candidate.first_s,
                candidate.due_s,
            )

    def unsettled(self) -> int:
        """How many candidates will be decided by themselves; held ones wait for somebody to rename them."""
        return self._count - self._held

    def unlooked(self) -> list[float]:
        """Since when candidates wait that nobody has looked at [monotonic s]: each may be a file that departed."""
        return [
            candidate.first_s for candidate in self._candidates(None) if candidate.size is None and not candidate.held
        ]

    def old_paths(self) -> set[tuple[RootId, bytes, bytes]]:
        """Where the catalogue still has files whose new path is a candidate."""
        return set(self._leaving)

    def must_follow(self, candidate: Candidate) -> bool:
        """Whether the file that had this path is a candidate under another one, and so to be decided before this one.

        Not where that one itself waits for its writer or for time, and not among files that changed places in a ring.
        """
        places = [(candidate.root, candidate.directory, candidate.name)]
        met: set[_Place] = set()
        while places:
            for other in self._leaving.get(places.pop(), ()):
                place = (other.root, other.directory, other.name)
                if other is candidate:
                    return False
                if place not in met and other.reason in _UNDER_WAY:
                    met.add(place)
                    places.append(place)
        return bool(met)

    def open_sizes(self) -> set[int]:
        """Sizes [bytes] of the candidates that were looked at: one of them may be a file that departed."""
        return {candidate.size for candidate in self._candidates(None) if candidate.size is not None}

    def open_inodes(self) -> set[int]:
        """Inodes of the candidates that were looked at since they were sighted, likewise; never 0."""
        return {candidate.key.ino for candidate in self._candidates(None) if candidate.key is not None} - {0}

    # -- adaptive quiet ---------------------------------------------------------------------------

    def learned_for(self, candidate: Candidate) -> float:
        """Quiet time that this file, or earlier ones of its directory and extension, needed [s]; 0 = none."""
        learned_s = self.learned_at(candidate.root, candidate.directory, candidate.name)
        if candidate.was_ready is None:
            return learned_s
        return max(learned_s, _quiet_for(candidate.was_ready[1]))

    def learned_at(self, root: RootId, directory: bytes, name: bytes) -> float:
        """As :meth:`learned_for`, for a file that is no candidate."""
        return self._learned.get((root, directory, _extension(name)), 0.0) if self._learned else 0.0

    def load_learned(self, rows: Iterable[Learned]) -> None:
        """Take what was learned in an earlier run."""
        for root, directory, extension, quiet_s in rows:
            _put(self._learned, (root, directory, extension), quiet_s)

    def learned_changes(self) -> list[Learned]:
        """Give what was learned since the last call, to be stored."""
        changes = [Learned(*place, self._learned[place]) for place in self._unsaved if place in self._learned]
        self._unsaved.clear()
        return changes

    def _learn(self, candidate: Candidate, key: ChangeKey) -> None:
        """The first look since a file was ready on weak proof: if it did change, remember the pause."""
        if candidate.was_ready is None:
            return
        ready_key, pause_s = candidate.was_ready
        candidate.was_ready = None
        place = (candidate.root, candidate.directory, _extension(candidate.name))
        quiet_s = _quiet_for(pause_s)
        # Another inode is another file that took the name: it says nothing about a writer's habits.
        is_rewritten = key != ready_key and key.ino == ready_key.ino
        if is_rewritten and quiet_s > self._learned.get(place, 0.0):
            _put(self._learned, place, quiet_s)
            self._unsaved.add(place)

    # -- inside -----------------------------------------------------------------------------------

    def _find(self, root: RootId, directory: bytes, name: bytes) -> Candidate | None:
        names = self._open.get((root, directory))
        return None if names is None else names.get(name)

    def _candidates(self, root: RootId | None) -> Iterator[Candidate]:
        for (owner, _), names in self._open.items():
            if root is None or owner == root:
                yield from names.values()

    def _directories(self, root: RootId, directory: bytes) -> list[tuple[RootId, bytes]]:
        below = directory + b"/"
        return [
            place
            for place in self._open
            if place[0] == root and (not directory or place[1] == directory or place[1].startswith(below))
        ]

    def _add(self, root: RootId, directory: bytes, name: bytes, arrival: Arrival, at_s: float) -> Candidate | None:
        if self._count >= self._limit:
            return None
        candidate = Candidate(root, directory, name, arrival, at_s)
        if candidate.held:
            candidate.reason = WaitReason.NAME
        if self._ready:
            ready = self._ready.pop((root, directory, name), None)
            if ready is not None and arrival is not Arrival.RENAMED:  # a rename puts another file there
                candidate.was_ready = (ready[0], at_s - ready[1])
        self._open.setdefault((root, directory), {})[name] = candidate
        self._count += 1
        self._held += candidate.held
        return candidate

    def _remove(self, candidate: Candidate) -> None:
        place = (candidate.root, candidate.directory)
        del self._open[place][candidate.name]
        if not self._open[place]:
            del self._open[place]
        candidate.ticket = _NO_TICKET
        self._count -= 1
        self._held -= candidate.held
        self._comes_no_more(candidate)

    def _comes_from(self, candidate: Candidate, directory: bytes | None, name: bytes | None) -> None:
        """Note where the catalogue may know a candidate; ``None``: nowhere."""
        self._comes_no_more(candidate)
        candidate.old_directory, candidate.old_name = directory, name
        if directory is not None and name is not None:
            self._leaving.setdefault((candidate.root, directory, name), {})[candidate] = None

    def _comes_no_more(self, candidate: Candidate) -> None:
        if candidate.old_directory is None or candidate.old_name is None:
            return
        place = (candidate.root, candidate.old_directory, candidate.old_name)
        who = self._leaving.get(place, {})
        who.pop(candidate, None)
        if not who:
            self._leaving.pop(place, None)

    def _abandon(self, candidate: Candidate | None) -> None:
        if candidate is not None and candidate.old_directory is not None and candidate.old_name is not None:
            self._abandoned.append((candidate.root, candidate.old_directory, candidate.old_name))

    def _came_back(self, candidate: Candidate) -> bool:
        """Whether a look that was handed out still counts; if not, its candidate waits for the next one."""
        if self._find(candidate.root, candidate.directory, candidate.name) is not candidate:
            return False
        if candidate.flight == candidate.generation:
            return True
        candidate.flight = None
        self._schedule_first(candidate)
        return False

    def _note(self, candidate: Candidate, key: ChangeKey | None, wait: Wait, now_s: float) -> None:
        """Write down one look; restart the clock where it shows a change that no sighting told of."""
        changed = wait.reason is WaitReason.WRITER
        if key is not None:
            self._learn(candidate, key)
            if candidate.key == key:
                candidate.observations += 1
            else:
                changed = changed or candidate.key is not None
                candidate.key, candidate.observations, candidate.size = key, 1, key.size
        if changed:
            candidate.changed_s = now_s
            candidate.arrival = Arrival.CREATED  # being renamed, closed or old proves nothing any more
        candidate.reason = wait.reason

    def _schedule_first(self, candidate: Candidate) -> None:
        """A file that is complete by its format is done in one look, if that comes when its delay is over."""
        options = self._options_of(candidate.root)
        if candidate.held:
            delay_s = options.stale_after_s
        elif candidate.arrival is Arrival.RENAMED:
            delay_s = options.debounce_s
        else:
            delay_s = max(options.complete_s, options.debounce_s)
        self._schedule_at(candidate, candidate.changed_s + delay_s)

    def _schedule(self, candidate: Candidate, evidence: Evidence | None, wait: Wait, now_s: float) -> None:
        """Set the time of the look after this one."""
        options = self._options_of(candidate.root)
        if wait.reason is WaitReason.VANISHED:
            due_s = now_s + _VANISHED_S
        elif wait.reason in _BACKOFF_LIMIT_S:
            due_s = now_s + candidate.backoff_s
            candidate.backoff_s = min(2 * candidate.backoff_s, _BACKOFF_LIMIT_S[wait.reason])
        else:
            looks = 1 if evidence is None else looks_needed(evidence, options)
            left_s = candidate.changed_s + wait.need_s - now_s
            if looks > 1:  # spread them over the quiet period: looks in quick succession find the same anyway
                left_s = max(left_s / max(1, looks - candidate.observations), wait.need_s / looks)
            due_s = now_s + max(left_s, _NEVER_SOONER_S)
        self._schedule_at(candidate, due_s)

    def _schedule_at(self, candidate: Candidate, due_s: float) -> None:
        self._tickets += 1
        candidate.due_s = due_s
        candidate.ticket = self._tickets
        heappush(self._heap, (due_s, self._tickets, candidate))
        if len(self._heap) > 2 * self._count + 1_000:  # sightings of one path leave entries behind
            self._heap = [entry for entry in self._heap if entry[2].ticket == entry[1]]
            heapify(self._heap)

    def _drop_stale_entries(self) -> bool:
        """Whether an entry is left when those at the top that no longer count are gone."""
        heap = self._heap
        while heap and heap[0][2].ticket != heap[0][1]:
            heappop(heap)
        return bool(heap)


def _put(values: dict[_Place, _Value], key: _Place, value: _Value) -> None:
    """Add to a bounded dictionary; the oldest entry makes room."""
    values.pop(key, None)
    while len(values) >= _REMEMBERED:
        del values[next(iter(values))]
    values[key] = value


def _quiet_for(pause_s: float) -> float:
    """Quiet time that bridges a writer's pause [s]; 0 for one that none can: that is somebody's edit."""
    if pause_s > _LEARNED_MAX_S:
        return 0.0
    return min(max(_LEARNED_FACTOR * pause_s, _LEARNED_MIN_S), _LEARNED_MAX_S)


def _extension(name: bytes) -> bytes:
    stem, dot, extension = name.rpartition(b".")
    return dot + extension.lower() if stem else b""


def _carried(directory: bytes, old: bytes, new: bytes) -> bytes:
    """``directory`` after ``old`` was renamed to ``new``."""
    if directory == old or directory.startswith(old + b"/"):
        return new + directory[len(old) :]
    return directory
