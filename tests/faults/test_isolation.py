"""What damaged and hostile files do to the processes that read them, and that nobody else notices.

The processes are real, and so are the signals, the limits and the deadlines.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mediasluice.model.flow import RootId
from mediasluice.pipeline import isolation
from mediasluice.pipeline.frames import packed
from mediasluice.pipeline.isolation import Answer, Chunk, Code, File, Isolation
from tests.looks import key_of
from tests.service import Mounts

LIMIT_S = 30.0  # chosen: for a busy machine
DEADLINE_S = 0.7
MEMORY = 1 << 30
CHILD = (sys.executable, "-P", str(Path(__file__).with_name("hostile_child.py")))
ROOT = RootId(1)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Reading:
    """Processes that read hostile files, and what they answered."""

    def __init__(self, **settings: Any) -> None:
        self._woken = threading.Event()
        values: dict[str, Any] = {"processes": 1, "deadline_s": DEADLINE_S, "memory": MEMORY, "command": CHILD}
        self.isolation = Isolation(wake=self._woken.set, **values | settings)
        self._answers: list[Answer] = []

    def answer(self) -> Answer:
        while not self._answers:
            assert self._woken.wait(LIMIT_S), "no answer"
            self._woken.clear()
            self._answers += self.isolation.drain()
        return self._answers.pop(0)

    def ask(self, root: Path, *files: File, verb: str = "any") -> Answer:
        self.isolation.submit(Chunk("token", verb, ROOT, os.fsencode(root), files))
        answer = self.answer()
        assert answer.token == "token"
        assert len(answer.outcomes) == len(files)
        return answer


@contextlib.contextmanager
def reading(**settings: Any) -> Iterator[Reading]:
    running = Reading(**settings)
    try:
        yield running
    finally:
        running.isolation.close()


def file(root: Path, verb: str, told: object = None, *, name: str = "", directory: str = "") -> File:
    """A file, and what is to happen when it is read."""
    path = root / directory / (name or f"{verb}.jpg")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of " + os.fsencode(path.name))
    return os.fsencode(directory), os.fsencode(path.name), key_of(path), ("image", (verb, told))


def state(pid: int) -> str | None:
    """The letter of the kernel for what a process does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    pause = threading.Event()
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {limit_s:g} s"
        pause.wait(0.01)


def until_gone(pids: Sequence[int], limit_s: float = LIMIT_S) -> None:
    until(lambda: all(state(pid) in (None, "Z") for pid in pids), limit_s)


def until_read(running: Reading, name: str, since_s: float = 0.0) -> int:
    """Wait until a file has been read for so long; gives the process that does it, where there is only one."""

    def is_read() -> bool:
        latest_s = time.monotonic() - since_s
        return [busy.name for busy in running.isolation.busy() if busy.since_s <= latest_s] == [os.fsencode(name)]

    until(is_read)
    return running.isolation.pids()[0]


def test_files_are_read(tmp_path: Path) -> None:
    """Each file of a chunk has its outcome, in their order, with what the verb made of it and of what it was told."""
    files = [file(tmp_path, "content", n, name=f"{n}.jpg", directory="a/b" if n % 2 else "") for n in range(9)]
    with reading() as running:
        assert running.isolation.pids() == []  # nothing to do: nothing is started
        answer = running.ask(tmp_path, *files)
        assert answer.failure is None
        assert not answer.notes
        assert answer.outcomes == [
            (Code.READ, (f"content of {n}.jpg".encode(), b"/proc/self/fd/", "image", n)) for n in range(9)
        ]
        assert running.isolation.restarts == {}
        assert running.isolation.outstanding == 0


TOO_LONG = f"took longer than {DEADLINE_S:g} s"


class Begins(str):
    """How a reason begins, where the rest is not ours."""

    __slots__ = ()


NONSENSE = Begins("answered nonsense")
HOSTILE = [
    pytest.param("sleep", None, Code.TIMED_OUT, TOO_LONG, "waiting for a packet", id="waits for ever"),
    pytest.param("deaf", None, Code.TIMED_OUT, TOO_LONG, "", id="blocks all signals and the interpreter"),
    pytest.param("backtrack", None, Code.TIMED_OUT, TOO_LONG, "", id="calculates for ever in C"),
    pytest.param(
        "segfault",
        None,
        Code.CRASHED,
        "ended by signal 11 (SIGSEGV): box size 0xffffffff [31m",
        "in string_at",
        id="writes where it must not",
    ),
    pytest.param(
        "silent_segfault", None, Code.CRASHED, "ended by signal 11 (SIGSEGV)", "silent_segfault", id="says nothing"
    ),
    pytest.param(
        "abort",
        None,
        Code.CRASHED,
        "ended by signal 6 (SIGABRT): what(): std::bad_alloc",
        "terminate called",
        id="ends itself by a signal",
    ),
    pytest.param("leave", 0, Code.CRASHED, "ended with exit code 0", None, id="ends itself as if all were well"),
    pytest.param("leave", 3, Code.CRASHED, "ended with exit code 3", None, id="ends itself with a code"),
    pytest.param(
        "exits", None, Code.FAILED, "SystemExit: a library that thinks it is a program", "Traceback", id="exits"
    ),
    pytest.param("allocate", 4 << 30, Code.FAILED, "needs more memory than 1 GiB allows", None, id="wants all memory"),
    pytest.param("print_and_crash", None, Code.CRASHED, "ended by signal 6 (SIGABRT): the last words", "", id="prints"),
    pytest.param("print_much", None, Code.READ, "read", None, id="prints and lives"),
    pytest.param("print_in_between", None, Code.READ, "read", None, id="prints to standard output"),
    pytest.param("answer_nonsense", b"\xff" * 100, Code.CRASHED, NONSENSE, "", id="answers with a huge length"),
    pytest.param("answer_nonsense", b"\x04\0\0\0\0\0\0\0", Code.CRASHED, NONSENSE, "", id="answers with no value"),
    pytest.param("answer_nonsense", packed(7), Code.CRASHED, NONSENSE, "", id="answers with a number"),
    pytest.param(
        "answer_nonsense",
        packed((99, "read", None, None, None)),
        Code.CRASHED,
        NONSENSE,
        "",
        id="answers for another file",
    ),
    pytest.param("close_all", None, Code.CRASHED, "ceased to answer", "", id="closes everything"),
    pytest.param("refuse", None, Code.FAILED, "there is nothing in it", None, id="is refused"),
    pytest.param(
        "fail", None, Code.FAILED, r"KeyError: 'odd\n\x1b[2Jbox in fail.jpg \udcff'", "Traceback", id="odd error"
    ),
    pytest.param("fail_badly", None, Code.FAILED, "Unspeakable", "Traceback", id="an error that cannot be told"),
    pytest.param("broken_disk", errno.EIO, Code.UNREADABLE, "Input/output error", None, id="a broken disk"),
    pytest.param(
        "broken_disk",
        errno.ENOENT,
        Code.FAILED,
        Begins("FileNotFoundError: "),
        "Traceback",
        id="an error of the library",
    ),
    pytest.param(
        "unspeakable", None, Code.FAILED, Begins("what was found in it cannot be told: "), "a lock", id="gives no value"
    ),
    pytest.param("much", 40 << 20, Code.FAILED, "what was found in it is larger than 32 MiB", "a bytes", id="too much"),
    pytest.param("change", None, Code.CHANGED, None, None, id="changes meanwhile"),
    pytest.param("change", "fail", Code.CHANGED, None, None, id="changes meanwhile and cannot be read"),
]


@pytest.mark.parametrize(("verb", "told", "code", "reason", "note"), HOSTILE)
def test_a_hostile_file(
    verb: str, told: object, code: Code, reason: str | None, note: str | None, tmp_path: Path
) -> None:
    """It has its own outcome, with a reason on one line; those before and behind it in the chunk are read."""
    before, behind = (file(tmp_path, "content", name=name) for name in ("before.jpg", "behind.jpg"))
    with reading() as running:
        answer = running.ask(tmp_path, before, file(tmp_path, verb, told), behind)
        assert answer.failure is None
        assert [found for found, _ in answer.outcomes] == [Code.READ, code, Code.READ]
        value = answer.outcomes[1][1]
        assert value.startswith(reason) if isinstance(reason, Begins) else value == reason
        assert value is None or (value.isprintable() and len(value) <= 300)
        assert answer.notes.keys() <= {1}
        assert len(answer.notes.get(1, "")) <= 8 << 10
        if note is None:
            assert 1 not in answer.notes
        else:
            assert note in answer.notes.get(1, "")
        again = running.ask(tmp_path, behind)
        assert again.outcomes[0][0] is Code.READ


def test_the_deadline_is_kept(tmp_path: Path) -> None:
    """Several files that hang cost their deadlines, one after the other, and little more."""
    files = [file(tmp_path, "deaf", name=f"{number}.jpg") for number in range(3)]
    with reading() as running:
        running.ask(tmp_path, file(tmp_path, "nothing"))
        since_s = time.monotonic()
        answer = running.ask(tmp_path, *files)
        assert answer.outcomes == [(Code.TIMED_OUT, TOO_LONG)] * 3
        assert 3 * DEADLINE_S <= time.monotonic() - since_s < LIMIT_S
        assert running.isolation.restarts == {"timed out": 3}


def test_want_of_a_processor_is_not_the_files_fault(tmp_path: Path) -> None:
    """A file whose process has to share its processor may take longer than the deadline by the time that it waits."""
    processor, deadline_s = max(os.sched_getaffinity(0)), 2.0
    busy = f"import os; os.sched_setaffinity(0, {{{processor}}}); print(flush=True)\nwhile True: pass"
    with contextlib.ExitStack() as stack:
        for _ in range(3):  # so that it waits three times as long as it works
            other = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", busy], start_new_session=True, stdout=subprocess.PIPE)
            )
            stack.callback(other.kill)
            assert other.stdout is not None
            assert other.stdout.readline()
        running = stack.enter_context(reading(deadline_s=deadline_s))
        running.ask(tmp_path, file(tmp_path, "nothing"))
        since_s = time.monotonic()
        answer = running.ask(tmp_path, file(tmp_path, "starve", (processor, deadline_s)))
        assert time.monotonic() - since_s > deadline_s
        assert answer.outcomes[0][0] is Code.READ


def test_too_little_memory_costs_the_process(tmp_path: Path) -> None:
    """A process that came to its limit is replaced; the file that it failed on is the only one that fails."""
    with reading() as running:
        files = [file(tmp_path, "nothing", name="1"), file(tmp_path, "allocate", 4 << 30), file(tmp_path, "nothing")]
        (_, first), (code, _), (_, second) = running.ask(tmp_path, *files).outcomes
        assert code is Code.FAILED
        assert first != second
        assert running.isolation.restarts == {"memory": 1}


@pytest.mark.parametrize(
    ("verb", "each", "why", "groups"),
    [("keep", 200 << 20, "memory", [3, 3, 3]), ("keep_open", 50, "descriptors", [8, 1])],
    ids=["memory", "files"],
)
def test_what_leaks_is_replaced(verb: str, each: int, why: str, groups: list[int], tmp_path: Path) -> None:
    """A library that loses something with every file never comes to the point where that harms one."""
    with reading() as running:
        answer = running.ask(tmp_path, *[file(tmp_path, verb, each, name=f"{number}.jpg") for number in range(9)])
        assert {code for code, _ in answer.outcomes} == {Code.READ}
        pids = [pid for _, pid in answer.outcomes]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == groups
        assert running.isolation.restarts == {why: groups.count(groups[0])}


def test_a_process_is_recycled(tmp_path: Path) -> None:
    """After so many files another process goes on, between two chunks."""
    with reading(recycle_after=4) as running:
        pids = []
        for _ in range(6):
            files = [file(tmp_path, "nothing", name=f"{number}.jpg") for number in range(2)]
            pids += [pid for _, pid in running.ask(tmp_path, *files).outcomes]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4, 4]
        assert running.isolation.restarts == {"recycled": 2}


def test_many_chunks(tmp_path: Path) -> None:
    """Chunks that wait for each other in few processes, with crashes among them, come back whole, each exactly once."""
    names = [f"{number}.jpg" for number in range(20)]
    good = [file(tmp_path, "content", number, name=name) for number, name in enumerate(names)]
    bad = [*good[:7], file(tmp_path, "leave", 1), *good[7:]]
    with reading(processes=2, recycle_after=400) as running:
        for token in range(60):
            files = bad if token % 10 == 9 else good
            running.isolation.submit(Chunk(token, "any", ROOT, os.fsencode(tmp_path), files))
        answers: dict[Any, Answer] = {answer.token: answer for answer in (running.answer() for _ in range(60))}
        assert sorted(answers) == list(range(60))
        for token, answer in answers.items():
            told = [value[3] for code, value in answer.outcomes if code is Code.READ]
            assert told == list(range(20)), token
            assert [n for n, (code, _) in enumerate(answer.outcomes) if code is Code.CRASHED] == (
                [7] if token % 10 == 9 else []
            )
        assert running.isolation.restarts["crashed"] == 6
        assert running.isolation.restarts.keys() <= {"crashed", "recycled"}
        assert running.isolation.outstanding == 0


@pytest.mark.parametrize("way", ["crash", "hang"])
def test_what_a_file_started_ends_with_it(way: str, tmp_path: Path) -> None:
    """A copy of the process and a program that it started are gone, although they keep its pipes open."""
    told = (str(tmp_path / "pids"), way)
    with reading() as running:
        answer = running.ask(tmp_path, file(tmp_path, "fork", told), file(tmp_path, "nothing"))
        assert [code for code, _ in answer.outcomes] == [Code.CRASHED if way == "crash" else Code.TIMED_OUT, Code.READ]
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()[:3]]
        until_gone(pids)


def test_an_older_kernel_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing tells at once that a process has ended, it is noticed soon, also when a copy keeps its pipes."""
    monkeypatch.delattr(os, "pidfd_open")
    told = (str(tmp_path / "pids"), "crash")
    files = [file(tmp_path, "nothing", name="1"), file(tmp_path, "fork", told), file(tmp_path, "sleep")]
    with reading() as running:
        answer = running.ask(tmp_path, *files, file(tmp_path, "leave", 4), file(tmp_path, "nothing"))
        assert [code for code, _ in answer.outcomes] == [
            *(Code.READ, Code.CRASHED, Code.TIMED_OUT),
            *(Code.CRASHED, Code.READ),
        ]
        assert answer.outcomes[1][1] == "ended by signal 6 (SIGABRT)"
        until_gone([int(pid) for pid in (tmp_path / "pids").read_text().split()[:3]])


def test_processes_end_with_a_killed_service(tmp_path: Path) -> None:
    """When the service is killed by -9, those that read for it end within a second, and what they had started too."""
    for verb in ("deaf", "fork", "nothing"):
        file(tmp_path, verb)
    program = (
        "from tests.faults.test_isolation import *\n"
        f"root = Path({str(tmp_path)!r})\n"
        "running = Reading(processes=3, deadline_s=1000.0)\n"
        "for verb, told in (('deaf', None), ('fork', (str(root / 'pids'), 'hang')), ('nothing', None)):\n"
        "    running.isolation.submit(Chunk(verb, 'any', ROOT, os.fsencode(root), [file(root, verb, told)]))\n"
        "assert running.answer().token == 'nothing'\n"
        "until(lambda: {busy.token for busy in running.isolation.busy()} == {'deaf', 'fork'})\n"
        "until(lambda: (root / 'pids').exists() and (root / 'pids').read_text().endswith('.'))\n"
        "print(*running.isolation.pids(), flush=True)\n"
        "threading.Event().wait()\n"
    )
    top = Path(__file__).resolve().parents[2]
    service = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=top)
    assert service.stdout is not None
    pids = [int(pid) for pid in service.stdout.readline().split()]
    assert len(pids) == 3
    reader, *started = [int(pid) for pid in (tmp_path / "pids").read_text().split()[:3]]
    assert reader in pids
    service.kill()
    until_gone(pids + started, 1.0)
    service.wait()
    service.stdout.close()


def _gone(path: Path) -> None:
    path.unlink()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _no_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def _linked_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to("moved")


def _folder_is_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"")


def _longer(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes() + b".")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _touched(path: Path) -> None:
    os.utime(path, ns=(5, 5))


def _other_mode(path: Path) -> None:
    path.chmod(stat.S_IRUSR)


def _replaced(path: Path) -> None:
    os.link(path, path.with_name("kept"))
    status = path.stat()
    other = path.with_name("new")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        *((change, Code.GONE) for change in (_gone, _fifo, _link, _directory)),
        *((change, Code.GONE) for change in (_no_folder, _linked_folder, _folder_is_file)),
        *((change, Code.CHANGED) for change in (_longer, _touched, _other_mode, _replaced)),
    ],
)
def test_another_file_is_not_read(happens: Callable[[Path], None], code: Code, tmp_path: Path) -> None:
    """What is no longer the file that is meant, when its turn comes, is not opened, and that is no fault of it."""
    meant = file(tmp_path, "content", directory="folder", name="meant.jpg")
    happens(tmp_path / "folder" / "meant.jpg")
    with reading() as running:
        assert running.ask(tmp_path, meant, file(tmp_path, "nothing")).outcomes[0] == (code, None)
        assert running.isolation.restarts == {}


def _by_link(path: Path) -> None:
    """The file that is meant, by its link."""


def _link_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("../other.jpg")


def _link_outside(path: Path) -> None:
    path.unlink()
    (path.parent.parent / "hidden" / "meant.jpg").rename(path.parent.parent.with_name("outside.jpg"))
    path.symlink_to("../../outside.jpg")


def _link_nowhere(path: Path) -> None:
    (path.parent.parent / "hidden" / "meant.jpg").unlink()


def _link_in_a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to("meant.jpg")


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (_by_link, Code.READ),
        (_link_elsewhere, Code.CHANGED),
        *((change, Code.GONE) for change in (_link_outside, _link_nowhere, _link_in_a_circle)),
    ],
)
def test_a_link_stands_for_its_file(happens: Callable[[Path], None], code: Code, tmp_path: Path) -> None:
    """Where links are followed, one is read as the file that it leads to, if that is the one meant and in the root."""
    root = tmp_path / "root"
    *_, extra = file(root, "content", directory="hidden", name="meant.jpg")
    file(root, "content", name="other.jpg")
    link = root / "folder" / "meant.jpg"
    link.parent.mkdir()
    link.symlink_to("../hidden/meant.jpg")
    meant = (b"folder", b"meant.jpg", key_of(link), extra)
    happens(link)
    with reading() as running:
        running.isolation.submit(Chunk(1, "any", ROOT, os.fsencode(root), [meant, file(root, "nothing")], True))
        assert [found for found, _ in running.answer().outcomes] == [code, Code.READ]
        assert running.ask(root, meant).outcomes == [(Code.GONE, None)]


def test_a_file_that_is_meant_as_it_is(tmp_path: Path) -> None:
    """Without a change key any regular file of that name is read; a FIFO is not opened."""
    directory, name, _, extra = file(tmp_path, "content", name="meant.jpg")
    with reading() as running:
        assert running.ask(tmp_path, (directory, name, isolation.AS_IT_IS, extra)).outcomes[0][0] is Code.READ
        _fifo(tmp_path / "meant.jpg")
        assert running.ask(tmp_path, (directory, name, isolation.AS_IT_IS, extra)).outcomes == [(Code.GONE, None)]


def test_who_writes_into_a_fifo_is_left_alone(tmp_path: Path) -> None:
    """A FIFO with the name of a file is not opened: its writer goes on waiting for its own reader."""
    meant = file(tmp_path, "content", name="meant.jpg")
    path = tmp_path / "meant.jpg"
    _fifo(path)
    writer = subprocess.Popen(["sh", "-c", f"exec 3>'{path}'; echo for whom it is meant >&3"])
    try:
        with reading() as running:
            assert running.ask(tmp_path, meant).outcomes == [(Code.GONE, None)]
        assert writer.poll() is None
        assert path.read_bytes() == b"for whom it is meant\n"
    finally:
        writer.kill()
        writer.wait()


def test_an_inode_that_means_nothing_is_not_compared(tmp_path: Path) -> None:
    """Where the file system invents inodes, size and times say whether it is the file."""
    directory, name, key, extra = file(tmp_path, "nothing")
    with reading() as running:
        answer = running.ask(tmp_path, (directory, name, (0, *key[1:]), extra), (directory, name, (1, *key[1:]), extra))
        assert [code for code, _ in answer.outcomes] == [Code.READ, Code.CHANGED]


def test_what_the_system_refuses_is_unreadable(tmp_path: Path) -> None:
    """An error of the file system is told as it is, and is no fault of the file."""
    directory, _, key, extra = file(tmp_path, "nothing")
    with reading() as running:
        answer = running.ask(tmp_path, (directory, b"n" * 300, key, extra))
        assert answer.outcomes == [(Code.UNREADABLE, "File name too long")]


def test_a_process_is_confined(tmp_path: Path) -> None:
    """It has its memory, its session and its place behind others, and nothing of the service but its pipes."""
    with (tmp_path / "lock").open("wb") as lock, reading(niceness=5) as running:
        os.set_inheritable(lock.fileno(), True)
        pid, session, niceness, said, descriptors = running.ask(tmp_path, file(tmp_path, "who")).outcomes[0][1]
        assert session == pid
        assert niceness == min(19, os.nice(0) + 5)
        limits = dict(re.findall(r"^Max (.*?)  +(.*?) {2,}", said["limits"], re.MULTILINE))
        assert limits["address space"] == str(MEMORY)
        assert int(limits["core file size"]) <= 1
        assert int(said["oom_score_adj"]) >= 300
        if Path("/proc/sys/kernel/sched_autogroup_enabled").exists():
            assert said["autogroup"].split()[-1] == "5"
        assert str(tmp_path / "lock") not in descriptors
        assert os.fsencode("lock") in os.listdir(os.fsencode(tmp_path))


def test_a_crash_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No core file is written, whatever the service itself may leave behind."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with reading() as running:
            answer = running.ask(tmp_path, file(tmp_path, "silent_segfault"))
            assert answer.outcomes == [(Code.CRASHED, "ended by signal 11 (SIGSEGV)")]
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["silent_segfault.jpg"]


# -- what others do -------------------------------------------------------------------------------


def test_a_signal_to_everybody_is_not_for_them(tmp_path: Path) -> None:
    """Ctrl-C, a stop by the system and a closed terminal end no process in the middle of a file."""
    with reading(deadline_s=LIMIT_S) as running:
        processor = min(os.sched_getaffinity(0))
        running.isolation.submit(
            Chunk(1, "any", ROOT, os.fsencode(tmp_path), [file(tmp_path, "spin", (processor, 0.5))])
        )
        until(lambda: [state(pid) for pid in running.isolation.pids()] == ["R"] and running.isolation.busy())
        pid = running.isolation.pids()[0]
        until(lambda: "SIGNALS READY" if _ignores(pid, signal.SIGHUP) else "")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert running.answer().outcomes == [(Code.READ, pid)]


def _ignores(pid: int, number: signal.Signals) -> bool:
    ignored = re.search(r"^SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) >> (number - 1) & 1)


def test_who_is_killed_once_is_tried_again(tmp_path: Path) -> None:
    """The kernel ends processes when memory runs out: a file is tried again, and if it is killed again that is told."""
    mark = tmp_path / "mark"
    with reading(deadline_s=1000.0) as running:
        running.isolation.submit(
            Chunk(1, "any", ROOT, os.fsencode(tmp_path), [file(tmp_path, "once", str(mark)), file(tmp_path, "sleep")])
        )
        until(mark.exists)
        os.kill(running.isolation.pids()[0], signal.SIGKILL)
        for times in (2, 3):
            pid = until_read(running, "sleep.jpg")
            until(lambda times=times: running.isolation.restarts.get("killed", 0) == times - 1)  # type: ignore[misc]
            pid = until_read(running, "sleep.jpg")
            until(lambda pid=pid: state(pid) == "S" and _ignores(pid, signal.SIGHUP))  # type: ignore[misc]
            until_read(running, "sleep.jpg", 0.3)
            os.kill(pid, signal.SIGKILL)
        assert running.answer().outcomes == [
            (Code.READ, "read"),
            (Code.KILLED, "ended by signal 9 (SIGKILL): waiting for a packet"),
        ]
        assert running.isolation.restarts == {"killed": 3}


def test_who_dies_idle_is_replaced(tmp_path: Path) -> None:
    """A process that was killed while it had nothing to do costs no file."""
    with reading() as running:
        first = running.ask(tmp_path, file(tmp_path, "nothing")).outcomes[0][1]
        os.kill(first, signal.SIGKILL)
        until_gone([first])
        code, second = running.ask(tmp_path, file(tmp_path, "nothing")).outcomes[0]
        assert code is Code.READ
        assert second != first
        assert running.isolation.restarts == {"died": 1}


# -- starts ---------------------------------------------------------------------------------------


def test_a_start_in_vain_is_tried_again(tmp_path: Path) -> None:
    """A process that ends before it can do anything is started again; no file is blamed."""
    starts = tmp_path / "starts"
    starts.write_text("xx")
    with reading(command=(*CHILD, str(starts))) as running:
        answer = running.ask(tmp_path, file(tmp_path, "content"))
        assert answer.outcomes[0][0] is Code.READ
        assert answer.failure is None
        assert running.isolation.restarts == {"unfit": 2}


def test_starts_that_are_all_in_vain_are_told(tmp_path: Path) -> None:
    """After three of them the chunk comes back with what the process printed; later ones are tried, but not hotly."""
    starts = tmp_path / "starts"
    starts.write_text("x" * 5)
    with reading(command=(*CHILD, str(starts))) as running:
        since_s = time.monotonic()
        for left, seconds in ((2, 0.6), (1, 0.8), (0, 1.6)):  # the pauses double
            answer = running.ask(tmp_path, file(tmp_path, "content"))
            assert answer.outcomes == [(Code.GIVEN_UP, None)]
            assert "ended with exit code 127" in (answer.failure or "")
            assert "libmissing.so.7" in (answer.failure or "")
            assert len(starts.read_text()) == left
            assert time.monotonic() - since_s >= seconds
            since_s = time.monotonic()
        assert running.ask(tmp_path, file(tmp_path, "content")).failure is None
        assert running.ask(tmp_path, file(tmp_path, "leave", 1), file(tmp_path, "content")).failure is None


@pytest.mark.parametrize("verb", ["missing", "no such verb"])
def test_a_verb_that_cannot_be_loaded_is_told(verb: str, tmp_path: Path) -> None:
    """A missing library is a fault of the installation: no file is blamed, and other verbs go on."""
    with reading() as running:
        answer = running.ask(tmp_path, file(tmp_path, "content"), verb=verb)
        assert answer.outcomes == [(Code.GIVEN_UP, None)]
        assert ("libmissing.so.7" if verb == "missing" else "KeyError") in (answer.failure or "")
        assert running.ask(tmp_path, file(tmp_path, "content")).outcomes[0][0] is Code.READ


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Where no process can be started, the chunk comes back and says so."""
    with reading(command=(str(tmp_path / "nothing here"),)) as running:
        answer = running.ask(tmp_path, file(tmp_path, "content"))
        assert answer.outcomes == [(Code.GIVEN_UP, None)]
        assert "no process can be started" in (answer.failure or "")


def test_a_program_that_never_gets_ready_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs before it can do anything is ended after a while, and no file is blamed."""
    monkeypatch.setattr(isolation, "START_S", 0.3)
    with reading(command=("sleep", "1000")) as running:
        answer = running.ask(tmp_path, file(tmp_path, "content"))
        assert answer.outcomes == [(Code.GIVEN_UP, None)]
        assert "is not ready after 0.3 s" in (answer.failure or "")
        assert running.isolation.restarts == {"unfit": 3}


def test_a_chunk_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    """A mistake of whoever made it costs that chunk, and not the thread that found it."""
    directory, name, _, extra = file(tmp_path, "content")
    with reading() as running:
        answer = running.ask(tmp_path, (directory, name, None, extra))  # type: ignore[arg-type]
        assert "Traceback" in (answer.failure or "")
        assert running.ask(tmp_path, file(tmp_path, "content")).outcomes[0][0] is Code.READ


def test_a_chunk_that_cannot_be_sent_is_told(tmp_path: Path) -> None:
    """What is no plain value is a mistake of ours; the next chunk is done."""
    with reading() as running:
        answer = running.ask(tmp_path, file(tmp_path, "content", object()), file(tmp_path, "content"))
        assert answer.failure is not None
        assert answer.outcomes == [(Code.GIVEN_UP, None)] * 2
        assert running.ask(tmp_path, file(tmp_path, "content")).outcomes[0][0] is Code.READ


def test_a_chunk_larger_than_a_pipe(tmp_path: Path) -> None:
    """Megabytes of jobs and of answers go through, in both directions at once."""
    files = [file(tmp_path, "content", bytes(100_000), name=f"{number}.jpg") for number in range(50)]
    with reading() as running:
        answer = running.ask(tmp_path, *files)
        assert [len(value[3]) for _, value in answer.outcomes] == [100_000] * 50


# -- roots that hang, and the end -----------------------------------------------------------------


def test_a_root_that_hangs_is_given_up(tmp_path: Path) -> None:
    """Its chunks come back at once with what there is, and others are done, until it is trusted again."""
    hung, other = RootId(7), RootId(8)
    path = os.fsencode(tmp_path)
    good, bad = (
        [file(tmp_path, "nothing")],
        [file(tmp_path, "nothing"), file(tmp_path, "deaf"), *[file(tmp_path, "nothing")]],
    )
    with reading(deadline_s=1000.0) as running:
        for token, root, files in ((1, hung, bad), (2, hung, good), (3, other, good)):
            running.isolation.submit(Chunk(token, "any", root, path, files))
        pid = until_read(running, "deaf.jpg")
        running.isolation.give_up(hung)
        answers = {answer.token: answer for answer in (running.answer() for _ in range(3))}
        given_up = (Code.GIVEN_UP, None)
        assert answers[1].outcomes == [(Code.READ, pid), given_up, given_up]
        assert answers[2].outcomes == [given_up]
        assert answers[3].outcomes[0][0] is Code.READ
        until_gone([pid])
        running.isolation.submit(Chunk(4, "any", hung, path, good))
        assert running.answer().outcomes == [given_up]
        running.isolation.trust(hung)
        running.isolation.submit(Chunk(5, "any", hung, path, good))
        assert running.answer().outcomes[0][0] is Code.READ
        assert running.isolation.outstanding == 0


@pytest.mark.needs_root
@pytest.mark.parametrize("is_given_up", [False, True], ids=["its deadline passes", "it is given up"])
def test_who_waits_in_the_kernel_is_left_behind(is_given_up: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A process that even SIGKILL does not end holds up nobody: the disk is to blame, and another process goes on.

    Two layers: what waits for the outer one cannot be killed, because that one waits for the inner one.
    """
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, between, mounted, near = (tmp_path / name for name in ("behind", "between", "mounted", "near"))
    for directory in (behind, between, mounted, near):
        directory.mkdir()
    far = file(behind, "content", name="far.jpg")
    with Mounts() as mounts:
        layers = []
        try:
            for source, place in ((behind, between), (between, mounted)):
                layers.append(subprocess.Popen([*mounts.prefix, "bindfs", "-f", str(source), str(place)]))
                until(lambda place=place: str(place) in mounts.run("cat", "/proc/self/mounts"))  # type: ignore[misc]
            root = os.fsencode(mounts.outside(mounted))
            with reading(deadline_s=1000.0 if is_given_up else 3.0) as running:
                good = [file(near, "nothing")]
                first = running.ask(near, *good).outcomes[0][1]
                layers[0].send_signal(signal.SIGSTOP)
                running.isolation.submit(Chunk(1, "any", RootId(7), root, [far]))
                running.isolation.submit(Chunk(2, "any", RootId(8), os.fsencode(near), good))
                until_read(running, "far.jpg", 0.3)
                if is_given_up:
                    running.isolation.give_up(RootId(7))
                answers = [running.answer(), running.answer()]
                outcome = (Code.GIVEN_UP, None) if is_given_up else (Code.UNREADABLE, "its disk does not answer")
                assert answers[0].outcomes == [outcome]
                assert answers[1].outcomes[0][0] is Code.READ
                assert state(first) == "D"
                running.isolation.trust(RootId(7))
                running.isolation.submit(Chunk(3, "any", RootId(7), root, [far]))
                until_read(running, "far.jpg", 0.3)
                since_s = time.monotonic()
                running.isolation.close()
                assert time.monotonic() - since_s < 1.0
        finally:
            for layer in layers:
                layer.send_signal(signal.SIGCONT)
                layer.kill()
                layer.wait(timeout=10)
        until_gone([first])


def test_close_ends_everything(tmp_path: Path) -> None:
    """After ``close``, which takes less than a second, no process is left; what was begun gives what it has."""
    path = os.fsencode(tmp_path)
    with reading(processes=2, deadline_s=1000.0) as running:
        idle = running.ask(tmp_path, file(tmp_path, "nothing")).outcomes[0][1]
        files = [file(tmp_path, "content", 1), file(tmp_path, "deaf"), file(tmp_path, "content", 2)]
        for token in (1, 2, 3):
            running.isolation.submit(Chunk(token, "any", ROOT, path, files))
        until(lambda: [busy.name for busy in running.isolation.busy()] == [b"deaf.jpg"] * 2)
        pids = running.isolation.pids()
        assert idle in pids
        assert len(pids) == 2
        since_s = time.monotonic()
        running.isolation.close()
        assert time.monotonic() - since_s < 1.0
        assert [state(pid) for pid in pids] == [None, None]
        begun = [[code for code, _ in answer.outcomes] for answer in running.isolation.drain()]
        assert begun.count([Code.READ, Code.GIVEN_UP, Code.GIVEN_UP]) == 2
        running.isolation.submit(Chunk(4, "any", ROOT, path, files))
        assert running.isolation.drain() == []  # that came too late


def test_urgent_chunks_overtake(tmp_path: Path) -> None:
    """A chunk that somebody waits for is done before those that came earlier."""
    path = os.fsencode(tmp_path)
    mark = tmp_path / "mark"
    with reading(deadline_s=1000.0) as running:
        running.isolation.submit(Chunk(0, "any", ROOT, path, [file(tmp_path, "once", str(mark))]))
        until(mark.exists)
        for token in (1, 2, 3):
            running.isolation.submit(Chunk(token, "any", ROOT, path, [file(tmp_path, "nothing")]), urgent=token == 3)
        os.kill(running.isolation.pids()[0], signal.SIGKILL)
        assert [running.answer().token for _ in range(4)] == [3, 0, 1, 2]


def test_urgent_chunks_pass_in_the_middle_of_slow_ones(tmp_path: Path) -> None:
    """Who is urgent does not wait for a long chunk of slow files, only for a part of it; that one loses nothing."""
    path = os.fsencode(tmp_path)
    films = [file(tmp_path, "nap", 0.2, name=f"{number}.mkv") for number in range(10)]
    with reading(deadline_s=LIMIT_S) as running:
        running.isolation.submit(Chunk("films", "any", ROOT, path, films))
        until_read(running, "1.mkv")
        running.isolation.submit(Chunk("urgent", "any", ROOT, path, [file(tmp_path, "nothing")]), urgent=True)
        urgent, others = running.answer(), running.answer()
        assert (urgent.token, others.token) == ("urgent", "films")
        assert others.outcomes == [urgent.outcomes[0]] * 10  # the same process did all of it
        assert running.isolation.restarts == {}


def test_a_process_with_nothing_to_do_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is needed elsewhere; the next chunk starts another one."""
    monkeypatch.setattr(isolation, "IDLE_S", 0.1)
    with reading() as running:
        first = running.ask(tmp_path, file(tmp_path, "nothing")).outcomes[0][1]
        until(lambda: running.isolation.pids() == [])
        until_gone([first])
        assert running.ask(tmp_path, file(tmp_path, "nothing")).outcomes[0][0] is Code.READ
        assert running.isolation.restarts["idle"] >= 1


def test_nothing_is_imported_from_where_the_service_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the current directory, which may be one that files arrive in, is not taken for a library."""
    for name in ("marshal", "struct", "faulthandler", "signal", "PIL", "av", "exifread"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w')")
    (tmp_path / "a.xmp").write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    monkeypatch.chdir(tmp_path)
    woken = threading.Event()
    pool = Isolation(processes=1, wake=woken.set)
    try:
        extra = ("sidecar", None)
        pool.submit(Chunk(1, "read", ROOT, os.fsencode(tmp_path), [(b"", b"a.xmp", key_of(tmp_path / "a.xmp"), extra)]))
        assert woken.wait(LIMIT_S)
        assert pool.drain()[0].outcomes[0][0] in (Code.READ, Code.FAILED)
    finally:
        pool.close()
    assert not (tmp_path / "run").exists()
