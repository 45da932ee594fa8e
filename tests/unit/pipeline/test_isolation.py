"""The isolation as far as it needs no process: frames, reasons, the queue, and what is done with one file."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.flow import RootId
from mediasluice.pipeline import isolated, isolation
from mediasluice.pipeline.frames import packed, take_frames
from mediasluice.pipeline.isolation import Chunk, Code, Isolation
from tests.looks import key_of

LIMIT_S = 30.0
ROOT = RootId(1)
MOST = 1 << 20


# -- frames ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 64, 1000])
def test_frames_may_come_in_pieces(size: int) -> None:
    """Wherever the bytes are cut, each value is taken once, as soon as it is complete."""
    values: list[Any] = [None, 7, "text\udcff", b"\0" * 50, (1, ("a", 2.5), [True]), {"key": b"value"}]
    data = b"".join(packed(value) for value in values)
    buffer, found = bytearray(), []
    for start in range(0, len(data), size):
        buffer += data[start : start + size]
        found += list(take_frames(buffer, MOST))
    assert found == values
    assert buffer == b""


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x02\0\0\0xx", b"\x05\0\0\0(\x01\0\0\0", packed(1)[:-1] + b"\xff" * 9],
)
def test_what_came_before_nonsense_counts(nonsense: bytes) -> None:
    """Bytes that are no frame are refused, after all values before them were taken."""
    frames = take_frames(bytearray(packed("first") + packed("second") + nonsense), MOST)
    assert [next(frames), next(frames)] == ["first", "second"]
    with pytest.raises(ValueError, match=r"."):
        list(frames)


@pytest.mark.parametrize("value", [object(), Code.READ, Chunk(1, "read", ROOT, b"", [])])
def test_what_is_no_plain_value_is_refused(value: object) -> None:
    """Objects, enums and named tuples do not go through a pipe."""
    with pytest.raises(ValueError, match="marshal"):
        packed((value,))


# -- reasons --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("  two\n\tlines \r\n", "two lines"),
        ("\x1b]0;title\x07 \x9b31m bell\0", "]0;title 31m bell"),
        ("bad \udcff\udc80 end", "bad end"),
        ("right \u202e to left", "right to left"),
        ("x" * 5000, "x" * isolated.LINE_MAX),
        ("\n" * 100_000 + "far away", ""),
        ("Größe 名", "Größe 名"),
    ],
)
def test_a_reason_is_one_harmless_line(text: str, shown: str) -> None:
    """What a library says becomes one line without anything that a terminal or a database would choke on."""
    assert isolated.line(text) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(2 << 30, "2 GiB"), (3 << 29, "1.5 GiB"), (300 << 20, "300 MiB"), (5 << 10, "5 KiB"), (9, "9 bytes")],
)
def test_sizes_are_told_to_people(count: int, shown: str) -> None:
    """A limit is told in the unit in which it is thought of."""
    assert isolated.sized(count) == shown


@pytest.mark.parametrize(
    ("printed", "last"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("the cause\nFatal Python error: Segmentation fault\n\nCurrent thread\n  File x\n", "the cause"),
        ("Fatal Python error: Aborted\n\nCurrent thread\n", ""),
    ],
)
def test_the_last_line_is_the_librarys(printed: str, last: str) -> None:
    """What the interpreter adds after a crash is for the log, not for the reason."""
    assert isolation._last_line(printed) == last


# -- one file -------------------------------------------------------------------------------------


def done(tmp_path: Path, verb: Callable[[Opened, Any], object]) -> isolated._Done:
    """Have a verb done with a file, as a process would."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    job = (b"", b"a.jpg", key_of(path), ("image", "told"))
    before = len(os.listdir("/dev/fd"))
    with isolated._Folder(os.fsencode(tmp_path)) as folder:
        found = isolated._do(folder, verb, job, isolated._Limits(1 << 40))
    assert len(os.listdir("/dev/fd")) <= before + 1  # the limits look at their own memory
    return found


class ForeignError(OSError):
    """As PyAV has them: with numbers of the system, also for what stands in a file."""


def raising(error: BaseException) -> Callable[[Opened, Any], object]:
    def verb(opened: Opened, told: object) -> object:
        raise error

    return verb


def test_a_verb_gets_the_file_and_what_it_is_told(tmp_path: Path) -> None:
    """It can read the file, knows its kind, size and path, and gets what was meant for it."""
    found = done(tmp_path, lambda opened, told: (opened.head, opened.kind.value, opened.size, opened.path, told))
    assert found == ("read", (b"content", "image", 7, os.fsencode(tmp_path / "a.jpg"), "told"), None, None)


@pytest.mark.parametrize(
    ("error", "code", "value"),
    [
        (Refused("no image in it"), "failed", "no image in it"),
        (ValueError("a\nb"), "failed", "ValueError: a b"),
        (ValueError(), "failed", "ValueError"),
        (RecursionError("too deep"), "failed", "RecursionError: too deep"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (OSError(errno.EIO, "as it is told"), "unreadable", "Input/output error"),
        (OSError(errno.ESTALE, ""), "unreadable", os.strerror(errno.ESTALE)),
        (OSError("cannot identify image file"), "failed", "OSError: cannot identify image file"),
        (ForeignError(errno.EIO, "bad box"), "failed", f"ForeignError: [Errno {errno.EIO}] bad box"),
    ],
)
def test_errors_become_reasons(error: BaseException, code: str, value: str, tmp_path: Path) -> None:
    """What stands in a file is its fault; what the disk says is not. Libraries that use its words are asked twice."""
    found = done(tmp_path, raising(error))
    assert (found.code, found.value, found.leave) == (code, value, None)
    assert (found.note is None) == (code == "unreadable" or isinstance(error, Refused))


def of_us(opened: Opened, told: object) -> object:
    """A mistake in code of ours."""
    return opened.pread("1", 0)  # type: ignore[arg-type]


def of_this_installation(opened: Opened, told: object) -> object:
    import mediasluice.identify.readers.that_is_missing  # type: ignore[import-not-found] # noqa: PLC0415

    return mediasluice


@pytest.mark.parametrize(
    ("verb", "code"),
    [
        (of_us, "mistaken"),
        (of_this_installation, "mistaken"),
        (lambda opened, _: opened.pread(1, 0)[7], "failed"),
        (raising(TypeError("a library's own")), "failed"),
    ],
)
def test_a_mistake_of_ours_is_not_the_files(verb: Callable[[Opened, Any], object], code: str, tmp_path: Path) -> None:
    """What our code raises and does not mean to, and what is missing here, is told apart, with its trace."""
    found = done(tmp_path, verb)
    assert found.code == code
    assert "Traceback" in (found.note or "")


def test_want_of_memory_ends_the_process(tmp_path: Path) -> None:
    """The file fails, and the process says that it leaves."""
    found = done(tmp_path, raising(MemoryError()))
    assert found == ("failed", "needs more memory than 1024 GiB allows", None, "memory")


def test_names_stand_in_reasons_instead_of_numbers(tmp_path: Path) -> None:
    """A library that opened the file by its descriptor names it as people know it."""

    def verb(opened: Opened, told: object) -> object:
        raise ValueError(f"invalid data: '{opened.reopened}'")

    assert done(tmp_path, verb).value == "ValueError: invalid data: 'a.jpg'"


def test_a_verb_may_close_the_file(tmp_path: Path) -> None:
    """Then it cannot be said that the file stayed the same, and nothing breaks."""

    def verb(opened: Opened, told: object) -> None:
        os.close(opened.fd)

    assert done(tmp_path, verb).code == "unreadable"


# -- the queue ------------------------------------------------------------------------------------


class Waiting:
    """A desk whose chunks are taken by the test instead of by processes."""

    def __init__(self) -> None:
        self.wakes = 0
        self.desk = isolation._Desk(self._wake)
        self.keeper = isolation._Keeper(self.desk, 0, (), 1.0, 1)
        self.desk.keepers.append(self.keeper)

    def _wake(self) -> None:
        self.wakes += 1

    def submit(self, token: object, root: int = 1, *, urgent: bool = False, files: int = 1) -> None:
        rows: list[isolation.File] = [(b"", b"a", (0, 0, 0, 0), ("image", None))] * files
        self.desk.submit(Chunk(token, "read", RootId(root), b"", rows), urgent=urgent)

    def taken(self) -> object:
        work = self.desk.next(self.keeper, 0.0)
        return None if work is None else work.chunk.token


def test_urgent_chunks_go_first() -> None:
    """Each kind in its own order; those that somebody waits for never wait inside a process."""
    waiting = Waiting()
    for token, urgent in ((1, False), (2, True), (3, False), (4, True)):
        waiting.submit(token, urgent=urgent)
    assert waiting.desk.after_next(waiting.keeper) is None
    assert [waiting.taken() for _ in range(3)] == [2, 4, 1]
    ahead = waiting.desk.after_next(waiting.keeper)
    assert ahead is not None
    assert ahead.chunk.token == 3
    assert waiting.taken() is None


def test_who_is_to_be_alone_is() -> None:
    """What is to have all memory waits for those at work; nobody begins before it is done, and then all go on."""
    waiting = Waiting()
    waiting.submit(1)
    waiting.submit(2)
    assert waiting.taken() == 1
    rows: list[isolation.File] = [(b"", b"a", (0, 0, 0, 0), ("image", None))]
    waiting.desk.submit(Chunk(3, "read", RootId(1), b"", rows), urgent=False, alone=True)
    waiting.submit(4, urgent=True)
    assert waiting.taken() is None
    assert waiting.desk.after_next(waiting.keeper) is None
    assert waiting.desk.urgent(waiting.keeper) is None
    waiting.desk.finished(waiting.keeper, waiting.keeper.works[0], None)
    assert waiting.taken() == 3
    assert waiting.taken() is None
    waiting.desk.finished(waiting.keeper, waiting.keeper.works[0], None)
    assert [waiting.taken(), waiting.taken()] == [4, 2]


def test_who_is_to_be_alone_may_be_given_up() -> None:
    """A chunk that waits to be alone comes back with its root, and holds up nobody then."""
    waiting = Waiting()
    rows: list[isolation.File] = [(b"", b"a", (0, 0, 0, 0), ("image", None))]
    waiting.desk.submit(Chunk(1, "read", RootId(7), b"", rows), urgent=False, alone=True)
    waiting.submit(2)
    waiting.desk.give_up(RootId(7))
    assert waiting.desk.answers.popleft().outcomes == [(Code.GIVEN_UP, None)]
    assert waiting.taken() == 2


def test_who_brings_too_much_waits() -> None:
    """A full queue takes the next chunk when one is taken out, and lets go when everything ends."""
    waiting = Waiting()
    for token in range(isolation.DEPTH):
        waiting.submit(token)
    waiting.submit("urgent", urgent=True)  # has a queue of its own
    threads = [threading.Thread(target=waiting.submit, args=(token,)) for token in ("one more", "too late")]
    threads[0].start()
    assert [waiting.taken(), waiting.taken()] == ["urgent", 0]
    threads[0].join(LIMIT_S)
    assert not threads[0].is_alive()
    threads[1].start()
    waiting.desk.close()
    threads[1].join(LIMIT_S)
    assert not threads[1].is_alive()
    assert waiting.taken() is None
    assert waiting.desk.outstanding == isolation.DEPTH + 2


def test_chunks_of_a_given_up_root_come_back() -> None:
    """Those that wait and those that come are answered at once, one outcome for each file, until it is trusted."""
    waiting = Waiting()
    waiting.submit(1, root=1, files=3)
    waiting.submit(2, root=2)
    waiting.submit(3, root=1, urgent=True)
    waiting.desk.give_up(RootId(1))
    waiting.submit(4, root=1)
    answers = {answer.token: answer.outcomes for answer in waiting.desk.answers}
    given_up = (Code.GIVEN_UP, None)
    assert answers == {1: [given_up] * 3, 3: [given_up], 4: [given_up]}
    assert waiting.wakes == 3
    assert waiting.desk.outstanding == 1
    waiting.desk.trust(RootId(1))
    waiting.submit(5, root=1)
    assert [waiting.taken(), waiting.taken()] == [2, 5]


def test_an_answer_has_what_there_is() -> None:
    """Files that nothing is known of were given up; notes keep their places."""
    work = isolation._Work(Chunk("token", "read", ROOT, b"", [(b"", b"a", (0, 0, 0, 0), ("image", None))] * 4))
    work.came_out(Code.READ, 1)
    work.came_out(Code.CRASHED, "why", "what it printed")
    answer = work.answer("a failure")
    assert answer.outcomes == [(Code.READ, 1), (Code.CRASHED, "why"), (Code.GIVEN_UP, None), (Code.GIVEN_UP, None)]
    assert (answer.token, dict(answer.notes), answer.failure) == ("token", {1: "what it printed"}, "a failure")


def test_without_work_there_is_no_process() -> None:
    """Nothing is started before there is something to read, and closing then takes no time."""
    pool = Isolation(processes=3, wake=lambda: None)
    assert (pool.pids(), pool.busy(), pool.restarts, pool.outstanding, pool.drain()) == ([], [], {}, 0, [])
    pool.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("isolation-")]
