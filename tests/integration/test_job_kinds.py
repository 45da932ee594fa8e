"""What jobs do with real files: read them again, fill in digests, keep the log small."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue import integrity, outbox, retention
from mediasluice.catalogue.jobs import Job, JobState
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.identify import digests
from mediasluice.jobs import digests as digests_job
from mediasluice.jobs import reading, verify
from mediasluice.jobs import retention as retention_job
from mediasluice.jobs import scan as scan_job
from mediasluice.jobs.port import Context, Kind, Wish
from mediasluice.jobs.reading import Tools
from mediasluice.jobs.retention import Rules
from mediasluice.model.files import ChangeKey, Origin
from mediasluice.model.files import Kind as FileKind
from mediasluice.model.flow import IdentifiedFile, RootId
from mediasluice.model.roots import Library, RootIdentity
from mediasluice.model.roots import Rules as LibraryRules
from mediasluice.pipeline.rereading import Ground
from mediasluice.pipeline.workers import Process
from tests import catalogues
from tests.jobs import Bench, Clock, Quiet, at_work, until

OVER = (JobState.DONE, JobState.DEAD, JobState.CANCELLED)
DAY_US = 86_400_000_000


class Shelf:
    """A directory of files that are catalogued as they are."""

    def __init__(self, tmp_path: Path) -> None:
        self.file = tmp_path / "catalogue.sqlite"
        self.root_path = tmp_path / "photos"
        self.root_path.mkdir()
        self.log = Quiet()
        self.clock = Clock()
        self.grounds: dict[RootId, Ground] = {}
        with Catalogue.open(self.file) as catalogue:
            library = Library("photos", os.fsencode(self.root_path), LibraryRules())
            self.root = catalogue.register(library, RootIdentity(b"disk", 2)).id
        self.grounds[self.root] = Ground(os.fsencode(self.root_path), follow_files=False)
        self.tools = Tools(lambda: View.open(self.file), lambda: self.grounds, self.clock, self.log)

    def add(self, name: str, content: bytes) -> Path:
        """Lay a file down and catalogue it."""
        path = self.root_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.catalogue(name)
        return path

    def catalogue(self, name: str) -> None:
        path = self.root_path / name
        status = path.stat()
        fd = os.open(path, os.O_RDONLY)
        try:
            found = digests.read(fd, status.st_size)
        finally:
            os.close(fd)
        key = ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        directory, _, base = os.fsencode(name).rpartition(b"/")
        with Catalogue.open(self.file) as catalogue:
            catalogue.record(
                [
                    IdentifiedFile(
                        self.root, directory, base, key, 1, Origin.SCAN, True, FileKind.OTHER, found.quick,
                        found.digests, None, None, None,
                    )
                ],
                self.clock(),
            )  # fmt: skip

    def rot(self, name: str) -> None:
        """Flip a bit without anybody writing: the catalogue is told the key that the file has afterwards."""
        path = self.root_path / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        status = path.stat()
        with Catalogue.open(self.file) as catalogue:
            catalogue._connection.execute(
                "UPDATE file SET ino = ?, mtime_ns = ?, ctime_ns = ? WHERE name = ?",
                (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, os.fsencode(path.name)),
            )

    def run(self, kind: Kind, args: Mapping[str, Any] | None = None) -> Job:
        with at_work(self.file, [kind], clock=self.clock) as bench:
            return until(bench, bench.jobs.enqueue(Wish(kind.name, args=args or {})), *OVER)

    def ask(self, question: Callable[..., Any], *values: object) -> Any:
        with View.open(self.file) as view:
            return view.ask(question, *values)

    def damaged(self) -> list[str]:
        return [os.path.basename(os.fsdecode(one.path)) for one in self.ask(integrity.damages)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def result(job: Job) -> Mapping[str, Any]:
    assert job.state is JobState.DONE, job
    assert job.result is not None
    return job.result


def test_what_a_disk_lost_silently_is_listed_and_not_touched(shelf: Shelf) -> None:
    """A flipped bit is found, told once, listed until the file is whole again; nothing is written to it."""
    for number in range(5):
        shelf.add(f"2024/{number}.jpg", b"%d" % number * 100_000)
    shelf.rot("2024/3.jpg")
    before = (shelf.root_path / "2024/3.jpg").read_bytes()
    found = result(shelf.run(verify.kind(shelf.tools)))
    assert (found["files"], found["damaged"], found["bytes"], found["all"]) == (5, 1, 500_000, True)
    assert shelf.damaged() == ["3.jpg"]
    assert [event for event, _ in shelf.log.said] == ["file_damaged"]
    assert result(shelf.run(verify.kind(shelf.tools)))["damaged"] == 1
    assert len(shelf.log.said) == 1
    assert (shelf.root_path / "2024/3.jpg").read_bytes() == before
    shelf.rot("2024/3.jpg")  # the same bit again: it is whole
    assert result(shelf.run(verify.kind(shelf.tools)))["damaged"] == 0
    assert shelf.damaged() == []


def test_what_somebody_wrote_is_no_damage(shelf: Shelf) -> None:
    """Other times, other inode, gone, no file any more: all that is left to the next pass."""
    written, replaced, gone, folder, fine = (
        shelf.add(f"{name}.jpg", b"x" * 50_000 + name.encode()) for name in "abcde"
    )
    written.write_bytes(b"other")
    os.replace(shelf.add("new", b"new"), replaced)
    gone.unlink()
    folder.unlink()
    folder.mkdir()
    found = result(shelf.run(verify.kind(shelf.tools)))
    assert (found["files"], found["damaged"], found["unreadable"]) == (1, 0, 0)
    assert found["changed"] + found["gone"] == 5  # "new" left its path as well
    assert shelf.damaged() == []
    assert fine.exists()


def test_a_budget_is_kept_and_the_next_run_goes_on_behind_it(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of some bytes each go round all files, in their order, and begin anew after the last one."""
    monkeypatch.setattr(reading, "FILES", 1)
    for number in range(5):
        shelf.add(f"{number}.jpg", b"%d" % number * 1_000)
    shelf.rot("4.jpg")
    kind, args = verify.kind(shelf.tools), {"bytes": 2_000}
    assert result(shelf.run(kind, args))["files"] == 2
    assert shelf.ask(integrity.cursor, None) == 2
    assert result(shelf.run(kind, args))["damaged"] == 0
    third = result(shelf.run(kind, args))
    assert (third["files"], third["damaged"], third["all"]) == (2, 1, False)
    assert shelf.ask(integrity.cursor, None) == 1


def test_a_budget_of_seconds_is_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends with the portion in which its time is over."""
    monkeypatch.setattr(reading, "FILES", 1)
    for number in range(5):
        shelf.add(f"{number}.jpg", b"%d" % number)
    seconds = itertools.count(1_700_000_000)
    tools = shelf.tools._replace(clock=lambda: next(seconds) * 1_000_000)
    found = result(shelf.run(verify.kind(tools), {"seconds": 3}))
    assert 0 < found["files"] < 5
    assert found["all"] is False


def test_a_library_out_of_reach_is_left_out(shelf: Shelf) -> None:
    """Files of a root that is away are neither damaged nor gone, and are counted."""
    shelf.add("a.jpg", b"a" * 10)
    shelf.grounds.clear()
    found = result(shelf.run(verify.kind(shelf.tools)))
    assert (found["files"], found["out_of_reach"], found["gone"]) == (0, 1, 0)


class Stuck(Process):
    """A reader that hangs in the middle of its work, as on a disk that does not answer."""

    def ask(self, verb: str, payload: Any, progress: Callable[[int], None]) -> tuple[int, Any] | None:
        os.kill(self.pid, signal.SIGSTOP)
        return super().ask(verb, payload, progress)


def test_a_root_that_hangs_does_not_hold_the_job_up(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that hangs is left behind as soon as its root counts as out of reach."""
    shelf.add("a.jpg", b"a" * 10)
    looks = itertools.count()
    tools = shelf.tools._replace(grounds=lambda: {} if next(looks) > 1 else shelf.grounds)
    monkeypatch.setattr(reading, "Process", Stuck)
    found = result(shelf.run(verify.kind(tools)))
    assert (found["out_of_reach"], found["files"]) == (1, 0)


def test_a_job_whose_disk_hangs_can_be_cancelled(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while a reader hangs, the job ends at once; nobody waits for the disk."""
    shelf.add("a.jpg", b"a" * 10)
    looked = threading.Event()

    def grounds() -> Mapping[RootId, Ground]:
        looked.set()
        return shelf.grounds

    monkeypatch.setattr(reading, "Process", Stuck)
    kind = verify.kind(shelf.tools._replace(grounds=grounds))
    with at_work(shelf.file, [kind], clock=shelf.clock) as bench:
        number = bench.jobs.enqueue(Wish("verify"))
        assert looked.wait(30)
        bench.jobs.cancel(number)
        assert until(bench, number, *OVER).state is JobState.CANCELLED
    assert shelf.ask(integrity.cursor, None) == 0


def test_a_reader_that_is_killed_costs_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were asked for together are asked for one by one after the process that read them died."""
    for number in range(3):
        shelf.add(f"{number}.jpg", b"%d" % number * 1_000)
    asked = list[int]()

    class Mortal(Process):
        def ask(self, verb: str, payload: Any, progress: Callable[[int], None]) -> tuple[int, Any] | None:
            asked.append(len(payload[2]))
            if len(asked) in {1, 3}:
                os.kill(self.pid, 9)
            return super().ask(verb, payload, progress)

    monkeypatch.setattr(reading, "Process", Mortal)
    found = result(shelf.run(verify.kind(shelf.tools)))
    assert (found["files"], found["unreadable"], found["damaged"]) == (2, 1, 0)
    assert asked == [3, 1, 1, 1]


def test_digests_are_filled_in_once_for_each_content(shelf: Shelf) -> None:
    """What a sink asks for later is computed for all that was catalogued before, and is what hashlib says."""
    contents = [b"one" * 30_000, b"two", b"three" * 50_000]
    for number, content in enumerate(contents):
        shelf.add(f"{number}.jpg", content)
    shelf.add("copy.jpg", contents[0])
    kind = digests_job.kind(shelf.tools, lambda: None)
    found = result(shelf.run(kind, {"algorithms": ["sha256", "md5"]}))
    assert (found["contents"], found["filled"], found["left"]) == (3, 3, 0)
    rows = shelf.ask(
        lambda connection: connection.execute("SELECT sha256, md5, sha1 FROM content ORDER BY id").fetchall()
    )
    assert rows == [(hashlib.sha256(one).digest(), hashlib.md5(one).digest(), None) for one in contents]
    assert result(shelf.run(kind, {"algorithms": ["sha256"]}))["contents"] == 0


def test_digests_of_what_changed_are_never_those_of_something_else(shelf: Shelf) -> None:
    """A content is filled in only from bytes that are that content; a rotten one is listed instead."""
    shelf.add("written.jpg", b"one").write_bytes(b"other")
    shelf.add("rotten.jpg", b"two")
    shelf.rot("rotten.jpg")
    found = result(shelf.run(digests_job.kind(shelf.tools, lambda: None), {"algorithms": ["sha256"]}))
    assert (found["filled"], found["left"], found["damaged"]) == (0, 2, 1)
    assert shelf.damaged() == ["rotten.jpg"]


def test_digests_wait_for_their_hours(shelf: Shelf) -> None:
    """Outside of the window nothing is computed; when it opens, the same job goes on."""
    shelf.add("a.jpg", b"one")
    opens: list[int | None] = [shelf.clock() + 3_600_000_000]
    kind = digests_job.kind(shelf.tools, lambda: opens[0])
    with at_work(shelf.file, [kind], clock=shelf.clock) as bench:
        number = bench.jobs.enqueue(Wish(kind.name, args={"algorithms": ["sha256"]}))
        _wait_for_reason(bench, number)
        assert shelf.ask(integrity.count_lacking, ["sha256"]) == 1
        shelf.clock.at_us, opens[0] = opens[0] or 0, None
        bench.jobs.resume(number)
        assert result(until(bench, number, *OVER))["filled"] == 1


def _wait_for_reason(bench: Bench, number: int) -> None:
    pause = threading.Event()
    while bench.job(number).reason is None:
        pause.wait(0.01)
    assert bench.job(number).state is JobState.QUEUED


@pytest.mark.parametrize("args", [{}, {"algorithms": ["crc32"]}])
def test_digests_that_there_are_not_end_the_job_at_once(shelf: Shelf, args: Mapping[str, Any]) -> None:
    """A wish for an unknown digest is told what there is."""
    job = shelf.run(digests_job.kind(shelf.tools, lambda: None), args)
    assert (job.state, job.attempts) == (JobState.DEAD, 1)
    assert "sha256, md5, sha1" in (job.reason or "")


# -- retention ----------------------------------------------------------------------------------------


class Log:
    """A catalogue whose log is kept by rules that a test sets."""

    def __init__(self, tmp_path: Path) -> None:
        self.file = tmp_path / "catalogue.sqlite"
        self.clock = Clock()
        self.said = Quiet()
        self.rules = Rules(events_us=10 * DAY_US, cap=1 << 30, jobs_us=30 * DAY_US)
        with Catalogue.open(self.file) as catalogue:
            self.root = catalogues.add_root(catalogue)

    def write(self, files: int, versions: int, at_us: int) -> None:
        with Catalogue.open(self.file) as catalogue:
            for version in range(versions):
                catalogue.record(
                    [
                        catalogues.identified(
                            self.root, b"%d.jpg" % n, b"%d %d %d" % (n, version, at_us), mtime_ns=at_us
                        )
                        for n in range(files)
                    ],
                    at_us,
                )

    def read_by_all(self) -> None:
        with Catalogue.open(self.file) as catalogue:
            catalogue.relate((), (), self.count(head=True))

    def count(self, *, head: bool = False) -> int:
        with View.open(self.file) as view:
            return view.ask(outbox.head) if head else view.ask(retention.count)

    @property
    def size(self) -> int:
        with View.open(self.file) as view:
            return view.ask(retention.size)

    def run(self, sinks: list[str]) -> Mapping[str, Any]:
        with Bench(self.file, [], clock=self.clock) as bench:
            tools = retention_job.Tools(
                bench.open_view, bench.writer, lambda: self.rules, lambda: sinks, self.clock, self.said
            )
            bench.add(retention_job.kind(tools))
            bench.jobs.start()
            return result(until(bench, bench.jobs.enqueue(Wish("retention")), *OVER))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_old_events_go_and_the_last_of_each_file_stays(log: Log) -> None:
    """After the job the log holds what is young, and one event of each file."""
    now_us = log.clock()
    log.write(40, 5, now_us - 20 * DAY_US)
    log.write(10, 2, now_us - DAY_US)
    log.read_by_all()
    found = log.run([])
    assert found["events_by_age"] == 40 * 4 + 10
    assert log.count() == 30 + 20
    assert log.run([])["events_by_age"] == 0


def test_a_clock_that_is_ahead_makes_nothing_old(log: Log) -> None:
    """A machine that believes in 2038 for a minute does not drop the history."""
    log.write(5, 3, log.clock())
    log.read_by_all()
    log.clock.at_us += 4_000 * DAY_US
    found = log.run([])
    assert (found["events_by_age"], found["clock_believed"]) == (0, False)


def test_past_the_cap_the_log_shrinks_and_the_slow_sink_hears_of_it(log: Log) -> None:
    """Under the cap again, oldest events first, no more than needed; the sink that is behind is marked and told."""
    log.write(100, 30, log.clock())
    with Catalogue.open(log.file) as catalogue:
        catalogue.change(outbox.register, "hook", "webhook", 0, from_start=True)
    whole = log.size
    log.rules = log.rules._replace(cap=whole // 2)
    found = log.run(["hook"])
    assert found["events_by_age"] == 0
    assert found["lagged"] == ["hook"]
    assert 0.8 * log.rules.cap < log.size <= log.rules.cap
    assert [event for event, _ in log.said.said] == ["sinks_lag"]
    with View.open(log.file) as view:
        position = view.ask(outbox.positions)["hook"]
        facts = view.ask(outbox.facts, 0, 10_000)
    assert position.cursor == 0 < position.lagged < facts[-1].event.seq
    assert {fact.file for fact in facts} == set(range(1, 101))


def test_a_cap_below_the_last_events_is_said_and_not_forced(log: Log) -> None:
    """The last word on a file is kept even if the log stays too large; the log of the service says so."""
    log.write(50, 2, log.clock())
    log.rules = log.rules._replace(cap=100)
    assert log.run([])["events_by_size"] == 50
    assert log.count() == 50
    assert [event for event, _ in log.said.said] == ["log_over_cap"]


def test_ended_jobs_are_forgotten_after_their_time(log: Log) -> None:
    """Jobs that ended are listed for as long as the rules say; those that did not end stay."""
    log.run([])
    log.clock.at_us += 31 * DAY_US
    assert log.run([])["jobs"] == 1
    assert log.run([])["jobs"] == 0


# -- scan ---------------------------------------------------------------------------------------------


def test_a_scan_hands_its_library_on_and_is_cancelled(tmp_path: Path) -> None:
    """The pass is asked for by name; cancelled, the job ends as soon as the pass gives up."""
    asked, begun = list[str](), threading.Event()

    def scan(library: str, context: Context) -> Mapping[str, Any]:
        asked.append(library)
        if library == "slow":
            gone = threading.Event()
            context.when_stopped(gone.set)
            begun.set()
            assert gone.wait(30)
        return {"files": 3}

    with at_work(tmp_path / "catalogue.sqlite", [scan_job.kind(scan)]) as bench:
        quick = bench.jobs.enqueue(Wish("scan", "photos", "photos", {"library": "photos"}))
        slow = bench.jobs.enqueue(Wish("scan", "slow", "slow", {"library": "slow"}))
        assert result(until(bench, quick, *OVER)) == {"files": 3}
        assert begun.wait(30)
        bench.jobs.cancel(slow)
        assert until(bench, slow, *OVER).state is JobState.CANCELLED
        assert until(bench, bench.jobs.enqueue(Wish("scan")), *OVER).state is JobState.DEAD
    assert asked == ["photos", "slow"]
