from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from mediasluice.catalogue import view as module
from mediasluice.catalogue.events import event_id
from mediasluice.catalogue.rows import DuplicateTotals
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import ConfigError
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.roots import Library, RootIdentity, Rules
from tests.catalogues import add_root, digests, identified, observed


def test_a_file_is_listed_with_all_that_is_known(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A line has absolute path, size, time, kind, state, digests, links and version."""
    catalogue.record([identified(root, b"2024/x \xff\n.jpg", b"one", links=2)], 10)
    with View.open(file) as view:
        [line] = view.files()
    found = digests(b"one")
    assert line == (
        1, "photos", b"/photos/2024/x \xff\n.jpg", 3, 5_000, Kind.IMAGE, FileState.CATALOGUED, None,
        found.blake3, found.xxh128, 2, 1, None,
    )  # fmt: skip


def test_present_and_missing_files_are_listed_apart(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Unsettled and unreadable files are present, departed ones are neither, libraries can be chosen."""
    other = add_root(catalogue, "other")
    catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(3)], 10)
    catalogue.record([identified(other, b"far", b"far")], 10)
    catalogue.observe([observed(root, b"s", FileState.SETTLING), observed(root, b"u", FileState.UNREADABLE)], 10)
    catalogue.depart(root, [(b"", b"0"), (b"", b"1")], 20)
    catalogue.delete([1], 30)
    with View.open(file) as view:
        assert [line.path for line in view.files(libraries=["photos"])] == [b"/photos/2", b"/photos/s", b"/photos/u"]
        assert [line.path for line in view.files(libraries=["other"])] == [b"/other/far"]
        assert [line.path for line in view.files(missing=True)] == [b"/photos/0"]
        assert view.counts() == {
            FileState.CATALOGUED: 2, FileState.SETTLING: 1, FileState.UNREADABLE: 1, FileState.DEPARTED: 1,
            FileState.MISSING: 1,
        }  # fmt: skip
        assert (view.present(root), view.present(other)) == (3, 1)


def test_lists_do_not_depend_on_pages(
    catalogue: Catalogue, root: RootId, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and events come whole and once, whatever the page size; a limit is a limit."""
    catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(7)], 10)
    with View.open(file) as view:
        for size in (1, 3, 7, 100):
            monkeypatch.setattr(module, "PAGE", size)
            assert [line.id for line in view.files()] == list(range(1, 8))
            assert [event.seq for event in view.events()] == list(range(1, 8))
            assert [event.seq for event in view.events(2, 4)] == [3, 4, 5, 6]
            assert [event.seq for event in view.events(5, 4)] == [6, 7]
        assert list(view.events(0, 0)) == []
        assert view.head() == 7


def test_a_reader_that_stops_holds_nothing(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Between two pages no read transaction is open: the writer's WAL can be used again."""
    catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(50)], 10)
    with View.open(file) as view:
        for lines in (view.files(), view.events()):
            next(lines)
            busy, left, done = catalogue._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert (busy, left, done) == (0, 0, 0)


def test_events_keep_the_paths_of_their_time(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """An event says the path as it was, after file and directories moved on; times are microseconds."""
    one = identified(root, b"a/x", b"one", ino=7)
    catalogue.record([one], 1_700_000_000_123_456)
    catalogue.move(root, b"a", b"x", b"b", b"y", one.key, 1, 1_700_000_000_123_457)
    catalogue.move_tree(root, b"b", b"c", 1_700_000_000_123_458)
    with View.open(file) as view:
        events = list(view.events())
    assert [(event.path, event.old_path) for event in events] == [
        (b"/photos/a/x", None), (b"/photos/b/y", b"/photos/a/x"), (b"/photos/c/y", b"/photos/b/y"),
    ]  # fmt: skip
    assert [event.at_us % 1000 for event in events] == [456, 457, 458]
    assert {(event.size, event.blake3, event.library) for event in events} == {(3, digests(b"one").blake3, "photos")}
    assert events[0].origin == "event"


def test_event_ids_are_uuids_of_version_7(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """An id has the event's time in front, differs from all others, and is the same in every reading."""
    catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(20)], 1_700_000_000_123_456)
    with View.open(file) as view:
        ids = [uuid.UUID(event.id) for event in view.events()]
        assert ids == [uuid.UUID(event.id) for event in view.events()]
    assert {one.version for one in ids} == {7}
    assert {one.variant for one in ids} == {uuid.RFC_4122}
    assert {one.int >> 80 for one in ids} == {1_700_000_000_123}
    assert len(set(ids)) == 20
    assert event_id(1_000, 1, "a") != event_id(1_000, 1, "b")
    assert event_id(1_001, 5, "a") < event_id(1_002, 4, "a")


def test_the_history_of_a_path(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A path's history is of the file there, from wherever it came, and of all others that were there."""
    catalogue.record([identified(root, b"d/old", b"one", ino=7), identified(root, b"beside", b"two")], 10)
    catalogue.record([identified(root, b"d/x", b"one", ino=7, old=b"d/old")], 20)
    catalogue.record([identified(root, b"e/x", b"one", ino=7, old=b"d/x")], 30)
    [new] = catalogue.record([identified(root, b"d/x", b"three", ino=9)], 40)
    catalogue.depart(root, [(b"d", b"x")], 50)
    with View.open(file) as view:
        line, events = view.history(b"/photos/d/x")
        assert line is not None
        assert (line.id, line.state) == (new.file, FileState.DEPARTED)
        assert [(event.type.value, event.seq) for event in events] == [
            ("file.renamed", 3), ("file.moved", 4), ("file.created", 5),
        ]  # fmt: skip
        catalogue.delete([new.file], 60)
        line, events = view.history(b"/photos/d/x")
        assert line is not None
        assert line.state is FileState.MISSING
        assert [event.seq for event in events] == [3, 4, 5, 6]
        line, events = view.history(b"/photos/e/x")
        assert line is not None
        assert [event.seq for event in events] == [1, 3, 4]
        assert view.history(b"/photos/nothing") == (None, [])
        assert view.history(b"/elsewhere/x") == (None, [])
        assert view.history(b"/photos") == (None, [])


def test_the_root_directory_can_be_a_root(catalogue: Catalogue, file: Path) -> None:
    """Paths under a library of the whole file system begin with one slash."""
    root = catalogue.register(Library("all", b"/", Rules()), RootIdentity(b"disk-1", 2)).id
    catalogue.record([identified(root, b"a/x", b"one"), identified(root, b"y", b"two")], 10)
    with View.open(file) as view:
        assert [line.path for line in view.files()] == [b"/a/x", b"/y"]
        line, events = view.history(b"/a/x")
    assert line is not None
    assert [event.path for event in events] == [b"/a/x"]


def test_groups_of_duplicates_have_two_files(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A group has at least two inodes, all names are in it, and the totals count what the groups say."""
    other = add_root(catalogue, "backup", b"disk-2")
    catalogue.record(
        [
            identified(root, b"a", b"copied", ino=1),
            identified(root, b"b", b"copied", ino=2, links=2),
            identified(root, b"c", b"copied", ino=2, links=2),
            identified(root, b"linked", b"linked!", ino=3, links=2),
            identified(root, b"too", b"linked!", ino=3, links=2),
            identified(root, b"alone", b"alone", ino=4),
            identified(root, b"far", b"far away", ino=5),
            identified(other, b"far", b"far away", ino=5),
            identified(other, b"m", b"unstable", ino=0),
            identified(other, b"n", b"unstable", ino=0),
        ],
        10,
    )
    with View.open(file) as view:
        groups = {group.blake3: group for group in view.duplicates()}
        assert set(groups) == {digests(content).blake3 for content in (b"copied", b"far away", b"unstable")}
        copied = groups[digests(b"copied").blake3]
        assert copied.size == 6
        assert sorted(copied.files) == [
            ("photos", b"/photos/a", b"disk-1", 1), ("photos", b"/photos/b", b"disk-1", 2),
            ("photos", b"/photos/c", b"disk-1", 2),
        ]  # fmt: skip
        assert view.duplicate_totals() == DuplicateTotals(3, 3, 6 + 8 + 8)
        assert view.duplicate_totals([root]) == DuplicateTotals(1, 1, 6)
        assert view.duplicate_totals([other]) == DuplicateTotals(1, 1, 8)
        assert view.duplicate_totals([]) == DuplicateTotals(0, 0, 0)
        assert [group.blake3 for group in view.duplicates(["photos"])] == [digests(b"copied").blake3]


def test_only_what_is_there_is_a_duplicate(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Departed and missing files are no copies any more."""
    catalogue.record([identified(root, b"%d" % n, b"same") for n in range(3)], 10)
    with View.open(file) as view:
        for left, gone in ((2, b"0"), (1, b"1")):
            catalogue.depart(root, [(b"", gone)], 20)
            assert view.duplicate_totals() == DuplicateTotals(left - 1, left - 1, 4 * (left - 1))
            catalogue.delete([row.file for row in catalogue.departed([root], 9)], 30)
            assert len(list(view.duplicates())) == left - 1


def test_many_groups_are_streamed(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """All groups come, however many pages they fill."""
    files = [identified(root, b"%d/%d" % (copy, n), b"%d" % n) for n in range(1_100) for copy in range(2)]
    catalogue.record(files, 10)
    with View.open(file) as view:
        assert len({group.blake3 for group in view.duplicates()}) == 1_100


def test_an_empty_catalogue_answers(catalogue: Catalogue, file: Path) -> None:
    """Every question has an answer before anything was recorded."""
    with View.open(file) as view:
        assert (view.head(), view.roots(), view.counts(), view.learned()) == (0, [], {}, {})
        assert [*view.files(), *view.events(), *view.duplicates()] == []
        assert view.duplicate_totals() == (0, 0, 0)
        assert not view.knows_files()
        assert view.history(b"/x") == (None, [])
        assert view.lacking_full(5) == []


def test_damage_that_is_found_while_reading_is_said_so(tmp_path: Path) -> None:
    """A page that went bad is an error about the catalogue, not about SQL."""
    file = tmp_path / "catalogue.sqlite"
    with Catalogue.open(file) as catalogue:
        root = add_root(catalogue)
        catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(3_000)], 10)
    whole = bytearray(file.read_bytes())
    middle = len(whole) // 2
    whole[middle:] = b"\x55" * (len(whole) - middle)
    file.write_bytes(whole)
    with View.open(file) as view, pytest.raises(ConfigError, match="damaged"):
        list(view.files())
