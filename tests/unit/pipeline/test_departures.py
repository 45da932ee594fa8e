"""What becomes of files that are gone: nothing is called deleted too early, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.model.flow import RootId
from mediasluice.pipeline import departures
from mediasluice.pipeline.departures import Departures, Doubts
from tests.catalogues import add_root, identified, story

NOBODY = Doubts(frozenset(), frozenset(), frozenset(), frozenset(), frozenset(), frozenset())


class AtOnce:
    """A writer that runs what it is given at once; ``late`` keeps it until ``go_on``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.late = False
        self._queue: list[tuple[Any, Any]] = []

    def express(self, change: Any, done: Any = None) -> None:
        self._queue.append((change, done))
        if not self.late:
            self.go_on()

    bulk = express

    def go_on(self) -> None:
        while self._queue:
            change, done = self._queue.pop(0)
            result = change(self.catalogue)
            if done is not None:
                done(result)


class Desk:
    """Departures of one root with an own catalogue."""

    def __init__(self, file: Path, catalogue: Catalogue) -> None:
        self.file = file
        self.catalogue = catalogue
        self.writer = AtOnce(catalogue)
        self.emptied: list[RootId] = []
        self.moved_here: set[tuple[bytes, bytes]] = set()
        self.root = add_root(catalogue)
        self.departures = Departures(
            self.writer,  # type: ignore[arg-type] # one method of it
            post=lambda message: message(),
            emptied=self.emptied.append,
            moves=lambda _root, directory, name: (directory, name) in self.moved_here,
        )

    def fill(self, *names: bytes, size: int = 3) -> None:
        files = [identified(self.root, name, name.ljust(size, b".")) for name in names]
        self.catalogue.record(files, 1)

    def depart(self, *names: bytes) -> None:
        self.departures.depart(SimpleNamespace(id=self.root), [(b"", name) for name in names])  # type: ignore[arg-type]

    def expire(self, **doubts: Any) -> None:
        values: dict[str, Any] = {
            "online": frozenset({self.root}),
            **{name: value if isinstance(value, bool | dict) else frozenset(value) for name, value in doubts.items()},
        }
        self.departures.reopen() if self.departures.is_open else None
        self.departures.expire(lambda: NOBODY._replace(**values))

    def deleted(self) -> list[bytes]:
        return [path for kind, path, _ in story(self.file) if kind == "file.deleted"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Catalogue.open(tmp_path / "c.db") as catalogue:
        yield Desk(tmp_path / "c.db", catalogue)


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "GRACE_S", 0.0)


def test_grace(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A departure becomes a deletion when its time of grace is over, not before."""
    desk.fill(b"a", b"b")
    desk.depart(b"a")
    desk.expire()
    assert desk.deleted() == []
    assert desk.departures.is_open
    monkeypatch.setattr(departures, "GRACE_S", 0.0)
    desk.expire()
    assert desk.deleted() == [b"a"]
    desk.expire()
    assert not desk.departures.is_open


@pytest.mark.usefixtures("no_grace")
def test_equal_size(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a candidate of the same size is not identified a departure waits, but no longer than a minute."""
    desk.fill(b"a", b"b")
    desk.depart(b"a")
    desk.expire(sizes={3})
    assert desk.deleted() == []
    desk.expire(sizes={4})
    assert desk.deleted() == [b"a"]
    desk.depart(b"b")
    monkeypatch.setattr(departures, "LIMIT_S", 0.0)
    desk.expire(sizes={3})
    assert desk.deleted() == [b"a", b"b"]


@pytest.mark.usefixtures("no_grace")
def test_equal_inode(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a candidate of the same inode is not identified a departure waits; in a pass however long that takes."""
    desk.fill(b"a", b"b")
    desk.depart(b"a", b"b")
    inodes = {row.name: row.ino for row in desk.catalogue.departed([desk.root], 2)}
    desk.expire(inodes={inodes[b"a"]}, listed={inodes[b"b"]})
    assert desk.deleted() == []
    monkeypatch.setattr(departures, "LIMIT_S", 0.0)
    desk.expire(inodes={inodes[b"a"]}, listed={inodes[b"b"]})
    assert desk.deleted() == [b"a"]
    desk.expire()
    assert desk.deleted() == [b"a", b"b"]


@pytest.mark.usefixtures("no_grace")
def test_essence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A departure whose essence is known waits for what settles, is held or is read by a pass; others do not."""
    desk.fill(b"a", b"b")
    desk.catalogue.save_essence(identified(desk.root, b"b", b"b.."), 1, "made", None, [("audio", "mp3", b"1", 1.0)])
    desk.depart(b"a", b"b")
    desk.expire(seeks=True)
    assert desk.deleted() == [b"a"]
    monkeypatch.setattr(departures, "SEEKING_S", 0.0)
    desk.expire(seeks=True, holds=True)
    monkeypatch.setattr(departures, "LIMIT_S", 0.0)
    desk.expire(seeks=True, holds=True, reads=True)
    assert desk.deleted() == [b"a"]
    desk.expire(seeks=True, holds=True)
    assert desk.deleted() == [b"a", b"b"]


@pytest.mark.usefixtures("no_grace")
def test_departed_in_an_earlier_run(desk: Desk) -> None:
    """What is gone since before this run waits like what was just found to be gone."""
    desk.fill(b"a")
    desk.catalogue.depart(desk.root, [(b"", b"a")], 2)
    desk.departures.reopen()
    desk.expire(sizes={3}, since_us={desk.root: 1 << 62})
    assert desk.deleted() == []
    desk.expire(sizes={3}, since_us={desk.root: 3})
    assert desk.deleted() == [b"a"]


@pytest.mark.usefixtures("no_grace")
def test_on_its_way(desk: Desk) -> None:
    """A file whose new path is a candidate is not deleted however long that takes."""
    desk.fill(b"a", b"b")
    desk.depart(b"a", b"b")
    desk.expire(moving={(desk.root, b"", b"a")})
    assert desk.deleted() == [b"b"]


@pytest.mark.usefixtures("no_grace")
def test_offline(desk: Desk) -> None:
    """Under a root that is not online nothing is deleted; when it is back, it is looked at again."""
    desk.fill(b"a", b"b")
    desk.depart(b"a")
    desk.expire(online=())
    assert desk.deleted() == []
    assert not desk.departures.is_open
    desk.departures.reopen()
    desk.expire()
    assert desk.deleted() == [b"a"]


@pytest.mark.usefixtures("no_grace")
def test_emptied(desk: Desk) -> None:
    """A root that loses all of its files at once is reported and not believed, all are taken back; a few may all go."""
    names = [b"%d" % number for number in range(departures.EMPTIED_COUNT)]
    desk.fill(*names)
    desk.depart(*names)
    desk.expire()
    assert desk.deleted() == []
    assert desk.emptied == [desk.root]
    assert desk.catalogue.departed([desk.root], 1) == []
    desk.depart(*names[1:])
    desk.expire()
    assert len(desk.deleted()) == departures.EMPTIED_COUNT - 1
    desk.depart(names[0])
    desk.expire()
    assert len(desk.deleted()) == departures.EMPTIED_COUNT


@pytest.mark.usefixtures("no_grace")
def test_agreed(desk: Desk) -> None:
    """When a person says that it is right an emptied root is believed, this once."""
    names = [b"%d" % number for number in range(departures.EMPTIED_COUNT)]
    for round_ in (1, 2):
        desk.fill(*[name + b"-%d" % round_ for name in names])
        desk.depart(*[name + b"-%d" % round_ for name in names])
        desk.expire()
        assert len(desk.emptied) == round_
        desk.departures.agree(desk.root)
        desk.depart(*[name + b"-%d" % round_ for name in names])
        desk.expire()
        assert len(desk.deleted()) == round_ * len(names)
        desk.expire()


@pytest.mark.usefixtures("no_grace")
def test_departed_while_others_are_decided(desk: Desk) -> None:
    """A departure that comes in while earlier ones are being decided is decided later, not forgotten."""
    desk.fill(b"a", b"b")
    desk.expire()
    desk.departures.reopen()
    desk.writer.late = True
    desk.expire()
    desk.depart(b"a")
    desk.writer.late = False
    desk.writer.go_on()
    assert desk.departures.is_open
    desk.expire()
    assert desk.deleted() == [b"a"]


@pytest.mark.usefixtures("no_grace")
def test_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More departures than fit into one transaction are all decided."""
    monkeypatch.setattr(departures, "BATCH", 7)
    names = [b"%03d" % number for number in range(20)]
    desk.fill(*names, b"stays")
    desk.depart(*names)
    for _ in range(3):
        desk.expire()
    assert len(desk.deleted()) == 20
