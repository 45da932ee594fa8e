"""What mounts do to roots and to what their events are worth; each test has mounts of its own that end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs_root

HERE = Path(__file__).parents[2]
PRELUDE = """
import json, os, subprocess, sys
from pathlib import Path
from mediasluice.errors import RootOverlap
from mediasluice.sources.mounts import mount_of
from mediasluice.sources.roots import check_root, identity_of, mounts_inside, refuse_overlap
from tests.watching import brief, watching
base = Path(sys.argv[1])
def run(*command): subprocess.run([str(part) for part in command], check=True, capture_output=True)
def raw(path): return os.fsencode(path)
def make(*names):
    for name in names: (base / name).mkdir(parents=True)
def say(**what): print(json.dumps(what, default=os.fsdecode))
def said(sightings): return [[what, os.fsdecode(path)] for what, path, _ in brief(sightings)]
"""


def alone(script: str, base: Path) -> dict[str, Any]:
    """Run a script in a mount namespace of its own, so that nothing it mounts is seen or left behind."""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", PRELUDE + script, str(base)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def closed(events: list[list[str]]) -> list[list[str]]:
    """The events without a CREATED whose CLOSED came in a later read: how many reads it takes is not the subject."""
    return [event for event in events if event[0] != "CREATED" or ["CLOSED", event[1]] not in events]


def test_kinds_of_mounts(tmp_path: Path) -> None:
    """What events and leases are worth is told by the mount itself, not by a name."""
    script = """
make("tmp", "src", "fuse", "low", "up", "work", "over", "bound")
run("mount", "-t", "tmpfs", "none", base / "tmp")
run("bindfs", base / "src", base / "fuse")
run("mount", "-t", "overlay", "overlay", "-o",
    f"lowerdir={base}/low,upperdir={base}/up,workdir={base}/work", base / "over")
run("mount", "--bind", base / "src", base / "bound")
try:
    found = {}
    for name in ("tmp", "fuse", "over", "bound"):
        mount = mount_of(raw(base / name))
        found[name] = [mount.kind, mount.lease_proves_free, mount.stable_inodes, mount.events_complete]
    say(**found, fuse_type=mount_of(raw(base / "fuse")).type, fuse_id=identity_of(raw(base / "fuse")).filesystem)
finally:
    run("umount", base / "fuse")
"""
    found = alone(script, tmp_path)
    assert found["tmp"] == ["local", True, True, True]
    assert found["bound"] == ["local", True, True, True]
    assert found["fuse"] == ["network", False, False, False]
    assert found["over"] == ["overlay", False, True, False]
    assert found["fuse_type"].startswith("fuse")
    assert found["fuse_id"].startswith("source:fuse")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        pytest.param("a", "bound", True, id="a part of a root bound elsewhere"),
        pytest.param("bound", "a/sub", True, id="the same directory twice"),
        pytest.param("b", "c", True, id="a root that shows a part of the other one"),
        pytest.param("bound", "a/other", False, id="two parts that have nothing in common"),
        pytest.param("a/other", "c", False, id="neighbours"),
    ],
)
def test_roots_that_overlap_through_a_bind_mount(one: str, other: str, *, overlap: bool, tmp_path: Path) -> None:
    """Bind mounts hide that two roots are one; the file system's own paths show it."""
    script = f"""
make("a/sub", "a/other", "bound", "b/seen", "c/part")
run("mount", "--bind", base / "a/sub", base / "bound")
run("mount", "--bind", base / "c/part", base / "b/seen")
try:
    refuse_overlap({{"one": raw(base / {one!r}), "other": raw(base / {other!r})}})
    say(overlap=False)
except RootOverlap:
    say(overlap=True)
"""
    assert alone(script, tmp_path) == {"overlap": overlap}


def test_a_root_that_is_unmounted(tmp_path: Path) -> None:
    """It is lost, nothing is said to be deleted, and what is under it or comes instead is not taken for it."""
    script = """
make("root")
root = base / "root"
run("mount", "-t", "tmpfs", "none", root)
(root / "a").mkdir()
(root / "a" / "f").write_bytes(b"x")
known = identity_of(raw(root))
with watching(root) as watch:
    online = check_root(raw(root), known, had_files=True).online
    run("umount", root)
    events = said(watch.rest())
below = check_root(raw(root), known, had_files=True)
run("mount", "-t", "tmpfs", "none", root)
instead = check_root(raw(root), known, had_files=True)
say(online=online, events=events, below=below.reason, instead=instead.reason)
"""
    found = alone(script, tmp_path)
    assert found["online"] is True
    assert found["events"] == [["ROOT_LOST", ""]]
    assert found["below"].startswith("replaced")
    assert found["instead"].startswith("replaced")


def test_a_mount_inside_the_root_that_goes(tmp_path: Path) -> None:
    """The directory shows what was under the mount: it is dirty and watched again."""
    script = """
make("root/disk")
root = base / "root"
(root / "disk" / "hidden").write_bytes(b"x")
run("mount", "-t", "tmpfs", "none", root / "disk")
(root / "disk" / "a" / "b").mkdir(parents=True)
with watching(root) as watch:
    before = watch.source.coverage().watches
    run("umount", root / "disk")
    events = said(watch.rest())
    after = watch.source.coverage().watches
    (root / "disk" / "f").write_bytes(b"x")
    later = said(watch.rest())
say(before=before, events=events, after=after, later=later)
"""
    found = alone(script, tmp_path)
    assert (found["before"], found["after"]) == (4, 2)
    assert ["DIRTY", "disk"] in found["events"]
    assert {what for what, _ in found["events"]} == {"DIRTY"}
    assert closed(found["later"]) == [["CLOSED", "disk/f"]]


def test_a_directory_bound_to_itself_is_no_mount_inside(tmp_path: Path) -> None:
    """Sandboxes bind directories to themselves; what is there is the same, and only a real mount counts."""
    script = """
make("root/a/deep", "root/b", "root/c")
root = base / "root"
run("mount", "--bind", root / "a", root / "a")
run("mount", "--bind", root / "a/deep", root / "a/deep")
before = [point for point in mounts_inside(raw(root))]
run("mount", "-t", "tmpfs", "none", root / "b")
run("mount", "--bind", root / "a", root / "c")
say(before=before, after=sorted(mounts_inside(raw(root))))
"""
    found = alone(script, tmp_path)
    assert found["before"] == []
    assert found["after"] == ["b", "c"]


def test_a_network_mount_inside_a_local_root(tmp_path: Path) -> None:
    """What others write behind it makes no event, so it is named to be polled."""
    script = """
make("root/nas", "src")
run("bindfs", base / "src", base / "root/nas")
try:
    with watching(base / "root") as watch:
        coverage = watch.source.coverage()
        (base / "src" / "f").write_bytes(b"x")
        behind = said(watch.rest())
    say(uncovered=list(coverage.uncovered), reason=coverage.reason, behind=behind)
finally:
    run("umount", base / "root/nas")
"""
    found = alone(script, tmp_path)
    assert found["uncovered"] == ["nas"]
    assert "others may write behind it" in found["reason"]
    assert found["behind"] == []


@pytest.mark.parametrize("what", ["", "a"])
def test_a_root_that_shows_itself(what: str, tmp_path: Path) -> None:
    """A part of the root, or all of it, bound into the root is watched once and named, and nothing goes in circles."""
    script = f"""
make("root/a/deep", "root/z")
root = base / "root"
run("mount", "--bind", root / {what!r}, root / "z")
with watching(root) as watch:
    coverage = watch.source.coverage()
    (root / "a" / "deep" / "f").write_bytes(b"x")
    events = said(watch.rest())
say(watches=coverage.watches, uncovered=list(coverage.uncovered), reason=coverage.reason, paths=events)
"""
    found = alone(script, tmp_path)
    assert found["reason"] is not None
    assert "watched under another path" in found["reason"]
    found["paths"] = closed(found["paths"])
    assert len(found["paths"]) == 1
    if what == "":
        assert found["uncovered"] == ["z"]
        assert found["watches"] == 3
        assert found["paths"] == [["CLOSED", "a/deep/f"]]
    else:
        assert len(found["uncovered"]) == 1
        assert found["paths"][0][1] in ("a/deep/f", "z/deep/f")


def test_no_mount_is_left(tmp_path: Path) -> None:
    """What a test mounts is not seen by this process."""
    alone('make("root")\nrun("mount", "-t", "tmpfs", "none", base / "root")\nsay(done=True)', tmp_path)
    assert os.fsencode(tmp_path) not in Path("/proc/self/mountinfo").read_bytes()
