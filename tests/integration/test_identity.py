"""A file that moved and was changed at the same time is the same one, where its inode can tell; and no other one is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue import products
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.model.roots import RootState
from mediasluice.pipeline import departures, making, reuniting, scans
from mediasluice.sources.birth import birth_ns
from tests import encoded
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


# -- by the essence -----------------------------------------------------------------------------


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Essences are taken at once."""
    monkeypatch.setattr(making, "PAUSE_S", 0.05)


def song(number: int, title: str, suffix: str = "mp3", seconds: float = 2.0) -> bytes:
    """One recording of this number, whatever its title."""
    plain = encoded.sound(suffix, number, seconds)
    return encoded.tagged(plain, encoded.SOUNDS[suffix].container, title=title, comment=title * 20)


def bring(path: Path, content: bytes) -> None:
    """A file arrives under its name at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.parent.parent / "arriving"
    arriving.write_bytes(content)
    arriving.rename(path)


def until_taken(host: Running, count: int) -> None:
    """Wait until the essences of so many contents are known."""

    def taken() -> int:
        with View.open(catalogue_file(host.data)) as view:
            return len(view.made(products.ESSENCE, 0, 100))

    host.until(lambda: taken() >= count, "the essences are known")
    host.until_idle()


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a"])
def test_a_copy_with_other_tags(tmp_path: Path, suffix: str) -> None:
    """A tagger that writes a new file and deletes the old one: the same id and next version, moved and modified."""
    old, new = tmp_path / "in" / f"track.{suffix}", tmp_path / "in" / "artist" / f"title.{suffix}"
    bring(old, song(1, "old", suffix))
    bring(tmp_path / "in" / f"other.{suffix}", song(2, "old", suffix))
    with Running(tmp_path, ["in"]) as host:
        ids = host.until_catalogued(f"in/track.{suffix}", f"in/other.{suffix}")
        until_taken(host, 2)
        head = host.head()
        new.parent.mkdir()
        new.write_bytes(song(1, "new", suffix))
        old.unlink()
        now = host.until_catalogued(f"in/artist/title.{suffix}")
        host.until_idle()
        assert now[f"in/artist/title.{suffix}"] == ids[f"in/track.{suffix}"]
        assert host.story(head) == [
            ("moved", f"in/artist/title.{suffix}", f"in/track.{suffix}"),
            ("modified", f"in/artist/title.{suffix}"),
        ]
        assert host.lines()[f"in/artist/title.{suffix}"].version == 2


def taken(base: Path, *names: str) -> tuple[dict[str, int], int]:
    """Let a host know files and their essences; gives the ids and the last event."""
    with Running(base, ["in"]) as host:
        ids = host.until_catalogued(*names)
        until_taken(host, len(names))
        return ids, host.head()


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("is_service", [True, False])
def test_a_copy_with_other_tags_while_stopped(tmp_path: Path, *, is_service: bool) -> None:
    """The same while nothing ran: a service that starts and a single pass find out, which waits for it."""
    for number in range(3):
        bring(tmp_path / "in" / f"{number}.mp3", song(number, "old"))
    ids, head = taken(tmp_path, "in/0.mp3", "in/1.mp3", "in/2.mp3")
    (tmp_path / "in" / "0.mp3").unlink()
    (tmp_path / "in" / "1.mp3").unlink()
    bring(tmp_path / "in" / "new" / "one.mp3", song(1, "new"))
    bring(tmp_path / "in" / "new" / "nine.mp3", song(9, "new"))
    with Running(tmp_path, ["in"], is_service=is_service) as host:
        if is_service:
            host.until_catalogued("in/new/one.mp3", "in/new/nine.mp3")
        else:
            assert host.scan()["moved"] == 1
        assert host.catalogued()["in/new/one.mp3"] == ids["in/1.mp3"]
        host.until(lambda: len(host.story(head)) == 4, "all is told")
        assert sorted(host.story(head)) == [
            ("created", "in/new/nine.mp3"),
            ("deleted", "in/0.mp3"),
            ("modified", "in/new/one.mp3"),
            ("moved", "in/new/one.mp3", "in/1.mp3"),
        ]


@pytest.mark.usefixtures("_soon")
def test_stopped_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the process while a file is held back, nothing was told, and the next run finds out."""
    bring(tmp_path / "in" / "old.mp3", song(1, "old"))
    bring(tmp_path / "in" / "other.mp3", song(2, "old"))
    ids, head = taken(tmp_path, "in/old.mp3", "in/other.mp3")
    with monkeypatch.context() as patch:
        patch.setattr(reuniting, "AHEAD", 0)  # no essence is ever asked for
        with Running(tmp_path, ["in"]) as host:
            host.until_idle()
            (tmp_path / "in" / "new.mp3").write_bytes(song(1, "new"))
            (tmp_path / "in" / "old.mp3").unlink()
            reunions = host.service.host.intake._reunions
            host.until(lambda: reunions.is_open, "it is held back")
            assert set(host.catalogued()) == {"in/other.mp3"}
            assert host.story(head) == []
    with View.open(catalogue_file(tmp_path / "data")) as view:
        assert view.departed(1) == 1  # type: ignore[arg-type]
    with Running(tmp_path, ["in"]) as host:
        assert host.until_catalogued("in/new.mp3")["in/new.mp3"] == ids["in/old.mp3"]
        host.until_idle()
        assert host.story(head) == [("renamed", "in/new.mp3", "in/old.mp3"), ("modified", "in/new.mp3")]


@pytest.mark.usefixtures("_soon")
def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose essence does not come in time is told as new, and the one that left as deleted."""
    bring(tmp_path / "in" / "old.mp3", song(1, "old"))
    bring(tmp_path / "in" / "other.mp3", song(2, "old"))
    _, head = taken(tmp_path, "in/old.mp3", "in/other.mp3")
    monkeypatch.setattr(reuniting, "AHEAD", 0)
    monkeypatch.setattr(reuniting, "WAIT_S", 0.5)
    with Running(tmp_path, ["in"]) as host:
        host.until_idle()
        (tmp_path / "in" / "new.mp3").write_bytes(song(1, "new"))
        (tmp_path / "in" / "old.mp3").unlink()
        host.until(lambda: len(host.story(head)) == 2, "both are told")
        assert host.story(head) == [("created", "in/new.mp3"), ("deleted", "in/old.mp3")]


@pytest.mark.usefixtures("_soon")
def test_what_happens_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held file that is renamed, written again or deleted meanwhile is judged by what is there in the end."""
    for number in range(4):
        bring(tmp_path / "in" / f"{number}.mp3", song(number, "old"))
    ids, head = taken(tmp_path, *(f"in/{number}.mp3" for number in range(4)))
    monkeypatch.setattr(reuniting, "AHEAD", 0)
    with Running(tmp_path, ["in"]) as host:
        host.until_idle()
        reunions = host.service.host.intake._reunions
        for number in range(3):
            (tmp_path / "in" / f"{number}.mp3").unlink()
            (tmp_path / "in" / f"new-{number}.mp3").write_bytes(song(number, "new"))
        host.until(lambda: len(reunions._held) == 3, "all are held back")
        (tmp_path / "in" / "new-0.mp3").rename(tmp_path / "in" / "moved.mp3")
        (tmp_path / "in" / "new-1.mp3").unlink()
        (tmp_path / "in" / "new-2.mp3").write_bytes(song(2, "newer"))
        monkeypatch.setattr(reuniting, "AHEAD", 64)
        now = host.until_catalogued("in/moved.mp3", "in/new-2.mp3")
        assert (now["in/moved.mp3"], now["in/new-2.mp3"]) == (ids["in/0.mp3"], ids["in/2.mp3"])
        host.until(lambda: len(host.story(head)) == 5, "all is told")
        assert sorted(host.story(head)) == [
            ("deleted", "in/1.mp3"),
            ("modified", "in/moved.mp3"),
            ("modified", "in/new-2.mp3"),
            ("renamed", "in/moved.mp3", "in/0.mp3"),
            ("renamed", "in/new-2.mp3", "in/2.mp3"),
        ]


@pytest.mark.usefixtures("_soon")
def test_who_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is held back only while one of its kind has left: another kind, or nobody, makes none wait."""
    monkeypatch.setattr(reuniting, "AHEAD", 0)
    bring(tmp_path / "in" / "a.mp3", song(1, "old"))
    put(tmp_path / "in" / "a.jpg")
    taken(tmp_path, "in/a.mp3")
    with Running(tmp_path, ["in"]) as host:
        host.until_idle()
        (tmp_path / "in" / "b.mp3").write_bytes(song(2, "new"))
        host.until_catalogued("in/b.mp3", limit_s=reuniting.WAIT_S / 2)
        (tmp_path / "in" / "a.mp3").unlink()
        put(tmp_path / "in" / "b.jpg")
        host.until_catalogued("in/b.jpg", limit_s=reuniting.WAIT_S / 2)


@pytest.mark.usefixtures("_soon")
def test_without_essences(tmp_path: Path) -> None:
    """Where the settings want no essences none are taken, and a copy with other tags is another file."""
    bring(tmp_path / "in" / "old.mp3", song(1, "old"))
    bring(tmp_path / "in" / "other.mp3", song(2, "old"))
    with Running(tmp_path, ["in"], essences={"of": "none"}) as host:
        host.until_catalogued("in/old.mp3", "in/other.mp3")
        host.until_idle()
        head = host.head()
        (tmp_path / "in" / "new.mp3").write_bytes(song(1, "new"))
        (tmp_path / "in" / "old.mp3").unlink()
        host.until(lambda: len(host.story(head)) == 2, "both are told")
        assert sorted(host.story(head)) == [("created", "in/new.mp3"), ("deleted", "in/old.mp3")]
