"""The second pass: read what stands inside catalogued files, and work out when they were made and who belongs to whom.

One thread follows the event log with a cursor that the catalogue keeps, so nothing is queued: what was not committed
when a process ended is met again by the next one. Files that somebody just brought go first. A content is read once,
in an isolated process; that a reader choked on it is remembered like a result, or a restart would choke again.

    event log ──Subject──> isolated readers ──Reading──> catalogue ──Relative──> groups, capture times ──> catalogue

The first pass never waits for this one. Imports do: where a file goes depends on when it was made.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.catalogue import readings
from mediasluice.catalogue.readings import Place, Read, Subject, Unread
from mediasluice.identify import grouping
from mediasluice.identify.reading import READER_VERSION, UNREAD_VERSION, basic, is_read
from mediasluice.model.files import FileState
from mediasluice.model.media import from_json, to_json
from mediasluice.model.paths import join, text
from mediasluice.model.roots import RootState
from mediasluice.pipeline.isolation import Answer, Chunk, Code, Isolation
from mediasluice.pipeline.relating import member
from mediasluice.pipeline.writer import Abandoned, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.model.flow import RootId
    from mediasluice.model.media import Reading
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.relating import Related
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

BATCH = 512  # files of one round, chosen: their rows are committed in a few milliseconds
EVENTS = 2_000  # events that are looked through for them, chosen: about 5 ms
CHUNK = 32  # files that go to a process together; measured: 64 gain nothing more
HURRIED_MAX = 10_000  # files, chosen: beyond, nobody is served by turning their order round
AHEAD = 2  # batches that are being read at once: one is recorded while the other one is read
PAUSE_S = 2.0  # chosen: how often is looked for what is to be tried again, also while much is read
AGAIN_S = 0.5  # chosen: the first wait after a file that changed or was out of reach; it doubles
AGAIN_MAX_S = 3600.0  # chosen
UNSETTLED_MAX_S = 60.0  # chosen: for a file that is being written or on its way; only the catalogue is asked
OVERLOOKED_S = 10.0  # chosen: the event that explains it comes first
OWED_S = 600.0  # chosen: how often is looked whether full digests that were put off are there
SET_BACK_S = 60.0  # chosen: a clock that is set back by less only lets things wait as much longer
KILLED_S = 30.0  # chosen: want of memory passes in less, and a person who ends processes notices what they do; doubled
KILLED_MAX = 10_000  # contents that are remembered, chosen; the memory of this machine is gone long before
KILLS = 3  # chosen: so often, each time alone, and it is the file that takes all memory
SLOW_TRIES = 3  # chosen: a file on a network that took too long may take less another time


_STATES = {
    Code.READ: readings.REFUSED,  # where it makes no sense
    Code.FAILED: readings.REFUSED,
    Code.MISTAKEN: readings.MISTAKEN,
    Code.KILLED: readings.CRASHED,
    Code.CRASHED: readings.CRASHED,
    Code.TIMED_OUT: readings.TIMED_OUT,
}


@dataclass(eq=False, slots=True)
class _Batch:
    """Files that go through together. ``upto``: the event after which the log goes on when they are done."""

    upto: int | None
    seen: list[Place] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    read: dict[int, Read] = field(default_factory=dict)  # by content
    left: list[Unread] = field(default_factory=list)
    open: set[int] = field(default_factory=set)  # numbers of chunks that are being read
    asked: set[int] = field(default_factory=set)  # contents that were
    equal: list[Subject] = field(default_factory=list)  # files whose content is being read already
    behind: set[_Batch] = field(default_factory=set)  # the batches that do so; older ones, so that no two wait
    is_done: bool = False
    is_again: bool = False  # of files that stand in the list of those that are tried again
    is_swept: bool = False  # of files that were read by an older version


@dataclass(eq=False, slots=True)
class Sweep:
    """How far it is to read anew what an older version read."""

    done: int = 0  # files that were sent to be read
    is_begun: bool = False
    is_ended: bool = False


class _Asked(NamedTuple):
    """Token of a chunk."""

    number: int
    batch: _Batch
    subjects: list[Subject]


class Enricher:
    """The second pass of one host. Build it, then :meth:`start`."""

    def __init__(
        self,
        open_view: Callable[[], View],
        writer: Writer,
        isolation: Callable[[Callable[[], None]], Isolation],
        relate: Callable[[Sequence[readings.Relative]], Related],
        log: Log,
        *,
        sweeps: bool,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Connect. ``sweeps``: whether readings of older readers are made anew when there is nothing else to do."""
        self._open_view = open_view
        self._writer = writer
        self._wake = threading.Event()
        self._isolation = isolation(self._wake.set)
        self._relate = relate
        self._log = log
        self._sweeps = sweeps
        self._failed = failed
        self._roots: Mapping[RootId, Watched] = {}
        self._look: Callable[[Watched, bytes, bytes], None] = lambda *_: None
        self._related: Callable[[], None] = lambda: None
        self._rested: Callable[[], None] = lambda: None
        self._has_read: Callable[[Collection[int]], None] = lambda _: None
        self._hurried: deque[int] = deque()
        self._numbers = itertools.count()
        self._batches: deque[_Batch] = deque()
        self._reading: dict[int, _Batch] = {}  # contents that are being read, and for whom
        self._cursor = 0  # events up to this one are in a batch or done
        self._done = 0  # events up to this one are done
        self._reached = 0  # likewise, and nothing that was left of them is due
        self._swept = 0
        self._asked_for: Sweep | None = None
        self._killed: dict[int, int] = {}  # contents whose processes were killed, and how often
        self._took_up_s = 0.0  # when was looked for what is to be tried again
        self._offset_us = sys.maxsize  # between the clock on the wall and the one that never goes back
        self._working = True
        self._has_news = False  # the writer committed since a round began
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="enricher")

    # -- for other threads ------------------------------------------------------------------------

    def start(
        self,
        roots: Mapping[RootId, Watched],
        look: Callable[[Watched, bytes, bytes], None],
        related: Callable[[], None],
        rested: Callable[[], None],
        has_read: Callable[[Collection[int]], None] = lambda _: None,
    ) -> None:
        """Begin.

        ``look`` asks the intake to look at a file again; ``related`` is called after capture times came, ``rested``
        when nothing is left to be read, and ``has_read`` with the contents that were.
        """
        self._roots, self._look, self._related, self._rested = roots, look, related, rested
        self._has_read = has_read
        self._thread.start()

    def stop(self) -> None:
        """End; what is being read now is read by the next run. Before the writer is closed."""
        self._stopping = True
        self._wake.set()
        self._isolation.close()  # first: who waits for room in its queue does not any more
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_busy(self) -> bool:
        """Whether something is to be read now, or was committed and nobody has looked at it yet."""
        return self._working or self._has_news

    def has_reached(self, event: int) -> bool:
        """Whether all files that events up to this one are about were dealt with, and no file is to be tried again."""
        return self._reached >= event

    def sweep(self) -> Sweep:
        """Go once more through all that an older version read; gives what tells how far that is."""
        if self._asked_for is None or self._asked_for.is_ended:
            self._asked_for = Sweep()
            self.committed()
        return self._asked_for

    @property
    def isolation(self) -> Isolation:
        """The processes."""
        return self._isolation

    def hurry(self, files: Iterable[int]) -> None:
        """Somebody waits for these files: they go before what the log would give."""
        if len(self._hurried) < HURRIED_MAX:  # the log has them all
            self._hurried.extend(files)

    def committed(self) -> None:
        """The writer committed, perhaps an event; runs on its thread."""
        self._has_news = self._thread.is_alive()
        self._wake.set()

    def give_up(self, root: RootId) -> None:
        """A root hangs: who reads there is left behind."""
        self._isolation.give_up(root)

    def trust(self, root: RootId) -> None:
        """A root answers again."""
        self._isolation.trust(root)
        self._writer.express(partial(_retry, root=root))

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._open_view() as view:
                self._cursor = self._done = view.enriched()
                while not self._stopping:
                    self._wake.clear()
                    was_working = self._working
                    if self._has_news:
                        self._working = True  # first: in between it would look as if nothing were to be read
                        self._has_news = False
                    self._working = self._round(view) or self._wake.is_set()
                    if was_working and not self._working:
                        self._rested()
                    self._wake.wait(PAUSE_S)
        except Abandoned:
            pass  # the catalogue cannot be written while this process ends: the next one goes on from the cursor
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _round(self, view: View) -> bool:
        """Do what can be done; gives whether something is under way."""
        if self._stopping:
            return False
        self._heed_clock()
        for answer in self._isolation.drain():
            self._answered(answer)
        if self._hurried:
            self._begin(_Batch(None), view.subjects(self._next_hurried(), grouping.EXTENSIONS))
        self._follow(view)
        if not self._batches or time.monotonic() - self._took_up_s >= PAUSE_S:
            self._take_up(view)
        for batch in list(self._batches):
            # The log goes on past what is recorded only: what is read in an earlier batch may be met again in this one.
            if self._is_through(batch) and (batch.upto is None or batch is self._batches[0]):
                self._batches.remove(batch)
                self._finish(view, batch)
                self._wake.set()  # there is room for more
        return bool(self._batches)

    def _heed_clock(self) -> None:
        """When the clock was ahead, perhaps in an earlier run, nothing may wait for the time that it showed."""
        offset_us = now_us() - time.monotonic_ns() // 1000
        if self._offset_us - offset_us > int(SET_BACK_S * 1e6):
            count = self._writer.call(partial(_set_right, now_us=now_us()), abandon=lambda: self._stopping)
            if count:
                self._log.warning("clock_was_ahead", rows=count, next="what waited for that time is due now")
        self._offset_us = offset_us

    def _follow(self, view: View) -> None:
        """Go on in the log."""
        while sum(batch.upto is not None for batch in self._batches) < AHEAD:
            head = view.head()
            upto, found = view.following(self._cursor, EVENTS, grouping.EXTENSIONS)
            if upto == self._cursor:
                if not self._batches:
                    self._done = max(self._done, head)
                break
            self._cursor = upto
            self._begin(_Batch(upto), found)

    def _is_through(self, batch: _Batch) -> bool:
        """Whether all of it is read, also what is read for an older batch."""
        return not batch.open and all(older.is_done for older in batch.behind)

    def _next_hurried(self) -> list[int]:
        return list({self._hurried.popleft() for _ in range(min(len(self._hurried), BATCH))})

    def _take_up(self, view: View) -> None:
        """Try again what could not be read; when nothing else is to be done, what an older version read."""
        if any(batch.is_again for batch in self._batches):
            return
        self._took_up_s = time.monotonic()
        done = self._done
        roots = [number for number, root in list(self._roots.items()) if root.state is not RootState.OFFLINE]
        again = view.unread(roots, now_us(), BATCH)
        if again:
            self._begin(_Batch(None, is_again=True), again)
            return
        self._reached = max(self._reached, done)
        if self._asked_for is not None and not self._asked_for.is_begun:
            self._asked_for.is_begun = self._sweeps = True
            self._swept = 0
        while self._sweeps and not self._batches and not self._stopping:
            upto, old = view.outdated(READER_VERSION, self._swept, BATCH)
            self._sweeps, self._swept = upto != self._swept, upto
            if self._asked_for is not None:
                self._asked_for.done += len(old)
                self._asked_for.is_ended = not self._sweeps
            if old:
                self._begin(_Batch(None, is_swept=True), old)

    # -- a batch ----------------------------------------------------------------------------------

    def _begin(self, batch: _Batch, found: Sequence[Subject]) -> None:
        """Sort out what is to be read, and send it."""
        wanted: dict[RootId, list[Subject]] = {}
        roots = dict(self._roots)  # one may be taken out meanwhile; what is read of it is given up then
        for subject in found:
            if self._is_to_be_read(batch, subject, roots.get(subject.root)):
                wanted.setdefault(subject.root, []).append(subject)
        self._batches.append(batch)
        for number, subjects in wanted.items():
            root = roots[number]
            for part in _parts([one for one in subjects if one.content not in self._killed]):
                self._ask(batch, root, part)
            for one in subjects:
                if one.content in self._killed:
                    self._ask(batch, root, [one], alone=True)

    def _ask(self, batch: _Batch, root: Watched, part: list[Subject], *, alone: bool = False) -> None:
        """Have files read. Whether one is a link is seen over there: this thread waits for no disk of users."""
        asked = _Asked(next(self._numbers), batch, part)
        batch.open.add(asked.number)
        files = [(one.directory, one.name, _comparable(root, one), (one.kind.value, None)) for one in part]
        chunk = Chunk(asked, "read", root.id, root.path, files, root.spec.follow_files)
        self._isolation.submit(chunk, urgent=batch.upto is None, alone=alone)

    def _is_to_be_read(self, batch: _Batch, subject: Subject, root: Watched | None) -> bool:
        """Whether a file is to be opened now; notes what else is to be done with it."""
        if subject.state is FileState.MISSING:
            batch.gone.append(subject.file)
        elif subject.state is not FileState.CATALOGUED:
            # An event follows, or it turns out to be as it was, which nobody tells.
            wait_s = min(AGAIN_S * 2**subject.tries, UNSETTLED_MAX_S)
            self._leave(batch, subject, f"it was {subject.state.value} when it was to be read", wait_s)
        elif not is_read(subject.kind, subject.name):
            batch.seen.append(_place(subject, subject.found))
        elif subject.content is None:
            self._leave(batch, subject, "its full digest waits for its time", OWED_S)
        elif subject.reading == READER_VERSION:
            batch.seen.append(_place(subject, subject.found))
        elif root is None or root.state is RootState.OFFLINE:
            self._leave(batch, subject, "its library is offline" if root else "its library is not watched")
        elif (reader := self._reading.get(subject.content)) is None:
            self._reading[subject.content] = batch
            return True
        else:  # an equal file, or this very one, which may have got another name meanwhile
            batch.equal.append(subject)
            batch.behind |= {reader} - {batch}
        return False

    def _answered(self, answer: Answer) -> None:
        asked = answer.token
        assert isinstance(asked, _Asked)
        asked.batch.open.discard(asked.number)
        if answer.failure is not None:
            self._log.error("worker_bug", detail=answer.failure, next="please report this")
        for number, (subject, (code, value)) in enumerate(zip(asked.subjects, answer.outcomes, strict=True)):
            if code is Code.MISTAKEN:
                path, note = text(self._path(subject)), answer.notes.get(number, "")
                self._log.error("worker_bug", path=path, detail=note, next="please report this")
            self._came_out(asked.batch, subject, code, value)
            asked.batch.asked.add(_content(subject))

    def _came_out(self, batch: _Batch, subject: Subject, code: Code, value: object) -> None:
        """One file was read, or not."""
        root = self._roots.get(subject.root)
        reading = _reading(value) if code is Code.READ else None
        if code is Code.KILLED and self._is_spared(batch, subject, str(value)):
            return
        if code is not Code.GIVEN_UP:
            self._killed.pop(_content(subject), None)
        if reading is not None:
            found = str(value)
            state = readings.READ if reading.reader else readings.REFUSED
            self._keep(batch, subject, Read(_content(subject), READER_VERSION, state, found, reading.pair))
        elif code in _STATES:
            if code is Code.READ:
                value = "what was found in it makes no sense"
            elif code is Code.MISTAKEN:
                value = f"a mistake in mediasluice, told in its log: {value}"
            is_far = root is not None and not root.spec.local
            if code is Code.TIMED_OUT and is_far and subject.tries < SLOW_TRIES:
                self._leave(batch, subject, f"reading it {value}")
                return
            version = UNREAD_VERSION if code is Code.MISTAKEN else READER_VERSION
            found = to_json(basic(subject.name, str(value)))
            self._keep(batch, subject, Read(_content(subject), version, _STATES[code], found, None))
            self._warn(subject, str(value), _STATES[code])
        else:
            self._leave(batch, subject, str(value) if value else f"it was {code.value} when it was to be read")
            if root is not None and code is not Code.GIVEN_UP:
                self._look(root, subject.directory, subject.name)

    def _is_spared(self, batch: _Batch, subject: Subject, reason: str) -> bool:
        """Try a file whose process was killed again later, and alone; ``False`` when that can be no chance any more."""
        content = _content(subject)
        times = self._killed.get(content, 0) + 1
        if times >= KILLS or (times == 1 and len(self._killed) >= KILLED_MAX):
            self._killed.pop(content, None)
            return False
        self._killed[content] = times
        self._leave(batch, subject, f"reading it {reason}", KILLED_S * 2 ** (times - 1))
        return True

    def _keep(self, batch: _Batch, subject: Subject, read: Read) -> None:
        batch.read[read.content] = read
        batch.seen.append(_place(subject, read.found))

    def _leave(self, batch: _Batch, subject: Subject, reason: str, wait_s: float | None = None) -> None:
        """Try a file again later."""
        if wait_s is None:
            wait_s = min(AGAIN_S * 2**subject.tries, AGAIN_MAX_S)
        batch.left.append(Unread(subject.file, min(subject.tries + 1, 20), now_us() + int(wait_s * 1e6), reason))

    def _warn(self, subject: Subject, reason: str, state: str) -> None:
        root = self._roots.get(subject.root)
        library = None if root is None else root.library
        log = self._log.info if state == readings.REFUSED else self._log.warning
        log("not_understood", library=library, path=text(self._path(subject)), reason=reason)

    def _path(self, subject: Subject) -> bytes:
        root = self._roots.get(subject.root)
        return join(b"" if root is None else root.path, join(subject.directory, subject.name))

    # -- what follows from it ---------------------------------------------------------------------

    def _finish(self, view: View, batch: _Batch) -> None:
        """Record a batch that was read, then who belongs to whom and when everything was made."""
        if batch.equal:
            self._meet_equal(view, batch)
        files = [place.file for place in batch.seen] + batch.gone
        if batch.seen or batch.left:
            read, left, at_us = list(batch.read.values()), batch.left, now_us()
            if batch.is_swept:  # no event leads back to them if this process ends now
                left = [*left, *(Unread(place.file, 0, at_us, "its time is worked out anew") for place in batch.seen)]
            self._write(batch, lambda catalogue: catalogue.save_readings(read, batch.seen, left, at_us))
        if files or batch.upto is not None:
            relatives = view.relatives(view.kin_of(files))
            ties, timed, troubles = self._relate(relatives)
            for trouble in troubles:
                self._log.error("worker_bug", detail=trouble, next="please report this")
            left = _overlooked(batch, relatives)
            self._write(
                batch, lambda catalogue: catalogue.relate(ties, timed, batch.upto, batch.seen, batch.gone, left)
            )
        for content in batch.asked:
            del self._reading[content]
        batch.is_done = True
        batch.behind.clear()
        if files:
            self._related()
        if batch.read:
            self._has_read(list(batch.read))
        self._done = max(self._done, batch.upto or 0)

    def _meet_equal(self, view: View, batch: _Batch) -> None:
        """What was being read already is known by now, unless it could not be read."""
        for subject in view.subjects([one.file for one in batch.equal], grouping.EXTENSIONS):
            of_this = None if subject.content is None else batch.read.get(subject.content)
            found = of_this.found if of_this else subject.found if subject.reading == READER_VERSION else None
            if subject.state is FileState.MISSING:
                batch.gone.append(subject.file)
            elif subject.state is FileState.CATALOGUED and found is not None:
                batch.seen.append(_place(subject, found))
            else:
                self._leave(batch, subject, "an equal file could not be read", 0.0)

    def _write(self, batch: _Batch, change: Callable[[Catalogue], None]) -> None:
        """Write and wait for the commit; what somebody waits for goes before the first pass, the rest behind it."""
        if batch.upto is None:
            self._writer.call(change, abandon=lambda: self._stopping)
        else:
            self._writer.call(change, abandon=lambda: self._stopping, is_bulk=True)


def _set_right(catalogue: Catalogue, now_us: int) -> int:
    return catalogue.set_right(now_us)


def _retry(catalogue: Catalogue, root: RootId) -> None:
    catalogue.retry_readings(root)


def _reading(value: object) -> Reading | None:
    """What the other side of the pipe found; ``None``: damage went so deep that it makes no sense."""
    try:
        return from_json(value) if isinstance(value, str) else None
    except Exception:  # noqa: BLE001 - a text of unknown origin
        return None


def _overlooked(batch: _Batch, relatives: Sequence[readings.Relative]) -> list[Unread]:
    """Files that turned into something else while they were read. Usually an event follows; nothing may hang on it."""
    related = {row.file for row in relatives if row.found is not None or not is_read(row.kind, row.name)}
    due_us = now_us() + int(OVERLOOKED_S * 1e6)
    return [
        Unread(place.file, 0, due_us, "it changed while it was read")
        for place in batch.seen
        if place.file not in related
    ]


def _content(subject: Subject) -> int:
    assert subject.content is not None  # files without one are left before they are asked about
    return subject.content


def _place(subject: Subject, found: str | None) -> Place:
    home, below = grouping.home(subject.directory)
    keys = grouping.keys(member(subject.file, subject.name, subject.kind, below, found))
    return Place(subject.file, subject.root, home, keys)


def _comparable(root: Watched, subject: Subject) -> tuple[int, int, int, int]:
    ino, size, mtime_ns, ctime_ns = subject.key
    return (ino if root.spec.stable_inodes else 0, size, mtime_ns, ctime_ns)


def _parts(subjects: Sequence[Subject]) -> Iterable[list[Subject]]:
    ordered = sorted(subjects, key=lambda one: (one.directory, one.name))  # one directory after the other
    for start in range(0, len(ordered), CHUNK):
        yield list(ordered[start : start + CHUNK])
