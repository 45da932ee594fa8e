"""Hold new files back for a moment while they may be known ones that were moved and tagged anew by way of a copy.

What a file plays stays when its tags change. So where a file is gone whose essence is known, a new one of the same
kind is not told of before its own essence was taken, in an isolated process: if it is the same, it is that file.

    Recorder, Chunks ──files──> Reunions ──all others──> Importer ──> catalogue
                                    │ held                  ^
                                    └──isolated process─────┘ essence and file in one transaction

Nothing of a held file is in the catalogue, nor is the directory sealed: whatever ends this process, the next pass
finds both the file that is gone and the one that is new. Used on the intake thread, but for :meth:`Reunions.record`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue import products
from mediasluice.model.files import FileState
from mediasluice.model.flow import Sighting, What
from mediasluice.model.paths import is_inside
from mediasluice.model.roots import RootState
from mediasluice.pipeline.isolation import Chunk, Code, Isolation
from mediasluice.pipeline.making import NONSENSE, STATES, VERSIONS, streams_of
from mediasluice.pipeline.writer import now_us
from mediasluice.settle.decide import WaitReason
from mediasluice.settle.tracker import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mediasluice.catalogue.rows import Verdict
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.flow import IdentifiedFile, RootId
    from mediasluice.pipeline.importing import Importer
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

WAIT_S = 20.0  # design: no longer is a new file held back
AHEAD = 64  # files that processes were asked about, chosen: fewer than make whoever asks wait
HELD_MAX = 2_000  # chosen: so many at once are no album that was tagged, and each is one more row for the writer
ENOUGH = 64  # held files, chosen: beyond, a pass reads nothing more before some are decided

_Place = tuple["RootId", bytes, bytes]


@dataclass(eq=False, slots=True)
class _Held:
    """A file that is held back."""

    root: Watched
    file: IdentifiedFile
    since_s: float
    is_asked: bool = False
    is_deciding: bool = False  # on its way into the catalogue


@dataclass(frozen=True, slots=True)
class Hearers:
    """What the intake does when something is known of a held file."""

    tell: Callable[[Watched, Sequence[IdentifiedFile], Sequence[Verdict | None]], None]
    closed: Callable[[RootId, bytes, bytes, FileState | None, Verdict | None], None]
    look_at: Callable[[Watched, bytes, bytes], None]
    waits: Callable[[_Place], None]  # a pass is not through before
    is_candidate: Callable[[RootId, bytes, bytes], bool]
    is_recording: Callable[[RootId, bytes, bytes], bool]  # it settled, and the writer has not taken it yet
    post: Callable[[Callable[[], None]], None]


class Reunions:
    """The files that are held back."""

    def __init__(
        self,
        roots: Mapping[RootId, Watched],
        importer: Importer,
        writer: Writer,
        isolation: Callable[[], Isolation],
        log: Log,
        hearers: Hearers,
    ) -> None:
        self._roots = roots
        self._importer = importer
        self._writer = writer
        self._make_isolation = isolation
        self._isolation: Isolation | None = None  # made when it is needed for the first time
        self._log = log
        self._hear = hearers
        self._held: dict[_Place, _Held] = {}
        self._left: set[_Place] = set()  # what was sighted while the writer had it: it is looked at, not held
        self._asked = 0

    # -- on the writer ----------------------------------------------------------------------------

    def record(
        self, catalogue: Catalogue, root: Watched, files: Sequence[IdentifiedFile], at_us: int
    ) -> list[Verdict | None]:
        """Record files as the importer does; ``None`` also for those that are held back."""
        awaited = set(catalogue.awaited(files)) if len(self._held) < HELD_MAX else set[int]()
        if not awaited:
            return self._importer.record(catalogue, root, files, at_us)
        held = [file for number, file in enumerate(files) if number in awaited]
        self._hear.post(lambda: self._hold(root, held))
        others = [file for number, file in enumerate(files) if number not in awaited]
        verdicts = iter(self._importer.record(catalogue, root, others, at_us) if others else [])
        return [None if number in awaited else next(verdicts) for number in range(len(files))]

    # -- what the intake asks and tells -----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether a file is held back."""
        return bool(self._held)

    @property
    def has_enough(self) -> bool:
        """Whether so many are held back that nothing more should be read for a pass."""
        return len(self._held) >= ENOUGH

    def pending(self) -> Iterator[Pending]:
        """The files that are held back. Not to be mixed with changes."""
        for held in self._held.values():
            file, since_s = held.file, held.since_s
            place = (file.root, file.directory, file.name)
            yield Pending(*place, WaitReason.ESSENCE, since_s, since_s + WAIT_S)

    def holds(self, root: RootId, directory: bytes, name: bytes) -> bool:
        """Whether the file at a path is held back."""
        return (root, directory, name) in self._held

    def touch(self, sighting: Sighting) -> None:
        """Something was sighted: what is known of a held file there is old, and it is looked at anew."""
        root, what = sighting.root, sighting.what
        if what in (What.DEPARTED, What.MOVED):
            name, directory = sighting.name, sighting.directory
            if what is What.MOVED and sighting.old_name is not None:
                name, directory = sighting.old_name, sighting.old_directory or b""
            if self._hear.is_recording(root, directory, name):
                self._left = {place for place in self._left if self._hear.is_recording(*place)}
                self._left.add((root, directory, name))
        if not self._held or what in (What.ATTRIBUTES, What.DIRTY):
            return
        if what in (What.DIRECTORY_MOVED, What.DIRECTORY_DEPARTED, What.ROOT_LOST):
            start = sighting.old_directory or b"" if what is What.DIRECTORY_MOVED else sighting.directory
            for place in [place for place in self._held if place[0] == root and is_inside(place[1], start)]:
                del self._held[place]
            return
        self._held.pop((root, sighting.directory, sighting.name), None)
        if sighting.old_directory is not None and sighting.old_name is not None:
            self._held.pop((root, sighting.old_directory, sighting.old_name), None)

    def forget(self, root: RootId) -> None:
        """A root is out of reach: it is compared when it is back."""
        for place in [place for place in self._held if place[0] == root]:
            del self._held[place]

    def give_up(self, root: RootId) -> None:
        """A root hangs: who reads there is left behind."""
        if self._isolation is not None:
            self._isolation.give_up(root)

    def trust(self, root: RootId) -> None:
        """A root answers again."""
        if self._isolation is not None:
            self._isolation.trust(root)

    def close(self) -> None:
        """End the processes; what is held is found by the next pass."""
        if self._isolation is not None:
            self._isolation.close()

    # -- going on ---------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Act on answers, and on the end of patience; call often."""
        if self._isolation is None:
            return
        for answer in self._isolation.drain():
            self._asked -= 1
            if answer.failure is not None:
                self._log.error("worker_bug", detail=answer.failure, next="please report this")
            held: Any = answer.token
            if self._is_current(held):
                self._came_out(held, *answer.outcomes[0])
        now_s = time.monotonic()
        for held in [held for held in self._held.values() if not held.is_deciding and now_s - held.since_s >= WAIT_S]:
            self._decide(held)
        self._ask()

    def _hold(self, root: Watched, files: Sequence[IdentifiedFile]) -> None:
        if self._isolation is None:
            self._isolation = self._make_isolation()
        for file in files:
            place = file[:3]
            # An event told of it meanwhile, or its root is away: then it is looked at again.
            if self._roots.get(root.id) is not root or root.state is RootState.OFFLINE or self.holds(*place):
                continue
            if place in self._left:
                self._left.discard(place)
                self._hear.look_at(root, file.directory, file.name)
            elif not self._hear.is_candidate(*place):
                self._held[place] = _Held(root, file, time.monotonic())
                self._hear.waits(place)
        self._ask()

    def _ask(self) -> None:
        """Have essences taken, as many at once as makes nobody wait."""
        assert self._isolation is not None
        for held in self._held.values():
            if self._asked >= AHEAD:
                return
            if not held.is_asked:
                held.is_asked = True
                self._asked += 1
                file, root = held.file, held.root
                files = [(file.directory, file.name, tuple(file.key), (file.kind.value, None))]
                follows = root.spec.follow_files
                chunk = Chunk(held, products.ESSENCE, root.id, root.path, files, follows=follows)  # type: ignore[arg-type]
                self._isolation.submit(chunk)

    def _is_current(self, held: _Held) -> bool:
        return self._held.get(held.file[:3]) is held and not held.is_deciding

    def _came_out(self, held: _Held, code: Code, value: object) -> None:
        """An essence was taken, or not."""
        file = held.file
        if code in (Code.CHANGED, Code.GONE):
            del self._held[file[:3]]
            self._hear.look_at(held.root, file.directory, file.name)
            return
        state, streams = STATES.get(code), list[tuple[str, str, bytes, float | None]]()
        reason = value if isinstance(value, str) else None
        if code is Code.READ:
            try:
                state, reason, streams = products.MADE, None, streams_of(value)
            except NONSENSE:
                state, reason = products.REFUSED, "what was made of it makes no sense"
        self._decide(held, state, reason, streams)

    def _decide(
        self,
        held: _Held,
        state: str | None = None,
        reason: str | None = None,
        streams: Sequence[tuple[str, str, bytes, float | None]] = (),
    ) -> None:
        """Record it, with its essence where that is known now."""
        held.is_deciding = True
        root, file, at_us = held.root, held.file, now_us()

        def change(catalogue: Catalogue) -> list[Verdict | None]:
            with catalogue.transaction():
                if state is not None:
                    catalogue.save_essence(file, VERSIONS[products.ESSENCE], state, reason, streams)
                return self._importer.record(catalogue, root, [file], at_us)

        def done(verdicts: list[Verdict | None]) -> None:
            self._hear.post(lambda: self._decided(held, verdicts))

        self._writer.express(change, done)

    def _decided(self, held: _Held, verdicts: list[Verdict | None]) -> None:
        root, file = held.root, held.file
        place = file[:3]
        self._hear.tell(root, [file], verdicts)
        if self._held.get(place) is held:
            del self._held[place]
            self._hear.closed(*place, FileState.CATALOGUED, verdicts[0])
        else:  # it was sighted while the writer had it: if it left, nobody found a row to mark
            self._hear.look_at(root, file.directory, file.name)
