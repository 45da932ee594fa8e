"""The worker processes: replaced when they die, gone when the service is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediasluice.model.flow import RootId
from mediasluice.pipeline.frames import read_frame, write_frame
from mediasluice.pipeline.outcomes import Code
from mediasluice.pipeline.worker import DONE, FAILED
from mediasluice.pipeline.workers import Answer, Lane, Workers
from tests.looks import look_job, spec

LIMIT_S = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Waking:
    """Workers and what they answered."""

    def __init__(self, bulk: int, express: int) -> None:
        self._woken = threading.Event()
        self.workers = Workers(bulk=bulk, express=express, wake=self._woken.set)

    def answer(self) -> Answer:
        while not (answers := self.workers.drain()):
            assert self._woken.wait(LIMIT_S), "no answer"
            self._woken.clear()
        assert len(answers) == 1
        return answers[0]


@contextmanager
def running(bulk: int = 1, express: int = 0) -> Iterator[Waking]:
    waking = Waking(bulk, express)
    try:
        yield waking
    finally:
        waking.workers.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until_gone(pids: list[int]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.02)):
        if not any(is_alive(pid) for pid in pids):
            return
        pause.wait(0.02)
    raise AssertionError(f"still there: {[pid for pid in pids if is_alive(pid)]}")


def test_a_job_is_answered(tmp_path: Path) -> None:
    """A job that is submitted comes back with its token and what the worker found."""
    (tmp_path / "a.bin").write_bytes(b"content")
    with running() as waking:
        waking.workers.submit(Lane.BULK, "token", "look", look_job(tmp_path, b"a.bin"))
        answer = waking.answer()
        assert (answer.token, answer.died, answer.failure) == ("token", False, None)
        assert answer.value[0][0] == Code.READY
        assert waking.workers.outstanding(Lane.BULK) == 0


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """A worker that is killed in the middle of a job gives ``died``; the next job is done by its replacement."""
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(400 << 30)  # hashing zeros for minutes
    (tmp_path / "small.bin").write_bytes(b"content")
    with running() as waking:
        waking.workers.submit(Lane.BULK, 1, "look", look_job(tmp_path, b"big.bin"))
        pause = threading.Event()
        while not any(busy.read for busy in waking.workers.busy()):
            assert not waking.workers.drain()
            pause.wait(0.02)
        first = waking.workers.pids()
        os.kill(first[0], signal.SIGKILL)
        answer = waking.answer()
        assert (answer.token, answer.died, answer.value) == (1, True, None)
        waking.workers.submit(Lane.BULK, 2, "look", look_job(tmp_path, b"small.bin"))
        answer = waking.answer()
        assert (answer.token, answer.died) == (2, False)
        assert answer.value[0][0] == Code.READY
        assert waking.workers.pids() != first


def test_a_worker_that_died_idle_is_replaced(tmp_path: Path) -> None:
    """A worker that was killed while it had nothing to do costs no job."""
    with running() as waking:
        waking.workers.submit(Lane.BULK, 0, "list", (tuple(spec(tmp_path)), 1, []))
        assert waking.answer().value == []
        os.kill(waking.workers.pids()[0], signal.SIGKILL)
        until_gone(waking.workers.pids())
        waking.workers.submit(Lane.BULK, 2, "list", (tuple(spec(tmp_path)), 1, []))
        assert waking.answer().value == []


def test_a_root_that_hangs_is_given_up(tmp_path: Path) -> None:
    """Its jobs, the one under way and those that wait, come back as died, and others are done by a stand-in."""
    hung, other = RootId(1), RootId(2)
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(400 << 30)
    empty: tuple[object, ...] = (tuple(spec(tmp_path)), 1, [])
    with running() as waking:
        waking.workers.submit(Lane.BULK, 1, "look", look_job(tmp_path, b"big.bin"), hung)
        pause = threading.Event()
        while not waking.workers.busy():
            pause.wait(0.02)
        stuck = waking.workers.pids()
        os.kill(stuck[0], signal.SIGSTOP)  # no answer, whatever happens to its files
        waking.workers.submit(Lane.BULK, 2, "list", empty, hung)
        waking.workers.submit(Lane.BULK, 3, "list", empty, other)
        waking.workers.give_up(hung)
        answers = [waking.answer() for _ in range(3)]
        assert [(answer.token, answer.died) for answer in answers] == [(1, True), (2, True), (3, False)]
        assert waking.workers.outstanding(Lane.BULK) == 0
        until_gone(stuck)
        waking.workers.trust(hung)
        waking.workers.submit(Lane.BULK, 4, "list", empty, hung)
        assert not waking.answer().died


def test_a_bug_is_told() -> None:
    """An error inside a worker comes back as its text, and the worker goes on."""
    with running() as waking:
        waking.workers.submit(Lane.BULK, 1, "look", ("nonsense",))
        answer = waking.answer()
        assert answer.failure is not None
        assert "Traceback" in answer.failure
        assert not answer.died


def test_a_job_that_cannot_be_sent_is_told() -> None:
    """A job that does not fit through the pipe is answered as a mistake, and the next one is done."""
    with running() as waking:
        waking.workers.submit(Lane.BULK, 1, "look", (object(),))
        assert waking.answer().failure is not None
        waking.workers.submit(Lane.BULK, 2, "look", ("nonsense",))
        assert "Traceback" in (waking.answer().failure or "")


def test_close_leaves_no_process() -> None:
    """After ``close`` no worker is left, whether it ever worked or not, and every pipe is closed."""
    with running(bulk=2, express=1) as waking:
        pause = threading.Event()
        while len(waking.workers.pids()) < 3:
            pause.wait(0.02)
        pids = waking.workers.pids()
    assert not any(is_alive(pid) for pid in pids)


def test_without_express_workers_bulk_does_it(tmp_path: Path) -> None:
    """Where there is no express worker, the bulk lane takes its jobs."""
    with running(bulk=1, express=0) as waking:
        waking.workers.submit(Lane.EXPRESS, 1, "list", (tuple(spec(tmp_path)), 1, []))
        assert waking.answer().value == []


def test_urgent_jobs_overtake(tmp_path: Path) -> None:
    """An urgent job is done before those of its lane that waited longer."""
    for name in (b"a", b"b", b"c"):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    with running() as waking:
        blocker = look_job(tmp_path, *[b"a"] * 3000)
        waking.workers.submit(Lane.BULK, 0, "look", blocker)
        waking.workers.submit(Lane.BULK, 1, "look", look_job(tmp_path, b"b"))
        waking.workers.submit(Lane.BULK, 2, "look", look_job(tmp_path, b"c"), urgent=True)
        tokens: list[object] = []
        pause = threading.Event()
        while len(tokens) < 3:
            tokens += [answer.token for answer in waking.workers.drain()]
            pause.wait(0.01)
        assert tokens in ([0, 2, 1], [2, 0, 1])


def test_workers_end_with_a_killed_service() -> None:
    """When the process that started them is killed by -9, the workers end too, busy or not."""
    program = (
        "import threading\n"
        "from mediasluice.pipeline.workers import Workers\n"
        "workers = Workers(bulk=2, express=1, wake=lambda: None)\n"
        "while len(workers.pids()) < 3: threading.Event().wait(0.02)\n"
        "print(*workers.pids(), flush=True)\n"
        "threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 3
    process.kill()
    process.wait()
    process.stdout.close()
    until_gone(pids)


def worker(parent: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mediasluice.pipeline.worker", str(parent), "0"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def test_a_worker_ends_with_its_pipe(tmp_path: Path) -> None:
    """A worker whose standard input ends leaves with 0; one that SIGINT reaches goes on."""
    process = worker(os.getpid())
    assert process.stdin is not None
    assert process.stdout is not None
    write_frame(process.stdin.fileno(), ("list", (tuple(spec(tmp_path)), 1, [])))
    assert read_frame(process.stdout.fileno()) == (DONE, [])
    process.send_signal(signal.SIGINT)
    write_frame(process.stdin.fileno(), ("no such verb", ()))
    assert read_frame(process.stdout.fileno())[0] == FAILED
    process.stdin.close()
    assert process.wait(LIMIT_S) == 0
    process.stdout.close()


def test_a_worker_of_a_dead_parent_leaves() -> None:
    """A worker that finds another parent than the one that started it leaves at once."""
    process = worker(1 if os.getppid() != 1 else 2)
    assert process.wait(LIMIT_S) == 0
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
