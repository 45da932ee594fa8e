"""A process like those that read media, whose verbs do what damaged and hostile files make libraries do.

Run as a program by the tests of the isolation. What a verb does besides is told by ``extra``.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mediasluice.identify.opened import Opened, Refused
from mediasluice.pipeline import isolated

LONG_S = 3600.0


def content(opened: Opened, extra: Any) -> object:
    """What a good file gives."""
    return opened.pread(100, 0), os.fsencode(opened.reopened)[:14], opened.kind.value, extra


def leave_at_start(path: str) -> None:
    """End before anything works, as often as the file at ``path`` has letters; each start takes one away."""
    with open(path, "r+", encoding="ascii") as file:
        left = len(file.read())
        if left:
            file.truncate(left - 1)
            os.write(2, b"libmissing.so.7: cannot open shared object file\n")
            os._exit(127)


# -- what a file can make a library do ------------------------------------------------------------


def sleep(opened: Opened, extra: Any) -> None:
    os.write(2, b"waiting for a packet\n")
    time.sleep(LONG_S)


def nap(opened: Opened, extra: Any) -> int:
    """Take so many seconds, as a film does."""
    time.sleep(extra)
    return os.getpid()


def deaf(opened: Opened, extra: Any) -> None:
    """Let nothing but the kernel in, and hold the interpreter's lock."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    ctypes.PyDLL(None).sleep(int(LONG_S))


def backtrack(opened: Opened, extra: Any) -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


def segfault(opened: Opened, extra: Any) -> None:
    os.write(2, b"box size 0xffffffff\x1b[31m\n")
    ctypes.string_at(0)


def silent_segfault(opened: Opened, extra: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def abort(opened: Opened, extra: Any) -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def leave(opened: Opened, extra: Any) -> None:
    os._exit(int(extra))


def exits(opened: Opened, extra: Any) -> None:
    sys.exit("a library that thinks it is a program")


def allocate(opened: Opened, extra: Any) -> int:
    return len(bytearray(int(extra)))


kept: list[bytearray] = []


def keep(opened: Opened, extra: Any) -> int:
    """Leak so many bytes, and use them."""
    kept.append(bytearray(b"x") * int(extra))
    return os.getpid()


def keep_open(opened: Opened, extra: Any) -> int:
    for _ in range(int(extra)):
        os.dup(opened.fd)
    return os.getpid()


def print_much(opened: Opened, extra: Any) -> str:
    for _ in range(64):
        os.write(2, b"warning: \xff strange\n" * 8192)
    return "read"


def print_and_crash(opened: Opened, extra: Any) -> None:
    print_much(opened, extra)
    os.write(2, b"the last words")
    os.abort()


def print_in_between(opened: Opened, extra: Any) -> str:
    """Standard output is not where answers go."""
    os.write(1, b"\xff" * 100)
    sys.stdout.write("hello\n")
    sys.stdout.flush()
    return "read"


def answer_nonsense(opened: Opened, extra: Any) -> None:
    """Damage so deep that the pipe of answers is written to, with what ``extra`` says."""
    for fd in range(3, 64):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
                os.write(fd, extra)
    time.sleep(LONG_S)


def close_all(opened: Opened, extra: Any) -> None:
    os.closerange(0, 64)
    time.sleep(LONG_S)


def fork(opened: Opened, extra: Any) -> None:
    """Start a copy that keeps every pipe open, and a program; both outlive a crash of this process."""
    copy = os.fork()
    if not copy:
        time.sleep(LONG_S)
        os._exit(0)
    program = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG_S})"])
    with open(extra[0], "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {copy} {program.pid} .")
    if extra[1] == "crash":
        os.abort()
    time.sleep(LONG_S)


def change(opened: Opened, extra: Any) -> str:
    """Somebody writes while it is read."""
    os.utime(opened.path, ns=(1, 1))
    if extra == "fail":
        raise ValueError("half of this and half of that")
    return "half of this and half of that"


def refuse(opened: Opened, extra: Any) -> None:
    raise Refused("there is nothing in it")


def fail(opened: Opened, extra: Any) -> None:
    raise KeyError(f"odd\n\x1b[2Jbox in {opened.reopened} \udcff")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def fail_badly(opened: Opened, extra: Any) -> None:
    raise Unspeakable


def broken_disk(opened: Opened, extra: Any) -> None:
    raise OSError(int(extra), "as the system says it")


def unspeakable(opened: Opened, extra: Any) -> object:
    return threading.Lock()


def much(opened: Opened, extra: Any) -> bytes:
    return bytes(int(extra))


def who(opened: Opened, extra: Any) -> tuple[int, int, int, dict[str, str], list[str]]:
    """The process, its session, its niceness, what the kernel says of it, and what it has open."""
    said = {}
    for name in ("limits", "oom_score_adj", "autogroup"):
        with suppress(OSError), open(f"/proc/self/{name}", encoding="ascii") as file:
            said[name] = file.read()
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return os.getpid(), os.getsid(0), os.nice(0), said, found


def spin(opened: Opened, extra: Any) -> int:
    """Use one processor for so many seconds of its time."""
    processor, seconds = extra
    os.sched_setaffinity(0, {processor})
    end_s = time.process_time() + seconds
    while time.process_time() < end_s:
        pass
    return os.getpid()


def starve(opened: Opened, extra: Any) -> int:
    """Want one processor until it had to wait so many seconds for it."""
    processor, seconds = extra
    os.sched_setaffinity(0, {processor})
    end_s = waited_s() + seconds
    while waited_s() < end_s:
        pass
    return os.getpid()


def waited_s() -> float:
    with open("/proc/self/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1]) / 1e9


def once(opened: Opened, extra: Any) -> str:
    """Take for ever the first time, and no time the second one; the file ``extra`` tells which it is."""
    if os.path.exists(extra):
        return "read"
    with open(extra, "wb"):
        time.sleep(LONG_S)
    return ""


def nothing(opened: Opened, extra: Any) -> int:
    return os.getpid()


def missing() -> isolated.Verb:
    raise ImportError("libmissing.so.7: cannot open shared object file")


VERBS: dict[str, Callable[[Opened, Any], object]] = {
    verb.__name__: verb
    for verb in (
        *(
            content,
            sleep,
            nap,
            deaf,
            backtrack,
            segfault,
            silent_segfault,
            abort,
            leave,
            exits,
            allocate,
            keep,
            keep_open,
        ),
        *(print_much, print_and_crash, print_in_between, answer_nonsense, close_all, fork, change, refuse, fail),
        *(fail_badly, broken_disk, unspeakable, much, who, spin, starve, once, nothing),
    )
}


def any_of(opened: Opened, extra: Any) -> object:
    """Let each file of a chunk do something else: ``extra`` is a verb and what it is told."""
    return VERBS[extra[0]](opened, extra[1])


if __name__ == "__main__":
    if len(sys.argv) > 4:
        leave_at_start(sys.argv.pop(1))
    isolated.main({"any": lambda: any_of, "missing": missing})
