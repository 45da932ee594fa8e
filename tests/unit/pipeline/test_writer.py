"""The one thread that changes the catalogue: order, commits, a full disk, errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import DiskFull, ForeignDatabase
from mediasluice.model.flow import RootId
from mediasluice.pipeline import writer as writer_module
from mediasluice.pipeline.writer import Writer
from tests.catalogues import add_root, identified

LIMIT_S = 30.0


class Desk:
    """A writer on a catalogue of its own, and what it told."""

    def __init__(self, file: Path, slice_s: float, open_catalogue: Callable[[], Catalogue] | None = None) -> None:
        self.file = file
        self.failures: list[BaseException] = []
        self.full: list[bool] = []
        self.commits = 0
        self.failed = threading.Event()
        self.writer = Writer(
            open_catalogue or (lambda: Catalogue.open(file)),
            slice_s=slice_s,
            portion=64,
            committed=self._committed,
            failed=self._fail,
            disk_full=lambda is_full, _: self.full.append(is_full),
        )

    def _committed(self) -> None:
        self.commits += 1

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def count(self) -> int:
        with View.open(self.file) as view:
            return len(list(view.files()))


@contextmanager
def at_work(file: Path, slice_s: float = 0.015) -> Iterator[Desk]:
    desk = Desk(file, slice_s)
    desk.writer.start()
    try:
        yield desk
    finally:
        desk.writer.close()


@contextmanager
def held_up(desk: Desk) -> Iterator[None]:
    """Keep the writer busy with one operation, so that others queue up."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: Catalogue) -> None:
        begun.set()
        assert go_on.wait(LIMIT_S)

    desk.writer.express(wait, is_awaited=False)
    assert begun.wait(LIMIT_S)
    try:
        yield
    finally:
        go_on.set()


def test_arrivals_overtake_bulk(tmp_path: Path) -> None:
    """What arrives runs before bulk that was queued earlier, each queue in its own order."""
    order: list[str] = []
    with at_work(tmp_path / "c.db") as desk:
        with held_up(desk):
            for name in ("bulk 1", "bulk 2"):
                desk.writer.bulk(lambda _, name=name: order.append(name))  # type: ignore[misc]
            for name in ("arrival 1", "arrival 2"):
                desk.writer.express(lambda _, name=name: order.append(name))  # type: ignore[misc]
        desk.writer.call(lambda _: None)
    assert order == ["arrival 1", "arrival 2", "bulk 1", "bulk 2"]


def test_bulk_gives_way_within_its_slice(tmp_path: Path) -> None:
    """An arrival that comes while bulk runs is next, before the rest of the bulk."""
    order: list[str] = []
    with at_work(tmp_path / "c.db", slice_s=1000.0) as desk:

        def first(_: Catalogue) -> None:
            desk.writer.express(lambda _: order.append("arrival"))

        with held_up(desk):
            desk.writer.bulk(first)
            desk.writer.bulk(lambda _: order.append("bulk"))
    assert order == ["arrival", "bulk"]


def test_bulk_shares_a_transaction_for_its_slice_only(tmp_path: Path) -> None:
    """Bulk operations go together into one transaction until the slice is used up."""
    for slice_s, commits in ((1000.0, 1), (0.0, 5)):
        with at_work(tmp_path / f"{commits}.db", slice_s=slice_s) as desk:
            with held_up(desk):
                for _ in range(5):
                    desk.writer.bulk(lambda _: None)
            desk.writer.close()
            assert desk.commits == commits  # what held it up shares the first one


def test_while_files_arrive_every_bulk_operation_is_committed_alone(tmp_path: Path) -> None:
    """After an arrival the slice is not used: who follows the log meets little before the next arrival."""
    with at_work(tmp_path / "c.db", slice_s=1000.0) as desk:
        with held_up(desk):
            desk.writer.express(lambda _: None)
            for _ in range(5):
                desk.writer.bulk(lambda _: None)
        desk.writer.close()
        assert desk.commits == 1 + 5  # the arrival shares the one that was held up


def test_what_nobody_waits_for_keeps_its_place_and_ends_no_slice(tmp_path: Path) -> None:
    """It runs before all bulk that was queued after it, in the same transaction."""
    order: list[str] = []
    with at_work(tmp_path / "c.db", slice_s=1000.0) as desk:

        def first(_: Catalogue) -> None:
            order.append("bulk 1")
            desk.writer.express(lambda _: order.append("note"), is_awaited=False)
            desk.writer.bulk(lambda _: order.append("bulk 2"))

        with held_up(desk):
            desk.writer.bulk(first)
        desk.writer.close()
        assert desk.commits == 1
    assert order == ["bulk 1", "note", "bulk 2"]


def test_callbacks_follow_the_commit(tmp_path: Path) -> None:
    """When a callback runs, another connection sees what its operation wrote."""
    seen: list[int] = []
    with at_work(tmp_path / "c.db") as desk:
        root = desk.writer.call(add_root)
        change = lambda catalogue: catalogue.record([identified(root, b"a.jpg", b"1")], 1)  # noqa: E731
        desk.writer.express(change, lambda verdicts: seen.append(desk.count() * 10 + len(verdicts)))
        desk.writer.call(lambda _: None)
    assert seen == [11]


def test_close_commits_what_is_queued(tmp_path: Path) -> None:
    """Nothing that was handed over is lost by closing."""
    with at_work(tmp_path / "c.db") as desk:
        root = desk.writer.call(add_root)
        with held_up(desk):
            for number in range(20):
                files = [identified(root, b"%d.jpg" % number, b"%d" % number)]
                desk.writer.bulk(lambda catalogue, files=files: catalogue.record(files, 1))  # type: ignore[misc]
            assert desk.writer.backlog() >= 20
    assert desk.count() == 20


def test_an_error_is_told_and_nothing_half_is_kept(tmp_path: Path) -> None:
    """An error of one operation undoes its transaction, is handed on once, and nothing is written after it."""
    with at_work(tmp_path / "c.db") as desk:
        root = desk.writer.call(add_root)
        mistake = RuntimeError("a bug")

        def fail(_: Catalogue) -> None:
            raise mistake

        with held_up(desk):
            desk.writer.express(lambda catalogue: catalogue.record([identified(root, b"a.jpg", b"1")], 1))
            desk.writer.express(fail)
            desk.writer.express(lambda catalogue: catalogue.record([identified(root, b"b.jpg", b"2")], 1))
        assert desk.failed.wait(LIMIT_S)
        assert desk.failures == [mistake]
        with pytest.raises(DiskFull, match="cannot be written"):
            desk.writer.call(lambda _: None)
    assert desk.count() == 0


def test_an_error_of_a_callback_is_told(tmp_path: Path) -> None:
    """Also what goes wrong after the commit ends the writer loudly."""
    with at_work(tmp_path / "c.db") as desk:
        mistake = RuntimeError("a bug")

        def fail(_: object) -> None:
            raise mistake

        desk.writer.express(lambda _: None, fail)
        assert desk.failed.wait(LIMIT_S)
        assert desk.failures == [mistake]


def test_a_catalogue_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A foreign database fails the writer, and who waits for an answer is not left waiting."""
    file = tmp_path / "c.db"
    file.write_bytes(b"not a database at all, but long enough to be looked at closely" * 20)
    with at_work(file) as desk:
        with pytest.raises(DiskFull):
            desk.writer.call(lambda _: None)
        assert desk.failed.wait(LIMIT_S)
        assert isinstance(desk.failures[0], ForeignDatabase)


def test_a_full_disk_repeats_the_same_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is no room the same operations are tried again in the same order; they run once in the end."""
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)
    tries: list[str] = []
    with at_work(tmp_path / "c.db") as desk:
        root = desk.writer.call(add_root)

        def change(name: str) -> Callable[[Catalogue], Any]:
            def run(catalogue: Catalogue) -> Any:
                tries.append(name)
                verdicts = catalogue.record([identified(RootId(root), name.encode(), name.encode(), ino=7)], 1)
                if name == "b" and tries.count("b") < 3:
                    raise DiskFull("no room")
                return verdicts

            return run

        done: list[str] = []
        with held_up(desk):
            for name in "abc":
                desk.writer.express(change(name), lambda _, name=name: done.append(name))  # type: ignore[misc]
        desk.writer.call(lambda _: None)
    # c was not reached before the disk was full: it is no part of that transaction and runs in the next one
    assert tries == ["a", "b", "a", "b", "a", "b", "c"]
    assert done == ["a", "b", "c"]
    assert desk.full == [True, False]
    assert desk.failures == []
    assert desk.count() == 3


def test_a_full_disk_does_not_hang_the_end(tmp_path: Path) -> None:
    """Closing while there is no room ends at once and says what could not be written."""
    with at_work(tmp_path / "c.db") as desk:
        error = DiskFull("no room")

        def fail(_: Catalogue) -> None:
            raise error

        desk.writer.express(fail)
        pause = threading.Event()
        while not desk.full:
            pause.wait(0.01)
        desk.writer.close()
        assert desk.failures == [error]


_ON_A_SMALL_DISK = """
import os, sys, threading
from pathlib import Path
from mediasluice.pipeline import writer as module
module.RETRY_S = 0.05
from tests.unit.pipeline.test_writer import at_work
from tests.catalogues import add_root, identified
place = Path(sys.argv[1])
with at_work(place / "c.db") as desk:
    root = desk.writer.call(add_root)
    balloon = place / "balloon"
    with open(balloon, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    files = [identified(root, b"%d" % n + b"x" * 200, b"%d" % n) for n in range(3000)]
    done = threading.Event()
    desk.writer.express(lambda catalogue: catalogue.record(files, 1), lambda _: done.set())
    pause = threading.Event()
    while not desk.full:
        assert not done.is_set()
        pause.wait(0.01)
    assert desk.count() == 0
    balloon.unlink()
    assert done.wait(30)
    assert desk.count() == 3000
    assert desk.full == [True, False], desk.full
print("well")
"""


@pytest.mark.needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_real_full_disk(tmp_path: Path) -> None:
    """On a file system without room nothing is half written; when there is room again all of it is there."""
    mount = f"mount -t tmpfs -o size=6m tmpfs '{tmp_path}' && exec \"$@\""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh"]
    top = Path(__file__).parents[3]
    done = subprocess.run(
        [*command, sys.executable, "-c", _ON_A_SMALL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=top,
        env={**os.environ, "PYTHONPATH": str(top)},
        timeout=50,
    )
    assert (done.stdout, done.stderr) == ("well\n", "")
