from __future__ import annotations

from pathlib import Path

import pytest

from mediasluice.catalogue.rows import Departed, Outcome
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.events import EventType
from mediasluice.model.files import FileState
from mediasluice.model.flow import RootId
from tests.catalogues import add_root, identified, key, observed, story


def _states(file: Path, root: RootId, directory: bytes = b"") -> dict[bytes, FileState]:
    with View.open(file) as view:
        return {name: known.state for name, known in view.rows(root, directory).items()}


@pytest.mark.parametrize("state", [FileState.SETTLING, FileState.HELD, FileState.EMPTY, FileState.UNREADABLE])
def test_a_rewritten_file_keeps_what_is_known(catalogue: Catalogue, root: RootId, file: Path, state: FileState) -> None:
    """A catalogued file that settles again keeps content and key, tells nothing, and is no copy meanwhile."""
    one = identified(root, b"x", b"one", ino=7)
    catalogue.record([one, identified(root, b"y", b"one")], 10)
    before = len(story(file))
    catalogue.observe([observed(root, b"x", state, size=99)], 20)
    with View.open(file) as view:
        known = view.known(root, b"", b"x")
        assert list(view.duplicates()) == []
    assert known is not None
    assert (known.key, known.state, known.has_content) == (one.key, state, True)
    [again] = catalogue.record([one], 30)
    assert again.outcome is Outcome.UNCHANGED
    assert len(story(file)) == before


def test_a_changed_file_that_nobody_wants_has_no_content(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A catalogued file that became something unwanted is told of as modified, its content unknown."""
    [one] = catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.observe([observed(root, b"x", FileState.SKIPPED, size=99, reason="too large")], 20)
    with View.open(file) as view:
        *_, modified = view.events()
        [line] = view.files()
    assert (modified.type, modified.size, modified.blake3) == (EventType.FILE_MODIFIED, 99, None)
    assert (line.id, line.version, line.state, line.blake3) == (one.file, 2, FileState.SKIPPED, None)
    assert line.reason == "too large"


def test_an_unchanged_file_that_became_junk_keeps_its_content(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """New rules change the state of a file and tell nothing of its content."""
    one = identified(root, b"x", b"one", ino=7)
    catalogue.record([one], 10)
    catalogue.observe([observed(root, b"x", FileState.JUNK, size=3, ino=7)], 20)
    assert _states(file, root) == {b"x": FileState.JUNK}
    assert len(story(file)) == 1


def test_observing_again_changes_the_row(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A path has one row, however often and with whatever state it is observed, in one chunk or several."""
    catalogue.observe([observed(root, b"x", FileState.SETTLING), observed(root, b"x", FileState.EMPTY, size=0)], 10)
    assert _states(file, root) == {b"x": FileState.EMPTY}
    catalogue.observe([observed(root, b"x", FileState.UNREADABLE, reason="denied")], 20)
    with View.open(file) as view:
        [line] = view.files()
    assert (line.state, line.reason, line.version, line.size) == (FileState.UNREADABLE, "denied", 0, 7)


def test_a_departed_file_that_is_observed_is_back(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Somebody writes where a file departed from: it settles again under its id."""
    [one] = catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.depart(root, [(b"", b"x")], 20)
    catalogue.observe([observed(root, b"x", FileState.SETTLING)], 30)
    assert catalogue.departed([root], 10) == []
    [two] = catalogue.record([identified(root, b"x", b"two")], 40)
    assert two == (one.file, 2, Outcome.MODIFIED, None)
    assert len(story(file)) == 2


def test_a_move_changes_the_path_only(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A rename without a change of size or time keeps id, content and state; the key follows."""
    one = identified(root, b"a/x", b"one", ino=7)
    [created] = catalogue.record([one], 10)
    after = one.key._replace(ctime_ns=77)
    assert catalogue.move(root, b"a", b"x", b"b", b"y", after, 2, 20)
    with View.open(file) as view:
        known = view.known(root, b"b", b"y")
    assert known == (created.file, after, FileState.CATALOGUED, True, 2)
    assert story(file)[1:] == [("file.moved", b"b/y", b"a/x")]


def test_a_move_of_a_changed_file_lets_it_settle(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A file that was renamed and changed is moved now and read before anything is said of its content."""
    one = identified(root, b"x", b"one", ino=7)
    catalogue.record([one], 10)
    assert catalogue.move(root, b"", b"x", b"", b"y", key(b"longer", ino=7), 1, 20)
    with View.open(file) as view:
        known = view.known(root, b"", b"y")
    assert known is not None
    assert (known.state, known.key) == (FileState.SETTLING, one.key)


def test_a_move_over_a_file_deletes_that_file(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """The file whose path was taken is deleted before the move is told."""
    one = identified(root, b"a", b"one")
    catalogue.record([one, identified(root, b"b", b"two")], 10)
    assert catalogue.move(root, b"", b"a", b"", b"b", one.key, 1, 20)
    assert story(file)[2:] == [("file.deleted", b"b", None), ("file.renamed", b"b", b"a")]


def test_a_move_of_nothing_known_says_so(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A rename whose old path has no row changes nothing."""
    assert not catalogue.move(root, b"nowhere", b"x", b"", b"y", key(b"one"), 1, 10)
    catalogue.record([identified(root, b"x", b"one")], 20)
    assert not catalogue.move(root, b"", b"y", b"", b"z", key(b"one"), 1, 30)
    assert len(story(file)) == 1


def test_a_file_that_took_the_old_name_is_not_moved(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A row of another inode is not the file that was seen leaving: nothing is changed."""
    catalogue.record([identified(root, b"x", b"one", ino=7)], 10)
    assert not catalogue.move(root, b"", b"x", b"", b"y", key(b"one", ino=8), 1, 20)
    with View.open(file) as view:
        assert [line.path for line in view.files()] == [b"/photos/x"]


def test_a_tree_that_takes_a_known_place_deletes_nothing(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """What was known at the new place left it; its fate is decided later."""
    catalogue.record([identified(root, b"a/x", b"one"), identified(root, b"b/y", b"two")], 10)
    assert catalogue.move_tree(root, b"a", b"b", 20) == 1
    with View.open(file) as view:
        assert [line.path for line in view.files()] == [b"/photos/b/x"]
        assert [event.type.value for event in view.events(2)] == ["file.moved"]
    assert [row.name for row in catalogue.departed([root], 10)] == [b"y"]


def test_a_move_of_an_untold_file_is_untold(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A row that no event told of moves silently and settles under its new name."""
    catalogue.observe([observed(root, b"x.part", FileState.HELD, reason="temporary name")], 10)
    assert catalogue.move(root, b"", b"x.part", b"", b"x", key(b"done"), 1, 20)
    assert story(file) == []
    assert _states(file, root) == {b"x": FileState.SETTLING}


def test_a_directory_moves_with_everything(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A renamed directory takes all files at and below it along, and nothing that only begins like it."""
    names = [b"a/x", b"a/b/y", b"a/b/c/z", b"a-b/x", b"a0/x", b"ab"]
    catalogue.record([identified(root, name, name) for name in names], 10)
    catalogue.seal(root, [(b"a", b"s" * 16, 1), (b"a/b", b"s" * 16, 1)])
    assert catalogue.move_tree(root, b"a", b"new/place", 20) == 3
    with View.open(file) as view:
        paths = sorted(line.path.removeprefix(b"/photos/") for line in view.files())
        there = [path for path, _, _ in view.directories(root)]
    assert paths == [b"a-b/x", b"a0/x", b"ab", b"new/place/b/c/z", b"new/place/b/y", b"new/place/x"]
    assert there == [b"", b"a-b", b"a0", b"new/place", b"new/place/b", b"new/place/b/c"]
    assert sorted(story(file)[6:]) == [
        ("file.moved", b"new/place/b/c/z", b"a/b/c/z"),
        ("file.moved", b"new/place/b/y", b"a/b/y"),
        ("file.moved", b"new/place/x", b"a/x"),
    ]
    assert catalogue.move_tree(root, b"a", b"elsewhere", 30) == 0


def test_a_large_directory_moves_whole(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A tree of more files than are held in memory at once is moved by one call."""
    catalogue.record([identified(root, b"a/%d/%d" % (n % 7, n), b"%d" % n) for n in range(5_200)], 10)
    assert catalogue.move_tree(root, b"a", b"b", 20) == 5_200
    with View.open(file) as view:
        assert all(line.path.startswith(b"/photos/b/") for line in view.files())


@pytest.mark.parametrize("start", [b"", b"a"])
def test_a_directory_departs_with_everything(catalogue: Catalogue, root: RootId, file: Path, start: bytes) -> None:
    """What is gone with a directory has departed; odd names below it are found, others are left."""
    below = [b"a/x", b"a/\xff\xff\xff\xff\xff\xff\xff\xff\xff/y", b"a/b/z"]
    beside = [] if not start else [b"a.x", b"a0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff/y"]
    catalogue.record([identified(root, name, name) for name in below + beside], 10)
    assert catalogue.depart_tree(root, start, 20) == len(below)
    assert len(catalogue.departed([root], 10)) == len(below)
    with View.open(file) as view:
        assert len(list(view.files())) == len(beside)
        assert view.present(root) == len(beside)
    assert catalogue.present(root) is bool(beside)


def test_departed_files_wait_for_a_decision(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Departures tell nothing; they are listed for the roots that are asked for, oldest first."""
    other = add_root(catalogue, "other")
    files = [identified(root, b"d/x", b"one", ino=7), identified(root, b"y", b"three", ino=(1 << 64) - 1)]
    one, two = catalogue.record(files, 10)
    [far] = catalogue.record([identified(other, b"z", b"two")], 10)
    assert catalogue.depart(root, [(b"", b"y")], 30) == 1
    assert catalogue.depart(root, [(b"d", b"x"), (b"d", b"unknown"), (b"nowhere", b"x")], 20) == 1
    assert catalogue.depart(root, [(b"d", b"x")], 40) == 0
    catalogue.depart(other, [(b"", b"z")], 25)
    assert catalogue.departed([root], 10) == [
        Departed(one.file, root, b"d", b"x", 3, True, 20, 7, has_essence=False),
        Departed(two.file, root, b"", b"y", 5, True, 30, (1 << 64) - 1, has_essence=False),
    ]
    assert [row.file for row in catalogue.departed([root, other], 2)] == [one.file, far.file]
    assert all(line[0] == "file.created" for line in story(file))


def test_deleting_tells_of_what_was_told(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A deletion is an event for a file that had one, silent for the others, and nothing for who came back."""
    one, two = catalogue.record([identified(root, b"x", b"one"), identified(root, b"y", b"two")], 10)
    catalogue.observe([observed(root, b"z.part", FileState.HELD)], 10)
    catalogue.depart_tree(root, b"", 20)
    files = [row.file for row in catalogue.departed([root], 10)]
    catalogue.record([identified(root, b"y", b"two")], 30)
    assert catalogue.delete(files, 40) == 1
    assert story(file)[2:] == [("file.deleted", b"x", None)]
    with View.open(file) as view:
        assert [line.id for line in view.files(missing=True)] == [one.file]
        assert [line.id for line in view.files()] == [two.file]


def test_restored_files_are_as_before(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A file that turns out to be there is present again without an event; deleted ones stay deleted."""
    one, two = catalogue.record([identified(root, b"x", b"one"), identified(root, b"y", b"two")], 10)
    catalogue.depart_tree(root, b"", 20)
    catalogue.delete([two.file], 30)
    catalogue.restore([one.file, two.file])
    assert _states(file, root) == {b"x": FileState.CATALOGUED}
    assert [line[0] for line in story(file)] == ["file.created", "file.created", "file.deleted"]


def test_attributes_are_told_of_catalogued_files(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A change of owner, mode or times is an event of a catalogued file and of no other."""
    catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.observe([observed(root, b"y", FileState.SETTLING)], 10)
    assert catalogue.attributes(root, b"", b"x", 20)
    assert not catalogue.attributes(root, b"", b"y", 20)
    assert not catalogue.attributes(root, b"nowhere", b"x", 20)
    assert story(file)[1:] == [("file.attributes", b"x", None)]


def test_old_missing_files_are_forgotten(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """What is missing for long leaves with its versions; its events stay."""
    one, two = catalogue.record([identified(root, b"x", b"one"), identified(root, b"y", b"two")], 10)
    catalogue.record([identified(root, b"x", b"one more")], 15)
    catalogue.depart(root, [(b"", b"x")], 20)
    catalogue.depart(root, [(b"", b"y")], 30)
    catalogue.delete([one.file, two.file], 40)
    assert catalogue.prune(30) == 1
    with View.open(file) as view:
        assert [line.id for line in view.files(missing=True)] == [two.file]
        assert len(list(view.events())) == 5
    assert catalogue._connection.execute("SELECT count(*) FROM file_version").fetchone() == (0,)
