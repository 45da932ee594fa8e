from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mediasluice.errors import Unavailable
from mediasluice.pipeline.forking import MOST_TASKS, share


def children() -> set[str]:
    """The processes that this one started and has not taken leave of; other tests may have left a program running."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            status = Path("/proc", name, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(status[1]) == os.getpid():
                found.add(name)
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 1000, MOST_TASKS])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(count: int, processes: int) -> None:
    """Each task is done once, and its result stands at its number, whichever process made it."""
    assert share(lambda number: (number, b"%d" % number), count, processes) == [
        (number, b"%d" % number) for number in range(count)
    ]


def test_several_processes_take_part() -> None:
    """The tasks are spread over as many processes as were asked for."""
    first, second = os.pipe()

    def task(number: int) -> int:
        if number == 0:
            os.read(first, 1)  # holds one process until another one has done the last task
        elif number == 99:
            os.write(second, b"x")
        return os.getpid()

    assert len(set(share(task, 100, 2))) == 2
    os.close(first)
    os.close(second)


def test_nothing_is_forked_beside_a_thread() -> None:
    """A process with a second thread does all tasks itself."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        assert set(share(lambda _: os.getpid(), 10, 2)) == {os.getpid()}
    finally:
        leave.set()
        thread.join()


def test_results_larger_than_a_pipe() -> None:
    """A result may be larger than what a pipe holds."""
    assert share(lambda number: bytes([number]) * 500_000, 8, 2) == [bytes([number]) * 500_000 for number in range(8)]


def test_a_killed_copy_is_an_error() -> None:
    """When a copy is killed before its answer is complete, that is said; no result is made up."""
    parent, before = os.getpid(), children()
    first, second = os.pipe()

    def task(number: int) -> int:
        if os.getpid() != parent:
            os.write(second, b"x")
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 0:
            os.read(first, 1)  # until the copy has begun
        return number

    with pytest.raises(Unavailable, match="ended before it was done"):
        share(task, 50, 2)
    os.close(first)
    os.close(second)
    assert children() == before  # nothing is left behind


def test_a_mistake_in_the_first_process_leaves_no_copy() -> None:
    """An exception of a task here ends the copies and is passed on."""
    parent, before = os.getpid(), children()

    def task(_: int) -> int:
        if os.getpid() == parent:
            raise ZeroDivisionError
        return 1

    def until_it_fails() -> None:
        while True:  # the copy may have drawn all the tasks
            share(task, 200, 2)

    with pytest.raises(ZeroDivisionError):
        until_it_fails()
    assert children() == before


def test_a_mistake_in_a_copy_is_shown() -> None:
    """A defect in a copy is printed with its place, and the caller learns that the work is not done."""
    script = """
import os
from mediasluice.errors import Unavailable
from mediasluice.pipeline.forking import share
parent = os.getpid()
first, second = os.pipe()
def task(number):
    if os.getpid() != parent:
        os.write(second, b"x")
        return 1 // 0
    if not number:
        os.read(first, 1)
    return number
try:
    share(task, 50, 2)
except Unavailable as error:
    print(error.message)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "ZeroDivisionError" in ran.stderr
    assert "ended before it was done" in ran.stdout
