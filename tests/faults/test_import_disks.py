"""What is in the way of an import: full, read-only and missing disks, two mounts of one, folders and names.

An original stays until its copy is durable, what waits says why, and goes on by itself.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest
from blake3 import blake3

from tests.samples import jpeg
from tests.service import Line, Mounts, Service, Sluice, obeying_permissions, text, until

SOON_S = 40.0  # what waits is tried again every 5 s; the rest is for a busy machine
BIG = 64 << 20  # bytes: copying takes long enough to be caught at it

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """A mount namespace."""
    with Mounts() as private:
        yield private


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where files arrive."""
    directory = tmp_path / "in"
    directory.mkdir()
    return directory


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where a test mounts what the target lies on."""
    directory = tmp_path / "disk"
    directory.mkdir()
    return directory


class Original(NamedTuple):
    """A file as it arrived, and what shows that nobody touched it."""

    path: Path
    content: bytes
    ino: int
    mtime_ns: int

    @property
    def digest(self) -> str:
        return blake3(self.content).hexdigest()

    def is_untouched(self) -> bool:
        status = self.path.stat()
        return (status.st_ino, status.st_mtime_ns, self.path.read_bytes()) == (self.ino, self.mtime_ns, self.content)


def arrive(path: Path, content: bytes = b"", *, outside: Path | None = None) -> Original:
    """Put a file there; ``outside``: where this process sees its path."""
    real = outside or path
    content = content or jpeg(path.name)
    part = real.with_name(real.name + ".part")
    part.write_bytes(content)
    status = part.stat()
    part.rename(real)
    return Original(real, content, status.st_ino, status.st_mtime_ns)


def rules(root: Path, target: Path, **settings: str) -> dict[str, object]:
    """The document of one importing library."""
    library = {"path": str(root), "action": "import", "import": {"target": str(target), **settings}}
    return {"libraries": {"incoming": library}}


def wait_imported(service: Service, count: int) -> list[Line]:
    """The events of so many imports."""
    imported: list[Line] = []

    def are_there() -> bool:
        imported[:] = service.sluice.events("item.imported")
        return len(imported) >= count

    service.wait(are_there, f"{count} files imported", SOON_S)
    return imported


def wait_shown(service: Service, path: Path, words: str) -> None:
    """Wait until `status` says why imports wait, and `explain` why this file does."""

    def is_shown() -> bool:
        waiting = service.sluice.status()["imports"]["waiting"]
        return words in waiting.get("incoming", "") and words in service.sluice.explain(path)["reason"]

    service.wait(is_shown, f"{words!r} in status and explain", SOON_S)


def check_imported(
    sluice: Sluice, target: Path, originals: list[Original], earlier: Mapping[str, bytes] | None = None
) -> None:
    """Each content was imported once, and the target holds these alone, beside what it had."""
    imported = Counter(event["blake3"] for event in sluice.events("item.imported"))
    assert imported == Counter({original.digest: 1 for original in originals})
    held = Counter(blake3(path.read_bytes()).hexdigest() for path in target.rglob("*") if path.is_file())
    assert held == imported + Counter(blake3(content).hexdigest() for content in (earlier or {}).values())
    assert not sluice.events("file.deleted"), "what was moved was told as deleted"


def left_over(*places: Path) -> list[Path]:
    """Names of ours."""
    return [path for place in places for path in place.rglob(".sluice-*")]


# -- disks ----------------------------------------------------------------------------------------


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", ["move", "copy"])
def test_the_disk_of_the_target_is_full(tmp_path: Path, mounts: Mounts, root: Path, disk: Path, mode: str) -> None:
    """Without room imports wait, with the originals untouched and no part left over; with room they go on."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk, "-o", "size=4m")
    target = mounts.outside(disk / "out")
    document = rules(root, disk / "out", mode=mode)
    with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
        service = sluice.start()
        originals = [arrive(root / f"{number}.jpg", jpeg(number, 1 << 20)) for number in range(8)]
        service.wait(lambda: sluice.status()["imports"]["waiting"], "a reason in status", SOON_S)
        done = {event["path"] for event in sluice.events("item.imported")}
        waiting = [original for original in originals if text(original.path) not in done]
        assert waiting, "the disk was not full"
        wait_shown(service, waiting[-1].path, "No space left on device")
        assert all(original.is_untouched() for original in waiting)
        until(lambda: not left_over(target), "no part is left", SOON_S)
        mounts.run("mount", "-o", "remount,size=64m", disk)
        wait_imported(service, len(originals))
        check_imported(sluice, target, originals)
        assert [original.path.exists() for original in originals] == [mode == "copy"] * len(originals)
        assert mode == "move" or all(original.is_untouched() for original in originals)
        assert not sluice.status()["imports"]["waiting"]
        service.stop()
        assert not left_over(target, root)


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", ["move", "copy"])
def test_the_target_becomes_read_only(tmp_path: Path, mounts: Mounts, root: Path, disk: Path, mode: str) -> None:
    """Where nothing can be written imports wait, with the originals untouched; when it can be, they go on."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk)
    target = mounts.outside(disk / "out")
    with Sluice(tmp_path / "home", config=rules(root, disk / "out", mode=mode), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        originals = [arrive(root / "first.jpg")]
        wait_imported(service, 1)
        mounts.run("mount", "-o", "remount,ro", disk)
        originals += [arrive(root / f"{number}.jpg") for number in range(3)]
        wait_shown(service, originals[-1].path, "Read-only file system")
        assert all(original.is_untouched() for original in originals[1:])
        mounts.run("mount", "-o", "remount,rw", disk)
        wait_imported(service, len(originals))
        check_imported(sluice, target, originals)
        assert not sluice.status()["imports"]["waiting"]
        service.stop()
        assert not left_over(target, root)


@pytest.mark.needs_root
def test_a_read_only_source_is_copied(tmp_path: Path, mounts: Mounts, disk: Path) -> None:
    """From a read-only mount files are imported by copy, and nothing is tried there that needs to write."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk)
    originals = [arrive(disk / f"{n}.jpg", outside=mounts.outside(disk / f"{n}.jpg")) for n in range(3)]
    mounts.run("mount", "-o", "remount,ro", disk)
    target = tmp_path / "out"
    with Sluice(tmp_path / "home", config=rules(disk, target, mode="copy"), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        wait_imported(service, len(originals))
        check_imported(sluice, target, originals)
        assert all(original.is_untouched() for original in originals)
        service.stop()


@pytest.mark.needs_root
@pytest.mark.parametrize("setting", ["mode", "after"])
def test_a_read_only_source_cannot_be_moved(tmp_path: Path, mounts: Mounts, disk: Path, setting: str) -> None:
    """Rules that take files away from a read-only mount are refused before anything is done, by their name."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk)
    original = arrive(disk / "photo.jpg", outside=mounts.outside(disk / "photo.jpg"))
    mounts.run("mount", "-o", "remount,ro", disk)
    document = rules(disk, tmp_path / "out", processed_dir=str(tmp_path / "done"), **{setting: "move"})
    with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
        refusal = sluice.call("run", code=78).stderr
        assert f"import.{setting}" in refusal
        assert "read-only" in refusal
        assert text(disk) in refusal
    assert original.is_untouched()
    assert not (tmp_path / "out").exists()


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", ["move", "hardlink", "hardlink!"])
def test_two_mounts_of_one_file_system(tmp_path: Path, mounts: Mounts, root: Path, mode: str) -> None:
    """Between two mounts of one file system a move and a link become a copy; who wants nothing but a link is told."""
    target = tmp_path / "out"
    target.mkdir()
    mounts.run("mount", "--bind", root, root)
    mounts.run("mount", "--bind", target, target)
    with Sluice(tmp_path / "home", config=rules(root, target, mode=mode), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        original = arrive(root / "photo.jpg")
        if mode == "hardlink!":
            service.wait(lambda: sluice.events("item.refused"), "the refusal is told", SOON_S)
            [refused] = sluice.events("item.refused")
            assert "cannot be a hard link" in refused["data"]["reason"]
            assert "cannot be a hard link" in sluice.explain(root / "photo.jpg")["reason"]
            assert not list(target.iterdir())
        else:
            [imported] = wait_imported(service, 1)
            assert imported["data"]["mode"] in {"copy", "reflink"}
            check_imported(sluice, target, [original])
        assert original.path.exists() is (mode != "move")
        assert mode == "move" or original.is_untouched()
        service.stop()
        assert not left_over(target, root)


# -- a disk that goes away ------------------------------------------------------------------------


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("mode", "below"), [("move", "an empty folder"), ("copy", "an empty read-only folder"), ("move", "no folder")]
)
def test_the_target_vanishes(tmp_path: Path, mounts: Mounts, root: Path, disk: Path, mode: str, below: str) -> None:
    """While the disk of the target is away nothing is written in its place; when it is back, imports go on."""
    there = tmp_path / "there"
    there.mkdir()
    mounts.run("mount", "-t", "tmpfs", "tmpfs", there)
    if below == "an empty read-only folder":
        mounts.run("mount", "-t", "tmpfs", "tmpfs", disk, "-o", "ro")
    mounts.run("mount", "--bind", there, disk)
    with Sluice(tmp_path / "home", config=rules(root, disk / "out", mode=mode), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        originals = [arrive(root / "first.jpg")]
        wait_imported(service, 1)
        mounts.run("umount", disk)
        if below == "no folder":
            disk.rmdir()
        originals += [arrive(root / f"{number}.jpg") for number in range(3)]
        wait_shown(service, originals[-1].path, text(disk))
        assert all(original.is_untouched() for original in originals[1:])
        assert not mounts.outside(disk).exists() or not os.listdir(mounts.outside(disk))
        if below == "no folder":
            disk.mkdir()
        mounts.run("mount", "--bind", there, disk)
        wait_imported(service, len(originals))
        check_imported(sluice, mounts.outside(there / "out"), originals)
        service.stop()
        assert not left_over(mounts.outside(there), root)


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", ["move", "copy"])
def test_the_target_vanishes_under_a_copy(tmp_path: Path, mounts: Mounts, root: Path, disk: Path, mode: str) -> None:
    """A disk that is torn out while a file is copied to it costs no byte of the file, which is imported later."""
    there = tmp_path / "there"
    there.mkdir()
    mounts.run("mount", "-t", "tmpfs", "tmpfs", there)
    mounts.run("mount", "--bind", there, disk)
    target = mounts.outside(there / "out")
    with Sluice(tmp_path / "home", config=rules(root, disk / "out", mode=mode), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        first = arrive(root / "first.jpg")
        wait_imported(service, 1)
        original = arrive(root / "big.jpg", jpeg("big", BIG))
        until(lambda: _is_caught_copying(service, target), "a part is being made", SOON_S, step_s=0.005)
        mounts.run("umount", "--lazy", disk)
        service.resume()
        wait_shown(service, original.path, text(disk))
        assert original.is_untouched()
        mounts.run("mount", "--bind", there, disk)
        wait_imported(service, 2)
        check_imported(sluice, target, [first, original])
        service.stop()
        assert not left_over(mounts.outside(there), root)


class Stand(StrEnum):
    """How far a move to another disk had come when the service was killed."""

    COPY = "a part is there"
    PLACED = "copied, original in place"
    SET_ASIDE = "copied, original set aside"
    DONE = "copied, original removed"


@pytest.mark.needs_root
@pytest.mark.parametrize("stand", Stand)
@pytest.mark.parametrize("away", ["target", "source"])
def test_a_disk_is_away_after_a_crash(
    tmp_path: Path, mounts: Mounts, root: Path, disk: Path, stand: Stand, away: str
) -> None:
    """What a crash left on a disk that is away is put in order when it is back: one file, nothing half or doubled."""
    places = {"target": (tmp_path / "behind target", disk), "source": (tmp_path / "behind source", root)}
    for behind, at in places.values():
        behind.mkdir()
        mounts.run("mount", "-t", "tmpfs", "tmpfs", behind)
        mounts.run("mount", "--bind", behind, at)
    target, source = (mounts.outside(behind) for behind, _ in places.values())
    (source / "folder").mkdir()  # a root without any entry would be taken for one that is away
    with Sluice(tmp_path / "home", config=rules(root, disk, mode="move"), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        first = arrive(root / "first.jpg", outside=source / "first.jpg")
        wait_imported(service, 1)
        original = arrive(root / "big.jpg", jpeg("big", BIG), outside=source / "big.jpg")
        until(lambda: _is_caught_copying(service, target), "a part is being made", SOON_S, step_s=0.005)
        service.kill()
        _go_on_by_hand(stand, source / "big.jpg", target)
        mounts.run("umount", places[away][1])
        service = sluice.start()
        service.wait(lambda: _is_told_away(sluice, away), "it is told what is away", SOON_S)
        mounts.run("mount", "--bind", *places[away])
        wait_imported(service, 2)
        check_imported(sluice, target, [first, original])
        until(lambda: os.listdir(source) == ["folder"], "the original is gone", SOON_S)
        assert not sluice.events("file.duplicate", "file.modified")
        service.stop()
        assert not left_over(target, source)


@pytest.mark.needs_root
def test_the_last_file_was_moved_before_a_crash(tmp_path: Path, mounts: Mounts, root: Path, disk: Path) -> None:
    """A folder that a move emptied right before a crash is not taken for one that is away; the move is noted."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk)
    target = mounts.outside(disk)
    with Sluice(tmp_path / "home", config=rules(root, disk, mode="move"), prefix=mounts.prefix) as sluice:
        service = sluice.start()
        original = arrive(root / "big.jpg", jpeg("big", BIG))
        until(lambda: _is_caught_copying(service, target), "a part is being made", SOON_S, step_s=0.005)
        service.kill()
        _go_on_by_hand(Stand.DONE, original.path, target)
        service = sluice.start()
        wait_imported(service, 1)
        check_imported(sluice, target, [original])
        service.wait(lambda: sluice.root(root)["state"] == "online", "the folder is watched", SOON_S)
        later = arrive(root / "later.jpg")
        wait_imported(service, 2)
        check_imported(sluice, target, [original, later])
        service.stop()
        assert not left_over(target, root)


def _go_on_by_hand(stand: Stand, source: Path, target: Path) -> None:
    """Do what the service would have done next, up to where it shall have been killed."""
    if stand is Stand.COPY:
        return
    [part] = left_over(target)
    shutil.copy2(source, part)
    part.rename(target / source.name)
    if stand is Stand.SET_ASIDE:
        source.rename(source.with_name(part.name.removesuffix(".part") + ".src"))
    elif stand is Stand.DONE:
        source.unlink()


def _is_told_away(sluice: Sluice, away: str) -> bool:
    status = sluice.status()
    return bool(status["imports"]["waiting"]) if away == "target" else status["roots"][0]["state"] == "offline"


def _is_caught_copying(service: Service, target: Path) -> bool:
    """Freeze the service, and leave it so if a part is there."""
    os.kill(service.process.pid, signal.SIGSTOP)
    if left_over(target):
        return True
    os.kill(service.process.pid, signal.SIGCONT)
    return False


# -- permissions ----------------------------------------------------------------------------------


def test_a_target_that_may_not_be_written(tmp_path: Path, root: Path) -> None:
    """Where the service may not write imports wait with the reason, and go on when it may."""
    target = tmp_path / "out"
    target.mkdir()
    with Sluice(tmp_path / "home", config=rules(root, target, mode="move"), prefix=obeying_permissions()) as sluice:
        service = sluice.start()
        target.chmod(0o555)
        original = arrive(root / "photo.jpg")
        wait_shown(service, original.path, "Permission denied")
        assert original.is_untouched()
        target.chmod(0o755)
        wait_imported(service, 1)
        check_imported(sluice, target, [original])
        service.stop()
        assert not left_over(target, root)


@pytest.mark.needs_root
def test_an_original_that_may_not_be_removed(tmp_path: Path, mounts: Mounts, root: Path, disk: Path) -> None:
    """Where originals may not be removed a move to another disk imports once, leaves them there and says so."""
    mounts.run("mount", "-t", "tmpfs", "tmpfs", disk)
    folder = root / "locked"
    folder.mkdir()
    original = arrive(folder / "photo.jpg")
    folder.chmod(0o555)
    prefix = [*mounts.prefix, *obeying_permissions()]
    with Sluice(tmp_path / "home", config=rules(root, disk / "out", mode="move"), prefix=prefix) as sluice:
        service = sluice.start()
        [imported] = wait_imported(service, 1)
        service.stop()
        service = sluice.start()  # which looks at everything again
        later = arrive(root / "later.jpg")
        wait_imported(service, 2)
        assert original.is_untouched()
        assert "the original stays" in imported["data"]["note"]
        assert "Permission denied" in imported["data"]["note"]
        check_imported(sluice, mounts.outside(disk / "out"), [original, later])
        assert "Permission denied" in str(sluice.explain(original.path)), "nothing says why it is still there"
        service.stop()
        folder.chmod(0o755)
        assert not left_over(mounts.outside(disk), root)


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["move", "copy", "hardlink"])
def test_a_name_that_is_taken(tmp_path: Path, root: Path, mode: str) -> None:
    """Where the target has another file of the same name, that file stays and the new one gets a number."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "photo.jpg").write_bytes(jpeg("earlier"))
    with Sluice(tmp_path / "home", config=rules(root, target, mode=mode)) as sluice:
        service = sluice.start()
        original = arrive(root / "photo.jpg")
        [imported] = wait_imported(service, 1)
        assert (target / "photo.jpg").read_bytes() == jpeg("earlier")
        assert imported["data"]["to"] != text(target / "photo.jpg")
        assert Path(imported["data"]["to"]).read_bytes() == original.content
        check_imported(sluice, target, [original], {"photo.jpg": jpeg("earlier")})
        service.stop()
        assert not left_over(target, root)


def test_a_content_that_is_there_already(tmp_path: Path, root: Path) -> None:
    """Where the target has this very file, by its bytes, it is not copied a second time; the item has that path."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "photo.jpg").write_bytes(jpeg("the same"))
    with Sluice(tmp_path / "home", config=rules(root, target, mode="copy")) as sluice:
        service = sluice.start()
        original = arrive(root / "photo.jpg", jpeg("the same"))
        [imported] = wait_imported(service, 1)
        assert [path.name for path in target.iterdir()] == ["photo.jpg"]
        assert imported["data"]["to"] == text(target / "photo.jpg")
        assert original.is_untouched()
        service.stop()
