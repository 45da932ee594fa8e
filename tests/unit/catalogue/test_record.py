from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.rows import Outcome
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey, Digests, FileState, Origin
from mediasluice.model.flow import RootId
from tests.catalogues import add_root, identified, observed, story


def test_a_new_file_is_created_once(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A file that is recorded twice unchanged has one event and one row."""
    first = identified(root, b"a/x.jpg", b"one", ino=7)
    [created] = catalogue.record([first], 10)
    [again] = catalogue.record([first._replace(key=first.key._replace(ctime_ns=99))], 20)
    assert (created.outcome, again.outcome) == (Outcome.CREATED, Outcome.UNCHANGED)
    assert again.file == created.file
    assert story(file) == [("file.created", b"a/x.jpg", None)]
    with View.open(file) as view:
        known = view.known(root, b"a", b"x.jpg")
    assert known is not None
    assert known.key.ctime_ns == 99


def test_a_changed_file_is_a_version(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Other content at the same path is the next version of the same file, and the old one is kept."""
    [one] = catalogue.record([identified(root, b"x", b"one", mtime_ns=5)], 10)
    [two] = catalogue.record([identified(root, b"x", b"other")], 20)
    assert two == (one.file, 2, Outcome.MODIFIED, None)
    assert story(file) == [("file.created", b"x", None), ("file.modified", b"x", None)]
    kept = catalogue._connection.execute("SELECT file, version, size, mtime_ns, at_us FROM file_version").fetchall()
    assert kept == [(one.file, 1, 3, 5, 10)]


@pytest.mark.parametrize("together", [True, False], ids=["one chunk", "one by one"])
def test_a_copy_is_told_of(catalogue: Catalogue, root: RootId, file: Path, *, together: bool) -> None:
    """A file whose content another inode has is a duplicate of that file; the first of them is none."""
    files = [identified(root, b"a", b"same"), identified(root, b"b", b"same"), identified(root, b"c", b"other")]
    chunks = [files] if together else [[one] for one in files]
    verdicts = [verdict for chunk in chunks for verdict in catalogue.record(chunk, 10)]
    assert [verdict.duplicate_of for verdict in verdicts] == [None, verdicts[0].file, None]
    with View.open(file) as view:
        [duplicate] = [event for event in view.events() if event.type is EventType.FILE_DUPLICATE]
    assert (duplicate.path, duplicate.old_path) == (b"/photos/b", None)
    assert duplicate.data == {"of": verdicts[0].file, "of_path": "/photos/a"}


@pytest.mark.parametrize("together", [True, False], ids=["one chunk", "one by one"])
def test_hard_links_are_no_copies(catalogue: Catalogue, root: RootId, file: Path, *, together: bool) -> None:
    """Two names of one inode are two files and no duplicates, also beside a true copy."""
    files = [
        identified(root, b"a", b"same", ino=7, links=2),
        identified(root, b"b", b"same", ino=7, links=2),
        identified(root, b"c", b"same", ino=8),
    ]
    chunks = [files] if together else [[one] for one in files]
    verdicts = [verdict for chunk in chunks for verdict in catalogue.record(chunk, 10)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CREATED] * 3
    assert [verdict.duplicate_of is None for verdict in verdicts] == [True, True, False]


def test_equal_inode_numbers_of_two_disks_are_copies(catalogue: Catalogue, root: RootId) -> None:
    """An inode number counts only within its file system."""
    other = add_root(catalogue, "backup", b"disk-2")
    [one] = catalogue.record([identified(root, b"a", b"same", ino=7)], 10)
    [two] = catalogue.record([identified(other, b"a", b"same", ino=7)], 20)
    assert (two.outcome, two.duplicate_of) == (Outcome.CREATED, one.file)


def test_files_without_inodes_are_copies(catalogue: Catalogue, root: RootId) -> None:
    """Where inodes are not stable every name is a file of its own."""
    [one] = catalogue.record([identified(root, b"a", b"same", ino=0)], 10)
    [two, three] = catalogue.record(
        [identified(root, b"b", b"same", ino=0), identified(root, b"c", b"same", ino=0)], 20
    )
    assert two.duplicate_of == one.file
    assert three.duplicate_of in {one.file, two.file}


def test_a_departed_file_that_turns_up_has_moved(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """The same content at another path soon after a departure is the same file."""
    [one] = catalogue.record([identified(root, b"a/x", b"one", ino=7)], 10)
    catalogue.depart(root, [(b"a", b"x")], 20)
    [moved] = catalogue.record([identified(root, b"b/y", b"one", ino=7)], 30)
    assert moved == (one.file, 1, Outcome.MOVED, None)
    assert story(file)[1:] == [("file.moved", b"b/y", b"a/x")]
    assert catalogue.departed([root], 10) == []


def test_a_rename_in_place_is_renamed(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Another name in the same directory is a rename."""
    catalogue.record([identified(root, b"a/x", b"one")], 10)
    catalogue.depart(root, [(b"a", b"x")], 20)
    catalogue.record([identified(root, b"a/y", b"one")], 30)
    assert story(file)[1:] == [("file.renamed", b"a/y", b"a/x")]


def test_the_same_inode_goes_before_the_same_name(catalogue: Catalogue, root: RootId) -> None:
    """Of several departed files with equal content the one with the inode is the file, else the one with the name."""
    first, second, third = catalogue.record(
        [
            identified(root, b"a/x", b"one", ino=1),
            identified(root, b"a/y", b"one", ino=2),
            identified(root, b"a/z", b"one", ino=3),
        ],
        10,
    )
    catalogue.depart_tree(root, b"a", 20)
    verdicts = catalogue.record([identified(root, b"b/x", b"one", ino=2), identified(root, b"b/z", b"one", ino=9)], 30)
    assert [verdict.file for verdict in verdicts] == [second.file, third.file]
    assert [row.file for row in catalogue.departed([root], 10)] == [first.file]


def test_a_move_to_another_root_keeps_the_file(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Content that left one root and turned up under another is the same file, seen in either order."""
    other = add_root(catalogue, "archive")
    one, two = catalogue.record([identified(root, b"x", b"one", ino=7), identified(root, b"y", b"two", ino=8)], 10)
    catalogue.depart(root, [(b"", b"x")], 20)
    [moved] = catalogue.record([identified(other, b"x", b"one", ino=7)], 30)
    [also] = catalogue.record([identified(other, b"y", b"two", ino=8)], 40)  # its departure was not seen yet
    catalogue.depart(root, [(b"", b"y")], 50)
    assert (moved.file, also.file) == (one.file, two.file)
    assert [line[0] for line in story(file)] == ["file.created"] * 2 + ["file.moved"] * 2
    assert catalogue.departed([root, other], 10) == []


def test_a_file_that_moved_and_changed_is_known_by_its_birth(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """The inode that came into being at the same moment is the same file, whatever it holds and wherever it is."""
    other = add_root(catalogue, "archive")
    one, two = catalogue.record(
        [
            identified(root, b"a/x", b"one", ino=7, birth_ns=4_000),
            identified(root, b"y", b"two", ino=8, birth_ns=4_000),
        ],
        10,
    )
    catalogue.depart(root, [(b"a", b"x"), (b"", b"y")], 20)
    [new, moved] = catalogue.record(
        [identified(root, b"b/new", b"new", ino=9), identified(root, b"b/x", b"one!", ino=7, birth_ns=4_000)], 30
    )
    [far] = catalogue.record([identified(other, b"y", b"two!", ino=8, birth_ns=4_000)], 40)
    assert new.outcome is Outcome.CREATED
    assert (moved, far) == ((one.file, 2, Outcome.MOVED, None), (two.file, 2, Outcome.MOVED, None))
    assert story(file)[3:] == [
        ("file.moved", b"b/x", b"a/x"),
        ("file.modified", b"b/x", None),
        ("file.moved", b"/archive/y", b"y"),
        ("file.modified", b"/archive/y", None),
    ]
    assert catalogue.departed([root, other], 10) == []


@pytest.mark.parametrize(
    ("new", "disk"),
    [
        ({"ino": 7, "birth_ns": 4_500}, b"disk-1"),  # another file that got its inode
        ({"ino": 7}, b"disk-1"),  # when it was born is not known
        ({"ino": 8, "birth_ns": 4_000}, b"disk-1"),
        ({"ino": 0, "birth_ns": 4_000}, b"disk-1"),
        ({"ino": 7, "birth_ns": 4_000}, b"disk-2"),
    ],
)
def test_an_inode_alone_is_no_file(catalogue: Catalogue, root: RootId, new: dict[str, Any], disk: bytes) -> None:
    """A new file with the inode of one that left, or with its birth time, is another one."""
    other = add_root(catalogue, "other", disk)
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7, birth_ns=4_000)], 10)
    catalogue.depart(root, [(b"", b"x")], 20)
    [two] = catalogue.record([identified(other, b"y", b"two", **new)], 30)
    assert (two.outcome, two.file != one.file) == (Outcome.CREATED, True)
    assert [row.file for row in catalogue.departed([root], 10)] == [one.file]


@pytest.mark.parametrize(("at_us", "is_same"), [(2_000_001, False), (2_000_010, True)])
def test_a_birth_time_is_as_exact_as_a_clock_tick(
    catalogue: Catalogue, root: RootId, at_us: int, *, is_same: bool
) -> None:
    """A file that was not seen after the moment of its birth may have given its inode away within that moment."""
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7, birth_ns=5_001)], at_us)  # its ctime as well
    catalogue.depart(root, [(b"", b"x")], at_us + 1)
    [two] = catalogue.record([identified(root, b"y", b"two", ino=7, birth_ns=5_001)], at_us + 2)
    assert (two.file == one.file) is is_same


def test_names_of_one_inode_keep_their_ids(catalogue: Catalogue, root: RootId) -> None:
    """Of two names of a file that moved and changed, each is found again under its name, and none twice."""
    born: dict[str, Any] = {"ino": 7, "links": 2, "birth_ns": 4_000}
    ids = [
        verdict.file for verdict in catalogue.record([identified(root, n, b"one", **born) for n in (b"x", b"y")], 10)
    ]
    catalogue.depart(root, [(b"", b"x"), (b"", b"y")], 20)
    verdicts = catalogue.record([identified(root, n, b"one!", **born) for n in (b"d/y", b"d/x", b"d/z")], 30)
    assert [verdict.file for verdict in verdicts[:2]] == ids[::-1]
    assert verdicts[2].outcome is Outcome.CREATED


def test_the_inode_goes_before_the_content(catalogue: Catalogue, root: RootId) -> None:
    """A file that moved and got the content of another one that left is itself; without its birth it is that one."""
    one, two = catalogue.record(
        [identified(root, b"x", b"one", ino=7, birth_ns=4_000), identified(root, b"y", b"two", ino=8, birth_ns=4_100)],
        10,
    )
    catalogue.depart(root, [(b"", b"x"), (b"", b"y")], 20)
    [moved, copied] = catalogue.record(
        [identified(root, b"d/x", b"two", ino=7, birth_ns=4_000), identified(root, b"d/y", b"two", ino=9)], 30
    )
    assert (moved.file, moved.version, copied.file) == (one.file, 2, two.file)


def test_another_inode_has_another_birth(catalogue: Catalogue, root: RootId) -> None:
    """A file that was replaced at its path has the birth time of what lies there now."""
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7, birth_ns=4_000)], 10)
    catalogue.record([identified(root, b"x", b"two", ino=8, birth_ns=4_200)], 20)
    catalogue.depart(root, [(b"", b"x")], 30)
    [old, now] = catalogue.record(
        [identified(root, b"y", b"old", ino=7, birth_ns=4_000), identified(root, b"z", b"now", ino=8, birth_ns=4_200)],
        40,
    )
    assert (old.outcome, now.file, now.version) == (Outcome.CREATED, one.file, 3)


def test_a_rename_that_was_seen_moves_and_modifies(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A file that a source saw renamed keeps its id although its content changed on the way."""
    [one] = catalogue.record([identified(root, b"a", b"one", ino=7)], 10)
    [moved] = catalogue.record([identified(root, b"b", b"two!", ino=7, old=b"a")], 20)
    assert moved == (one.file, 2, Outcome.MOVED, None)
    assert story(file)[1:] == [("file.renamed", b"b", b"a"), ("file.modified", b"b", None)]


def test_a_rename_over_a_file_deletes_that_file(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """The file whose path was taken is deleted, told before the move, and marked as replaced."""
    one, two = catalogue.record([identified(root, b"a", b"one", ino=7), identified(root, b"b", b"two")], 10)
    [moved] = catalogue.record([identified(root, b"b", b"one", ino=7, old=b"a")], 20)
    assert moved.file == one.file
    assert story(file)[2:] == [("file.deleted", b"b", None), ("file.renamed", b"b", b"a")]
    with View.open(file) as view:
        deleted = next(event for event in view.events() if event.type is EventType.FILE_DELETED)
        assert deleted.data == {"replaced": True}
        assert [line.id for line in view.files(missing=True)] == [two.file]


def test_a_temporary_name_becomes_the_file(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A held row whose file got its final name is created there, under the same id, without a move."""
    catalogue.observe([observed(root, b"x.part", FileState.HELD, ino=7)], 10)
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7, old=b"x.part")], 20)
    assert one.outcome is Outcome.CREATED
    assert story(file) == [("file.created", b"x", None)]
    with View.open(file) as view:
        assert [line.path for line in view.files()] == [b"/photos/x"]


def test_a_temporary_name_over_a_file_is_its_next_version(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Writing beside and renaming over keeps the file's id; the temporary row leaves silently."""
    [one] = catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.observe([observed(root, b"x.tmp", FileState.HELD, ino=7)], 20)
    [two] = catalogue.record([identified(root, b"x", b"two", ino=7, old=b"x.tmp")], 30)
    assert two == (one.file, 2, Outcome.MODIFIED, None)
    assert [line[0] for line in story(file)] == ["file.created", "file.modified"]
    with View.open(file) as view:
        assert len(list(view.files())) == 1


def test_a_name_that_is_used_again_is_not_followed(catalogue: Catalogue, root: RootId) -> None:
    """A rename whose old path holds another inode with other content by now is a new file."""
    [here] = catalogue.record([identified(root, b"log", b"new log", ino=8)], 10)
    [old] = catalogue.record([identified(root, b"log.1", b"old log", ino=7, old=b"log")], 20)
    assert old.outcome is Outcome.CREATED
    assert old.file != here.file


def test_a_path_that_is_filled_again_is_a_version(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Other content where a file departed from is that file's next version; the same content is nothing at all."""
    [one] = catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.depart(root, [(b"", b"x")], 20)
    [same] = catalogue.record([identified(root, b"x", b"one")], 30)
    assert same == (one.file, 1, Outcome.UNCHANGED, None)
    catalogue.depart(root, [(b"", b"x")], 40)
    [other] = catalogue.record([identified(root, b"x", b"two")], 50)
    assert other == (one.file, 2, Outcome.MODIFIED, None)
    assert [line[0] for line in story(file)] == ["file.created", "file.modified"]


def test_a_move_onto_a_departed_path_deletes_what_was_there(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Two departed files, one turns up at the path of the other: the other is deleted before the move is told."""
    one, two = catalogue.record([identified(root, b"a", b"one"), identified(root, b"b", b"two")], 10)
    catalogue.depart(root, [(b"", b"a"), (b"", b"b")], 20)
    [moved] = catalogue.record([identified(root, b"b", b"one")], 30)
    assert moved.file == one.file
    assert story(file)[2:] == [("file.deleted", b"b", None), ("file.renamed", b"b", b"a")]
    assert catalogue.delete([two.file], 40) == 0


def test_content_that_comes_back_is_the_same_file(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """The content of a missing file that returns is that file, created again with a note where it was."""
    [one] = catalogue.record([identified(root, b"a/x", b"one")], 10)
    catalogue.depart(root, [(b"a", b"x")], 20)
    assert catalogue.delete([one.file], 30) == 1
    [back] = catalogue.record([identified(root, b"b/x", b"one")], 40)
    assert back == (one.file, 1, Outcome.RESTORED, None)
    with View.open(file) as view:
        *_, created = view.events()
        assert list(view.files(missing=True)) == []
    assert (created.type, created.path) == (EventType.FILE_CREATED, b"/photos/b/x")
    assert created.data == {"restored_from": "/photos/a/x"}


@pytest.mark.parametrize("before", [FileState.SETTLING, FileState.EMPTY, FileState.UNREADABLE, FileState.JUNK])
def test_an_observed_file_is_created_when_it_is_read(
    catalogue: Catalogue, root: RootId, file: Path, before: FileState
) -> None:
    """A row without content tells nothing; reading it makes it a created file."""
    catalogue.observe([observed(root, b"x", before)], 10)
    assert story(file) == []
    [one] = catalogue.record([identified(root, b"x", b"one")], 20)
    assert one.outcome is Outcome.CREATED
    assert story(file) == [("file.created", b"x", None)]


def test_a_moved_file_that_settled_first_has_moved(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A row that was noted while it settled does not hide that the file came from elsewhere."""
    [one] = catalogue.record([identified(root, b"a/x", b"one")], 10)
    catalogue.depart(root, [(b"a", b"x")], 20)
    catalogue.observe([observed(root, b"b/x", FileState.SETTLING)], 30)
    [moved] = catalogue.record([identified(root, b"b/x", b"one")], 40)
    assert moved.file == one.file
    assert story(file)[1:] == [("file.moved", b"b/x", b"a/x")]


def test_a_chunk_is_recorded_as_if_one_by_one(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A path that is left, filled again and taken over inside one chunk ends as in single steps."""
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7)], 10)
    verdicts = catalogue.record(
        [
            identified(root, b"y", b"one", ino=7, old=b"x"),
            identified(root, b"x", b"two", ino=8),
            identified(root, b"z", b"zed", ino=9),
            identified(root, b"x", b"two and more", ino=8),
            identified(root, b"z", b"one", ino=7, old=b"y"),
        ],
        20,
    )
    assert [verdict.outcome.value for verdict in verdicts] == ["moved", "created", "created", "modified", "moved"]
    assert {verdicts[0].file, verdicts[4].file} == {one.file}
    with View.open(file) as view:
        assert sorted((line.path, line.size) for line in view.files()) == [(b"/photos/x", 12), (b"/photos/z", 3)]


def test_quick_digests_are_completed_without_an_event(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A file that was catalogued by its quick digest is told of once; the full pass only fills in."""
    one, two = catalogue.record(
        [identified(root, b"x", b"one", ino=7, full=False), identified(root, b"y", b"one", ino=8, full=False)], 10
    )
    with View.open(file) as view:
        assert [(row.file, row.name) for row in view.lacking_full(10)] == [(one.file, b"x"), (two.file, b"y")]
        assert [row.name for row in view.lacking_full(10, one.file)] == [b"y"]
    verdicts = catalogue.record([identified(root, b"x", b"one", ino=7), identified(root, b"y", b"one", ino=8)], 20)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.UNCHANGED] * 2
    assert [line[0] for line in story(file)] == ["file.created", "file.created", "file.duplicate"]
    with View.open(file) as view:
        assert view.lacking_full(10) == []


def test_a_changed_quick_digest_is_a_version(catalogue: Catalogue, root: RootId) -> None:
    """Without full digests another quick digest, or the same with another time, is a change."""
    [one] = catalogue.record([identified(root, b"x", b"one", ino=7)], 10)
    [same] = catalogue.record([identified(root, b"x", b"one", ino=7, full=False)], 20)
    [touched] = catalogue.record([identified(root, b"x", b"one", ino=7, mtime_ns=6_000, full=False)], 30)
    [other] = catalogue.record([identified(root, b"x", b"two", ino=7, full=False)], 40)
    assert [(v.file, v.version) for v in (same, touched, other)] == [(one.file, 1), (one.file, 2), (one.file, 3)]


def test_a_quick_digest_follows_a_move(catalogue: Catalogue, root: RootId) -> None:
    """A departed file with the same inode, size, time and quick digest has moved, read in full or not."""
    one, two = catalogue.record(
        [identified(root, b"x", b"one", ino=7, full=False), identified(root, b"y", b"two", ino=8)], 10
    )
    catalogue.depart(root, [(b"", b"x"), (b"", b"y")], 20)
    moved = catalogue.record(
        [identified(root, b"a/x", b"one", ino=7), identified(root, b"a/y", b"two", ino=8, full=False)], 30
    )
    assert [verdict.file for verdict in moved] == [one.file, two.file]
    assert [verdict.outcome for verdict in moved] == [Outcome.MOVED] * 2


def test_origins_of_a_chunk_are_kept(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Each event says which way its own file was noticed."""
    ways = [Origin.SCAN, Origin.EVENT, Origin.EVENT, Origin.POLL]
    catalogue.record([identified(root, b"%d" % n, b"%d" % n, origin=way) for n, way in enumerate(ways)], 10)
    with View.open(file) as view:
        assert [event.origin for event in view.events()] == ["scan", "event", "event", "poll"]


def test_values_beyond_64_bits_are_taken(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """An inode of 64 bits comes back as it was; a time after 2262 is stored as the last one there is."""
    one = identified(root, b"x", b"one")._replace(key=ChangeKey((1 << 64) - 5, 3, 1 << 70, -(1 << 70)))
    catalogue.record([one, identified(root, b"y", b"two")], 10)
    with View.open(file) as view:
        known = view.known(root, b"", b"x")
    assert known is not None
    assert known.key == ChangeKey((1 << 64) - 5, 3, (1 << 63) - 1, -(1 << 63) + 1)


def test_more_digests_are_added_to_a_known_content(catalogue: Catalogue, root: RootId) -> None:
    """A content that is read again with more algorithms gets them; none is lost."""
    one = identified(root, b"x", b"one")
    assert one.digests is not None
    more = Digests(*one.digests[:2], sha256=b"s" * 32)
    catalogue.record([one], 10)
    catalogue.record([one._replace(digests=more)], 20)
    catalogue.record([one], 30)
    assert catalogue._connection.execute("SELECT sha256, md5 FROM content").fetchall() == [(b"s" * 32, None)]


def test_ids_of_forgotten_files_never_come_back(file: Path) -> None:
    """A file id that an event names is not given to another file, also after a restart."""
    with Catalogue.open(file) as catalogue:
        root = add_root(catalogue)
        [one] = catalogue.record([identified(root, b"x", b"one")], 10)
        catalogue.depart(root, [(b"", b"x")], 20)
        catalogue.delete([one.file], 30)
        assert catalogue.prune(100) == 1
    with Catalogue.open(file) as catalogue:
        [two] = catalogue.record([identified(root, b"y", b"two")], 40)
        assert two.file > one.file


def test_a_large_chunk_of_everything_at_once(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Blocks of rows and the rest after them are recorded alike: new, known, copied and linked files."""
    known = catalogue.record([identified(root, b"k/%d" % n, b"known %d" % n, ino=n + 1) for n in range(150)], 10)
    files = []
    for n in range(200):
        files.append(identified(root, b"n/%d" % n, b"new %d" % n))
        files.append(identified(root, b"c/%d" % n, b"known %d" % (n % 150)))
        files.append(identified(root, b"t/%d" % n, b"new %d" % n))
        files.append(identified(root, b"k/%d" % n, b"known %d" % n, ino=n + 1))
    verdicts = catalogue.record(files, 20)
    assert [verdict.outcome for verdict in verdicts[3::4]] == [Outcome.UNCHANGED] * 150 + [Outcome.CREATED] * 50
    assert [verdict.duplicate_of is None for verdict in verdicts[0::4]] == [True] * 200
    assert [verdict.duplicate_of for verdict in verdicts[1:600:4]] == [verdict.file for verdict in known]
    assert [verdict.duplicate_of for verdict in verdicts[2::4]] == [verdict.file for verdict in verdicts[0::4]]
    assert len(story(file)) == 150 + 650 + sum(verdict.duplicate_of is not None for verdict in verdicts)
