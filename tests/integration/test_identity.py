"""A file that moved and was changed at the same time is the same one, where its inode can tell; and no other one is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mediasluice.model.roots import RootState
from mediasluice.pipeline import departures, scans
from mediasluice.sources.birth import birth_ns
from tests.running import Running
from tests.samples import jpeg

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(120)]

TRIES = 800  # chosen: ext4 gives a freed number to one of the next files


def born(path: Path) -> int | None:
    with path.open("rb") as stream:
        return birth_ns(stream.fileno(), os.fstat(stream.fileno()))


@pytest.fixture(autouse=True)
def _births(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.write_bytes(b"x")
    if born(probe) is None:
        pytest.skip("needs a file system that keeps birth times")


def put(path: Path, content: object = None) -> Path:
    """A file, also in the clock tick after the one in which it was made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(content or path))
    while path.stat().st_ctime_ns == born(path):
        path.chmod(0o600)
    return path


def retag(path: Path, content: object = "other tags") -> None:
    """Change a file in place, as most taggers do."""
    with path.open("r+b") as stream:
        stream.write(jpeg(content))
        stream.truncate()


def once(base: Path, *libraries: str, **rest: Any) -> Running:
    """A host that passes on request only."""
    return Running(base, libraries or ("in",), is_service=False, **rest)


@pytest.mark.parametrize("is_service", [True, False])
def test_moved_and_changed_while_stopped(tmp_path: Path, *, is_service: bool) -> None:
    """A file that was renamed and changed while nothing ran keeps its id: its next version, moved and modified."""
    for name in ("a/1.jpg", "a/2.jpg", "3.jpg"):
        put(tmp_path / "in" / name)
    with once(tmp_path) as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    os.rename(tmp_path / "in" / "a", tmp_path / "in" / "b")
    retag(tmp_path / "in" / "b" / "1.jpg")
    os.rename(tmp_path / "in" / "3.jpg", tmp_path / "in" / "three.jpg")
    retag(tmp_path / "in" / "three.jpg", "others")
    with Running(tmp_path, ["in"], is_service=is_service) as host:
        names = {"in/b/1.jpg": "in/a/1.jpg", "in/b/2.jpg": "in/a/2.jpg", "in/three.jpg": "in/3.jpg"}
        if is_service:
            host.until_catalogued(*names)
            host.until_idle()
        else:
            host.scan()
        assert host.catalogued() == {new: ids[old] for new, old in names.items()}
        assert {path: line.version for path, line in host.lines().items()} == {
            "in/b/1.jpg": 2,
            "in/b/2.jpg": 1,
            "in/three.jpg": 2,
        }
        assert sorted(host.story(head)) == [
            ("modified", "in/b/1.jpg"),
            ("modified", "in/three.jpg"),
            ("moved", "in/b/1.jpg", "in/a/1.jpg"),
            ("moved", "in/b/2.jpg", "in/a/2.jpg"),
            ("renamed", "in/three.jpg", "in/3.jpg"),
        ]


def test_a_number_that_was_given_again(tmp_path: Path) -> None:
    """A new file that got the inode number of a deleted one is another file: one deletion, one creation."""
    gone = put(tmp_path / "in" / "gone.jpg")
    ino = gone.stat().st_ino
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
    gone.unlink()
    for number in range(TRIES):
        new = put(tmp_path / "in" / "new.jpg", number)
        if new.stat().st_ino == ino:
            break
        new.rename(tmp_path / f"{number}.kept")
    else:
        pytest.skip("this file system does not give the number again")
    with once(tmp_path) as host:
        host.scan()
        host.until(lambda: len(host.story(head)) == 2, "both are told")
        assert sorted(host.story(head)) == [("created", "in/new.jpg"), ("deleted", "in/gone.jpg")]


def test_a_copy_is_another_file(tmp_path: Path) -> None:
    """A file that was copied, changed and deleted is gone, and the copy is new: nothing proves more than that."""
    old = put(tmp_path / "in" / "old.jpg")
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
    shutil.copy2(old, tmp_path / "in" / "copy.jpg")
    retag(tmp_path / "in" / "copy.jpg")
    old.unlink()
    with once(tmp_path) as host:
        host.scan()
        host.until(lambda: len(host.story(head)) == 2, "both are told")
        assert sorted(host.story(head)) == [("created", "in/copy.jpg"), ("deleted", "in/old.jpg")]


def test_a_hard_link_that_stays(tmp_path: Path) -> None:
    """Of a changed file with two names, one of which was renamed, both names keep their ids."""
    put(tmp_path / "in" / "a.jpg")
    os.link(tmp_path / "in" / "a.jpg", tmp_path / "in" / "b.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids = host.catalogued()
    os.rename(tmp_path / "in" / "a.jpg", tmp_path / "in" / "c.jpg")
    retag(tmp_path / "in" / "c.jpg")
    with Running(tmp_path, ["in"]) as host:
        host.until_catalogued("in/c.jpg")
        host.until_idle()
        assert host.catalogued() == {"in/b.jpg": ids["in/b.jpg"], "in/c.jpg": ids["in/a.jpg"]}


def test_into_another_root(tmp_path: Path) -> None:
    """A file that went to another library of the same disk and was changed there keeps its id."""
    put(tmp_path / "in" / "a.jpg")
    put(tmp_path / "in" / "stays.jpg")
    (tmp_path / "other").mkdir()
    with once(tmp_path, "other", "in") as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    os.rename(tmp_path / "in" / "a.jpg", tmp_path / "other" / "a.jpg")
    retag(tmp_path / "other" / "a.jpg")
    with once(tmp_path, "other", "in") as host:
        host.scan()
        assert host.catalogued() == {"other/a.jpg": ids["in/a.jpg"], "in/stays.jpg": ids["in/stays.jpg"]}
        assert host.story(head) == [("moved", "other/a.jpg", "in/a.jpg"), ("modified", "other/a.jpg")]


def test_a_deletion_waits_for_the_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file whose inode has a new name is not called deleted before that name was read, however late."""
    monkeypatch.setattr(departures, "GRACE_S", 0.0)
    monkeypatch.setattr(scans, "CHUNKS_AHEAD", 1)
    monkeypatch.setattr(scans, "FILES_PER_CHUNK", 1)
    put(tmp_path / "in" / "old.jpg")
    put(tmp_path / "in" / "gone.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    (tmp_path / "in" / "gone.jpg").unlink()
    os.rename(tmp_path / "in" / "old.jpg", tmp_path / "in" / "moved.jpg")
    retag(tmp_path / "in" / "moved.jpg")
    for number in range(60):
        put(tmp_path / "in" / f"{number}.jpg")
    with Running(tmp_path, ["in"]) as host:
        host.until_catalogued("in/moved.jpg", "in/59.jpg")
        host.until_idle()
        assert host.catalogued()["in/moved.jpg"] == ids["in/old.jpg"]
        assert [line for line in host.story(head) if line[0] == "deleted"] == [("deleted", "in/gone.jpg")]


def test_all_were_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole library that was renamed and changed while nothing ran keeps its ids, and nobody is asked about it."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    for number in range(30):
        put(tmp_path / "in" / "old" / f"{number}.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    for number in range(30):
        retag(tmp_path / "in" / "old" / f"{number}.jpg", number)
    os.rename(tmp_path / "in" / "old", tmp_path / "in" / "new")
    with once(tmp_path) as host:
        result = host.scan()
        assert (result["held"], result["moved"]) == (0, 30)
        host.until(lambda: host.root("in").state is RootState.ONLINE, "it is not held any more")
        assert host.catalogued() == {path.replace("old", "new"): number for path, number in ids.items()}
        assert sorted({kind for kind, *_ in host.story(head)}) == ["modified", "moved"]
        assert "held" not in host.log.events()


def test_all_were_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the inodes of many missing files have only been given to others, a person is asked as ever."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    for number in range(30):
        put(tmp_path / "in" / f"{number}.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    numbers = {path.stat().st_ino for path in (tmp_path / "in").iterdir()}
    for path in (tmp_path / "in").iterdir():
        path.unlink()
    for number in range(TRIES):
        new = put(tmp_path / "in" / f"new-{number}.jpg")
        if new.stat().st_ino not in numbers:
            new.rename(tmp_path / f"{number}.kept")
    with Running(tmp_path, ["in"]) as host:
        host.until(lambda: host.root("in").state is RootState.HELD, "held")
        host.until_idle()
        assert host.root("in").state is RootState.HELD
        assert "--accept" in (host.root("in").reason or "")
        assert "deleted" not in {kind for kind, *_ in host.story(head)}
        assert not set(ids.values()) & {line.id for path, line in host.lines().items() if "new-" in path}
        host.scan(accept=True)
        host.until(lambda: sum(kind == "deleted" for kind, *_ in host.story(head)) == 30, "the deletions are told")
