"""A few worker processes behind two lanes: arrivals that somebody waits for, and bulk.

Takes jobs ``(verb, payload)`` with a token; gives ``Answer`` values through ``drain``. One thread per
process only moves frames. A process that dies is replaced; its job comes back as ``Answer`` with
``died`` set, so that the caller can try its parts one by one. Jobs on a root that hangs can be given up: they come
back like this too, and who is stuck in one of them is left behind, since the kernel may not even let it be killed.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.pipeline.frames import read_frame, write_frame
from mediasluice.pipeline.worker import DONE, FAILED, PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediasluice.model.flow import RootId

CLOSE_S = 5.0  # chosen: longest wait at the end for a process that is stuck in the kernel; it dies when it gets out
BULK_NICENESS = 15  # chosen: beside a service that must answer, bulk reading takes what is left of the processors


PIPE_SIZE = 1 << 20  # bytes: a worker puts a whole answer there and goes on, whether or not somebody reads it yet


class Lane(Enum):
    """Who waits for the answer."""

    EXPRESS = "express"  # a file that just arrived
    BULK = "bulk"  # a pass over a tree, a huge file


class Answer(NamedTuple):
    """What became of a job. ``failure`` is the text of a bug in the worker, ``died`` a lost process."""

    token: object
    value: Any
    failure: str | None = None
    died: bool = False


class Busy(NamedTuple):
    """A job in progress, for ``status``: since when (monotonic seconds) and bytes of the file read so far."""

    token: object
    since_s: float
    read: int
    lane: Lane
    root: RootId | None


_Job = tuple[object, str, object, "RootId | None"]


class Process:
    """One worker process. It ends with the thread that starts it; one question at a time."""

    def __init__(self, niceness: int = 0) -> None:
        # -P: the current directory may be one that files arrive in, and nothing is to be imported from there.
        command = [sys.executable, "-P", "-m", "mediasluice.pipeline.worker", str(os.getpid()), str(niceness)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, pipesize=PIPE_SIZE
        )
        self.pid = self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as the kernel says."""
        return self._process.poll() is None

    def ask(self, verb: str, payload: object, progress: Callable[[int], None]) -> tuple[int, Any] | None:
        """Have a job done; gives DONE and the result, or FAILED and the text of a bug; ``None`` if the process died."""
        jobs, answers = self._process.stdin, self._process.stdout
        if jobs is None or answers is None:  # Popen was given pipes; this is for the type checker
            return None
        try:
            try:
                write_frame(jobs.fileno(), (verb, payload))
            except ValueError as error:  # a payload that cannot be sent is a mistake of ours: nothing was sent of it
                return FAILED, f"{verb}: {error}"
            while (frame := read_frame(answers.fileno())) is not None:
                code, value = frame
                if code != PROGRESS:
                    return code, value
                progress(value)
        except BrokenPipeError:
            pass  # it ended before it took the job: the same as ending while it worked
        return None

    def kill(self) -> None:
        """End it without waiting: one that is stuck in the kernel ends when it gets out."""
        self._process.kill()

    def end(self) -> None:
        """End it and give back what it held."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Workers:
    """The processes, their threads and their queues. Thread-safe."""

    def __init__(self, *, bulk: int, express: int, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._answers: dict[Lane, deque[Answer]] = {lane: deque() for lane in Lane}
        self._busy: dict[int, Busy] = {}
        self._closing = False
        self._queues: dict[Lane, queue.PriorityQueue[tuple[int, int, _Job | None]]] = {
            lane: queue.PriorityQueue() for lane in Lane
        }
        self._count = 0
        self._lock = threading.Lock()  # over the counts, and over who is busy with what
        self._given_up: set[RootId] = set()
        self._outstanding = dict.fromkeys(Lane, 0)
        self._sizes: Mapping[Lane, int] = {Lane.BULK: bulk, Lane.EXPRESS: express}
        self._processes: dict[int, Process] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._hired = 0
        for lane in [Lane.BULK] * bulk + [Lane.EXPRESS] * express:
            self._hire(lane)

    def submit(
        self, lane: Lane, token: object, verb: str, payload: object, root: RootId | None = None, *, urgent: bool = False
    ) -> None:
        """Queue a job; its answer comes out of :meth:`drain` with the same token. ``root``: whose files it is about."""
        if not self._sizes[lane]:
            lane = Lane.BULK
        with self._lock:
            self._count += 1
            self._outstanding[lane] += 1
            order = self._count
        self._queues[lane].put((0 if urgent else 1, order, (token, verb, payload, root)))

    def give_up(self, root: RootId) -> None:
        """Do nothing more on a root that hangs: its jobs died, and others take the places of those that are stuck."""
        with self._lock:
            self._given_up.add(root)
            stuck = {index: busy for index, busy in self._busy.items() if busy.root == root}
            for index in stuck:
                del self._busy[index], self._threads[index]
        for index, busy in stuck.items():
            self._processes.pop(index).kill()
            self._answer(busy.lane, Answer(busy.token, None, died=True))
            self._hire(busy.lane)

    def trust(self, root: RootId) -> None:
        """A root answers again."""
        with self._lock:
            self._given_up.discard(root)

    def drain(self, bulk: int = 1) -> list[Answer]:
        """The answers about arrivals that came since the last call, and the oldest ones of bulk, so many at most."""
        arrived, others = self._answers[Lane.EXPRESS], self._answers[Lane.BULK]
        answers = []
        while arrived:
            answers.append(arrived.popleft())
        while others and bulk > 0:
            answers.append(others.popleft())
            bulk -= 1
        return answers

    @property
    def has_answers(self) -> bool:
        """Whether :meth:`drain` would give something."""
        return any(self._answers.values())

    def outstanding(self, lane: Lane) -> int:
        """Jobs of a lane that were submitted and not answered."""
        return self._outstanding[lane]

    def busy(self) -> list[Busy]:
        """What the processes do at this moment."""
        return list(self._busy.values())

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        return [process.pid for process in list(self._processes.values()) if process.is_alive]

    def close(self) -> None:
        """End all processes; jobs that were not started are forgotten."""
        self._closing = True
        for lane in Lane:
            for _ in self._threads:
                self._queues[lane].put((-1, 0, None))
        for process in list(self._processes.values()):
            process.kill()  # read-only workers: nothing to finish
        end_s = time.monotonic() + CLOSE_S
        for thread in list(self._threads.values()):
            thread.join(max(0.0, end_s - time.monotonic()))

    def _hire(self, lane: Lane) -> None:
        index, self._hired = self._hired, self._hired + 1
        name = f"worker-{lane.value}-{index}"
        thread = threading.Thread(target=self._serve, args=(index, lane), name=name, daemon=True)
        self._threads[index] = thread
        thread.start()

    def _answer(self, lane: Lane, answer: Answer) -> None:
        with self._lock:
            self._outstanding[lane] -= 1
        self._answers[lane].append(answer)
        self._wake()

    def _serve(self, index: int, lane: Lane) -> None:
        """Body of one thread: start the process here, so that the parent death signal follows this thread."""
        jobs, niceness = self._queues[lane], BULK_NICENESS if lane is Lane.BULK else 0
        process = self._spawn(index, niceness)
        while not self._closing:
            entry = jobs.get()[2]
            if entry is None:
                break
            if not process.is_alive:  # it was killed while it had nothing to do
                process.end()
                process = self._spawn(index, niceness)
            token, verb, payload, root = entry
            with self._lock:
                is_given_up = root in self._given_up
                if not is_given_up:
                    self._busy[index] = Busy(token, time.monotonic(), 0, lane, root)
            if is_given_up:
                self._answer(lane, Answer(token, None, died=True))
                continue
            answer = self._ask(index, process, token, verb, payload)
            with self._lock:
                is_left_behind = self._busy.pop(index, None) is None
            if is_left_behind:  # another thread has its place, and answered for it
                break
            if answer.died and not self._closing:
                process.end()
                process = self._spawn(index, niceness)
            self._answer(lane, answer)
        process.end()

    def _spawn(self, index: int, niceness: int) -> Process:
        process = self._processes[index] = Process(niceness)
        if self._closing:
            process.kill()
        return process

    def _ask(self, index: int, process: Process, token: object, verb: str, payload: object) -> Answer:
        answer = process.ask(verb, payload, lambda read: self._progressed(index, read))
        if answer is None:
            return Answer(token, None, died=True)
        code, value = answer
        return Answer(token, value) if code == DONE else Answer(token, None, failure=value)

    def _progressed(self, index: int, read: int) -> None:
        with self._lock:
            if index in self._busy:
                self._busy[index] = self._busy[index]._replace(read=read)
