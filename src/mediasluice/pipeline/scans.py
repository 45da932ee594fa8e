"""A pass over roots or parts of them: compare each directory with the catalogue, look at what differs.

Start-up, overflow, audit, poll and ``sluice scan`` are all this one pass. It never blocks: the intake
thread calls :meth:`Scan.advance` and hands in the answers. Workers list directories and compare one
signature per directory; only a directory that differs is compared name by name, here.

In a catalogue that knows files already, names that are gone are found first and marked departed before
the new ones are read, so that a file that moved while nobody watched is recognised as itself. When
more is missing than ``max(100, 10 %)`` of a root, nothing is marked: the root is held for review. Files whose
inode has another name now are marked and read first: they may have been moved and changed, which only their birth
time tells, or their inode was given to others.
"""

from __future__ import annotations

import itertools
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mediasluice.model.files import OPEN_STATES, FileState, Origin
from mediasluice.model.paths import is_inside
from mediasluice.model.roots import RootIdentity
from mediasluice.pipeline.gates import NameGate
from mediasluice.pipeline.outcomes import Code, Look
from mediasluice.pipeline.workers import Lane
from mediasluice.settle.decide import Arrival
from mediasluice.settle.names import held_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mediasluice.catalogue.rows import Known
    from mediasluice.catalogue.view import View
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.parts import Row
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.workers import Workers
    from mediasluice.sources.listing import Entry

DIRECTORIES_PER_JOB = 64  # chosen: about 20 ms of listing for directories of a hundred files that did not change
DIFFERING_PER_JOB = 8  # chosen: a few milliseconds of comparing by name, during which no arrival is seen to
FILES_PER_CHUNK = 512  # chosen: 5 ms of reading small files
BYTES_PER_CHUNK = 64 << 20  # chosen: 10 ms of hashing
NEW_DIRECTORIES_PER_JOB = 4  # chosen: some ten milliseconds of reading for directories of a hundred files
NAMES_PER_JOB = 1000  # chosen: 2 ms of looking whether they are really gone
LISTINGS_AHEAD = 4  # jobs: two for each of the usual two workers
TAKINGS_AHEAD = 16  # jobs that are not committed yet; beyond, the listing waits for the writer
CHUNKS_AHEAD = 6
DEFERRED_LIMIT = 20_000  # new names remembered until the missing ones are known; beyond: a second pass
BRAKE_COUNT, BRAKE_SHARE = 100, 0.10  # more than both missing in one pass waits for a person


Taken = tuple[bytes, tuple[int, int, int, int], int, str, bytes, bytes, int | None]
"""A file that was read together with its directory: name, key, links, kind, BLAKE3, XXH3-128, birth_ns."""


class OpenDirectory:
    """A directory whose files are being looked at; sealed when all of them are recorded as listed."""

    __slots__ = ("clean", "directory", "has_held", "mtime_ns", "remaining", "signature")

    def __init__(self, directory: bytes, signature: bytes, mtime_ns: int, remaining: int) -> None:
        self.directory = directory
        self.signature = signature
        self.mtime_ns = mtime_ns
        self.remaining = remaining  # files that are not recorded yet
        self.has_held = False  # a temporary name lies here: its neighbours may be unfinished too
        self.clean = True  # nothing in it is open, nothing differed from the listing


@dataclass(slots=True)
class _Differences:
    """What one directory holds that the catalogue does not know like this."""

    fresh: list[Look]  # to be looked at
    unread: list[Row]  # to be noted without reading
    back: list[int]  # ids of departed files that are there as they were
    is_open: bool = False  # another look may change something
    has_held: bool = False


@dataclass(slots=True, eq=False)
class Chunk:
    """Files of one root that go through a worker together.

    ``touched`` collects names about which an event came in meanwhile: the event wins, what the chunk
    found of them is dropped. ``None`` in it means the whole directory tree.
    """

    scan: Scan
    root: Watched
    groups: list[tuple[OpenDirectory, list[Look]]] = field(default_factory=list)
    touched: set[tuple[bytes, bytes]] = field(default_factory=set)
    places: list[bytes] = field(default_factory=list)  # its directories, where they are known before its groups
    void: bool = False  # its directories moved or its root went away
    counted: bool = False  # its files are taken off what their directories still wait for
    files: int = 0
    size: int = 0


@dataclass(slots=True)
class Totals:
    """What a pass found; the keys of ``sluice scan --json``. ``size`` in bytes."""

    files: int = 0
    size: int = 0
    done_files: int = 0
    done_size: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    missing: int = 0
    unchanged: int = 0
    ignored: int = 0
    junk: int = 0
    empty: int = 0
    held: int = 0
    skipped: int = 0
    errors: int = 0


_KnownDirectory = tuple[bytes, bytes | None, int | None]  # path, signature, trusted time [ns]
_Inode = tuple[int, int, int]  # inode, size, mtime_ns: a file keeps them when it is renamed

_LISTED = int(Arrival.LISTED)
_NONE: frozenset[int] = frozenset()
_numbers = itertools.count(1)  # of passes: workers read ignore files anew for each


class Listing(NamedTuple):
    """Token of a job that lists directories; ``known`` names those that have a row."""

    scan: Scan
    root: Watched
    wanted: list[bytes]
    known: frozenset[bytes]


class Taking(NamedTuple):
    """Token of a job that lists new directories and reads at once what is at rest in them."""

    chunk: Chunk
    wanted: list[bytes]


class Mounting(NamedTuple):
    """Token of a job that finds out what is mounted inside a root."""

    scan: Scan
    root: Watched


class Verifying(NamedTuple):
    """Token of a job that makes sure of names that were in no listing."""

    scan: Scan
    root: Watched
    names: list[tuple[bytes, bytes]]


class _Step(Enum):
    LISTING = 1
    MOUNTING = 2
    VERIFYING = 3
    LOOKING = 4
    FINISHED = 5


class Intake(Protocol):
    """What a pass needs of the intake."""

    workers: Workers
    view: View

    @property
    def has_enough(self) -> bool:
        """Whether so many files wait for their essences that no more should be read for a pass."""

    def begin_chunk(self, chunk: Chunk) -> None:
        """Send a chunk to the workers and remember that it is under way."""

    def take(self, chunk: Chunk, directories: list[bytes], number: int) -> None:
        """Have new directories listed and read in one job, as the chunk; ``number`` is that of the pass."""

    def note(self, root: Watched, rows: Sequence[Row]) -> None:
        """Record files that are not read."""

    def missing(self, root: Watched, names: Sequence[tuple[bytes, bytes]], done: Callable[[], None]) -> None:
        """Mark names as departed; ``done`` on the intake thread after the commit."""

    def restore(self, files: Sequence[int]) -> None:
        """Departed files are at their place exactly as they were."""

    def seal(self, root: Watched, directory: OpenDirectory) -> None:
        """Store the signature of a directory that holds nothing new."""

    def hold(self, root: Watched, missing: int, known: int, *, is_sure: bool) -> None:
        """Too much is missing: keep it and ask for a review; if it is not sure, when the pass has read what is new."""

    def mounted(
        self, root: Watched, found: Mapping[bytes, RootIdentity], bare: frozenset[bytes], *, accept: bool
    ) -> frozenset[bytes]:
        """Take what is mounted inside a root, and where nothing shows; gives the mount points that are out of reach."""

    def listed(self, root: Watched) -> None:
        """What is missing under a root is marked: what arrives can be told from what moved."""

    def compared(self, root: Watched) -> None:
        """A pass over a root is through."""

    def not_taken_away(self, root: Watched, names: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Of names that are gone, those that this process does not move itself."""

    def passed_over(self, root: Watched) -> None:
        """The first pass over a whole root is through."""

    def agree(self, root: Watched) -> None:
        """A person says that what is missing there is right."""

    def release(self, root: Watched, *, accepted: bool) -> None:
        """Nothing that a listing told of is missing: see whether the root is to be held any longer."""

    def is_tracked(self, root: Watched, directory: bytes, name: bytes) -> bool:
        """Whether a name is a candidate already: then the pass leaves it alone."""


class Scan:
    """One pass. ``scope`` lists ``(root, directory)`` starting points; ``b""`` is the whole root."""

    def __init__(
        self,
        intake: Intake,
        scope: Sequence[tuple[Watched, bytes]],
        origin: Origin,
        *,
        first: bool,
        fast: bool = False,
        accept: bool = False,
        finished: Callable[[Scan], None] | None = None,
    ) -> None:
        self._intake = intake
        self.scope = list(scope)
        self.origin = origin
        self._number = next(_numbers)
        self.totals = Totals()
        self.started_s = time.monotonic()
        self.waiting: set[tuple[RootId, bytes, bytes]] = set()  # looked at and not settled yet
        self.missed: dict[RootId, int] = {}
        self.cancelled: set[RootId] = set()
        self.held: set[RootId] = set()  # roots that miss too much
        self.doubted: set[RootId] = set()  # roots that may do so: known when all that is new was read
        self._finished = finished
        self._fast = fast
        self.accept = accept
        self._defer, self._is_first = not first, first
        self._overflowed = False
        self._step = _Step.LISTING
        self._frontier: deque[tuple[Watched, bytes]] = deque(() if fast else self.scope)
        self._known_directories = self._all_known() if fast else iter(())
        self._listings = 0
        self._chunks = 0
        self._mounting = 0
        self._has_asked = False  # what is mounted; asked again when all is listed
        self._verifying = 0
        self._marking = 0
        self._deferred: deque[tuple[Watched, OpenDirectory, list[Look]]] = deque()
        self._ready: deque[tuple[Watched, OpenDirectory, list[Look]]] = deque()
        self._visited: dict[RootId, set[bytes]] = {root.id: set() for root, _ in self.scope}
        self._again: set[tuple[RootId, bytes]] = set()  # directories whose listing got no answer
        self._blind: dict[RootId, list[bytes]] = {root.id: [] for root, _ in self.scope}
        self._missing: dict[RootId, dict[tuple[bytes, bytes], _Inode]] = {root.id: {} for root, _ in self.scope}
        self._gone: dict[RootId, list[tuple[bytes, bytes]]] = {root.id: [] for root, _ in self.scope}
        self._arrived = array("q")  # what new names are: a missing file that is among them only moved
        self._inodes = array("Q")  # of new names, likewise: such a file may have been changed as well
        self._awaited: Counter[int] = Counter()  # inodes of missing files, and how many new names of each are not read
        self._plain: set[bytes] = set()  # directories on which a worker died
        self._pending_sizes: dict[int, int] = {}
        self._deferred_files = 0

    # -- what the intake asks -------------------------------------------------------------------

    def found_again(self) -> set[int]:
        """Inodes of missing files under whose new names nobody has read yet: such a file may be there, changed."""
        return set() if self.is_finished else {ino for ino, names in self._awaited.items() if names > 0}

    @property
    def is_finished(self) -> bool:
        """Whether everything was listed and looked at; unsettled files may still be ``waiting``."""
        return self._step is _Step.FINISHED

    @property
    def all_listed(self) -> bool:
        """Whether the numbers of files and bytes found are final."""
        return self._step in (_Step.LOOKING, _Step.FINISHED) or not (self._frontier or self._listings)

    @property
    def matters(self) -> bool:
        """Whether somebody should wait for it: a regular poll that found nothing new is no news."""
        return not self.is_finished and (
            self.origin is not Origin.POLL or bool(self._chunks or self._ready or self._deferred or self._verifying)
        )

    def open_sizes(self) -> set[int]:
        """Sizes of new files that are known and not read yet: a missing file may be one of them."""
        return set(self._pending_sizes)

    def is_there(self, root: RootId, directory: bytes, name: bytes) -> None:
        """An event told of a name after its directory was listed: it is not missing."""
        if root in self._missing:
            self._missing[root].pop((directory, name), None)

    @property
    def is_reading(self) -> bool:
        """Whether new files are known that are not read yet, in a root where files may be missing."""
        return not (self._is_first or self.is_finished) and bool(self._ready or self._chunks or self._deferred)

    def covers(self, root: RootId) -> bool:
        """Whether a root takes part in this pass."""
        return root in self._visited and root not in self.cancelled

    def cancel(self, root: RootId) -> None:
        """Leave out a root that went offline; nothing of it is called missing."""
        self.cancelled.add(root)
        self._missing[root] = {}
        self.waiting = {place for place in self.waiting if place[0] != root}

    # -- going on -------------------------------------------------------------------------------

    def advance(self) -> None:
        """Give the workers as much as they can take."""
        if not self._has_asked:
            self._has_asked = True
            self._ask_mounts()
        if self._mounting and self._step is _Step.LISTING:
            return  # what is out of reach is not listed
        if self._step is _Step.LISTING:
            self._list_more()
        if self._step in (_Step.LISTING, _Step.LOOKING):
            self._look_more()
        if self._step is _Step.LISTING and not self._listings and not self._frontier and not self._ready:
            if self._fast and self._list_known():
                self._list_more()
                return
            self._step = _Step.MOUNTING
            self._ask_mounts()
        if self._step is _Step.LOOKING and not self._ready and not self._chunks:
            self._step = _Step.FINISHED
            if self._finished is not None:
                self._finished(self)

    def _list_more(self) -> None:
        while (
            self._frontier
            and self._listings < LISTINGS_AHEAD
            and self._chunks < TAKINGS_AHEAD
            and len(self._ready) < DIRECTORIES_PER_JOB * 4
        ):
            root = self._frontier[-1][0]
            wanted: list[bytes] = []
            while self._frontier and len(wanted) < DIRECTORIES_PER_JOB and self._frontier[-1][0] is root:
                wanted.append(self._frontier.pop()[1])
            if root.lost:
                wanted = [directory for directory in wanted if not root.is_out_of_reach(directory)]
            if root.id in self.cancelled or not wanted:
                continue
            known = self._intake.view.signatures(root.id, wanted)
            if not self._defer:
                self._take_new(root, [place for place in wanted if place not in known and place not in self._plain])
                wanted = [place for place in wanted if place in known or place in self._plain]
            sealed = [directory for directory in wanted if known.get(directory) is not None]
            if sealed:
                self._list(root, sealed, known)
            others = [directory for directory in wanted if known.get(directory) is None]
            for begin in range(0, len(others), DIFFERING_PER_JOB):
                self._list(root, others[begin : begin + DIFFERING_PER_JOB], known)

    def _list(self, root: Watched, directories: list[bytes], known: Mapping[bytes, bytes | None]) -> None:
        self._listings += 1
        wanted = [(directory, known.get(directory), None) for directory in directories]
        token = Listing(self, root, directories, frozenset(known))
        self._intake.workers.submit(Lane.BULK, token, "list", (tuple(root.spec), self._number, wanted), root.id)

    def _take_new(self, root: Watched, directories: list[bytes]) -> None:
        """Directories that nobody knows yet, in a pass that has nothing to find out first: list and read in one job."""
        for begin in range(0, len(directories), NEW_DIRECTORIES_PER_JOB):
            chunk = Chunk(self, root)
            self._listings += 1
            self._chunks += 1
            self._intake.take(chunk, directories[begin : begin + NEW_DIRECTORIES_PER_JOB], self._number)

    def not_taken(self, chunk: Chunk, directories: list[bytes]) -> None:
        """A worker died on new directories: list them first and look at their files one by one."""
        self._listings -= 1
        self._plain.update(directories)
        self._frontier.extend((chunk.root, directory) for directory in directories)

    def taken(self, chunk: Chunk, answers: Sequence[tuple[Any, ...]]) -> list[tuple[OpenDirectory, list[Taken]]]:
        """Take what a worker found and read in new directories; gives what it read, to be recorded."""
        root, totals = chunk.root, self.totals
        self._listings -= 1
        read: list[tuple[OpenDirectory, list[Taken]]] = []
        for answer in answers:
            if answer[0] != Code.TAKEN:
                if answer[0] == Code.UNREADABLE:
                    self._blind[root.id].append(answer[1])
                    root.unreadable.add(answer[1])
                    totals.errors += 1
                continue
            _, directory, signature, listed_ns, below, files, size, ignored, errors, unread, ready, rest = answer
            self._visited[root.id].add(directory)
            self._frontier.extend((root, place) for place in below)
            if root.id in self.cancelled:
                continue
            totals.files += files
            totals.size += size
            totals.ignored += len(ignored)
            totals.errors += errors
            here = OpenDirectory(directory, signature, listed_ns, len(rest))
            here.clean = not errors
            here.has_held = any(held_by(name) for name in ignored)
            notes = [(directory, name, key, links, FileState(state), why) for name, key, links, state, why in unread]
            for note in notes:
                self._count_unread(note[4])
                here.clean = here.clean and note[4] not in OPEN_STATES
                here.has_held = here.has_held or note[4] is FileState.HELD
            if notes:
                self._intake.note(root, notes)
            if rest:
                now_s = time.monotonic()
                looks = [Look(name, _LISTED, now_s, 0, 0.0, key, None, stat_only=False) for name, key in rest]
                self._ready.append((root, here, looks))
            chunk.groups.append((here, []))
            read.append((here, ready))
            chunk.files += len(ready)
            chunk.size += sum([item[1][1] for item in ready])
        return read

    def _list_known(self) -> bool:
        """A fast pass: let workers compare the times of known directories; ``False`` when all were handed out."""
        root, wanted = next(self._known_directories, (None, []))
        if root is None:
            return False
        for directory, _, _ in wanted:
            self._visited[root.id].add(directory)
        self._listings += 1
        directories = [directory for directory, _, _ in wanted]
        token = Listing(self, root, directories, frozenset(directories))
        self._intake.workers.submit(Lane.BULK, token, "list", (tuple(root.spec), self._number, wanted), root.id)
        return True

    def _all_known(self) -> Iterator[tuple[Watched, list[_KnownDirectory]]]:
        """The starting points and every known directory below them that was not visited yet, in parts of one root."""
        for root, start in self.scope:
            yield root, [(start, None, None)]
            visited, view = self._visited[root.id], self._intake.view
            wanted = (
                (directory, signature, None if signature is None else mtime_ns)
                for directory, signature, mtime_ns in view.directories(root.id, start)
                if directory not in visited
            )
            while root.id not in self.cancelled and (part := list(itertools.islice(wanted, DIRECTORIES_PER_JOB))):
                yield root, part

    def listed(self, token: Listing, answers: Sequence[tuple[Any, ...]] | None) -> None:
        """Take what a worker found in some directories; ``None`` if it died: try once more, then conclude nothing."""
        root = token.root
        self._listings -= 1
        if answers is None:
            blind = [directory for directory in token.wanted if (root.id, directory) in self._again]
            self._frontier.extend((root, directory) for directory in token.wanted if directory not in blind)
            self._again.update((root.id, directory) for directory in token.wanted)
            self._blind[root.id].extend(blind)
            root.unreadable.update(blind)
            self.totals.errors += len(blind)
            return
        for answer in answers:
            if answer[0] == Code.LISTED:
                self._compare(root, token.known, answer[1:])
            elif answer[0] == Code.UNREADABLE:
                self._blind[root.id].append(answer[1])
                root.unreadable.add(answer[1])
                self.totals.errors += 1
            elif answer[0] == Code.SAME:
                self._visited[root.id].add(answer[1])
            else:  # GONE: its rows are found missing, because it was not visited
                self._visited[root.id].discard(answer[1])

    def _compare(self, root: Watched, known: frozenset[bytes], listing: tuple[Any, ...]) -> None:
        """Take the listing of one directory; where it differs from the catalogue, find out by name how."""
        directory, signature, same, listed_ns, subdirectories, entries, files, size, ignored, _, unreadable = listing
        totals = self.totals
        self._visited[root.id].add(directory)
        if self._fast:  # known directories are handed out by themselves
            familiar = self._intake.view.signatures(root.id, subdirectories)
            subdirectories = [below for below in subdirectories if below not in familiar]
        self._frontier.extend((root, below) for below in subdirectories)
        if root.id in self.cancelled:
            return
        if not self._overflowed:
            totals.files += files
            totals.size += size
            totals.ignored += len(ignored)
            totals.errors += len(unreadable)
        if same:
            totals.unchanged += files
            totals.done_files += files
            totals.done_size += size
            return
        rows = self._intake.view.rows(root.id, directory) if directory in known else {}
        found = self._differences(root, directory, entries, rows)
        for name, _ in unreadable:  # there, but the system does not say what it is: neither read nor missing
            rows.pop(name, None)
        gone = _gone(directory, rows)
        self._missing[root.id].update(gone)
        if found.back:
            self._intake.restore(found.back)
        if found.unread:
            self._intake.note(root, found.unread)
        here = OpenDirectory(directory, signature, listed_ns, len(found.fresh))
        here.has_held = found.has_held or any(held_by(name) for name in ignored)
        here.clean = not (found.is_open or unreadable)
        if found.fresh:
            self._take(root, here, found.fresh)
        elif here.clean and not gone:
            self._intake.seal(root, here)

    def _differences(
        self, root: Watched, directory: bytes, entries: Sequence[Entry], rows: dict[bytes, Known]
    ) -> _Differences:
        """Hold a listing against the rows of its directory; what remains in ``rows`` is not there any more."""
        found = _Differences([], [], [])
        gate = NameGate(root.junk, root.rules.stale_after_s, directory)
        totals, now_s = self.totals, time.monotonic()
        for name, size, mtime_ns, ctime_ns, ino, links in entries:
            key = (ino, size, mtime_ns, ctime_ns)
            row = rows.pop(name, None) if rows else None
            known = row.state if row is not None and row.key == key else None
            if row is not None and (known is FileState.CATALOGUED or (known is FileState.DEPARTED and row.has_content)):
                if known is FileState.DEPARTED:
                    found.back.append(row.file)
                totals.unchanged += 1
                totals.done_files += 1
                totals.done_size += size
            elif (reason := gate.unread(name, key)) is not None:
                state, why = reason
                self._count_unread(state)
                found.is_open = found.is_open or state in OPEN_STATES
                found.has_held = found.has_held or state is FileState.HELD
                if known is not state:
                    found.unread.append((directory, name, key, links, state, why))
            elif known is FileState.UNREADABLE and self.origin is Origin.POLL:
                totals.errors += 1  # tried again less often than a poll comes by
                found.is_open = True
            elif self._intake.is_tracked(root, directory, name):
                found.is_open = True
            else:
                found.fresh.append(Look(name, _LISTED, now_s, 0, 0.0, key, None, stat_only=False))
        return found

    def _take(self, root: Watched, here: OpenDirectory, fresh: list[Look]) -> None:
        """Look at new files now, or when it is known what is missing; forget them when they are too many."""
        if not self._defer:
            self._ready.append((root, here, fresh))
            return
        keys = [look.last_key for look in fresh if look.last_key is not None]
        self._arrived.extend(hash(key[:3]) for key in keys)
        self._inodes.extend(key[0] for key in keys)
        if not self._overflowed:
            self._deferred.append((root, here, fresh))
            for look in fresh:
                if look.last_key is not None:
                    length = look.last_key[1]
                    self._pending_sizes[length] = self._pending_sizes.get(length, 0) + 1
            self._deferred_files += len(fresh)
            if self._deferred_files > DEFERRED_LIMIT:
                self._overflowed = True
                self._deferred.clear()

    def _count_unread(self, state: FileState) -> None:
        totals = self.totals
        totals.done_files += 1
        totals.junk += state is FileState.JUNK
        totals.held += state is FileState.HELD
        totals.empty += state is FileState.EMPTY

    # -- what is missing ------------------------------------------------------------------------

    def _ask_mounts(self) -> None:
        """Find out what is mounted: before files there are recorded, and before what is not there is called missing."""
        for root in {root.id: root for root, _ in self.scope}.values():
            self._mounting += 1
            self._intake.workers.submit(Lane.BULK, Mounting(self, root), "mounted", (root.path,), root.id)

    def mounted(self, token: Mounting, answer: tuple[Sequence[tuple[bytes, bytes, int]], list[bytes]] | None) -> None:
        """Take what is mounted inside a root: where a file system is out of reach, its files are not missing."""
        root = token.root
        self._mounting -= 1
        if root.id not in self.cancelled:
            if answer is None:  # nobody could tell
                lost = frozenset(root.mounts)
            else:
                found = {point: RootIdentity(filesystem, ino) for point, filesystem, ino in answer[0]}
                lost = self._intake.mounted(root, found, frozenset(answer[1]), accept=self.accept)
            self._blind[root.id] += lost
        if self._step is _Step.MOUNTING and not self._mounting:
            self._find_missing()

    def _find_missing(self) -> None:
        """All is listed: find what is gone, make sure of it, and mark it before anything new is read."""
        self._step = _Step.VERIFYING
        for root, start in self.scope:
            if root.id in self.cancelled:
                continue
            visited, blind, missing = self._visited[root.id], self._blind[root.id], self._missing[root.id]
            for directory, _, _ in self._intake.view.directories(root.id, start):
                if directory in visited:
                    continue
                if any(is_inside(directory, unseen) for unseen in blind):
                    continue
                missing.update(_gone(directory, self._intake.view.rows(root.id, directory)))
        roots = {root.id: root for root, _ in self.scope}
        for root_id, missing in self._missing.items():
            root = roots[root_id]
            if root_id in self.cancelled or root.identity is None:
                continue
            lost = root.lost
            names = [name for name in missing if not any(is_inside(name[0], point) for point in lost)]
            for begin in range(0, len(names), NAMES_PER_JOB):
                part = names[begin : begin + NAMES_PER_JOB]
                self._verifying += 1
                identity = (root.identity.filesystem, root.identity.ino)
                mounts = [(point, what.filesystem, what.ino) for point, what in root.mounts.items()]
                payload = (tuple(root.spec), identity, mounts, self.accept, part)
                self._intake.workers.submit(Lane.BULK, Verifying(self, root, part), "absent", payload, root_id)
        if not self._verifying:
            self._mark_missing()

    def verified(self, token: Verifying, answers: Sequence[bool] | None) -> None:
        """Take what a worker says of names that were not in their directory's listing."""
        if answers:
            self._gone[token.root.id] += [name for name, is_gone in zip(token.names, answers, strict=True) if is_gone]
        self._verifying -= 1
        if not self._verifying:
            self._mark_missing()

    def _mark_missing(self) -> None:
        """It is known what is really gone: mark it, unless it is so much that a person should agree first."""
        is_any = any(self._gone.values())
        arrived, inodes = (frozenset(self._arrived), frozenset(self._inodes) - {0}) if is_any else (_NONE, _NONE)
        found_again: set[int] = set()
        for root in {root.id: root for root, _ in self.scope}.values():
            missing = self._missing[root.id]
            gone = [name for name in self._gone[root.id] if name in missing]  # less those that came back meanwhile
            if root.id not in self.cancelled:
                gone = self._intake.not_taken_away(root, gone)
            if root.id in self.cancelled or not gone:
                continue
            again = {name for name in gone if missing[name][0] in inodes}
            found_again.update(missing[name][0] for name in again)
            moved = {name for name in gone if hash(missing[name]) in arrived}
            lost = len(gone) - len(moved)
            known = self._intake.view.present(root.id)
            if is_too_much(lost, known) and not self.accept:
                is_sure = is_too_much(len(gone) - len(moved | again), known)
                self._intake.hold(root, lost, known, is_sure=is_sure)
                (self.held if is_sure else self.doubted).add(root.id)
                if is_sure:
                    # Those that are there under another name are nothing to wait for; nor to be told of, as it is held.
                    gone = [name for name in gone if name in moved or name in again]
            self.totals.missing += len(gone)
            for begin in range(0, len(gone), NAMES_PER_JOB):
                self._marking += 1
                self._intake.missing(root, gone[begin : begin + NAMES_PER_JOB], self._one_marked)
        self._awaited.update(ino for ino in self._inodes if ino in found_again)
        if not self._marking:
            self._all_marked()

    def _one_marked(self) -> None:
        self._marking -= 1
        if not self._marking:
            self._all_marked()

    def _all_marked(self) -> None:
        """Everything that is gone is marked: now read what is new."""
        self._gone = {root: [] for root in self._gone}
        for root in [root for root, start in self.scope if not start and root.id not in self.cancelled]:
            self._intake.listed(root)
        if self._overflowed:  # too many new names to remember: list once more, all of it, and read at once
            self._overflowed = self._defer = self._fast = False
            self._pending_sizes.clear()
            self._missing = {root: {} for root in self._missing}
            self._visited = {root: set() for root in self._visited}
            self.totals = Totals(missing=self.totals.missing)
            self._frontier.extend(self.scope)
            self._step = _Step.LISTING
        else:
            if self._awaited:  # first what may be a file that is missing: its fate waits for it
                self._deferred = deque(sorted(self._deferred, key=self._is_not_awaited))
            self._ready.extend(self._deferred)
            self._deferred.clear()
            self._step = _Step.LOOKING
        self.advance()

    def _is_not_awaited(self, entry: tuple[Watched, OpenDirectory, list[Look]]) -> bool:
        return not any(look.last_key is not None and self._awaited[look.last_key[0]] for look in entry[2])

    # -- looking --------------------------------------------------------------------------------

    def _look_more(self) -> None:
        while self._ready and self._chunks < CHUNKS_AHEAD and not self._intake.has_enough:
            root = self._ready[0][0]
            chunk = Chunk(self, root)
            while self._ready and self._ready[0][0] is root and chunk.files < FILES_PER_CHUNK:
                _, here, looks = self._ready[0]
                taken: list[Look] = []
                while looks and chunk.files < FILES_PER_CHUNK and chunk.size < BYTES_PER_CHUNK:
                    look = looks.pop()
                    taken.append(look)
                    chunk.files += 1
                    chunk.size += look.last_key[1] if look.last_key else 0
                if taken:
                    chunk.groups.append((here, taken))
                if looks:
                    break
                self._ready.popleft()
            if root.id in self.cancelled:
                continue
            self._chunks += 1
            self._intake.begin_chunk(chunk)

    def chunk_done(self, chunk: Chunk) -> None:
        """A chunk is committed, or dropped."""
        self._chunks -= 1
        self.totals.done_files += chunk.files
        self.totals.done_size += chunk.size
        for _, looks in chunk.groups:
            for look in looks:
                self._looked_at(look)

    def _looked_at(self, look: Look) -> None:
        if look.last_key is None:
            return
        if self._awaited[look.last_key[0]] > 0:
            self._awaited[look.last_key[0]] -= 1
        if not self._pending_sizes:
            return
        size = look.last_key[1]
        left = self._pending_sizes.get(size, 0) - 1
        if left > 0:
            self._pending_sizes[size] = left
        else:
            self._pending_sizes.pop(size, None)


def _gone(directory: bytes, rows: Mapping[bytes, Known]) -> dict[tuple[bytes, bytes], _Inode]:
    """Rows for which no file was listed, by their paths."""
    return {(directory, name): row.key[:3] for name, row in rows.items() if row.state is not FileState.DEPARTED}


def is_too_much(missing: int, known: int) -> bool:
    """Whether so many of the known files are missing at once that a person should agree first."""
    return missing > max(BRAKE_COUNT, BRAKE_SHARE * known)
