"""Passes over roots: what they find, what they must never conclude, and what they do with too much."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mediasluice.model.files import FileState, Origin
from mediasluice.model.roots import RootState
from mediasluice.pipeline import scans
from tests.running import Running, one_pass
from tests.samples import jpeg
from tests.service import Sluice, obeying_permissions

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(120)]


def put(path: Path, content: object = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(content or path))
    return path


def once(base: Path, *libraries: str, **rest: Any) -> Running:
    """A host that passes on request only."""
    return Running(base, libraries or ("in",), is_service=False, **rest)


def kinds(result: dict[str, Any]) -> dict[str, int]:
    """The counts of a result that are not zero."""
    names = ("new", "changed", "moved", "missing", "unchanged", "junk", "empty", "settling", "errors", "held")
    return {name: result[name] for name in names if result[name]}


def test_new_unchanged_changed_missing(tmp_path: Path) -> None:
    """A pass tells new, unchanged, changed and missing files apart, and events are told only of what is news."""
    for number in range(4):
        put(tmp_path / "in" / "d" / f"{number}.jpg")
    with once(tmp_path) as host:
        assert kinds(host.scan()) == {"new": 4}
        head = host.head()
        assert kinds(host.scan()) == {"unchanged": 4}
        assert host.head() == head
        put(tmp_path / "in" / "d" / "0.jpg", "changed")
        (tmp_path / "in" / "d" / "1.jpg").unlink()
        assert kinds(host.scan()) == {"changed": 1, "missing": 1, "unchanged": 2}
        host.until(lambda: len(host.story(head)) == 2, "the deletion is told")
        assert sorted(host.story(head)) == [("deleted", "in/d/1.jpg"), ("modified", "in/d/0.jpg")]


def test_first_files_are_the_baseline(tmp_path: Path) -> None:
    """What the first pass over a root finds at rest is its baseline; what comes later is not."""
    put(tmp_path / "in" / "a.jpg")
    with once(tmp_path) as host:
        host.scan()
        put(tmp_path / "in" / "b.jpg")
        host.scan()
        assert host.root("in").baseline is False
        assert len(host.catalogued()) == 2
        assert {event.origin for event in host.events()} <= {origin.value for origin in Origin}


def test_departed_and_there_again(tmp_path: Path) -> None:
    """A file that departed and is found as it was by a pass is the same one, and nothing is told."""
    put(tmp_path / "in" / "d" / "a.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
        root = host.root("in")
        root.is_compared = False  # nothing is decided meanwhile
        host.service.host.writer.call(lambda catalogue: catalogue.depart(root.id, [(b"d", b"a.jpg")], 5))
        assert host.catalogued() == {}
        assert kinds(host.scan()) == {"unchanged": 1}
        assert host.catalogued() == ids
        assert host.story(head) == []


def test_departed_before_a_stop_and_there_again(tmp_path: Path) -> None:
    """What departed just before the end of a run and is back when the next one begins was never deleted."""
    put(tmp_path / "in" / "d" / "a.jpg")
    with Running(tmp_path, ["in"]) as host:
        ids = host.until_catalogued("in/d/a.jpg")
        root = host.root("in").id
        host.until_idle()
        host.service.host.intake.stop()
        host.service.host.writer.call(lambda catalogue: catalogue.depart(root, [(b"d", b"a.jpg")], 5))
        head = host.head()
    with Running(tmp_path, ["in"]) as host:
        assert host.until_catalogued("in/d/a.jpg") == ids
        host.until_idle()
        assert host.story(head) == []


def test_moved_while_nobody_watched(tmp_path: Path) -> None:
    """Files that moved inside a root and to another root between two passes keep their ids."""
    for name in ("in/a/1.jpg", "in/a/2.jpg", "in/3.jpg"):
        put(tmp_path / name)
    (tmp_path / "other").mkdir()
    with once(tmp_path, "in", "other") as host:
        host.scan()
        ids, head = host.catalogued(), host.head()
    os.rename(tmp_path / "in" / "a", tmp_path / "in" / "b")
    os.rename(tmp_path / "in" / "3.jpg", tmp_path / "other" / "three.jpg")
    with once(tmp_path, "in", "other") as host:
        assert kinds(host.scan()) == {"moved": 3}
        now = host.catalogued()
        assert now == {
            "in/b/1.jpg": ids["in/a/1.jpg"],
            "in/b/2.jpg": ids["in/a/2.jpg"],
            "other/three.jpg": ids["in/3.jpg"],
        }
        assert {kind for kind, *_ in host.story(head)} == {"moved"}


def put_thirty(top: Path) -> None:
    """Thirty files, ten in each of the directories 0, 1 and 2."""
    for number in range(30):
        put(top / f"{number % 3}" / f"{number}.jpg")


def test_too_much_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too much is missing at once nothing is marked until a person agrees; then it is."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    put_thirty(tmp_path / "in")
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
        shutil.rmtree(tmp_path / "in" / "1")
        (tmp_path / "in" / "0" / "0.jpg").unlink()
        for _ in range(2):
            assert kinds(host.scan())["held"] == 1
            assert host.root("in").state is RootState.HELD
            assert len(host.catalogued()) == 30
        assert host.story(head) == []
        result = host.scan(accept=True)
        assert (result["missing"], result["held"]) == (11, 0)
        assert host.root("in").state is RootState.ONLINE
        told = [event.type.value for event in host.events() if event.type.value.startswith("root.")]
        assert told == ["root.held", "root.online"]
        host.until(lambda: len(host.story(head)) == 11, "deletions are told")
        assert len(host.catalogued()) == 19


def test_held_roots_stay_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over a part of a held root that misses little does not release it, nor a restart."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    put_thirty(tmp_path / "in")
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
        shutil.rmtree(tmp_path / "in" / "1")
        shutil.rmtree(tmp_path / "in" / "2")
        host.scan()
    with once(tmp_path) as host:
        root = host.root("in")
        assert root.state is RootState.HELD
        finished: list[object] = []
        passes = host.service.host.intake.passes
        host.service.ask(lambda: passes.begin([(root, b"1")], Origin.SCAN, finished=finished.append))
        host.until(lambda: finished, "the pass ends")
        assert root.state is RootState.HELD
        assert host.story(head) == []


def test_a_moved_tree_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large directory that was renamed while nobody watched is no loss: nothing is held, all ids stay."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    for number in range(30):
        put(tmp_path / "in" / "old" / f"{number}.jpg")
    with once(tmp_path) as host:
        host.scan()
        ids = host.catalogued()
        os.rename(tmp_path / "in" / "old", tmp_path / "in" / "new")
        assert kinds(host.scan()) == {"moved": 30}
        assert host.catalogued() == {path.replace("old", "new"): number for path, number in ids.items()}


def test_unwanted_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that other rules ignore now are there: they are not called missing and hold up nothing."""
    monkeypatch.setattr(scans, "BRAKE_COUNT", 10)
    for number in range(30):
        put(tmp_path / "in" / f"{number}.jpg")
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
        host.replace({"in": {"exclude": ["1*.jpg"]}})
        result = host.scan()
        assert (result["missing"], result["held"], result["ignored"]) == (0, 0, 11)
        assert host.root("in").state is RootState.ONLINE
        assert host.story(head) == []


def test_an_unreadable_directory_misses_nothing(tmp_path: Path) -> None:
    """What lies in a directory that cannot be listed is neither missing nor forgotten."""
    put(tmp_path / "in" / "closed" / "below" / "a.jpg")
    put(tmp_path / "in" / "open" / "b.jpg")
    closed = tmp_path / "in" / "closed"
    with Sluice(tmp_path / "home", prefix=obeying_permissions()) as sluice:
        assert sluice.object("scan", tmp_path / "in")["new"] == 2
        closed.chmod(0)
        try:
            result = sluice.object("scan", tmp_path / "in", code=3)
            assert (result["errors"], result["missing"]) == (1, 0)
        finally:
            closed.chmod(0o700)
        assert len(sluice.catalogued()) == 2
        assert sluice.events("file.deleted") == []


def test_a_reader_that_dies_while_listing_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories that no answer came for are left as they are."""
    put(tmp_path / "in" / "a.jpg")
    with once(tmp_path) as host:
        host.scan()
        head = host.head()
        scan = host.service.host.intake.passes
        listed = scans.Scan.listed
        monkeypatch.setattr(scans.Scan, "listed", lambda self, token, _: listed(self, token, None))
        result = host.scan()
        assert (result["errors"], result["missing"]) == (1, 0)
        assert host.story(head) == []
        assert scan.running == []
        assert len(host.catalogued()) == 1


def test_more_new_names_than_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of remembered names the tree is listed once more; all is found, and what is gone as well."""
    put(tmp_path / "in" / "gone.jpg")
    with once(tmp_path) as host:
        host.scan()
    monkeypatch.setattr(scans, "DEFERRED_LIMIT", 20)
    (tmp_path / "in" / "gone.jpg").unlink()
    for number in range(60):
        put(tmp_path / "in" / f"{number % 7}" / f"{number}.jpg")
    for trusts_times in (False, True):
        data = tmp_path / f"copy-{trusts_times}"
        shutil.copytree(tmp_path / "data", data)
        with once(tmp_path, data=data) as host:
            assert kinds(host.scan(trusts_times=trusts_times)) == {"new": 60, "missing": 1}
            assert len(host.catalogued()) == 60
            assert kinds(host.scan(trusts_times=trusts_times)) == {"unchanged": 60}


def test_a_pass_that_trusts_times(tmp_path: Path) -> None:
    """A pass that trusts the times of directories finds what came and went, in every root and at any depth."""
    for root in ("one", "two"):
        for number in range(70):
            put(tmp_path / root / f"{number}" / "a.jpg")
    with once(tmp_path, "one", "two") as host:
        host.scan()
        assert kinds(host.scan())["unchanged"] == 140
        put(tmp_path / "one" / "3" / "b.jpg")
        put(tmp_path / "one" / "new" / "deep" / "c.jpg")
        put(tmp_path / "two" / "d.jpg")
        (tmp_path / "two" / "5" / "a.jpg").unlink()
        (tmp_path / "one" / "69" / "a.jpg").unlink()
        assert {name: n for name, n in kinds(host.scan(trusts_times=True)).items() if name != "unchanged"} == {
            "new": 3,
            "missing": 2,
        }


def test_a_pass_that_trusts_times_over_what_is_gone(tmp_path: Path) -> None:
    """A pass that trusts times ends where a directory is gone."""
    put(tmp_path / "in" / "d" / "a.jpg")
    with once(tmp_path) as host:
        host.scan()
        root = host.root("in")
        shutil.rmtree(tmp_path / "in" / "d")
        finished: list[scans.Scan] = []
        passes = host.service.host.intake.passes
        for start in (b"d", b"never"):
            scope = [(root, start)]
            host.service.ask(lambda: passes.begin(scope, Origin.SCAN, fast=True, finished=finished.append))  # noqa: B023
        host.until(lambda: len(finished) == 2, "both end")
        assert sorted(scan.totals.missing for scan in finished) == [0, 1]


def test_states_without_reading(tmp_path: Path) -> None:
    """Held, junk and empty files get their states from a pass; a stale temporary name is junk."""
    put(tmp_path / "in" / "a.jpg.part")
    put(tmp_path / "in" / "~lock.tmp")
    (tmp_path / "in" / "empty.jpg").touch()
    settings = {"in": {"junk": {"patterns": ["*.lnk"], "stale_after": "1d"}}}
    put(tmp_path / "in" / "b.lnk")
    with Running(tmp_path, settings, is_service=False) as host:
        result = host.scan(settle_s=0.5)
        assert (result["junk"], result["empty"]) == (1, 1)
        states = {path: line.state for path, line in host.lines().items()}
        assert states["in/a.jpg.part"] is FileState.HELD
        assert states["in/empty.jpg"] is FileState.EMPTY
        assert states["in/b.lnk"] is FileState.JUNK
        put(tmp_path / "in" / "empty.jpg", "bytes at last")
        host.scan(settle_s=5)
        assert host.lines()["in/empty.jpg"].state is FileState.CATALOGUED


def test_a_file_that_became_a_directory(tmp_path: Path) -> None:
    """Where a directory has the name that a file had, the file is gone."""
    put(tmp_path / "in" / "a.jpg")
    put(tmp_path / "in" / "b.jpg")
    with once(tmp_path) as host:
        host.scan()
        (tmp_path / "in" / "a.jpg").unlink()
        (tmp_path / "in" / "a.jpg").mkdir()
        assert host.scan()["missing"] == 1
        assert list(host.catalogued()) == ["in/b.jpg"]


def test_a_pass_reads_only_what_differs(tmp_path: Path) -> None:
    """A directory that is as its signature says is not compared; one with an open file keeps no signature."""
    put(tmp_path / "in" / "a" / "1.jpg")
    put(tmp_path / "in" / "b" / "2.jpg")
    with (tmp_path / "in" / "b" / "open.jpg").open("wb") as writer:
        writer.write(jpeg("unfinished")[:100])
        writer.flush()
        result = one_pass(tmp_path, "in", settle_s=1.0)
        assert (result["new"], result["settling"]) == (2, 1)
    with once(tmp_path) as host:
        one_pass_result = host.scan(settle_s=1.0)
        assert one_pass_result["unchanged"] >= 2
        root = host.root("in").id
        signatures = host.service.ask(lambda: host.service.host.intake.view.signatures(root, [b"a", b"b"]))
        assert signatures[b"a"] is not None
        assert signatures[b"b"] is None


def test_a_held_root_knows_what_only_moved(tmp_path: Path) -> None:
    """Where too much is missing at once, files under new names are still the ones that they were."""
    (tmp_path / "in").mkdir()
    for number in range(400):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(jpeg(number))
    one_pass(tmp_path, "in")
    (tmp_path / "in" / "album").mkdir()
    for number in range(200):
        os.remove(tmp_path / "in" / f"{number}.jpg")
    for number in range(200, 210):
        os.rename(tmp_path / "in" / f"{number}.jpg", tmp_path / "in" / "album" / f"{number}.jpg")
    with Running(tmp_path, ["in"], is_service=False) as host:
        before = host.head()
        result = host.scan("in")
        assert (result["held"], result["moved"], result["new"]) == (1, 10, 0)
        assert {kind for kind, *_ in host.story(before)} == {"moved"}
