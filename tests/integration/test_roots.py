"""A root that is away is offline, never "all deleted"; when it is back, only what differs is read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.samples import jpeg
from tests.service import Mounts, Service, Sluice, until

FILES = 30
GRACE_S = 4.0  # a deletion is announced after 2 s
NOTICE_S = 40.0  # a lost root is looked for every 5 s; the rest is for a slow machine

pytestmark = [pytest.mark.timeout(240), pytest.mark.needs_root]


@dataclass
class Disk:
    """An ext4 image that can be mounted at a place of the namespace.

    Reading a file is seen by its access time.
    """

    mounts: Mounts
    image: Path

    def make(self) -> Disk:
        with self.image.open("wb") as file:
            file.truncate(24 << 20)
        self.mounts.run("mkfs.ext4", "-q", "-F", self.image)
        return self

    def mount(self, place: Path) -> None:
        self.mounts.run("mount", "-o", "loop,strictatime", self.image, place)


@dataclass
class Trouble:
    """One way to lose a root and to get it back."""

    name: str
    root: Path  # as the service sees it
    lose: Callable[[], None]
    restore: Callable[[], None]
    before: dict[str, int] = field(default_factory=dict)  # file -> when it was read last [ns]


class Story:
    """All troubles at once, under one service, step by step."""

    def __init__(self, base: Path, mounts: Mounts) -> None:
        self.base = base
        self.mounts = mounts

    def troubles(self) -> list[Trouble]:
        return [
            self._unmounted(),
            self._replaced(),
            self.remounted(),
            self._bind_mount(),
            self._renamed(),
            self._made_anew(),
            self._emptied(),
        ]

    def seen(self, path: Path) -> Path:
        return self.mounts.outside(path)

    def _place(self, name: str) -> Path:
        place = self.base / name
        place.mkdir(parents=True)
        return place

    def _disk(self, name: str) -> Disk:
        return Disk(self.mounts, self.base / f"{name}.img").make()

    def _unmounted(self) -> Trouble:
        root, disk = self._place("unmounted"), self._disk("unmounted")
        disk.mount(root)
        return Trouble("unmounted", root, lambda: self.unmount(root), lambda: disk.mount(root))

    def _replaced(self) -> Trouble:
        root, disk, other = self._place("replaced"), self._disk("replaced"), self._disk("other")
        disk.mount(root)

        def lose() -> None:
            self.unmount(root)
            other.mount(root)
            (self.seen(root) / "foreign.jpg").write_bytes(jpeg("on the other disk"))

        def restore() -> None:
            self.unmount(root)
            disk.mount(root)

        return Trouble("replaced by another disk", root, lose, restore)

    def remounted(self) -> Trouble:
        root, disk, first = self._place("remounted"), self._disk("remounted"), self._disk("first")
        elsewhere = self._place("elsewhere")
        disk.mount(root)
        device = self.seen(root).stat().st_dev

        def restore() -> None:
            first.mount(elsewhere)  # takes the loop device that was free first
            disk.mount(root)
            assert self.seen(root).stat().st_dev != device, "the test did not get another device number"

        return Trouble("remounted with another device number", root, lambda: self.unmount(root), restore)

    def _bind_mount(self) -> Trouble:
        root, source = self._place("bound"), self._place("bind-source")
        self.mounts.run("mount", "--bind", source, root)

        def restore() -> None:
            self.mounts.run("mount", "--bind", source, root)

        return Trouble("bind mount removed", root, lambda: self.unmount(root), restore)

    def _renamed(self) -> Trouble:
        root = self._on_disk("renamed")
        away = root.with_name("renamed-away")
        return Trouble("renamed", root, lambda: self._rename(root, away), lambda: self._rename(away, root))

    def _made_anew(self) -> Trouble:
        root = self._on_disk("anew")
        away = root.with_name("anew-away")

        def lose() -> None:
            self._rename(root, away)
            self.seen(root).mkdir()
            (self.seen(root) / "foreign.jpg").write_bytes(jpeg("in another directory of the same name"))

        def restore() -> None:
            shutil.rmtree(self.seen(root))
            self._rename(away, root)

        return Trouble("another directory of the same name", root, lose, restore)

    def _emptied(self) -> Trouble:
        root = self._on_disk("emptied")
        away = root.with_name("emptied-away")
        self.seen(away).mkdir()

        def move(source: Path, target: Path) -> None:
            for entry in sorted(self.seen(source).iterdir()):
                entry.rename(self.seen(target) / entry.name)

        return Trouble("emptied", root, lambda: move(root, away), lambda: move(away, root))

    def _on_disk(self, name: str) -> Path:
        """A directory on a disk whose access times tell of reads."""
        place = self._place(name)
        self._disk(name).mount(place)
        root = place / "incoming"
        self.seen(root).mkdir()
        return root

    def _rename(self, old: Path, new: Path) -> None:
        self.seen(old).rename(self.seen(new))

    def unmount(self, place: Path) -> None:
        """Unmount as a person does: it must not stay busy because of us."""

        def done() -> bool:
            try:
                self.mounts.run("umount", place)
            except AssertionError:
                return False
            return True

        until(done, f"{place} can be unmounted", 5)


def test_roots_that_go_away_and_come_back(tmp_path: Path) -> None:
    """Unmounted, emptied, renamed, replaced or remounted: offline, no deletion.

    Back: online, and only differences are read.
    """
    with Mounts() as mounts:
        story = Story(tmp_path / "roots", mounts)
        troubles = story.troubles()
        for trouble in troubles:
            for number in range(FILES):
                folder = story.seen(trouble.root) / f"album {number // 10}"
                folder.mkdir(exist_ok=True)
                (folder / f"{number:02d}.jpg").write_bytes(jpeg(f"{trouble.name} {number}"))
        document = {"libraries": {f"root{n}": {"path": str(t.root)} for n, t in enumerate(troubles)}}
        with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
            service = sluice.start()
            service.wait_catalogued([p for t in troubles for p in _files(story, t)], 60)
            _wait_looked_into(service)
            for trouble in troubles:
                _note_access_times(story, trouble)
            assert len(sluice.events("file.created")) == FILES * len(troubles)

            for trouble in troubles:
                trouble.lose()
            service.wait(lambda: not _online(sluice, troubles), "all roots offline", NOTICE_S)
            time.sleep(GRACE_S)  # what would be announced as deleted is announced by now
            _assert_offline(sluice, troubles)

            for trouble in troubles:
                trouble.restore()
                (story.seen(trouble.root) / "album 0" / "new.jpg").write_bytes(jpeg(f"new in {trouble.name}"))
                (story.seen(trouble.root) / "album 1" / "10.jpg").write_bytes(jpeg(f"changed in {trouble.name}"))
            service.wait(lambda: len(_online(sluice, troubles)) == len(troubles), "all roots online", NOTICE_S)
            service.wait_catalogued([t.root / "album 0" / "new.jpg" for t in troubles], NOTICE_S)
            service.wait(lambda: len(sluice.events("file.modified")) >= len(troubles), "changes seen", NOTICE_S)
            time.sleep(GRACE_S)
            _assert_back(sluice, story, troubles)
            service.stop()


def test_roots_that_change_while_nothing_runs(tmp_path: Path) -> None:
    """A root that was unmounted at start is offline.

    After a remount with another number nothing is read again.
    """
    with Mounts() as mounts:
        story = Story(tmp_path / "roots", mounts)
        trouble = story.remounted()
        for number in range(FILES):
            (story.seen(trouble.root) / f"{number:02d}.jpg").write_bytes(jpeg(number))
        with Sluice(tmp_path / "home", prefix=mounts.prefix) as sluice:
            service = sluice.start(trouble.root)
            service.wait_catalogued(_files(story, trouble), 30)
            _wait_looked_into(service)
            service.stop()
            _note_access_times(story, trouble)
            trouble.lose()
            service = sluice.start(trouble.root)
            assert sluice.root(trouble.root)["state"] == "offline"
            time.sleep(GRACE_S)
            service.stop()
            trouble.restore()
            service = sluice.start(trouble.root)
            service.wait(lambda: sluice.root(trouble.root)["state"] == "online", "online again", NOTICE_S)
            _settle_down(service)
            assert _read_since(story, trouble) == set()
            assert not sluice.events("file.deleted", "file.modified", "file.moved", "file.renamed")
            assert len(sluice.events("file.created")) == FILES
            service.stop()


@pytest.mark.parametrize("removed", [False, True], ids=["mount point stays", "mount point goes too"])
def test_a_disk_inside_a_root_that_goes_away(tmp_path: Path, *, removed: bool) -> None:
    """Its files are kept, also over a restart; back, none is read again; gone for good when a person says so."""
    with Mounts() as mounts:
        story = Story(tmp_path / "roots", mounts)
        root = story.base / "root"
        point, disk = root / "media" / "disk", Disk(mounts, tmp_path / "disk.img").make()
        story.seen(point).mkdir(parents=True)
        trouble = Trouble("inside", root, lambda: None, lambda: None)
        with Sluice(tmp_path / "home", prefix=mounts.prefix) as sluice:
            service = sluice.start(root)
            # Not enough for the brake: less than a hundred, and of more than ten times as many.
            for number in range(10 * FILES):
                (story.seen(root) / f"{number:02d}.jpg").write_bytes(jpeg(f"outside {number}"))
            disk.mount(point)
            time.sleep(3)  # a mount makes no event: it is looked for every two seconds
            (story.seen(point) / "album").mkdir()
            for number in range(FILES):
                (story.seen(point) / "album" / f"{number:02d}.jpg").write_bytes(jpeg(f"inside {number}"))
            inside = [point / "album" / f"{number:02d}.jpg" for number in range(FILES)]
            service.wait_catalogued(inside, 60)
            service.wait(lambda: len(sluice.catalogued()) == 11 * FILES, "everything catalogued", 60)
            _wait_looked_into(service)
            _note_access_times(story, trouble)

            # One that is being rewritten when its disk goes.
            with (story.seen(point) / "album" / "00.jpg").open("r+b"):
                story.mounts.run("umount", "--lazy", point)
            if removed:
                story.seen(point).rmdir()
            service.wait(lambda: "not mounted" in (sluice.root(root)["reason"] or ""), "the loss is shown", NOTICE_S)
            _assert_kept(sluice, root)
            if not removed:  # what happens on the bare mount point says nothing of the disk
                (story.seen(point) / "album").mkdir()
                (story.seen(point) / "album" / "01.jpg").write_bytes(jpeg("a stand-in"))
                time.sleep(2)
                shutil.rmtree(story.seen(point) / "album")
                _assert_kept(sluice, root)
            service.stop()
            service = sluice.start(root)
            sluice.call("scan", code=None)
            _assert_kept(sluice, root)

            story.seen(point).mkdir(exist_ok=True)
            disk.mount(point)
            (story.seen(point) / "album" / "new.jpg").write_bytes(jpeg("new inside"))
            service.wait_catalogued([point / "album" / "new.jpg"], NOTICE_S)
            _settle_down(service)
            assert sluice.root(root)["reason"] is None
            assert _read_since(story, trouble) == {"media/disk/album/new.jpg"}
            assert len(sluice.events("file.created")) == 11 * FILES + 1

            story.unmount(point)
            service.wait(lambda: "not mounted" in (sluice.root(root)["reason"] or ""), "the loss is shown", NOTICE_S)
            sluice.call("scan", "--accept", code=None)
            service.wait(lambda: len(sluice.events("file.deleted")) == FILES + 1, "agreed", NOTICE_S)
            service.stop()


def test_a_copy_of_a_disk(tmp_path: Path) -> None:
    """A disk and its copy, with one UUID and the same inodes, are two disks while both are there: nothing moved.

    Each is known again by the next pass, and a file that goes from one and stays on the other did not move there.
    """
    with Mounts() as mounts:
        story = Story(tmp_path / "fs", mounts)
        first, copy = Disk(mounts, tmp_path / "first.img").make(), Disk(mounts, tmp_path / "copy.img")
        one, other = story.base / "one", story.base / "other"
        one.mkdir(parents=True)
        other.mkdir()
        first.mount(one)
        for number in range(3):
            (story.seen(one) / f"{number}.jpg").write_bytes(jpeg(f"copied {number}"))
        story.unmount(one)
        shutil.copyfile(first.image, copy.image)
        first.mount(one)
        copy.mount(other)
        paths = {str(place / f"{number}.jpg") for place in (one, other) for number in range(3)}
        with Sluice(tmp_path / "home", prefix=mounts.prefix) as sluice:
            for _ in range(2):
                sluice.call("scan", one, other)
                assert set(sluice.catalogued()) == paths
                assert [event["type"] for event in sluice.events()].count("file.created") == 6
                assert not sluice.events("file.moved", "file.deleted")
            assert len(sluice.lines("duplicates")) == 3
            (story.seen(one) / "0.jpg").unlink()
            assert sluice.object("scan", one, other)["missing"] == 1
            assert set(sluice.catalogued()) == paths - {str(one / "0.jpg")}
            assert not sluice.events("file.moved")


def _assert_kept(sluice: Sluice, root: Path) -> None:
    time.sleep(GRACE_S)
    gone = sluice.events("file.deleted", "file.moved", "file.renamed", "file.modified")
    assert not gone, f"a disk that is away was taken for deletions: {gone[:3]}"
    assert len(sluice.files()) == 11 * FILES
    assert sluice.root(root)["state"] == "online"


def _settle_down(service: Service) -> None:
    service.wait(lambda: not service.sluice.status()["settling"], "nothing pending", 30)
    time.sleep(1.0)


def _files(story: Story, trouble: Trouble) -> list[Path]:
    return [
        trouble.root / path.relative_to(story.seen(trouble.root)) for path in story.seen(trouble.root).rglob("*.jpg")
    ]


def _wait_looked_into(service: Service) -> None:
    """The second pass reads them once more, which moves the access times as well."""
    service.wait(lambda: service.sluice.status()["inside"]["behind"] == 0, "all was looked into", 60)


def _note_access_times(story: Story, trouble: Trouble) -> None:
    """Note when each file was read last; on a strictatime mount every read moves it."""
    for path in story.seen(trouble.root).rglob("*.jpg"):
        trouble.before[str(path)] = path.stat().st_atime_ns


def _read_since(story: Story, trouble: Trouble) -> set[str]:
    return {
        str(path.relative_to(story.seen(trouble.root)))
        for path in story.seen(trouble.root).rglob("*.jpg")
        if path.stat().st_atime_ns != trouble.before.get(str(path))
    }


def _online(sluice: Sluice, troubles: list[Trouble]) -> set[str]:
    states = {root["path"]: root["state"] for root in sluice.status()["roots"]}
    return {trouble.name for trouble in troubles if states[str(trouble.root)] == "online"}


def _assert_offline(sluice: Sluice, troubles: list[Trouble]) -> None:
    states = {root["path"]: root for root in sluice.status()["roots"]}
    for trouble in troubles:
        root = states[str(trouble.root)]
        assert root["state"] == "offline", f"{trouble.name}: {root}"
        assert root["reason"], f"{trouble.name}: no reason"
    gone = sluice.events("file.deleted", "file.moved", "file.renamed")
    assert not gone, f"a root that is away was taken for deletions: {gone[:3]}"
    assert len(sluice.events("root.offline")) == len(troubles)
    rows = sluice.files()
    counted = {t.name: sum(path.startswith(f"{t.root}/") for path in rows) for t in troubles}
    assert counted == {t.name: FILES for t in troubles}, "files of a root that is away are not known any more"
    assert not [path for path in rows if os.path.basename(path) == "foreign.jpg"]


def _assert_back(sluice: Sluice, story: Story, troubles: list[Trouble]) -> None:
    assert not sluice.events("file.deleted"), "coming back was taken for deletions"
    assert len(sluice.events("root.online")) == len(troubles)
    assert len(sluice.events("file.created")) == (FILES + 1) * len(troubles)
    assert len(sluice.events("file.modified")) == len(troubles)
    for trouble in troubles:
        read = _read_since(story, trouble)
        differences = {"album 0/new.jpg", "album 1/10.jpg"}
        assert differences <= read, f"{trouble.name}: the test cannot see reads: {read}"
        assert read == differences, f"{trouble.name}: read again: {sorted(read - differences)[:5]}"
