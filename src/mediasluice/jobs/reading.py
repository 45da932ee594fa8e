"""Have users' files read again for a job, without ever waiting for a disk that hangs.

A process of its own reads, on a thread of its own; the job waits for both and looks up now and then. When it is to
stop, or the root went out of reach, thread and process are left behind: the kernel may not even let them be ended.

Takes files of one root at a time; gives ``Read``, or ``None`` where the root is out of reach.
Fails with: Stopped (the job is to stop), RuntimeError (a mistake of ours in the worker).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.pipeline.rereading import Code, Ground, Known, Read, outcome_of
from mediasluice.pipeline.worker import FAILED
from mediasluice.pipeline.workers import Process

if TYPE_CHECKING:
    from mediasluice.catalogue.integrity import Target
    from mediasluice.catalogue.view import View
    from mediasluice.jobs.port import Context
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.log import Log

NICENESS = 19  # chosen: nobody waits for it; the disk goes by it too where the scheduler minds that
LOOK_S = 0.5  # chosen: how soon a job stops, and how often it says how far it is
FILES = 64  # of one question, chosen: what is lost when it is cut off
BYTES = 64 << 20  # of one question, chosen: less than a second of a disk; a larger file is asked for alone


class Tools(NamedTuple):
    """What jobs that read need. ``grounds``: the roots that are within reach, and whose files may be read, now."""

    open_view: Callable[[], View]
    grounds: Callable[[], Mapping[RootId, Ground]]
    clock: Callable[[], int]  # microseconds (UTC)
    log: Log


@dataclass(eq=False, slots=True)
class _Question:
    ground: Ground
    algorithms: frozenset[str]
    files: Sequence[Known]
    done: threading.Event = field(default_factory=threading.Event)
    read: int = 0  # bytes of the file that is being read
    answer: list[Read] | None = None
    error: BaseException | None = None


class Lost(Exception):
    """The process that read is gone; nothing is known of what it was asked."""


class _Reader:
    """One process and the thread that it lives and dies with."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._process: Process | None = None
        self._is_left = False
        self._thread = threading.Thread(target=self._run, name="job-reader", daemon=True)
        self._thread.start()

    def put(self, question: _Question) -> None:
        self._questions.put(question)

    def leave(self) -> None:
        """End it without waiting for it."""
        self._is_left = True
        if self._process is not None:
            self._process.kill()
        self._questions.put(None)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                if self._process is None:
                    self._process = Process(NICENESS)
                if self._is_left:  # before it could be killed
                    raise Lost
                question.answer = _ask(self._process, question, self._tell(question))
            except BaseException as error:  # noqa: BLE001 - the thread's border: the job raises it
                question.error = error
                if self._process is not None:
                    self._process.end()
                    self._process = None
            question.done.set()
        if self._process is not None:
            self._process.end()

    @staticmethod
    def _tell(question: _Question) -> Callable[[int], None]:
        def tell(read: int) -> None:
            question.read = read

        return tell


def _ask(process: Process, question: _Question, tell: Callable[[int], None]) -> list[Read]:
    """Have files read by a worker; raises :class:`Lost` if it dies."""
    wanted = [(file.directory, file.name, tuple(file.key)) for file in question.files]
    answer = process.ask("reread", (tuple(question.ground), tuple(sorted(question.algorithms)), wanted), tell)
    if answer is None:
        raise Lost
    code, value = answer
    if code == FAILED:
        raise RuntimeError(value)
    return [outcome_of(plain) for plain in value]


class Reading:
    """What one attempt of one job reads."""

    def __init__(self, context: Context, tools: Tools) -> None:
        self._context = context
        self._tools = tools
        self._reader: _Reader | None = None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.leave()
            self._reader = None

    def read(
        self, root: RootId, targets: Sequence[Target], algorithms: frozenset[str], tell: Callable[[int], None]
    ) -> list[Read] | None:
        """Read files of one root; ``tell`` gets bytes read of a huge one. ``None``: the root is out of reach."""
        files = [Known(target.directory, target.name, target.key) for target in targets]
        try:
            return self._ask(root, files, algorithms, tell)
        except Lost:
            if len(files) == 1:
                return [Read(Code.UNREADABLE, reason="the process that read it was killed")]
        found: list[Read] = []
        for target in targets:  # one of them did that
            one = self.read(root, [target], algorithms, tell)
            if one is None:
                return None
            found += one
        return found

    def _ask(
        self, root: RootId, files: Sequence[Known], algorithms: frozenset[str], tell: Callable[[int], None]
    ) -> list[Read] | None:
        self._context.check()
        ground = self._tools.grounds().get(root)
        if ground is None:
            return None
        if self._reader is None:
            self._reader = _Reader()
        question = _Question(ground, algorithms, files)
        self._reader.put(question)
        while not question.done.wait(LOOK_S):
            tell(question.read)
            if self._context.is_cancelled or root not in self._tools.grounds():
                self.close()
                self._context.check()
                return None
        if question.error is not None:
            raise question.error
        return question.answer


def portions(targets: Iterable[Target]) -> Iterator[list[Target]]:
    """Files in their order, in portions of one root that are read in about a second."""
    portion: list[Target] = []
    size = 0
    for target in targets:
        is_full = len(portion) >= FILES or size + target.key.size > BYTES
        if portion and (is_full or target.root != portion[0].root):
            yield portion
            portion, size = [], 0
        portion.append(target)
        size += target.key.size
    if portion:
        yield portion
