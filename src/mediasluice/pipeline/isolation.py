"""A few processes in which libraries read files, and what holds when one of them hangs, crashes or eats all memory.

Takes chunks of files, gives an :class:`Answer` for each chunk through :meth:`Isolation.drain`, with an outcome for
each file, in their order. A file that takes longer than the deadline is ended together with whatever it made the
process start; one that crashes its process is told so; the rest of the chunk goes on in another process. Processes
are started when there is something to do, replaced after so many files or when they have grown, and ended when they
have had nothing to do for a while. Where a root hangs, its chunks can be given up; who is stuck there is left behind.

One thread for each process does nothing but move frames. What runs inside is in ``pipeline/isolated.py``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import Counter, deque
from contextlib import suppress
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.pipeline import isolated
from mediasluice.pipeline.confined import Confined
from mediasluice.pipeline.frames import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mediasluice.model.flow import RootId

DEADLINE_S = 20.0
MEMORY = 2 << 30  # bytes of address space, measured: all libraries loaded take 140 MB of it
RECYCLE_AFTER = 20_000  # files, chosen: a start with all libraries costs 0.2 s of a processor, 10 us a file
DEPTH = 256  # chunks that wait, chosen; whoever brings more waits itself
IDLE_S = 60.0  # chosen: a process with its libraries holds 60 MB that a small machine needs for other things
START_S = 60.0  # chosen: a cold disk gives the libraries in a few seconds
PATIENCE = 5  # times the deadline at most, chosen: for a file whose process gets no processor
CLOSE_S = 0.9  # chosen: closing takes less than a second, also when a process cannot be ended
LET_GO_S = 0.3  # chosen: so long is waited for the end of a process that nobody needs any more
KILL_S = 1.0  # chosen: what is still there so long after SIGKILL waits in the kernel for a disk
TICK_S = 0.1  # how soon it is noticed that everything ends or that a root was given up
GATHER_S = 0.02  # chosen: answers that come close together are taken together; a wake-up costs as much as ten of them
AHEAD_S = 0.04  # chosen: a process that is done so soon gets its next chunk beforehand
PART_S = 0.5  # chosen: so long waits who is urgent, where all processes have long chunks of slow files
FIRST = 4  # files of the first part, chosen: nobody knows yet how long they take
FLOOD_S = 0.001  # chosen: what is printed without end wakes nobody more often than this
STARTS = 3  # chosen: after so many starts in vain it is a fault of this installation
BACK_OFF_S = 0.1  # chosen: before the second start; it doubles
BACK_OFF_MAX_S = 30.0  # chosen

COMMAND = (sys.executable, "-P", "-m", "mediasluice.pipeline.isolated")
"""``-P``: the current directory may be one that files arrive in, and nothing is to be imported from there."""


class Code(Enum):
    """What became of a file. The text goes well after "it was"."""

    READ = isolated.READ  # the value is what the verb gave
    FAILED = isolated.FAILED  # the value is why, as with all below; the file's own fault
    TIMED_OUT = "timed out"  # the file's own fault
    CRASHED = "crashed"  # the file's own fault
    KILLED = "killed"  # its process was, twice, by the kernel for want of memory or by somebody: perhaps its fault
    MISTAKEN = isolated.MISTAKEN  # a fault of ours; where, stands in the notes
    CHANGED = isolated.CHANGED  # no value: not, or no longer, the file that is meant
    GONE = isolated.GONE  # no value: its name leads nowhere, or to something that is no file
    UNREADABLE = isolated.UNREADABLE  # what the system says of its disk or its permissions
    GIVEN_UP = "given up"  # no value: it was not tried, or not to the end


_CODES: Mapping[object, Code] = {
    code.value: code for code in (Code.READ, Code.FAILED, Code.MISTAKEN, Code.CHANGED, Code.GONE, Code.UNREADABLE)
}

_NONSENSE = (None, None, None, None, None)

File = tuple[bytes, bytes, tuple[int, int, int, int], tuple[str, object]]
"""Directory relative to the root, name, change key (ino 0: not compared), kind, and what the verb is told besides."""

AS_IT_IS = (0, isolated.ANY_SIZE, 0, 0)
"""The change key of a file that is meant as it is when it is opened."""


class Chunk(NamedTuple):
    """Files of one root for one process. All must be plain values for ``marshal``.

    ``path``: where the root lies; ``follows``: whether a link to a file inside it stands for that file.
    """

    token: object
    verb: str
    root: RootId
    path: bytes
    files: Sequence[File]
    follows: bool = False


class Answer(NamedTuple):
    """What became of a chunk: ``outcomes`` has a code and a value for each of its files.

    ``notes``: by position in the chunk, what is worth keeping in a log: what was printed before a process ended, or
    where an unforeseen error happened. ``failure``: the text of a fault that is ours, not one of the files.
    """

    token: object
    outcomes: list[tuple[Code, Any]]
    notes: Mapping[int, str]
    failure: str | None = None


class Busy(NamedTuple):
    """A file that is being read, for ``status``: since when (monotonic seconds)."""

    token: object
    root: RootId
    directory: bytes
    name: bytes
    since_s: float


class _Work:
    """A chunk on its way."""

    __slots__ = ("chunk", "is_given_up", "is_urgent", "notes", "outcomes", "spared")

    def __init__(self, chunk: Chunk, *, is_urgent: bool = False) -> None:
        self.chunk = chunk
        self.is_urgent = is_urgent
        self.outcomes: list[tuple[Code, Any]] = []
        self.notes: dict[int, str] = {}
        self.spared: int | None = None  # position of a file whose process somebody else ended once
        self.is_given_up = False

    @property
    def present(self) -> int:
        """Position of the file that is read now."""
        return len(self.outcomes)

    @property
    def left(self) -> int:
        """How many files are not done."""
        return len(self.chunk.files) - len(self.outcomes)

    def frame(self, count: int) -> bytes:
        """What a process is sent to do so many of them; raises ``ValueError`` where that cannot be sent."""
        _, verb, _, path, files, follows = self.chunk
        part = files[self.present : self.present + count]
        told = [(directory, name, tuple(key), extra) for directory, name, key, extra in part]
        return packed((verb, path, follows, told))

    def came_out(self, code: Code, value: object = None, note: str | None = None) -> None:
        """What became of the present file."""
        if note:
            self.notes[self.present] = note
        self.outcomes.append((code, value))

    def answer(self, failure: str | None = None) -> Answer:
        """What there is; files that nothing is known of were given up."""
        outcomes = self.outcomes + [(Code.GIVEN_UP, None)] * self.left
        return Answer(self.chunk.token, outcomes, MappingProxyType(self.notes), failure)


class _Turn:
    """What one process was sent of a chunk."""

    __slots__ = ("base", "count", "is_begun", "leave", "process", "since_s", "starved_s", "unfit", "work")

    def __init__(self, process: Confined, work: _Work, count: int) -> None:
        self.process = process
        self.work = work
        self.base = work.present  # position of the first of its files
        self.count = count
        self.is_begun = False  # the process is ready: what happens from now on is the doing of a file
        self.since_s = time.monotonic()  # of the present file
        self.starved_s: float | None = None  # how long the process had waited for a processor by then
        self.leave: str | None = None  # why the process ends by itself
        self.unfit: str | None = None  # why it can do nothing

    @property
    def left(self) -> int:
        return self.base + self.count - self.work.present


class _Desk:
    """Where chunks wait and answers lie. Thread-safe."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.closing = threading.Event()
        self.keepers: list[_Keeper] = []
        self.answers: deque[Answer] = deque()
        self.outstanding = 0  # chunks without an answer
        self._wake = wake
        self._changed = threading.Condition()  # over all that follows, and over what the keepers work on
        self._waiting: dict[bool, deque[Chunk]] = {True: deque(), False: deque()}  # those that are urgent, the others
        self._alone: deque[Chunk] = deque()  # those that are done while nothing else is
        self._lonely: _Work | None = None  # the one of these that is being done
        self._given_up: set[RootId] = set()
        self._replaced: Counter[str] = Counter()

    def submit(self, chunk: Chunk, *, urgent: bool, alone: bool = False) -> None:
        queue = self._alone if alone else self._waiting[urgent]
        with self._changed:
            self._changed.wait_for(lambda: len(queue) < DEPTH or self.closing.is_set())
            if self.closing.is_set():
                return
            self.outstanding += 1
            is_given_up = chunk.root in self._given_up
            if not is_given_up:
                queue.append(chunk)
                self._changed.notify_all()
        if is_given_up:
            self.answer(_Work(chunk).answer())

    def next(self, keeper: _Keeper, idle_s: float | None) -> _Work | None:
        """Wait for a chunk; ``None`` when everything ends, or when there was nothing to do for so long."""
        with self._changed:
            while not self.closing.is_set():
                work = (
                    self._taken_alone(keeper) or self._taken(keeper, urgent=True) or self._taken(keeper, urgent=False)
                )
                if work is not None:
                    return work
                if not self._changed.wait(idle_s):
                    break
        return None

    def after_next(self, keeper: _Keeper) -> _Work | None:
        """A chunk that may wait in a process until that has done another one; never one that somebody waits for."""
        with self._changed:
            return None if self._waiting[True] else self._taken(keeper, urgent=False)

    def urgent(self, keeper: _Keeper) -> _Work | None:
        """A chunk that may be done in the middle of another one."""
        with self._changed:
            return self._taken(keeper, urgent=True)

    def _taken_alone(self, keeper: _Keeper) -> _Work | None:
        if not self._alone or any(keeper.works for keeper in self.keepers):
            return None
        self._lonely = _Work(self._alone.popleft())
        keeper.works.append(self._lonely)
        self._changed.notify_all()
        return self._lonely

    def _taken(self, keeper: _Keeper, *, urgent: bool) -> _Work | None:
        if not self._waiting[urgent] or self._alone or self._lonely is not None:
            return None  # who is to be alone waits for those that are at work, and they for nobody
        work = _Work(self._waiting[urgent].popleft(), is_urgent=urgent)
        keeper.works.append(work)
        self._changed.notify_all()  # there is room
        return work

    def finished(self, keeper: _Keeper, work: _Work, failure: str | None) -> None:
        """A keeper is done with a chunk."""
        with self._changed:
            keeper.works.remove(work)
            if work is self._lonely:
                self._lonely = None
            self._changed.notify_all()
        keeper.turn = None
        self.answer(work.answer(failure))

    def answer(self, answer: Answer) -> None:
        with self._changed:
            self.outstanding -= 1
        self.answers.append(answer)
        self._wake()

    def give_up(self, root: RootId) -> None:
        with self._changed:
            self._given_up.add(root)
            for work in [work for keeper in self.keepers for work in keeper.works if work.chunk.root == root]:
                work.is_given_up = True  # its keeper sees that with its next tick
            dropped = []
            for queue in (*self._waiting.values(), self._alone):
                dropped += [chunk for chunk in queue if chunk.root == root]
                kept = [chunk for chunk in queue if chunk.root != root]
                queue.clear()
                queue.extend(kept)
            self._changed.notify_all()
        for chunk in dropped:
            self.answer(_Work(chunk).answer())

    def trust(self, root: RootId) -> None:
        with self._changed:
            self._given_up.discard(root)

    def replaced(self, why: str) -> None:
        """A process was ended."""
        with self._changed:
            self._replaced[why] += 1

    def restarts(self) -> dict[str, int]:
        with self._changed:
            return dict(self._replaced)

    def close(self) -> None:
        self.closing.set()
        with self._changed:
            self._changed.notify_all()


class _Keeper(threading.Thread):
    """One thread and its process: gives it chunks, watches the clock, ends it, starts the next one."""

    def __init__(self, desk: _Desk, number: int, command: Sequence[str], deadline_s: float, recycle_after: int) -> None:
        super().__init__(name=f"isolation-{number}", daemon=True)
        self.works: list[_Work] = []  # what it does, and what comes next; the desk's lock is over it
        self.turn: _Turn | None = None  # what its process does now
        self.process: Confined | None = None
        self._desk = desk
        self._command = command
        self._deadline_s = deadline_s
        self._recycle_after = recycle_after
        self._misfires = 0  # processes in a row that could not do anything
        self._ahead: _Turn | None = None  # what the process was sent before it had done the rest
        self._early: list[Any] = []  # what it said of that already
        self._each_s = 0.0  # how long the last files took, each
        self._heard_s = 0.0  # when the process said something

    def run(self) -> None:
        """Keep processes here, so that the parent death signal follows this thread."""
        while not self._desk.closing.is_set():
            work = self.works[0] if self.works else self._desk.next(self, IDLE_S if self.process else None)
            if work is None:
                self._let_go("closing" if self._desk.closing.is_set() else "idle")
            else:
                self._finish(work)
        for work in list(self.works):
            self._desk.finished(self, work, None)
        self._let_go("closing")

    def _finish(self, work: _Work) -> None:
        """Have a chunk done, and answer it."""
        try:
            failure = self._do(work)
        except Exception:  # noqa: BLE001 - the thread's border: a mistake costs one chunk
            failure = traceback.format_exc()
            self._let_go("mistake")
        self._desk.finished(self, work, failure)

    def _do(self, work: _Work) -> str | None:
        """Have a chunk done, in parts and by one process or by several; gives the text of a failure that is ours."""
        while work.left and not self._is_off(work):
            turn, self._ahead = self._ahead, None
            if turn is None and not work.is_urgent and (urgent := self._desk.urgent(self)) is not None:
                self._finish(urgent)
                continue
            try:
                turn = turn or self._sent(self._fit(work), work)
            except ValueError as error:  # nothing was sent of it
                return f"{work.chunk.verb}: {error}"
            except OSError as error:  # too many processes, or no memory for another one
                unfit: str | None = f"no process can be started: {error}"
            else:
                unfit = self._take_turn(turn)
            if unfit is not None:
                self._misfires += 1
                if self._misfires >= STARTS:
                    return unfit
        if self._ahead is not None and self._ahead.work is work:  # the process would go on with what was given up
            self._let_go("given up")
        return None

    def _fit(self, work: _Work) -> Confined:
        """A process that can take a chunk."""
        process = self.process
        if process is not None and process.files < self._recycle_after and process.is_well():
            return process
        if process is not None:
            self._let_go("recycled" if process.files >= self._recycle_after else "died")
        self._back_off(work)
        process = self.process = Confined(self._command)
        return process

    def _back_off(self, work: _Work) -> None:
        """Wait before another start when the last ones were in vain."""
        if not self._misfires:
            return
        end_s = time.monotonic() + min(BACK_OFF_MAX_S, BACK_OFF_S * 2.0 ** min(self._misfires, 20))
        while not self._is_off(work) and (left_s := end_s - time.monotonic()) > 0:
            self._desk.closing.wait(min(TICK_S, left_s))

    def _is_off(self, work: _Work) -> bool:
        return work.is_given_up or self._desk.closing.is_set()

    def _let_go(self, why: str) -> None:
        """End the process, whatever it does."""
        if (process := self._parted()) is not None:
            process.end(LET_GO_S)
            self._desk.replaced(why)

    def _parted(self) -> Confined | None:
        """Have no process any more; what it was sent ahead, or said of that, counts for nothing."""
        process, self.process = self.process, None
        self._ahead, self._early, self.turn = None, [], None
        return process

    # -- one process and one chunk ----------------------------------------------------------------

    def _sent(self, process: Confined, work: _Work) -> _Turn:
        """Send a process what it can do in a short time, so that nobody who is urgent waits long."""
        count = min(work.left, max(1, int(PART_S / self._each_s))) if self._each_s else min(work.left, FIRST)
        process.send(work.frame(count))
        return _Turn(process, work, count)

    def _take_turn(self, turn: _Turn) -> str | None:
        """Have the process do what it was sent; gives why it could not even begin."""
        turn.since_s = time.monotonic()  # it may have been sent long before
        self.turn = turn
        if not self._early:
            self._heard_s = turn.since_s
        while True:
            frames, self._early = self._early or self._listen(turn), []
            self._early = self._hear(frames, turn)
            if not turn.left and turn.leave is None:
                return None
            if turn.leave or turn.unfit or turn.process.is_over:
                return self._ended(turn)
            if self._is_off(turn.work):
                self._let_go("closing" if self._desk.closing.is_set() else "given up")
                return None
            if self._is_too_long(turn):
                return self._overdue(turn)
            if frames:
                self._gather(turn)
            elif turn.process.has_printed:
                self._desk.closing.wait(FLOOD_S)

    def _listen(self, turn: _Turn) -> list[Any]:
        left_s = turn.since_s + self._limit_s(turn) - time.monotonic()
        frames = turn.process.listen(min(TICK_S, left_s) if left_s > 0 else TICK_S)
        if frames:
            now_s = time.monotonic()
            self._each_s = (self._each_s + (now_s - self._heard_s) / len(frames)) / 2
            self._heard_s = now_s
        return frames

    def _gather(self, turn: _Turn) -> None:
        """While many answers are due soon, let them come together, and let the process have work meanwhile."""
        due_s = turn.left * self._each_s
        if self._ahead is None and due_s < AHEAD_S and turn.process.files + turn.left < self._recycle_after:
            self._send_ahead(turn)
        if self._ahead is None:
            due_s *= 0.9  # rather a little early than when it has nothing to do any more
        else:
            due_s += self._ahead.count * self._each_s
        if (pause_s := min(GATHER_S, due_s)) > 2 * self._each_s:
            self._desk.closing.wait(pause_s)

    def _send_ahead(self, turn: _Turn) -> None:
        """Send the next chunk, when this turn is the end of the present one."""
        if len(self.works) == 1 and turn.left == turn.work.left:
            following = self._desk.after_next(self)
            if following is not None and following.left:
                with suppress(ValueError):  # which is told when its turn comes
                    self._ahead = self._sent(turn.process, following)

    def _limit_s(self, turn: _Turn) -> float:
        return self._deadline_s if turn.is_begun else START_S

    def _hear(self, frames: list[Any], turn: _Turn) -> list[Any]:
        """Note what the process said, for what it can mean and nothing else; gives what belongs to the next turn."""
        work = turn.work
        if frames:
            turn.since_s = time.monotonic()
            turn.starved_s = None
        elif turn.starved_s is None:  # it takes its time: from now on the wait for a processor is not the file's
            turn.starved_s = turn.process.starved_s()
        for position, frame in enumerate(frames):
            if not turn.left:
                return frames[position:]
            number, code, value, note, leave = frame if type(frame) is tuple and len(frame) == 5 else _NONSENSE
            if turn.is_begun and number == work.present - turn.base and code in _CODES:
                work.came_out(_CODES[code], value, note)
                turn.process.files += 1
                turn.leave = leave
            elif number == isolated.BEGUN and not turn.is_begun:
                turn.is_begun = turn.process.is_ready = True
                self._misfires = 0
            elif number == isolated.UNFIT and not turn.is_begun:
                turn.unfit = str(value)
            else:
                turn.process.fault = "answered nonsense"
                break
        return []

    def _is_too_long(self, turn: _Turn) -> bool:
        spent_s, limit_s = time.monotonic() - turn.since_s, self._limit_s(turn)
        if spent_s < limit_s:
            return False
        starved_s = 0.0 if turn.starved_s is None else turn.process.starved_s() - turn.starved_s
        return spent_s >= min(limit_s + starved_s, limit_s * PATIENCE)

    # -- its end ----------------------------------------------------------------------------------

    def _ended(self, turn: _Turn) -> str | None:
        """The process ended, or is as good as that: say whose doing it was."""
        self._bury(turn)
        work, way = turn.work, turn.process.fault or turn.process.way_it_ended()
        if turn.leave or turn.unfit or not turn.left:
            self._desk.replaced(turn.leave or ("unfit" if turn.unfit else "died"))
            return turn.unfit
        if not turn.is_begun:
            self._desk.replaced("died" if turn.process.is_ready else "unfit")
            return None if turn.process.is_ready else f"the process {way}: {turn.process.printed}"
        was_killed = turn.process.was_killed and turn.process.fault is None  # not by us
        if was_killed and work.spared != work.present:  # by somebody, or for want of memory: not its doing
            work.spared = work.present
            self._desk.replaced("killed")
            return None
        last = isolated.line(_last_line(turn.process.printed))
        code, why = (Code.KILLED, "killed") if was_killed else (Code.CRASHED, "crashed")
        work.came_out(code, f"{way}: {last}" if last else way, turn.process.printed)
        self._desk.replaced(why)
        return None

    def _overdue(self, turn: _Turn) -> str | None:
        """The time of the present file is over, or that to get ready."""
        work, present = turn.work, turn.work.present
        self._bury(turn)
        is_stuck = turn.process.is_stuck  # nobody but the kernel can hold it: it waits for a disk or a network
        self._desk.replaced("stuck" if is_stuck else "timed out" if turn.is_begun else "unfit")
        if not turn.is_begun:
            return f"the process is not ready after {START_S:g} s: {turn.process.printed}"
        if work.present == present and turn.left:  # else it was done at the last moment
            if is_stuck:
                work.came_out(Code.UNREADABLE, "its disk does not answer")
            else:
                work.came_out(Code.TIMED_OUT, f"took longer than {self._deadline_s:g} s", turn.process.printed)
        return None

    def _bury(self, turn: _Turn) -> None:
        """End a process, and hear what it had still said."""
        self._parted()
        self._hear(turn.process.end(KILL_S), turn)


class Isolation:
    """The processes and what they are to do. Thread-safe."""

    def __init__(
        self,
        *,
        processes: int,
        wake: Callable[[], None],
        deadline_s: float = DEADLINE_S,
        memory: int = MEMORY,
        niceness: int = 0,
        recycle_after: int = RECYCLE_AFTER,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Get ready; no process is started yet. ``wake`` is called, on any thread, when there is an answer."""
        command = (*command, str(os.getpid()), str(niceness), str(memory))
        self._desk = desk = _Desk(wake)
        desk.keepers += [_Keeper(desk, n, command, deadline_s, recycle_after) for n in range(max(1, processes))]
        for keeper in desk.keepers:
            keeper.start()

    def submit(self, chunk: Chunk, *, urgent: bool = False, alone: bool = False) -> None:
        """Queue a chunk; its answer comes out of :meth:`drain` with the same token.

        One that is urgent goes before all that are not; one that is to be ``alone`` has all memory for itself: it is
        done when the others are done that were begun, and no other one is begun before. Waits while the queue is full;
        after :meth:`close` it is forgotten.
        """
        self._desk.submit(chunk, urgent=urgent, alone=alone)

    def drain(self) -> list[Answer]:
        """The answers that came since the last call."""
        answers, found = self._desk.answers, []
        while answers:
            found.append(answers.popleft())
        return found

    @property
    def outstanding(self) -> int:
        """Chunks that were submitted and not answered."""
        return self._desk.outstanding

    def give_up(self, root: RootId) -> None:
        """Read nothing more on a root that hangs: what was asked about it is answered, with what there is."""
        self._desk.give_up(root)

    def trust(self, root: RootId) -> None:
        """A root answers again."""
        self._desk.trust(root)

    def busy(self) -> list[Busy]:
        """The files that are read at this moment."""
        found = []
        for keeper in self._desk.keepers:
            turn = keeper.turn
            if turn is not None and (left := turn.left) > 0:
                chunk = turn.work.chunk
                directory, name, *_ = chunk.files[turn.base + turn.count - left]
                found.append(Busy(chunk.token, chunk.root, directory, name, turn.since_s))
        return found

    def pids(self) -> list[int]:
        """Process ids of the living processes."""
        processes = [keeper.process for keeper in self._desk.keepers]
        return [process.pid for process in processes if process is not None]

    @property
    def restarts(self) -> dict[str, int]:
        """How many processes were ended since the start, by reason."""
        return self._desk.restarts()

    def close(self) -> None:
        """End all processes, within a second. What was begun is answered with what there is, the rest is forgotten."""
        self._desk.close()
        end_s = time.monotonic() + CLOSE_S
        for keeper in self._desk.keepers:
            keeper.join(max(0.0, end_s - time.monotonic()))


def _last_line(printed: str) -> str:
    """What was printed last before a crash; where Python stood at that moment is for the log."""
    said = printed.partition("Fatal Python error")[0].strip()
    return said.rpartition("\n")[2]
