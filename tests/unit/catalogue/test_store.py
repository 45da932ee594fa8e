from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import Unavailable
from mediasluice.model.files import FileState
from mediasluice.model.flow import RootId
from mediasluice.model.roots import UNSURE, Library, RootIdentity, RootState, Rules, WatchMode
from tests.catalogues import add_root, identified, key, observed, story


def test_changes_are_committed_together_or_not_at_all(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """An error undoes the whole transaction, and the next one starts from what was there before."""

    def break_off() -> None:
        with catalogue.transaction():
            catalogue.record([identified(root, b"a/x", b"one")], 10)
            catalogue.depart(root, [(b"a", b"x")], 20)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert story(file) == []
    [one] = catalogue.record([identified(root, b"a/y", b"one")], 30)
    assert one.file == 1
    assert story(file) == [("file.created", b"a/y", None)]


def test_a_failed_part_spoils_the_whole(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Who swallows the error of an inner change cannot commit what is left of it."""

    def swallow() -> None:
        with catalogue.transaction():
            catalogue.record([identified(root, b"x", b"one")], 10)
            with contextlib.suppress(ZeroDivisionError), catalogue.transaction():
                raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="cannot be committed"):
        swallow()
    assert story(file) == []


def test_readers_see_only_what_is_committed(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A reader sees nothing of an open transaction and notices its commit by the data version."""
    with View.open(file) as view:
        before = view.data_version()
        with catalogue.transaction():
            catalogue.record([identified(root, b"x", b"one")], 10)
            assert view.head() == 0
        assert view.head() == 1
        assert view.data_version() != before
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            view._connection.execute("DELETE FROM event")


_CHANGES: dict[str, Callable[[Catalogue, RootId], object]] = {
    "record new": lambda catalogue, root: catalogue.record([identified(root, b"d/new", b"new")], 20),
    "record same": lambda catalogue, root: catalogue.record([identified(root, b"d/x", b"one")], 20),
    "record away": lambda catalogue, root: catalogue.record([identified(root, b"e/x", b"one", ino=7, old=b"d/x")], 20),
    "observe": lambda catalogue, root: catalogue.observe([observed(root, b"d/new", FileState.SETTLING)], 20),
    "observe known": lambda catalogue, root: catalogue.observe([observed(root, b"d/x", FileState.SETTLING)], 20),
    "move away": lambda catalogue, root: catalogue.move(root, b"d", b"x", b"e", b"x", key(b"one", 7), 1, 20),
    "move in": lambda catalogue, root: catalogue.move(root, b"e", b"y", b"d", b"y", key(b"two", 8), 1, 20),
    "move tree": lambda catalogue, root: catalogue.move_tree(root, b"d", b"f", 20),
    "depart": lambda catalogue, root: catalogue.depart(root, [(b"d", b"x")], 20),
    "depart tree": lambda catalogue, root: catalogue.depart_tree(root, b"d", 20),
    "forget": lambda catalogue, root: catalogue.forget_directories(root, [b"d"]),
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES)
def test_every_change_opens_the_directory(
    catalogue: Catalogue, root: RootId, file: Path, change: Callable[[Catalogue, RootId], object]
) -> None:
    """A directory's signature ends with any change in it, unless it is sealed again in the same transaction."""
    catalogue.record([identified(root, b"d/x", b"one", ino=7), identified(root, b"e/y", b"two", ino=8)], 10)
    catalogue.seal(root, [(b"d", b"s" * 16, 5), (b"other", b"t" * 16, 6)])
    with View.open(file) as view:
        assert view.signatures(root, [b"d", b"unknown"]) == {b"d": b"s" * 16}
        with catalogue.transaction():
            change(catalogue, root)
        assert view.signatures(root, [b"d", b"other"]) == {b"d": None, b"other": b"t" * 16}
        with catalogue.transaction():
            change(catalogue, root)
            catalogue.seal(root, [(b"d", b"u" * 16, 7)])
        assert view.signatures(root, [b"d"]) == {b"d": b"u" * 16}


def test_directories_that_are_gone_are_not_listed(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Directories are known by being sealed or by holding a file, until they are forgotten."""
    catalogue.record([identified(root, b"a/x", b"one"), identified(root, b"b/x", b"two")], 10)
    catalogue.seal(root, [(b"", None, 1), (b"a", b"s" * 16, 2), (b"c", b"t" * 16, 3), (b"c/d", None, 4)])
    with View.open(file) as view:
        assert [path for path, _, _ in view.directories(root)] == [b"", b"a", b"b", b"c", b"c/d"]
        assert [path for path, _, _ in view.directories(root, b"c")] == [b"c", b"c/d"]
        catalogue.depart_tree(root, b"b", 20)
        catalogue.forget_directories(root, [b"c"])
        assert list(view.directories(root)) == [(b"", None, 1), (b"a", b"s" * 16, 2), (b"c/d", None, 4)]


def test_many_directories_are_listed_in_pages(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """All directories come, once each and in order, however many pages they fill."""
    paths = [b"%05d" % n for n in range(4_100)]
    catalogue.seal(root, [(path, b"s" * 16, 1) for path in paths])
    with View.open(file) as view:
        assert [path for path, _, _ in view.directories(root)] == paths
        assert len(view.signatures(root, paths[:200])) == 200


def test_a_library_keeps_its_root(catalogue: Catalogue, file: Path) -> None:
    """The same path is the same root, under whatever name; its first identity stays."""
    first = catalogue.register(Library("a", b"/media", Rules()), None)
    assert (first.identity, first.state, first.watched) == (None, RootState.ONLINE, WatchMode.EVENTS)
    assert not first.has_files
    seen = catalogue.register(Library("a", b"/media", Rules()), RootIdentity(b"disk", (1 << 64) - 2))
    again = catalogue.register(Library("b", b"/media", Rules()), RootIdentity(b"another", 3))
    assert seen.identity == again.identity == RootIdentity(b"disk", (1 << 64) - 2)
    assert (again.id, again.library) == (first.id, "b")
    with View.open(file) as view:
        assert view.roots() == [again]


def test_a_registration_can_be_taken_back(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A root that nothing was ever known of leaves with its library; others stay whatever is asked."""
    catalogue.record([identified(root, b"x", b"one")], 10)
    empty = add_root(catalogue, "typo")
    catalogue.unregister(empty)
    catalogue.unregister(root)
    with View.open(file) as view:
        assert [known.library for known in view.roots()] == ["photos"]


def test_how_a_root_is_doing_is_told(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Going offline, being held and coming back are events, each once; every state keeps the time it began."""
    steps = [
        (RootState.ONLINE, None), (RootState.OFFLINE, "not mounted"), (RootState.OFFLINE, "still not"),
        (RootState.HELD, "too much"), (RootState.HELD, "still too much"), (RootState.ONLINE, None),
        (RootState.HELD, UNSURE), (RootState.ONLINE, None), (RootState.HELD, UNSURE), (RootState.HELD, "too much"),
    ]  # fmt: skip
    since = []
    with View.open(file) as view:
        for at_us, (state, reason) in enumerate(steps, start=10):
            catalogue.set_root(root, state=state, reason=reason, at_us=at_us)
            [known] = view.roots()
            assert (known.state, known.reason) == (state, reason)
            since.append(known.since_us)
        events = list(view.events())
    assert since == [10, 11, 11, 13, 13, 15, 16, 17, 18, 18]
    assert [(event.type.value, event.path, event.data) for event in events] == [
        ("root.offline", b"/photos", {"reason": "not mounted"}),
        ("root.held", b"/photos", {"reason": "too much"}),
        ("root.online", b"/photos", {}),
        ("root.held", b"/photos", {"reason": "too much"}),
    ]


def test_roots_are_watched_or_not(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """One start watches its own roots; the others are known and not watched."""
    other = add_root(catalogue, "other")
    with View.open(file) as view:
        catalogue.watch_only([other])
        assert {known.id: known.watched for known in view.roots()} == {root: WatchMode.OFF, other: WatchMode.EVENTS}
        catalogue.watch(root, watched=True)
        catalogue.set_root(other, state=RootState.ONLINE, reason=None, watched=WatchMode.POLL, at_us=5)
        assert {known.id: known.watched for known in view.roots()} == {root: WatchMode.EVENTS, other: WatchMode.POLL}


def test_an_accepted_root_has_another_disk(catalogue: Catalogue, root: RootId) -> None:
    """After a person accepted a replaced root its inodes count within the new file system."""
    other = add_root(catalogue, "backup")
    [one] = catalogue.record([identified(root, b"a", b"same", ino=7)], 10)
    identity = RootIdentity(b"disk-9", 5)
    catalogue.identify(other, identity)
    catalogue.set_root(other, state=RootState.ONLINE, reason=None, at_us=15)
    [two] = catalogue.record([identified(other, b"a", b"same", ino=7)], 20)
    assert two.duplicate_of == one.file


def test_learned_times_are_kept(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """Learned quiet periods are there after a restart; the newest value holds."""
    catalogue.save_learned({(root, b"a", b".mov"): 7.5, (root, b"", b""): 6.0})
    catalogue.save_learned({(root, b"a", b".mov"): 12.0})
    with View.open(file) as view:
        assert view.learned() == {(root, b"a", b".mov"): 12.0, (root, b"", b""): 6.0}


def test_a_backup_is_a_catalogue(catalogue: Catalogue, root: RootId, tmp_path: Path) -> None:
    """A backup of a catalogue in use is one file that opens as the same catalogue."""
    catalogue.record([identified(root, b"x", b"one")], 10)
    copy = tmp_path / "copy.sqlite"
    catalogue.backup(copy)
    catalogue.record([identified(root, b"y", b"two")], 20)
    assert sorted(tmp_path.glob("copy*")) == [copy]
    with Catalogue.open(copy) as other:
        other.record([identified(root, b"z", b"three")], 30)
    assert [path for _, path, _ in story(copy)] == [b"x", b"z"]


def test_checkpoint_and_close_empty_the_wal(file: Path) -> None:
    """After the writer closed, everything is in the one file."""
    catalogue = Catalogue.open(file)
    root = add_root(catalogue)
    catalogue.record([identified(root, b"x", b"one")], 10)
    catalogue.checkpoint()
    catalogue.record([identified(root, b"y", b"two")], 20)
    catalogue.close()
    assert not file.with_name(file.name + "-wal").exists()
    assert len(story(file)) == 2


def test_closing_does_not_wait_for_readers(file: Path) -> None:
    """A reader that stands still in a page costs the writer half a second at most, and nothing is lost."""
    catalogue = Catalogue.open(file)
    root = add_root(catalogue)
    with View.open(file) as view:
        catalogue.record([identified(root, b"%d" % n, b"%d" % n) for n in range(10)], 10)
        view._connection.execute("BEGIN")
        assert view.head() == 10
        catalogue.record([identified(root, b"x", b"x")], 20)
        catalogue.close()
    assert len(story(file)) == 11


def test_a_held_write_lock_is_said_so(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """While another program writes into the database the caller is told to try again."""
    catalogue._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="write lock"):
        catalogue.record([identified(root, b"x", b"one")], 10)
    other.execute("ROLLBACK")
    other.close()
    assert len(catalogue.record([identified(root, b"x", b"one")], 10)) == 1
