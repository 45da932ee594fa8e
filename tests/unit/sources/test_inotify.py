"""The translation of events, with the real kernel for the watches and made-up events where only order matters."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.errors import RootUnusable, Unavailable
from mediasluice.model.flow import What
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import InotifySource
from mediasluice.sources.kernel import HEADER, IN_CREATE, IN_ISDIR, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW
from mediasluice.sources.names import NameRules
from mediasluice.sources.readers import Inbox, Readers
from tests.watching import ROOT, brief, watching


class Staged:
    """A source whose events are put in by hand and whose time stands still."""

    def __init__(self, root: Path, *, exclude: tuple[str, ...] = (), budget: WatchBudget | None = None) -> None:
        path = os.fsencode(root)
        self.now = 1_000.0
        self.budget = budget or WatchBudget()
        self.readers = Readers(lambda: None, lambda: self.now)
        self.source = InotifySource(
            ROOT, path, NameRules(path, exclude=exclude), self.readers, self.budget, lambda: self.now
        )
        self.source.start()
        self.source._inbox = Inbox()  # what the kernel says goes elsewhere

    def watch(self, path: bytes) -> int:
        """The number of a directory's watch."""
        for directory in self.source._table:
            if self.source._table.path_of(directory) == path:
                return directory.watch
        raise AssertionError(path)

    def tell(self, *events: tuple[bytes, int, int, bytes]) -> list[tuple[str, bytes, bytes]]:
        """One buffer of (directory, mask, cookie, name) and what is made of it."""
        raw = b""
        for directory, mask, cookie, name in events:
            watch = -1 if mask == IN_Q_OVERFLOW else self.watch(directory)
            padded = name.ljust((len(name) // 16 + 1) * 16, b"\0") if name else b""
            raw += HEADER.pack(watch, mask, cookie, len(padded)) + padded
        self.source._inbox.put(raw)
        return self.say()

    def say(self) -> list[tuple[str, bytes, bytes]]:
        said = self.source.read()
        while batch := self.source.read():
            said += batch
        return brief(said)


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    stage = Staged(tmp_path)
    yield stage
    stage.source.close()
    stage.readers.close()


def test_a_rename_whose_halves_are_in_two_buffers(staged: Staged) -> None:
    """The second half of a rename is awaited over the end of a buffer."""
    assert staged.tell((b"a", IN_MOVED_FROM, 5, b"x")) == []
    assert staged.tell((b"b", IN_MOVED_TO, 5, b"y")) == [("MOVED", b"b/y", b"a/x")]


def test_what_left_and_never_arrived(staged: Staged) -> None:
    """After 200 ms the first half alone means that the file is gone."""
    assert staged.tell((b"a", IN_MOVED_FROM, 5, b"x")) == []
    staged.now += 0.1
    assert staged.say() == []
    staged.now += 0.11
    assert staged.say() == [("DEPARTED", b"a/x", b"")]
    assert staged.tell((b"b", IN_MOVED_TO, 5, b"y")) == [("RENAMED_IN", b"b/y", b"")]


def test_a_new_file_of_the_same_name_comes_after_the_old_one_went(staged: Staged) -> None:
    """A name that is taken again tells at once that its former file is gone, before anything of the new one."""
    told = staged.tell((b"a", IN_MOVED_FROM, 5, b"x"), (b"a", IN_CREATE, 0, b"x"))
    assert told == [("DEPARTED", b"a/x", b""), ("CREATED", b"a/x", b"")]
    staged.now += 1
    assert staged.say() == []


def test_two_files_that_change_places(staged: Staged) -> None:
    """An exchange is two renames, in order."""
    told = staged.tell(
        (b"a", IN_MOVED_FROM, 5, b"x"),
        (b"b", IN_MOVED_TO, 5, b"y"),
        (b"b", IN_MOVED_FROM, 6, b"y"),
        (b"a", IN_MOVED_TO, 6, b"x"),
    )
    assert told == [("MOVED", b"b/y", b"a/x"), ("MOVED", b"a/x", b"b/y")]


def test_a_file_that_left_a_directory_before_that_was_renamed(staged: Staged, tmp_path: Path) -> None:
    """Its departure is told under the old name and before the directory's new one."""
    (tmp_path / "a").rename(tmp_path / "c")
    told = staged.tell(
        (b"a", IN_MOVED_FROM, 5, b"x"),
        (b"", IN_MOVED_FROM | IN_ISDIR, 6, b"a"),
        (b"", IN_MOVED_TO | IN_ISDIR, 6, b"c"),
    )
    assert told == [("DEPARTED", b"a/x", b""), ("DIRECTORY_MOVED", b"c", b"a")]


def test_an_overflow_is_counted_and_makes_the_root_dirty(staged: Staged, tmp_path: Path) -> None:
    """Directories whose creation was lost are watched before the root is called dirty; gone ones are let go."""
    (tmp_path / "new").mkdir()
    (tmp_path / "a").rmdir()
    assert staged.tell((b"", IN_Q_OVERFLOW, 0, b"")) == [("DIRTY", b"", b"")]
    assert staged.watch(b"new") > 0
    coverage = staged.source.coverage()
    assert (coverage.watches, coverage.overflows) == (3, 1)
    assert staged.budget.used == 3


def test_a_rename_lost_in_an_overflow(staged: Staged, tmp_path: Path) -> None:
    """The walk after an overflow finds a directory under its new name and says so."""
    (tmp_path / "a").rename(tmp_path / "b" / "c")
    told = staged.tell((b"", IN_Q_OVERFLOW, 0, b""))
    assert told == [("DIRECTORY_MOVED", b"b/c", b"a"), ("DIRTY", b"", b"")]
    assert staged.budget.used == 3


def test_half_a_rename_lost_in_an_overflow(staged: Staged, tmp_path: Path) -> None:
    """A directory that was seen leaving only is found again by the walk and stays watched."""
    (tmp_path / "a").rename(tmp_path / "b" / "c")
    watch = staged.watch(b"a")
    told = staged.tell((b"", IN_MOVED_FROM | IN_ISDIR, 6, b"a"), (b"", IN_Q_OVERFLOW, 0, b""))
    assert told == [("DIRECTORY_DEPARTED", b"a", b""), ("DIRTY", b"", b"")]
    assert staged.watch(b"b/c") == watch
    staged.now += 1
    assert staged.say() == []
    assert staged.watch(b"b/c") == watch


def test_events_that_were_dropped_here_count_as_lost(staged: Staged) -> None:
    """A full inbox means the same as a full kernel queue."""
    staged.source._inbox = Inbox(10)
    staged.source._inbox.put(b"x" * 11)
    assert staged.say() == [("DIRTY", b"", b"")]
    assert staged.source.coverage().overflows == 1


def test_a_directory_is_replaced_by_another_one(staged: Staged, tmp_path: Path) -> None:
    """The old one is gone before the new one's files are named, and only the new one is watched."""
    (tmp_path / "a").rename(tmp_path.parent / f"{tmp_path.name}-out")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"")
    old = staged.watch(b"a")
    told = staged.tell((b"", IN_MOVED_FROM | IN_ISDIR, 6, b"a"), (b"", IN_CREATE | IN_ISDIR, 0, b"a"))
    assert told == [("DIRECTORY_DEPARTED", b"a", b""), ("LISTED", b"a/f", b"")]
    assert staged.watch(b"a") != old
    staged.now += 1
    staged.say()
    assert staged.budget.used == 3


def test_directories_that_change_places(tmp_path: Path) -> None:
    """After an exchange, which the events tell in two steps, each directory's events carry its own path."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with watching(tmp_path) as watch:
        (tmp_path / "a").rename(tmp_path / "t")
        (tmp_path / "b").rename(tmp_path / "a")
        (tmp_path / "t").rename(tmp_path / "b")
        watch.rest()
        (tmp_path / "a" / "1").write_bytes(b"1")
        (tmp_path / "b" / "2").write_bytes(b"2")
        assert brief(watch.rest()) == [("CLOSED", b"a/1", b""), ("CLOSED", b"b/2", b"")]


def test_the_kernel_is_right_when_the_table_is_not(staged: Staged, tmp_path: Path) -> None:
    """A rename that finds another directory at its end mends both ends (as an atomic exchange needs it)."""
    one, two = staged.watch(b"a"), staged.watch(b"b")
    (tmp_path / "a").rename(tmp_path / "t")
    (tmp_path / "b").rename(tmp_path / "a")
    (tmp_path / "t").rename(tmp_path / "b")
    staged.tell(
        (b"", IN_MOVED_FROM | IN_ISDIR, 5, b"a"),
        (b"", IN_MOVED_TO | IN_ISDIR, 5, b"b"),
        (b"", IN_MOVED_FROM | IN_ISDIR, 6, b"b"),
        (b"", IN_MOVED_TO | IN_ISDIR, 6, b"a"),
    )
    staged.now += 1
    staged.say()
    assert (staged.watch(b"b"), staged.watch(b"a")) == (one, two)
    assert staged.budget.used == 3


def test_more_files_than_are_worth_naming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A big tree that arrives becomes one dirty directory, once all of it is watched."""
    monkeypatch.setattr("mediasluice.sources.inotify.LISTED_AT_ONCE", 10)
    big = tmp_path / "big"
    for at in range(5):
        (big / str(at)).mkdir(parents=True)
        for name in range(5):
            (big / str(at) / str(name)).write_bytes(b"")
    root = tmp_path / "root"
    root.mkdir()
    with watching(root) as watch:
        big.rename(root / "big")
        said = watch.rest()
        assert brief(said)[-1] == ("DIRTY", b"big", b"")
        assert sum(sighting.what is What.LISTED for sighting in said) == 10
        assert watch.source.coverage().watches == 7


def test_a_root_that_cannot_be_watched(tmp_path: Path) -> None:
    """A missing root and a file are unusable; without a watch or an instance left the way out is named."""
    with pytest.raises(RootUnusable), watching(tmp_path / "none"):
        pass
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RootUnusable), watching(tmp_path / "file"):
        pass
    budget = WatchBudget(1)
    assert budget.take()
    with pytest.raises(Unavailable, match="max_user_watches"), watching(tmp_path, budget=budget):
        pass


def test_no_instance_left(tmp_path: Path) -> None:
    """When the kernel gives no more instances, the reason and the line that raises the limit are said."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with watching(tmp_path, start=False) as watch:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            with pytest.raises(Unavailable, match="max_user_instances"):
                watch.source.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_closing_gives_everything_back(tmp_path: Path) -> None:
    """After the end no watch, no thread and no descriptor is left, and nothing is said; twice is as good as once."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    budget = WatchBudget()
    with watching(tmp_path, budget=budget) as watch:
        assert budget.used == 3
        (tmp_path / "a" / "f").write_bytes(b"")
        watch.source.close()
        assert watch.source.read() == []
        watch.source.start()
        assert watch.source.coverage()[0] == 0
    assert budget.used == 0
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_a_start_that_is_closed_meanwhile_ends(tmp_path: Path) -> None:
    """Closing does not wait for a start that is at work, and leaves nothing behind."""
    for at in range(2_000):
        (tmp_path / str(at)).mkdir()
    budget = WatchBudget()
    with watching(tmp_path, budget=budget, start=False) as watch:
        starting = threading.Thread(target=watch.source.start)
        starting.start()
        watch.source.close()
        starting.join(10)
        assert not starting.is_alive()
    assert budget.used == 0


def test_reading_while_the_tree_is_being_armed(tmp_path: Path) -> None:
    """Sightings of what is armed already come while the rest still is; nothing of the rest is missed afterwards."""
    for at in range(3_000):
        (tmp_path / f"{at:04}").mkdir()
    with watching(tmp_path, start=False) as watch:
        starting = threading.Thread(target=watch.source.start)
        starting.start()
        while starting.is_alive():
            (tmp_path / "0000" / "f").write_bytes(b"")
            watch.source.read()
        (tmp_path / "2999" / "g").write_bytes(b"")
        watch.until(lambda sighting: sighting.name == b"g")
        assert watch.source.coverage().watches == 3_001


def test_a_source_that_starts_after_the_readers_ended(tmp_path: Path) -> None:
    """A service that stops while a root is being armed: the source says so, and leaves no descriptor open."""
    readers = Readers(lambda: None, lambda: 0.0)
    readers.close()
    before = len(os.listdir("/proc/self/fd"))
    root = os.fsencode(tmp_path)
    source = InotifySource(ROOT, root, NameRules(root), readers, WatchBudget(), lambda: 0.0)
    with pytest.raises(Unavailable, match="ended"):
        source.start()
    source.close()
    assert len(os.listdir("/proc/self/fd")) == before
