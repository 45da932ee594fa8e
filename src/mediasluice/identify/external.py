"""Ask sources outside of the file what it is: a program of the user, last of all and never needed.

A source is asked with what is known of a file, and answers with what it knows, or with None. :class:`Program` is one:
a command that gets one JSON object on its standard input and writes one to its standard output; ``null``, or nothing
at all, means that it knows nothing. :func:`merge` fills with an answer what nobody else could say.

What a source gave is kept apart from what the file says, as JSON; :func:`merged` joins both when they are shown.

A source may be broken, slow or out of reach, and a file is no worse for it: whatever goes wrong gives None, and
``reason`` says what. After FAILURES_MAX failures in a row it is left alone for a while, so that a service without a
network does not wait for each file. One thread asks a source at a time. Times are seconds; the clock comes in.
Fails with: nothing.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from mediasluice.identify import calling
from mediasluice.model.media import Reading, Tags

TIMEOUT_S = 10.0  # chosen: an answer over the network, with one repeat
QUESTION_MAX = 256 << 10  # bytes; chosen: all that we know of a file, many times over
ANSWER_MAX = 256 << 10  # bytes; chosen: as much
COMPLAINT_MAX = 2048  # bytes of standard error that are looked at
FAILURES_MAX = 3  # in a row; chosen: two may be bad luck
PAUSE_S = 300.0  # chosen: a router restarts in less
REASON_MAX = 200  # characters, chosen: one line
VALUE_MAX = 1000  # characters of one value, chosen: longer ones are no titles
_TICK_S = 0.1  # chosen: how soon it is noticed that nobody waits any more
_ENDING_S = 1.0  # chosen: a killed process is gone by then, or its child holds the pipe


class Source(Protocol):
    """Knows of files what does not stand in them."""

    def look_up(self, about: Mapping[str, object]) -> Mapping[str, object] | None:
        """What it knows of a file, by the names of :class:`Tags`; None where it knows nothing or cannot say."""


class Program:
    """A command of the user. ``argv`` is run as it is, without a shell; ``clock`` gives seconds that never go back."""

    def __init__(
        self, name: str, argv: Sequence[str], clock: Callable[[], float], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = name
        self.reason: str | None = None  # why the last answer was None, where that was a failure
        self._argv = list(argv)
        self._clock = clock
        self._timeout_s = timeout_s
        self._failures = 0
        self._resting_until_s: float | None = None
        self._ended = threading.Event()

    @property
    def rests_s(self) -> float:
        """How long it is left alone from now on."""
        return 0.0 if self._resting_until_s is None else max(0.0, self._resting_until_s - self._clock())

    def end(self) -> None:
        """Wait for nothing any more; from any thread. What it was asked is None then, and no failure."""
        self._ended.set()

    def look_up(self, about: Mapping[str, object]) -> Mapping[str, object] | None:
        """Run it once. While it is left alone, the answer is None at once."""
        if self._resting_until_s is not None and self._clock() < self._resting_until_s:
            self.reason = f"{self.name}: left alone after {self._failures} failures"
            return None
        try:
            found = _parsed(self._asked(about))
        except (_Failure, OSError, ValueError, RuntimeError) as error:  # an argument that cannot be passed; no thread
            if self._ended.is_set():
                self.reason = f"{self.name}: not asked to the end"
                return None
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                self._resting_until_s = self._clock() + PAUSE_S  # then one file tries it
            self.reason = " ".join(f"{self.name}: {error}".split())[:REASON_MAX]
            return None
        self._failures, self._resting_until_s, self.reason = 0, None, None
        return found

    def _asked(self, about: Mapping[str, object]) -> bytes:
        """Hand the question over and take the answer; end it, with its children, when its time is over."""
        question = json.dumps(about, default=str).encode()  # ASCII: bytes of a path that are no text are \udcXX
        if len(question) > QUESTION_MAX:
            raise _Failure(f"a question of {len(question)} bytes")
        process = calling.start(self._argv, calling.environment())
        talk = _Talk(process, question)
        is_late = not self._ends_in_time(talk)
        if is_late:
            calling.kill(process)
            talk.join(_ENDING_S)
            process.poll()  # nobody else waits for it, if a grandchild still holds the pipe
        if len(talk.answer) > ANSWER_MAX:
            raise _Failure(f"an answer of more than {ANSWER_MAX} bytes")
        if is_late:
            raise _Failure(f"no answer within {self._timeout_s:g} s")
        if process.returncode:
            raise _Failure(f"ended with {process.returncode} {talk.complaint.kept.decode(errors='replace')}")
        return talk.answer

    def _ends_in_time(self, talk: _Talk) -> bool:
        left_s = self._timeout_s
        while talk.is_alive() and left_s > 0 and not self._ended.is_set():
            talk.join(min(_TICK_S, left_s))
            left_s -= _TICK_S
        return not talk.is_alive()


class _Failure(Exception):
    """It gave no answer that makes sense."""


class _Talk(threading.Thread):
    """Talks with a process. In a thread, because a pipe may stay open for ever in the hands of some grandchild."""

    def __init__(self, process: subprocess.Popen[bytes], question: bytes) -> None:
        super().__init__(name="external", daemon=True)
        assert process.stderr is not None
        self.answer = b""
        self.complaint = calling.Tail(process.stderr, COMPLAINT_MAX)
        self._process, self._question = process, question
        self.start()

    def run(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError), process.stdin as pipe:  # it may not care for the question
            pipe.write(self._question)
        with process.stdout as pipe:
            self.answer = pipe.read(ANSWER_MAX + 1)
        process.wait()
        self.complaint.join(_ENDING_S)


def _parsed(answer: bytes) -> Mapping[str, object] | None:
    """One JSON object, or nothing."""
    if not answer.strip():
        return None
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _Failure(f"no JSON: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise _Failure(f"no JSON object but {type(found).__name__}")
    return found


def merge(reading: Reading, found: Mapping[str, object], name: str) -> Reading:
    """Fill the tags that are unknown with what the source ``name`` found; all else stays as the file says."""
    told = tags_of(found)
    missing = {
        tag: told[tag] for tag, known in zip(Tags._fields, reading.tags, strict=True) if known is None and tag in told
    }
    if not missing:
        return reading
    reader = f"{reading.reader}+external:{name}".lstrip("+")
    return reading._replace(reader=reader, tags=reading.tags._replace(**missing))


def tags_of(found: Mapping[str, object]) -> dict[str, str]:
    """What of an answer can be a tag, as one line of text each."""
    return {tag: value for tag in Tags._fields if (value := _line(found.get(tag))) is not None}


def merged(reading: Reading, told: str | None) -> Reading:
    """Fill what is unknown with what the catalogue keeps of sources: a JSON list of [place, name, tags]."""
    for _, name, found in sorted(json.loads(told)) if told else ():
        reading = merge(reading, found, name)
    return reading


def _line(value: object) -> str | None:
    """One line of text; numbers are taken, for tracks and years."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**9 else None
    if not isinstance(value, str):
        return None
    line = "".join(letter if letter.isprintable() else " " for letter in value[:VALUE_MAX])
    return " ".join(line.split()) or None
