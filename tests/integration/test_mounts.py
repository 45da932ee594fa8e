"""Mounts behind which others write.

The kernel tells nothing there, and a lease that says "free" proves nothing.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from blake3 import blake3

from mediasluice.catalogue.location import catalogue_file
from tests.samples import jpeg
from tests.service import STOP_S, Mounts, Sluice, until

QUIET_S = 6.0  # `settle.network`, lowered from 15 s to keep the test short
STEP_S = 2.0  # pauses of the writer behind the mount: within the quiet period, far beyond a proven lease
STEPS = 5
FOUND_S = 60.0
GRACE_S = 6.0  # a deletion is announced after 2 s, and a share is looked at every 2 s
SIZE = 50_000

pytestmark = [pytest.mark.timeout(180), pytest.mark.needs_root]


def _bindfs(mounts: Mounts, base: Path, at: str = "mounted") -> tuple[Path, Path]:
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, root = base / "behind", base / at
    behind.mkdir(parents=True)
    root.mkdir(parents=True)
    mounts.run("bindfs", behind, root)
    return root, behind


def _inside(mounts: Mounts, base: Path) -> tuple[Path, Path]:
    """A network mount somewhere inside a root that is itself on a local disk."""
    return _bindfs(mounts, base, "local/deep/mounted")


def _overlay(mounts: Mounts, base: Path) -> tuple[Path, Path]:
    lower, upper, work, root = (base / name for name in ("lower", "upper", "work", "merged"))
    for directory in (lower, upper, work, root):
        directory.mkdir(parents=True)
    mounts.run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", root)
    return root, upper


@pytest.mark.parametrize("make", [_bindfs, _overlay, _inside], ids=["fuse", "overlay", "fuse inside a local root"])
def test_written_behind_the_mount(tmp_path: Path, make: Callable[[Mounts, Path], tuple[Path, Path]]) -> None:
    """Files that appear behind the mount are found by polling.

    One that is open there is not taken as complete.
    """
    with Mounts() as mounts:
        root, behind = make(mounts, tmp_path / "fs")
        watched = tmp_path / "fs" / "local" if make is _inside else root
        document = {"libraries": {"remote": {"path": str(watched), "settle": {"network": QUIET_S}}}}
        with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
            service = sluice.start()
            if make is _inside:
                assert "others may write behind it" in sluice.root(watched)["reason"]
            else:
                assert sluice.root(watched)["mode"] == "poll", sluice.root(watched)
            ended: dict[str, float] = {}

            def write_slowly() -> None:
                """Complete by its format at every moment.

                Changed in place again and again while it stays open.
                """
                with (behind / "slow.jpg").open("wb", 0) as file:
                    for step in range(STEPS):
                        file.seek(0)
                        file.write(jpeg(f"step {step}", SIZE))
                        time.sleep(STEP_S)
                    file.seek(0)
                    file.write(jpeg("the last step", SIZE))
                ended["slow"] = time.time()

            writer = threading.Thread(target=write_slowly)
            writer.start()
            (behind / "folder").mkdir()
            (behind / "folder" / "plain.jpg").write_bytes(jpeg("written behind the mount"))
            (behind / "copy.jpg.part").write_bytes(jpeg("renamed behind the mount"))
            (behind / "copy.jpg.part").rename(behind / "copy.jpg")
            plain = [root / "folder" / "plain.jpg", root / "copy.jpg"]
            with sluice.follow() as follower:
                arrived = follower.wait_created([*plain, root / "slow.jpg"], FOUND_S)
            writer.join(timeout=STEP_S * STEPS + 10)
            when, event = arrived[str(root / "slow.jpg")]
            assert event["blake3"] == blake3(jpeg("the last step", SIZE)).hexdigest(), "taken while somebody wrote"
            assert when >= ended["slow"], "taken before its writer had finished"
            row = sluice.catalogued()[str(root / "slow.jpg")]
            assert row["version"] == 1
            assert row["links"] >= 1
            if make is not _overlay:  # which goes on to show what was removed behind it (kernel: undefined)
                (behind / "folder" / "plain.jpg").unlink()
                service.wait(lambda: sluice.events("file.deleted"), "a deletion behind the mount", FOUND_S)
            service.stop()


@pytest.mark.parametrize("at", ["mounted", "local/deep/mounted"], ids=["a root", "a mount inside a root"])
def test_a_mount_that_hangs(tmp_path: Path, at: str) -> None:
    """A file system that does not answer takes its own root offline and holds up no other; nothing there is deleted.

    When it answers again, what was about to be read is, and what came meanwhile.
    """
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, root, other = tmp_path / "behind", tmp_path / at, tmp_path / "other"
    for directory in (behind, root, other):
        directory.mkdir(parents=True)
    watched = tmp_path / at.split("/", maxsplit=1)[0]
    (behind / "known.jpg").write_bytes(jpeg("known"))
    with Mounts() as mounts:
        bindfs = subprocess.Popen([*mounts.prefix, "bindfs", "-f", str(behind), str(root)])
        until(lambda: str(root) in mounts.run("cat", "/proc/self/mounts"), "mounted", 10)
        try:
            rules = {"settle": {"network": 0.5}}
            document = {"libraries": {"far": {"path": str(watched), **rules}, "near": {"path": str(other)}}}
            with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
                service = sluice.start()
                service.wait_catalogued([root / "known.jpg"], FOUND_S)
                (behind / "pending.jpg").write_bytes(jpeg("pending"))
                time.sleep(STEP_S)
                bindfs.send_signal(signal.SIGSTOP)
                (behind / "meanwhile.jpg").write_bytes(jpeg("meanwhile"))
                for number in range(3):
                    (other / f"{number}.jpg").write_bytes(jpeg(f"near {number}"))
                service.wait(lambda: sluice.root(watched)["state"] == "offline", "the loss is shown", FOUND_S)
                assert str(root) in sluice.root(watched)["reason"]
                service.wait_catalogued([other / f"{number}.jpg" for number in range(3)], FOUND_S)
                (other / "later.jpg").write_bytes(jpeg("near, later"))
                with sluice.follow() as follower:
                    follower.wait_created([other / "later.jpg"], STEP_S * 2)
                bindfs.send_signal(signal.SIGCONT)
                service.wait_catalogued([root / "pending.jpg", root / "meanwhile.jpg"], FOUND_S)
                assert sluice.root(watched)["state"] == "online"
                assert not sluice.events("file.deleted", "file.modified")
                assert len(sluice.events("file.created")) == 7
                service.stop()
        finally:
            bindfs.send_signal(signal.SIGCONT)
            bindfs.kill()
            bindfs.wait(timeout=10)


def test_a_link_on_a_mount_that_hangs(tmp_path: Path) -> None:
    """Where a link leads is found out by a process that may hang: files elsewhere are read meanwhile."""
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, root, other = (tmp_path / name for name in ("behind", "mounted", "other"))
    for directory in (behind / "hidden", root, other):
        directory.mkdir(parents=True)
    (behind / "hidden" / "far.jpg").write_bytes(jpeg("far"))
    (behind / "far.jpg").symlink_to("hidden/far.jpg")
    with Mounts() as mounts:
        bindfs = subprocess.Popen([*mounts.prefix, "bindfs", "-f", str(behind), str(root)])
        until(lambda: str(root) in mounts.run("cat", "/proc/self/mounts"), "mounted", 10)
        try:
            rules = {"settle": {"network": 0.5}, "follow_symlinks": "files", "exclude": ["hidden/"]}
            document = {"libraries": {"far": {"path": str(root), **rules}, "near": {"path": str(other)}}}
            with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
                service = sluice.start()
                service.wait(lambda: _read(sluice) == 1, "the link is read", FOUND_S)
                bindfs.send_signal(signal.SIGSTOP)
                with closing(sqlite3.connect(catalogue_file(sluice.data))) as catalogue, catalogue:
                    catalogue.execute("UPDATE reading SET version = 0")
                    catalogue.execute("INSERT INTO unread SELECT id, 0, 0, 'it is read anew' FROM file")
                time.sleep(STEP_S * 2)  # what is to be read anew is looked for every two seconds
                (other / "near.jpg").write_bytes(jpeg("near"))
                service.wait(lambda: _read(sluice) == 2, "a file elsewhere is read", FOUND_S)
                bindfs.send_signal(signal.SIGCONT)
                service.wait(lambda: _read(sluice, since=1) == 2, "the link is read again", FOUND_S)
                service.stop()
        finally:
            bindfs.send_signal(signal.SIGCONT)
            bindfs.kill()
            bindfs.wait(timeout=10)


def _read(sluice: Sluice, since: int = 0) -> int:
    """How many contents were read by readers of that version or newer."""
    with closing(sqlite3.connect(f"file:{catalogue_file(sluice.data)}?mode=ro", uri=True)) as catalogue:
        found = catalogue.execute("SELECT count(*) FROM reading WHERE version >= ?", (since,)).fetchone()
        return int(found[0])


def test_a_service_beside_a_mount_that_hangs(tmp_path: Path) -> None:
    """It stops in time, starts without that root, and takes it in when it answers.

    Two layers: what waits for the outer one cannot be killed, because that one waits for the inner one.
    """
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, between, root, other = (tmp_path / name for name in ("behind", "between", "mounted", "other"))
    for directory in (behind, between, root, other):
        directory.mkdir()
    (behind / "there.jpg").write_bytes(jpeg("there"))
    with Mounts() as mounts:
        layers = []
        try:
            for source, place in ((behind, between), (between, root)):
                layers.append(subprocess.Popen([*mounts.prefix, "bindfs", "-f", str(source), str(place)]))
                until(lambda place=place: str(place) in mounts.run("cat", "/proc/self/mounts"), "mounted", 10)  # type: ignore[misc]
            rules = {"settle": {"network": 0.5}}
            document = {"libraries": {"far": {"path": str(root), **rules}, "near": {"path": str(other)}}}
            with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
                service = sluice.start()
                service.wait_catalogued([root / "there.jpg"], FOUND_S)
                layers[0].send_signal(signal.SIGSTOP)
                (behind / "meanwhile.jpg").write_bytes(jpeg("meanwhile"))
                service.wait(lambda: sluice.root(root)["state"] == "offline", "the loss is shown", FOUND_S)
                service.process.terminate()
                assert service.process.wait(STOP_S) == 0  # its stuck workers end when the kernel lets go of them

                (other / "near.jpg").write_bytes(jpeg("near"))
                service = sluice.start()
                service.wait_catalogued([other / "near.jpg"], FOUND_S)
                assert "hangs" in sluice.root(root)["reason"]
                layers[0].send_signal(signal.SIGCONT)
                service.wait_catalogued([root / "there.jpg", root / "meanwhile.jpg"], FOUND_S)
                assert sluice.root(root)["mode"] == "poll"
                assert not sluice.events("file.deleted", "file.modified")
                service.stop()
        finally:
            for layer in layers:
                layer.send_signal(signal.SIGCONT)
                layer.kill()
                layer.wait(timeout=10)


def test_check_names_the_proof(tmp_path: Path) -> None:
    """`sluice check` tells, per root, its mount type and which proof of a finished writer is in force."""
    with Mounts() as mounts:
        root, _ = _overlay(mounts, tmp_path / "fs")
        local = tmp_path / "local"
        local.mkdir()
        document = {"libraries": {"remote": {"path": str(root)}, "local": {"path": str(local)}}}
        with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
            roots = {r["path"]: r for r in sluice.object("check")["roots"]}
        assert "overlay" in str(roots[str(root)])
        assert roots[str(root)] != {**roots[str(local)], "path": str(root), "library": "remote"}


@pytest.mark.parametrize("make", [_bindfs, _inside], ids=["a root", "a mount inside a root"])
def test_a_share_that_shows_nothing(tmp_path: Path, make: Callable[[Mounts, Path], tuple[Path, Path]]) -> None:
    """However few files it had: a share that shows not one entry any more is not believed.

    When it shows them again nothing was deleted, and what came meanwhile is found. Files that really go one by one do.
    """
    with Mounts() as mounts:
        root, behind = make(mounts, tmp_path / "fs")
        watched = tmp_path / "fs" / "local" if make is _inside else root
        names = [f"folder/{number}.jpg" for number in range(5)]
        (behind / "folder").mkdir()
        for name in names:
            (behind / name).write_bytes(jpeg(name))
        away = tmp_path / "away"
        document = {"libraries": {"remote": {"path": str(watched), "settle": {"network": 0.5}}}}
        with Sluice(tmp_path / "home", config=document, prefix=mounts.prefix) as sluice:
            service = sluice.start()
            service.wait(lambda: len(sluice.catalogued()) == len(names), "the first files", FOUND_S)
            (behind / "folder").rename(away)
            if make is _inside:
                service.wait(lambda: "as they were" in str(sluice.root(watched)["reason"]), "its loss", FOUND_S)
            else:
                service.wait(lambda: sluice.root(watched)["state"] == "offline", "its loss", FOUND_S)
            time.sleep(GRACE_S)
            assert set(sluice.catalogued()) == {str(root / name) for name in names}
            away.rename(behind / "folder")
            (behind / names[0]).unlink()
            (behind / "new.jpg").write_bytes(jpeg("new"))
            service.wait(lambda: sluice.events("file.deleted"), "the one that is gone", FOUND_S)
            expected = {str(root / name) for name in [*names[1:], "new.jpg"]}
            service.wait(lambda: set(sluice.catalogued()) == expected, "those that are there", FOUND_S)
            assert [event["path"] for event in sluice.events("file.deleted")] == [str(root / names[0])]
            assert len(sluice.events("file.created")) == len(names) + 1
            service.stop()
