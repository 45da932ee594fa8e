"""Share numbered tasks among this process and forked copies of it.

Takes a function of the task number whose results are plain values (tuples, lists, dicts, numbers, bytes, text).
Gives the results in the order of the numbers, whichever process made them. The copies see everything that this
process has, so tasks need no arguments; what they change stays with them.
Fails with: Unavailable when a copy ends before its work is done (killed, out of memory).

Only for a process without other threads, such as a one-shot command: a fork would keep their locks locked for ever.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

from mediasluice.errors import Unavailable

Result = TypeVar("Result")

MOST_TASKS = 16_000  # their numbers, 4 bytes each, must fit into a pipe of 64 KiB


def share(task: Callable[[int], Result], count: int, processes: int) -> list[Result]:
    """``[task(0), ..., task(count - 1)]``, made by up to ``processes`` processes; ``count`` is at most MOST_TASKS."""
    processes = min(processes, count)
    if processes < 2 or not _may_fork():
        return [task(number) for number in range(count)]
    numbers, feed = os.pipe()
    os.write(feed, b"".join(number.to_bytes(4, "little") for number in range(count)))
    os.close(feed)
    done: dict[int, Result] = {}
    copies: dict[int, int] = {}  # process id -> where its results arrive
    try:
        for _ in range(processes - 1):
            results, answer = os.pipe()
            pid = os.fork()
            if not pid:
                _serve(task, numbers, answer)
            os.close(answer)
            copies[pid] = results
        for number in _drawn(numbers):
            done[number] = task(number)
        for results in copies.values():
            with open(results, "rb", closefd=False) as stream:
                answered = stream.read()
            try:
                done.update(marshal.loads(answered))  # noqa: S302 - both ends are this program
            except (EOFError, ValueError) as error:
                raise Unavailable(
                    "a process that shared the work ended before it was done", hint="run it again"
                ) from error
    finally:
        os.close(numbers)
        for pid, results in copies.items():
            os.close(results)
            os.kill(
                pid, signal.SIGKILL
            )  # not waited for yet, so the id is still its own; it has answered or is of no use
            os.waitpid(pid, 0)
    return [done[number] for number in range(count)]


def _drawn(numbers: int) -> Iterator[int]:
    """Task numbers that nobody else has drawn; a read of four bytes from a pipe is never split between readers."""
    while drawn := os.read(numbers, 4):
        yield int.from_bytes(drawn, "little")


def _serve(task: Callable[[int], Result], numbers: int, answer: int) -> NoReturn:
    """Work in the copy. It leaves by _exit: buffers and exit functions belong to the process it was copied from."""
    parent = os.getppid()
    status = 1
    try:
        done = {}
        for number in _drawn(numbers):
            done[number] = task(number)
            if os.getppid() != parent:
                break  # nobody is left to answer
        else:
            with open(answer, "wb", closefd=False) as stream:
                stream.write(marshal.dumps(done))
            status = 0
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # the first process got the same signal, or has gone; it says so itself
    except BaseException:  # noqa: BLE001 - a defect, shown here because it cannot leave this process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _may_fork() -> bool:
    """Whether copies are safe: on Linux, with no second thread of any kind."""
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False
