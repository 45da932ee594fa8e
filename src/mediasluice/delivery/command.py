"""A sink that runs a command for each event: the event on its standard input, the answer is how it ends.

Takes facts one at a time. The command is a list of arguments, run as it is, without a shell. It gets the event as one
line of JSON (``envelope``) and, in its environment, ``SLUICE_EVENT_TYPE``, ``_ID``, ``_SEQ``, ``_LIBRARY``, ``_PATH``
and ``_OLD_PATH``, paths with their exact bytes. 0 is delivered; 75 (EX_TEMPFAIL) asks for another time; every other end
is a failure that is told with the last that it said.

It is started polite, without any descriptor of ours, in a group of its own. When its time is over, or the sink is
closed, all of the group is ended; on Linux it ends with the service as well. What a command leaves behind in the
background after it ended is its own affair.
Fails with: BadSetting (making it), SinkRefused (there is no such command), SinkUnreachable (the sink was closed, or the
system starts no process).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery import envelope
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits
from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable
from mediasluice.identify import calling
from mediasluice.identify.launching import UNSTARTED, launched

TRAITS = Traits(is_strict=False, concurrency=2, batch=1)
AGAIN = 75  # EX_TEMPFAIL of sysexits.h
SAID_MAX = 4096  # bytes of what it says that are kept, chosen: the last lines tell why
LINES = 3  # of them that are told
LINE_MAX = 200  # characters of one
TICK_S = 0.1  # chosen: how soon it is noticed that the sink is closed
GRACE_S = 0.5  # chosen: between being asked to end and being ended; closing has a second
DRAIN_S = 1.0  # chosen: what it said is there by then, or something in the background holds the pipe


@dataclass(frozen=True, slots=True)
class Options:
    """What a command hook is told."""

    argv: tuple[str, ...]
    timeout_s: float = 60.0  # for one event


class _End(NamedTuple):
    code: int | None  # ``None``: it was ended; negative: by which signal
    said: bytes


class Command:
    """The sink. ``clock`` gives seconds that never go back."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        hint = "write it as a list: [/usr/local/bin/hook, --option]"
        if not options.argv or not options.argv[0]:
            raise BadSetting("argv names no command", hint=hint)
        if any("\0" in argument for argument in options.argv):
            raise BadSetting("argv holds a NUL, which no argument can", hint=hint)
        self._argv, self._timeout_s, self._clock = options.argv, options.timeout_s, clock
        self._closed = threading.Event()

    def open(self) -> None:
        """See that there is such a command."""
        self._closed.clear()
        self._found()

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        """Run it once for each."""
        return [self._run(fact) for fact in facts]

    def close(self) -> None:
        """End what runs."""
        self._closed.set()

    def _run(self, fact: Fact) -> Outcome:
        argv = self._found()
        if self._closed.is_set():
            raise self._ended()
        try:
            process = calling.start(launched(argv), _environment(fact), is_one_stream=True)
        except OSError as error:
            why = f"{self._argv[0]} cannot be started: {error.strerror}"
            raise SinkUnreachable(why, hint="see whether this machine is out of memory or processes") from None
        end = self._heard(process, envelope.body(fact) + b"\n")
        if end.code is None and self._closed.is_set():
            raise self._ended()
        if end.code == UNSTARTED and end.said.startswith(os.fsencode(argv[0]) + b": ") and end.said.count(b"\n") == 1:
            why = end.said.decode("utf-8", "replace").strip()
            raise SinkRefused(why, hint="give it a first line such as #!/bin/sh, with a program that is there")
        return _outcome(self._argv[0], end, self._timeout_s)

    def _found(self) -> list[str]:
        """The command with the place of its program."""
        name, *rest = self._argv
        place = shutil.which(name)
        if place is not None:
            return [os.path.abspath(place), *rest]
        if os.path.dirname(name) and os.path.exists(name):
            raise SinkRefused(f"{name} may not be run", hint=f"make it executable: chmod +x {name}")
        raise SinkRefused(f"there is no command {name}", hint="name it with its whole path, or put it into PATH")

    def _heard(self, process: subprocess.Popen[bytes], event: bytes) -> _End:
        """Hand the event over and wait for the end; end it, with all that it started, when its time is over."""
        assert process.stdout is not None
        said = calling.Tail(process.stdout, SAID_MAX)
        ending = threading.Thread(target=process.wait, name="command", daemon=True)
        for thread in (threading.Thread(target=_feed, args=(process, event), name="command", daemon=True), ending):
            thread.start()
        end_s = self._clock() + self._timeout_s
        while ending.is_alive() and not self._closed.is_set() and (left_s := end_s - self._clock()) > 0:
            ending.join(min(TICK_S, left_s))
        is_over = not ending.is_alive()
        if not is_over:
            calling.kill(process, signal.SIGTERM)
            ending.join(GRACE_S)
            calling.kill(process)
            ending.join(GRACE_S)
        said.join(DRAIN_S)
        return _End(process.returncode if is_over else None, said.kept)

    def _ended(self) -> SinkUnreachable:
        return SinkUnreachable(f"{self._argv[0]}: the sink was closed", hint="the event is delivered again")


def _feed(process: subprocess.Popen[bytes], event: bytes) -> None:
    """Runs in a thread: a command need not read."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write(event)
    with suppress(OSError):
        process.stdin.close()


def _environment(fact: Fact) -> dict[str, str]:
    event = fact.event
    told = {
        "TYPE": event.type.value,
        "ID": event.id,
        "SEQ": str(event.seq),
        "LIBRARY": event.library,
        "PATH": os.fsdecode(event.path),
        **({} if event.old_path is None else {"OLD_PATH": os.fsdecode(event.old_path)}),
    }
    return {**calling.environment(), **{f"SLUICE_EVENT_{name}": value for name, value in told.items()}}


def _outcome(name: str, end: _End, timeout_s: float) -> Outcome:
    if end.code == 0:
        return DELIVERED
    if end.code is None:
        how = f"did not end within {timeout_s:g} s and was killed"
    elif end.code < 0:
        how = f"was ended by {_signal(-end.code)}"
    elif end.code == AGAIN:
        how = f"asks for another time ({AGAIN})"
    else:
        how = f"ended with {end.code}"
    words = _last_lines(end.said)
    return Outcome(Result.FAILED, f"{name} {how}" + (f": {words}" if words else ""))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_lines(said: bytes) -> str:
    """The last that it said, in one line that plays no tricks with a terminal."""
    lines = ["".join(char if char.isprintable() else " " for char in line) for line in _text(said).splitlines()]
    told = [" ".join(line.split())[:LINE_MAX] for line in lines]
    return "; ".join([line for line in told if line][-LINES:])


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace")
