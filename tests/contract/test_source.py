"""What every source does, on each of them; where one can only do less, its options say so."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic  # noqa: TID251 - a source is driven by the real clock here
from typing import Protocol

import pytest

from mediasluice.model.flow import What
from mediasluice.sources.desktop import WatchdogSource
from mediasluice.sources.names import NameRules
from tests.watching import ROOT, Watching, brief, watching

# watchdog warns on its own thread when a directory is watched twice, which a burst of new directories makes it do.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


class Maker(Protocol):
    def __call__(self, root: Path, *, rules: NameRules | None = None) -> AbstractContextManager[Watching]: ...


@dataclass(frozen=True)
class Kind:
    """A source and what it cannot do."""

    make: Maker
    quiet_s: float = 0.35  # longer than it holds anything back
    knows_rename_in: bool = True  # else a file from outside looks like a new one
    sees_root_renamed: bool = True
    covers_all: bool = True  # else the tree has to be compared regularly


@contextmanager
def through_watchdog(root: Path, *, rules: NameRules | None = None) -> Iterator[Watching]:
    path = os.fsencode(root)
    wake = threading.Event()
    source = WatchdogSource(ROOT, path, rules or NameRules(path), wake.set, monotonic)
    try:
        source.start()
        yield Watching(source, wake)
    finally:
        source.close()


KINDS = [
    pytest.param(Kind(watching), id="inotify"),
    pytest.param(
        Kind(through_watchdog, quiet_s=0.8, knows_rename_in=False, sees_root_renamed=False, covers_all=False),
        id="watchdog",
    ),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    made = request.param
    assert isinstance(made, Kind)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "old.jpg").write_bytes(b"old")
    return root


def last_words(kind: Kind, watch: Watching) -> dict[bytes, str]:
    """The last thing that was said of each path."""
    return {path: what for what, path, _ in brief(watch.rest(kind.quiet_s))}


def test_what_was_there_before_is_not_said(kind: Kind, root: Path) -> None:
    """A source tells what changes, a scan what is."""
    with kind.make(root) as watch:
        assert watch.rest(kind.quiet_s) == []
        (root / "a" / "old.jpg").read_bytes()
        assert watch.rest(kind.quiet_s) == [], "reading is no change"


def test_a_file_that_is_written(kind: Kind, root: Path) -> None:
    """Its last word is that its writer closed it."""
    with kind.make(root) as watch:
        (root / "a" / "new.jpg").write_bytes(b"new")
        assert last_words(kind, watch) == {b"a/new.jpg": "CLOSED"}
        assert all(sighting.root == ROOT for sighting in watch.sightings)


def test_a_file_that_is_only_linked(kind: Kind, root: Path) -> None:
    """A hard link makes a name and nothing else."""
    with kind.make(root) as watch:
        os.link(root / "a" / "old.jpg", root / "link.jpg")
        assert last_words(kind, watch)[b"link.jpg"] == "CREATED"


def test_a_file_that_is_renamed(kind: Kind, root: Path) -> None:
    """Inside the root both names are said together."""
    with kind.make(root) as watch:
        (root / "a" / "old.jpg").rename(root / "new.jpg")
        assert brief(watch.rest(kind.quiet_s)) == [("MOVED", b"new.jpg", b"a/old.jpg")]


def test_a_file_that_goes(kind: Kind, root: Path, tmp_path: Path) -> None:
    """Removed or renamed to somewhere else is the same."""
    (root / "other.jpg").write_bytes(b"")
    with kind.make(root) as watch:
        (root / "a" / "old.jpg").rename(tmp_path / "out.jpg")
        (root / "other.jpg").unlink()
        assert last_words(kind, watch) == {b"a/old.jpg": "DEPARTED", b"other.jpg": "DEPARTED"}


def test_a_file_from_outside(kind: Kind, root: Path, tmp_path: Path) -> None:
    """Renamed into place is said as such where it can be known."""
    (tmp_path / "in.jpg").write_bytes(b"in")
    with kind.make(root) as watch:
        (tmp_path / "in.jpg").rename(root / "a" / "in.jpg")
        assert last_words(kind, watch) == {b"a/in.jpg": "RENAMED_IN" if kind.knows_rename_in else "CREATED"}


def test_new_directories(kind: Kind, root: Path) -> None:
    """A file in directories that are made at the same moment is found."""
    with kind.make(root) as watch:
        for at in range(20):
            (root / str(at) / "b" / "c").mkdir(parents=True)
            (root / str(at) / "b" / "c" / "f.jpg").write_bytes(b"f")
        watch.rest(kind.quiet_s)
        told = watch.told()
        assert all(told.covers(b"%d/b/c" % at, b"f.jpg") for at in range(20))


def test_a_tree_from_outside(kind: Kind, root: Path, tmp_path: Path) -> None:
    """All files of a tree that is moved in are named, and it is watched from then on."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "1.jpg").write_bytes(b"")
    (tmp_path / "in" / "deep" / "2.jpg").write_bytes(b"")
    with kind.make(root) as watch:
        (tmp_path / "in").rename(root / "in")
        words = last_words(kind, watch)
        assert set(words) == {b"in/1.jpg", b"in/deep/2.jpg"}
        assert set(words.values()) <= {"LISTED", "CREATED"}
        (root / "in" / "deep" / "3.jpg").write_bytes(b"")
        assert last_words(kind, watch) == {b"in/deep/3.jpg": "CLOSED"}


def test_a_directory_that_is_renamed(kind: Kind, root: Path) -> None:
    """One sighting says it for the whole tree; later ones carry the new path."""
    (root / "a" / "deep").mkdir()
    with kind.make(root) as watch:
        (root / "a").rename(root / "b")
        assert brief(watch.rest(kind.quiet_s)) == [("DIRECTORY_MOVED", b"b", b"a")]
        (root / "b" / "deep" / "new.jpg").write_bytes(b"")
        assert last_words(kind, watch) == {b"b/deep/new.jpg": "CLOSED"}


def test_a_directory_that_goes(kind: Kind, root: Path, tmp_path: Path) -> None:
    """One sighting says it for the whole tree, moved out or removed."""
    (root / "b" / "deep").mkdir(parents=True)
    with kind.make(root) as watch:
        (root / "a").rename(tmp_path / "a")
        shutil.rmtree(root / "b")
        words = last_words(kind, watch)
        assert words[b"a"] == words[b"b"] == "DIRECTORY_DEPARTED"


def test_ignored_names(kind: Kind, root: Path) -> None:
    """Ignored files and directories are not said; a rename across the rules is an arrival or a departure."""
    with kind.make(root) as watch:
        (root / "a" / ".DS_Store").write_bytes(b"")
        (root / "a" / ".sluice-1.part").write_bytes(b"new")
        (root / "@eaDir").mkdir()
        (root / "@eaDir" / "x.jpg").write_bytes(b"")
        assert watch.rest(kind.quiet_s) == []
        (root / "a" / ".sluice-1.part").rename(root / "a" / "new.jpg")
        (root / "a" / "old.jpg").rename(root / "a" / ".sluice-2.part")
        assert last_words(kind, watch) == {b"a/new.jpg": "RENAMED_IN", b"a/old.jpg": "DEPARTED"}


def test_directories_across_the_rules(kind: Kind, root: Path) -> None:
    """A directory that gets an ignored name is gone; one that loses it is new."""
    (root / ".sluice-x").mkdir()
    (root / ".sluice-x" / "x.jpg").write_bytes(b"")
    with kind.make(root) as watch:
        (root / "a").rename(root / ".sluice-a")
        (root / ".sluice-x").rename(root / "x")
        assert last_words(kind, watch) == {b"a": "DIRECTORY_DEPARTED", b"x/x.jpg": "LISTED"}
        (root / ".sluice-a" / "y.jpg").write_bytes(b"")
        (root / "x" / "y.jpg").write_bytes(b"")
        assert last_words(kind, watch) == {b"x/y.jpg": "CLOSED"}


def test_an_ignore_file(kind: Kind, root: Path) -> None:
    """New rules make the directory dirty and count from then on."""
    with kind.make(root) as watch:
        (root / ".sluiceignore").write_text("*.log\n")
        assert set(last_words(kind, watch).values()) == {"DIRTY"}
        (root / "a" / "x.log").write_bytes(b"")
        (root / "a" / "x.jpg").write_bytes(b"")
        assert last_words(kind, watch) == {b"a/x.jpg": "CLOSED"}
        (root / ".sluiceignore").unlink()
        assert set(last_words(kind, watch).values()) == {"DIRTY"}
        (root / "a" / "y.log").write_bytes(b"")
        assert last_words(kind, watch) == {b"a/y.log": "CLOSED"}


def test_strange_names(kind: Kind, root: Path) -> None:
    """Names that are no text, have a newline or are as long as can be arrive byte for byte."""
    names = [b"caf\xe9.jpg", b"two\nlines.jpg", b"n" * 255]
    with kind.make(root) as watch:
        for name in names:
            path = os.fsencode(root) + b"/d" + name[:250]
            os.mkdir(path)
            os.close(os.open(path + b"/" + name, os.O_CREAT | os.O_WRONLY))
        watch.rest(kind.quiet_s)
        told = watch.told()
        assert all(told.covers(b"d" + name[:250], name) for name in names)


def test_the_root_is_removed(kind: Kind, root: Path) -> None:
    """That is the last thing that is said, and nothing is said to be deleted because of it."""
    (root / "a" / "old.jpg").unlink()
    (root / "a").rmdir()
    with kind.make(root) as watch:
        root.rmdir()
        assert brief(watch.rest(kind.quiet_s)) == [("ROOT_LOST", b"", b"")]
        root.mkdir()
        (root / "x.jpg").write_bytes(b"")
        assert watch.rest(kind.quiet_s) == []
        assert "removed" in (watch.source.coverage().reason or "")


def test_the_root_is_renamed(kind: Kind, root: Path, tmp_path: Path) -> None:
    """A root under another name is lost; nothing is reported from there."""
    with kind.make(root) as watch:
        root.rename(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "a" / "x.jpg").write_bytes(b"")
        if kind.sees_root_renamed:
            assert brief(watch.rest(kind.quiet_s)) == [("ROOT_LOST", b"", b"")]
        else:
            assert What.ROOT_LOST not in {sighting.what for sighting in watch.rest(kind.quiet_s)}


def test_coverage(kind: Kind, root: Path) -> None:
    """A source says whether its reports are complete, and why not."""
    with kind.make(root) as watch:
        coverage = watch.source.coverage()
        assert coverage.overflows == 0
        assert coverage.uncovered == (() if kind.covers_all else (b"",))
        assert (coverage.reason is None) is kind.covers_all
        assert coverage.watches == (2 if kind.covers_all else 1)


def test_the_end(kind: Kind, root: Path) -> None:
    """After close nothing is said, whatever was under way; closing again does no harm."""
    with kind.make(root) as watch:
        (root / "a" / "x.jpg").write_bytes(b"")
        watch.source.close()
        (root / "a" / "y.jpg").write_bytes(b"")
        assert watch.rest(kind.quiet_s) == []
        watch.source.close()
