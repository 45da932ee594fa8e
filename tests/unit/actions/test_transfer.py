"""Bytes are moved as asked or not at all: whatever is in the way, and wherever the power is cut."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blake3 import blake3

from mediasluice.actions import copying, renaming
from mediasluice.actions.copying import Owner
from mediasluice.actions.reconcile import is_the_inode, reconcile
from mediasluice.actions.transfer import Done, Outcome, Step, Transfer, Undone, Why
from mediasluice.model.files import ChangeKey
from mediasluice.model.imports import Mode

CONTENT = b"the only copy" * 1000
MODES = [Mode.COPY, Mode.MOVE, Mode.HARDLINK, Mode.HARDLINK_ONLY, Mode.REFLINK]
JOURNAL = "0badcafe"


class PowerCut(BaseException):
    """The process is gone: nobody cleans up."""


class Stage:
    """A source and a target folder, and one step between them. ``cut`` ends the process before that change."""

    def __init__(self, base: Path, *, other_device: bool = False) -> None:
        self.source = base / "in" / "photo.jpg"
        self.target = base / "out" / "2026" / "photo.jpg"
        self.source.parent.mkdir()
        self.source.write_bytes(CONTENT)
        os.utime(self.source, ns=(1_600_000_000_000_000_001, 1_600_000_000_123_456_789))
        self.source.chmod(0o640)
        self.key = key_of(self.source)
        self.happened: list[str] = []
        self.cut: int | None = None
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.other_device = other_device
        self.transfer = Transfer(JOURNAL, before=self._before)

    def _before(self, change: str) -> None:
        self.happened.append(change)
        if self.cut is not None and len(self.happened) > self.cut:
            raise PowerCut
        what = self.meanwhile.pop(change, None)
        if what is not None:
            what()

    def step(self, mode: Mode) -> Step:
        source, target = os.fsencode(self.source), os.fsencode(self.target)
        return Step(7, mode, source, target, self.key, blake3(CONTENT).digest())

    def run(self, mode: Mode) -> Outcome:
        [outcome] = self.transfer.carry_out([self.step(mode)])
        return outcome

    def left(self) -> list[str]:
        """Names of ours that are still there."""
        base = self.source.parent.parent
        return [str(path) for path in base.rglob(".sluice-*")]


def key_of(path: Path) -> ChangeKey:
    status = path.stat()
    return ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def two_devices(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The target is behind another mount: the kernel refuses to rename or link across."""
    across(stage, monkeypatch)
    return stage


def across(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(way: Callable[..., None]) -> Callable[..., None]:
        def guarded(source: bytes, target: bytes, *rest: bytes) -> None:
            if (b"/in/" in source) != (b"/in/" in target):
                raise OSError(18, "Invalid cross-device link", source, None, target)
            way(source, target, *rest)

        return guarded

    monkeypatch.setattr(renaming, "WAYS", tuple(refuse(way) for way in renaming.WAYS))
    link = os.link

    def guarded_link(source: bytes, target: bytes, **rest: bool) -> None:
        if (b"/in/" in os.fsencode(source)) != (b"/in/" in os.fsencode(target)):
            raise OSError(18, "Invalid cross-device link", source, None, target)
        link(source, target, **rest)

    monkeypatch.setattr(os, "link", guarded_link)


@pytest.fixture(params=["flag", "link", "reservation"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to rename, as on file systems that do not know the ones before."""
    name: str = request.param
    first = {"flag": 0, "link": 1, "reservation": 2}[name]
    monkeypatch.setattr(renaming, "WAYS", renaming.WAYS[first:])
    return name


@pytest.fixture(autouse=True, params=["small", "large"])
def copied_as(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are hashed on their way; large ones are copied by the kernel and read again."""
    if request.param == "large":
        monkeypatch.setattr(copying, "LARGE", 1)


# -- as asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_brings_the_content_there(stage: Stage, mode: Mode) -> None:
    """The target has the bytes, time and mode of the source, which is there still unless it was moved."""
    outcome = stage.run(mode)
    assert isinstance(outcome, Done)
    assert stage.target.read_bytes() == CONTENT
    status = stage.target.stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (1_600_000_000_123_456_789, 0o640)
    assert stage.source.exists() is (mode is not Mode.MOVE)
    assert (outcome.source is None) is (mode is Mode.MOVE)
    assert outcome.key == key_of(stage.target)
    assert (stage.target.stat().st_ino == stage.key.ino) is (mode in (Mode.MOVE, Mode.HARDLINK, Mode.HARDLINK_ONLY))
    assert stage.left() == []


def test_extended_attributes_come_along(stage: Stage) -> None:
    """A copy has the extended attributes of its original."""
    os.setxattr(stage.source, "user.rating", b"5")
    stage.key = key_of(stage.source)
    assert isinstance(stage.run(Mode.COPY), Done)
    assert os.getxattr(stage.target, "user.rating") == b"5"


def test_new_files_belong_to_whom_the_environment_says(stage: Stage) -> None:
    """PUID, PGID and UMASK decide about copies and new directories; what is moved keeps its owner."""
    stage.source.chmod(0o666)
    stage.key = key_of(stage.source)
    stage.transfer = Transfer(JOURNAL, Owner(os.getuid(), os.getgid(), 0o027))
    assert isinstance(stage.run(Mode.COPY), Done)
    assert stage.target.stat().st_mode & 0o777 == 0o640
    assert stage.target.parent.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("mode", [Mode.COPY, Mode.MOVE, Mode.HARDLINK])
def test_a_link_that_is_followed(stage: Stage, mode: Mode) -> None:
    """Of a symbolic link that is to be followed the content is copied; the link and its file stay as they are."""
    link = stage.source.with_name("link.jpg")
    link.symlink_to("photo.jpg")
    step = stage.step(mode)._replace(source=os.fsencode(link), follows=True)
    [outcome] = stage.transfer.carry_out([step])
    assert isinstance(outcome, Done)
    assert outcome.source == stage.key
    assert (stage.target.read_bytes(), stage.target.is_symlink()) == (CONTENT, False)
    assert os.readlink(link) == "photo.jpg"
    assert key_of(stage.source) == stage.key


def test_ways_to_rename(stage: Stage, way: str) -> None:
    """A file is moved on every sort of file system, and never over another one."""
    del way
    assert isinstance(stage.run(Mode.MOVE), Done)
    assert stage.target.read_bytes() == CONTENT
    assert not stage.source.exists()
    assert stage.left() == []


@pytest.mark.parametrize("mode", [Mode.MOVE, Mode.HARDLINK])
def test_across_devices(two_devices: Stage, mode: Mode) -> None:
    """A move becomes a copy, a comparison and the removal of the original; a link becomes a copy that says so."""
    outcome = two_devices.run(mode)
    assert isinstance(outcome, Done)
    assert outcome.mode in (Mode.COPY, Mode.REFLINK)
    assert two_devices.target.read_bytes() == CONTENT
    assert two_devices.source.exists() is (mode is Mode.HARDLINK)
    assert two_devices.left() == []


def test_a_link_or_nothing(two_devices: Stage) -> None:
    """``hardlink!`` refuses to copy."""
    outcome = two_devices.run(Mode.HARDLINK_ONLY)
    assert isinstance(outcome, Undone)
    assert outcome.why is Why.CANNOT_LINK
    assert not two_devices.target.exists()


# -- not at all -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_overwritten(stage: Stage, mode: Mode, way: str) -> None:
    """A name that is taken stays with who has it, and the source is untouched."""
    del way
    stage.target.parent.mkdir(parents=True)
    stage.target.write_bytes(b"somebody else's")
    outcome = stage.run(mode)
    assert isinstance(outcome, Undone)
    assert outcome.why is Why.TAKEN
    assert stage.target.read_bytes() == b"somebody else's"
    assert key_of(stage.source) == stage.key
    assert stage.left() == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", ["written", "replaced", "touched", "gone", "link"])
def test_a_source_that_is_not_what_was_judged(stage: Stage, mode: Mode, change: str) -> None:
    """What changed since it was judged is not touched."""
    changed: dict[str, Callable[[], object]] = {
        "written": lambda: stage.source.write_bytes(b"changed" * 2000),
        "replaced": lambda: replace(stage.source, CONTENT),
        "touched": lambda: os.utime(stage.source),
        "gone": stage.source.unlink,
        "link": lambda: os.replace(link_beside(stage.source), stage.source),
    }
    changed[change]()
    now = None if change == "gone" else os.lstat(stage.source)
    outcome = stage.run(mode)
    assert isinstance(outcome, Undone)
    assert outcome.why is (Why.GONE if change == "gone" else Why.CHANGED)
    assert not stage.target.exists()
    assert now is None or os.lstat(stage.source) == now
    assert stage.left() == []


def link_beside(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to("/etc/hostname")
    return link


def replace(path: Path, content: bytes) -> None:
    """Put another file at a path, as an editor does."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


@pytest.mark.parametrize("other_device", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_source_replaced_in_between(
    stage: Stage, mode: Mode, *, other_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that takes the name of the source after the last look at it is not taken for it: both have their bytes."""
    if other_device:
        across(stage, monkeypatch)
    stages = ["rename", "link", "part", "remove original"]
    for change in stages:
        base = stage.source.parent.parent / change
        base.mkdir()
        one = Stage(base)
        one.meanwhile[change] = lambda one=one: replace(one.source, b"a newer file")  # type: ignore[misc]
        one.run(mode)
        if change in one.happened:
            held = [path.read_bytes() for path in one.source.parent.parent.rglob("*") if path.is_file()]
            assert b"a newer file" in held, change
            assert one.source.read_bytes() == b"a newer file", change
            assert not one.target.exists() or one.target.read_bytes() == CONTENT, change
            assert one.left() == [], change


def test_bytes_that_are_not_those_that_were_catalogued(stage: Stage) -> None:
    """A copy whose bytes have another digest is thrown away."""
    step = stage.step(Mode.COPY)._replace(blake3=blake3(b"other").digest())
    [outcome] = stage.transfer.carry_out([step])
    assert isinstance(outcome, Undone)
    assert outcome.why is Why.CHANGED
    assert not stage.target.exists()
    assert stage.left() == []


def test_a_copy_is_given_up_when_the_service_ends(stage: Stage) -> None:
    """Nothing is left of a copy that was stopped, and it can be done again."""
    stage.transfer = Transfer(JOURNAL, stopped=lambda: True)
    outcome = stage.run(Mode.COPY)
    assert isinstance(outcome, Undone)
    assert outcome.why is Why.STOPPED
    assert (stage.target.exists(), stage.left()) == (False, [])


# -- the power is cut -----------------------------------------------------------------------------


def cuts(base: Path, mode: Mode, prepare: Callable[[Stage], None]) -> Iterator[Stage]:
    """One stage for each change that the step makes, cut right before it."""
    number = 0
    while True:
        folder = base / f"cut {number}"
        folder.mkdir()
        one = Stage(folder)
        prepare(one)
        one.cut = number
        try:
            one.run(mode)
        except PowerCut:
            yield one
        else:
            assert number >= 2
            return
        number += 1


@pytest.mark.parametrize(
    ("mode", "other_device"),
    [(mode, False) for mode in MODES] + [(mode, True) for mode in MODES if mode is not Mode.HARDLINK_ONLY],
)
def test_power_cut_before_every_change(
    tmp_path: Path, mode: Mode, *, other_device: bool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the power is cut, also while the next start puts things right, the content ends where it belongs.

    It is there at any moment, and nothing half or unowned is left.
    """
    del way
    if other_device:
        across(Stage(make(tmp_path / "x")), monkeypatch)
    for one in cuts(tmp_path, mode, lambda _: None):
        second = 0
        while True:
            assert holders(one) >= 1
            one.happened.clear()
            one.cut = second
            try:
                outcome = reconcile(one.transfer, one.step(mode))
                break
            except PowerCut:
                second += 1
        one.cut = None
        if isinstance(outcome, Undone):
            assert one.source.read_bytes() == CONTENT
            one.key = key_of(one.source)
            outcome = one.run(mode)
        assert isinstance(outcome, Done), outcome
        assert one.target.read_bytes() == CONTENT
        assert one.source.exists() is (mode is not Mode.MOVE)
        assert one.left() == []


def make(path: Path) -> Path:
    path.mkdir()
    return path


def holders(one: Stage) -> int:
    """Files that hold the whole content."""
    return sum(path.is_file() and path.read_bytes() == CONTENT for path in one.source.parent.parent.rglob("*"))


def test_a_cut_copy_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """A target that has the right size and other bytes is somebody else's."""
    one = Stage(tmp_path)
    one.target.parent.mkdir(parents=True)
    one.target.write_bytes(b"\0" * len(CONTENT))
    outcome = reconcile(one.transfer, one.step(Mode.MOVE))
    assert isinstance(outcome, Undone)
    assert outcome.why is Why.TAKEN
    assert one.source.read_bytes() == CONTENT
    assert one.target.read_bytes() == b"\0" * len(CONTENT)


def test_what_was_set_aside_and_written_again_is_given_back(two_devices: Stage) -> None:
    """An original that changed after its copy was made keeps its name and its new bytes."""
    step = two_devices.step(Mode.MOVE)
    two_devices.target.parent.mkdir(parents=True)
    two_devices.target.write_bytes(CONTENT)
    aside = Path(os.fsdecode(two_devices.transfer.aside(step)))
    two_devices.source.rename(aside)
    aside.write_bytes(b"written again")
    outcome = reconcile(two_devices.transfer, step)
    assert isinstance(outcome, Done)
    assert outcome.note is not None
    assert two_devices.source.read_bytes() == b"written again"
    assert two_devices.left() == []


def test_an_inode_number_of_another_disk(stage: Stage, tmp_path: Path) -> None:
    """A copy that happens to have the inode number of its original on another disk is not the original."""
    step = stage.step(Mode.MOVE)
    stage.target.parent.mkdir(parents=True)
    stage.target.write_bytes(CONTENT)
    os.utime(stage.target, ns=(stage.key.mtime_ns, stage.key.mtime_ns))
    alike = step._replace(key=step.key._replace(ino=stage.target.stat().st_ino))
    status = os.lstat(stage.target)
    other: Any = SimpleNamespace(
        st_ino=status.st_ino, st_dev=status.st_dev + 1, st_size=status.st_size, st_mtime_ns=status.st_mtime_ns
    )
    assert not is_the_inode(status, alike, other)
    assert is_the_inode(status, alike, None)  # the original is gone, and nothing speaks for another disk
    gone = alike._replace(source=os.fsencode(tmp_path / "no folder" / "photo.jpg"))
    assert not is_the_inode(status, gone, None)


def test_a_reservation_that_a_crash_has_left(two_devices: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name is taken by a reservation and the process ends right then, the name is free again."""
    monkeypatch.setattr(renaming, "WAYS", renaming.WAYS[2:])
    rename = os.rename

    def cut(source: bytes, target: bytes) -> None:
        if os.fsdecode(target) == str(two_devices.target):
            raise PowerCut
        rename(source, target)

    monkeypatch.setattr(os, "rename", cut)
    with pytest.raises(PowerCut):
        two_devices.run(Mode.COPY)
    monkeypatch.setattr(os, "rename", rename)
    assert two_devices.target.exists()
    assert isinstance(reconcile(two_devices.transfer, two_devices.step(Mode.COPY)), Undone)
    assert not two_devices.target.exists()
    assert two_devices.left() == []


@pytest.mark.parametrize("has_links", [True, False])
def test_a_long_name_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool) -> None:
    """What was set aside and whose name is taken by now gets another one, however long its own is, on any disk."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:  # as FAT: it knows neither NOREPLACE nor links
        monkeypatch.setattr(renaming, "_libc", lambda: None)
        monkeypatch.setattr(os, "link", refuse)
    name = "x" * 251 + ".jpg"
    aside, source = os.fsencode(tmp_path / ".sluice-x-1.src"), os.fsencode(tmp_path / name)
    for path, content in ((aside, b"set aside"), (source, b"newcomer")):
        Path(os.fsdecode(path)).write_bytes(content)
    given = renaming.give_back(aside, source)
    assert Path(os.fsdecode(given)).read_bytes() == b"set aside"
    assert Path(os.fsdecode(source)).read_bytes() == b"newcomer"


def test_an_original_that_cannot_be_looked_at_is_given_back(tmp_path: Path) -> None:
    """An error while the last look is taken gives the original its name back."""
    source = tmp_path / "photo.jpg"
    source.write_bytes(CONTENT)

    def look(_: os.stat_result) -> bool:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        renaming.remove_name(os.fsencode(source), os.fsencode(tmp_path / ".sluice-x-1.src"), look)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_newcomer_after_a_crash(stage: Stage) -> None:
    """A file that took the name of one that was moved right before a crash is another one, and stays."""
    step = stage.step(Mode.MOVE)
    assert isinstance(stage.run(Mode.MOVE), Done)
    stage.source.write_bytes(b"newcomer")
    outcome = reconcile(stage.transfer, step)
    assert isinstance(outcome, Done)
    assert (outcome.mode, outcome.source) == (Mode.MOVE, None)
    assert stage.source.read_bytes() == b"newcomer"
    assert stage.target.read_bytes() == CONTENT
