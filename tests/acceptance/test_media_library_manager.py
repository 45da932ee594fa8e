"""What users of the Media Library Manager have, here: each test quotes its row of the feature ledger."""

from __future__ import annotations

import os
import random
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from blake3 import blake3

from mediasluice.identify import digests
from tests.samples import jpeg, unknown
from tests.service import Line, Sluice, scaled

SOON_S = 20.0
RESUMED = scaled(12_000, 100_000)

pytestmark = pytest.mark.timeout(180)


def _files(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_several_roots(tmp_path: Path) -> None:
    """S4-01: files of several roots are indexed in one catalogue."""
    for name in ("tv", "films", "music"):
        _files(tmp_path / name, {f"{number}.jpg": jpeg(f"{name} {number}") for number in range(3)})
    with Sluice(tmp_path / "home") as sluice:
        totals = sluice.object("scan", *(tmp_path / name for name in ("tv", "films", "music")))
        assert totals["new"] == 9
        assert {Path(path).parent.name for path in sluice.catalogued()} == {"tv", "films", "music"}


def test_duplicate_groups(tmp_path: Path) -> None:
    """S4-02, S4-32: exactly the files of equal content form groups; names of one inode are one copy.

    Look-alikes are not.
    """
    root = tmp_path / "films"
    body = random.Random(1).randbytes(200_000)
    changed = bytearray(body)
    changed[100_000] ^= 1  # same size, same head, same tail
    _files(
        root,
        {
            "a.mp4": body,
            "copies/a2.mp4": body,
            "decoy.mp4": bytes(changed),
            "b.mp4": body[:100],
            "c.mp4": body[:100],
        },
    )
    os.link(root / "a.mp4", root / "a-link.mp4")
    lonely = root / "lonely.mp4"
    lonely.write_bytes(unknown("one inode, two names"))
    os.link(lonely, root / "lonely-link.mp4")
    expected = [
        {root / "a.mp4", root / "a-link.mp4", root / "copies" / "a2.mp4"},
        {root / "b.mp4", root / "c.mp4"},
    ]
    with Sluice(tmp_path / "home") as sluice:
        at_once = sluice.lines("duplicates", root)
        assert _members(at_once) == _members_of(expected)
        totals = sluice.object("scan", root)
        stored = sluice.lines("duplicates")
    assert _members(stored) == _members_of(expected)
    assert totals["duplicates"] == {"groups": 2, "files": 2, "bytes": len(body) + 100}, "a hard link wastes nothing"
    group = next(g for g in stored if g["size"] == len(body))
    assert group["content"] == blake3(body).hexdigest()
    inodes = {f["path"]: f["inode"] for f in group["files"]}
    assert inodes[str(root / "a.mp4")] == inodes[str(root / "a-link.mp4")] != inodes[str(root / "copies" / "a2.mp4")]


def _members(groups: list[Line]) -> set[frozenset[str]]:
    return {frozenset(f["path"] for f in group["files"]) for group in groups}


def _members_of(groups: list[set[Path]]) -> set[frozenset[str]]:
    return {frozenset(map(str, group)) for group in groups}


def test_identity_keys(tmp_path: Path) -> None:
    """S4-10: the same file has the same identity in both reports.

    Its digests do not depend on the way to it.
    """
    _files(tmp_path / "films", {"a.jpg": jpeg("same"), "b.jpg": jpeg("same")})
    with Sluice(tmp_path / "home") as sluice:
        at_once = sluice.lines("duplicates", tmp_path / "films")
        sluice.object("scan", tmp_path / "films")
        stored = sluice.lines("duplicates")
    assert [g["content"] for g in at_once] == [g["content"] for g in stored]
    inodes = [{f["path"]: str(f["inode"]) for f in g["files"]} for g in (at_once[0], stored[0])]
    assert inodes[0] == inodes[1]
    assert str(os.stat(tmp_path / "films" / "a.jpg").st_ino) in inodes[0][str(tmp_path / "films" / "a.jpg")]


def test_junk(tmp_path: Path) -> None:
    """S4-11: junk is matched by patterns whatever the case; an excluded extension wins."""
    root = tmp_path / "films"
    _files(
        root,
        {
            "Sample.TXT": b"junk",
            "archive.rar": b"junk by default",
            "kept.zip": b"excluded",
            "film.jpg": jpeg("film"),
        },
    )
    junk = {"patterns": ["default", "sample*"], "exclude_extensions": [".zip"]}
    with Sluice(tmp_path / "home", config={"libraries": {"films": {"path": str(root), "junk": junk}}}) as sluice:
        totals = sluice.object("scan")
        rows = {Path(path).name: row for path, row in sluice.files().items()}
    assert {name: row["state"] for name, row in rows.items()} == {
        "Sample.TXT": "junk",
        "archive.rar": "junk",
        "kept.zip": "catalogued",
        "film.jpg": "catalogued",
    }
    assert totals["junk"] == 2
    assert rows["Sample.TXT"]["reason"] == "pattern: sample*"


def test_scan_resumes(tmp_path: Path) -> None:
    """S4-12, S4-50: a scan that is killed goes on where it was: nothing is skipped, nothing is done twice."""
    root = tmp_path / "films"
    for directory in range(RESUMED // 100):
        _files(root / f"{directory:04d}", {f"{n:03d}.jpg": jpeg(f"{directory} {n}") for n in range(100)})
    with Sluice(tmp_path / "home") as sluice:
        with sluice.follow() as follower:
            service = sluice.start(root, ready=False)
            follower.wait(lambda seen: len(seen) > RESUMED // 20, "a part of it is done", 60)
            service.kill()
        first = len(sluice.catalogued())
        assert 0 < first < RESUMED, "killed too early or too late: the test shows nothing"
        totals = sluice.object("scan", root, timeout_s=120)
        assert totals["files"] == RESUMED
        assert totals["unchanged"] == first, "what was done is done again"
        assert totals["new"] == RESUMED - first
        assert len(sluice.catalogued()) == RESUMED
        created = sluice.events("file.created")
        assert len({e["path"] for e in created}) == len(created) == RESUMED


VECTORS = {
    1: "1f25c8d0bc1f4bb6",
    8: "dab99d95c6f90092",
    9: "ceea90f8cae87643",
    16: "98deda149bc85cea",
    17: "f827426a50ae2761",
    24: "c47c71bd4694ff81",
    25: "be11a9b000c5080f",
}


@pytest.mark.parametrize("size", VECTORS)
def test_sample_digest(tmp_path: Path, size: int) -> None:
    """S4-30: the sample digest is the one that its agents send (XXH64, sample of 8 bytes, known vectors)."""
    path = tmp_path / "file"
    path.write_bytes(bytes((7 * i + 3) % 256 for i in range(size)))
    with path.open("rb") as file:
        found = digests.sample_hash("xxhash64", file.fileno(), size, 8)
    assert found == VECTORS[size]


def test_full_digests_wait_for_the_night(tmp_path: Path) -> None:
    """S4-31: outside the off-peak window no full digest is made; inside it those that lack one get it."""
    root = tmp_path / "films"
    _files(root, {f"{number}.jpg": jpeg(number, 200_000) for number in range(5)})
    now = datetime.now()  # noqa: DTZ005 - the window is in local time

    def document(begin: datetime, end: datetime) -> dict[str, object]:
        window = f"{begin:%H:%M}-{end:%H:%M}"
        return {
            "libraries": {"films": {"path": str(root)}},
            "fingerprints": {"full": "offpeak", "offpeak": window},
        }

    later = document(now + timedelta(hours=2), now + timedelta(hours=3))
    present = document(now - timedelta(hours=1), now + timedelta(hours=1))  # around midnight it wraps
    with Sluice(tmp_path / "home", config=later) as sluice:
        service = sluice.start()
        service.wait(lambda: len(sluice.files()) == 5, "the files are known", SOON_S)
        time.sleep(1)
        assert {row["blake3"] for row in sluice.files().values()} == {None}
        sluice.configure(present)
        service.wait(lambda: None not in {row["blake3"] for row in sluice.files().values()}, "full digests", SOON_S)
        assert {row["blake3"] for row in sluice.files().values()} == {
            blake3(p.read_bytes()).hexdigest() for p in root.iterdir()
        }
        service.stop()


def test_one_record_both_ways(tmp_path: Path) -> None:
    """S4-49: a file is recorded the same, whether a scan or the watching service found it."""
    contents = {"a.jpg": jpeg("a"), "junk.tmp~": b"", "b.rar": b"rar", "c.mp4": unknown("c")}

    def scanned(sluice: Sluice, root: Path) -> None:
        _files(root, contents)
        sluice.call("scan", root, code=None)

    def watched(sluice: Sluice, root: Path) -> None:
        service = sluice.start(root)
        _files(root, contents)
        service.wait_catalogued([root / "a.jpg", root / "c.mp4"], SOON_S)
        service.wait(lambda: len(sluice.files()) == len(contents), "all recorded", SOON_S)
        service.stop()

    records = []
    for way in (scanned, watched):
        root = tmp_path / way.__name__ / "films"
        root.mkdir(parents=True)
        with Sluice(tmp_path / way.__name__ / "home") as sluice:
            way(sluice, root)
            records.append({Path(path).name: _comparable(row) for path, row in sluice.files().items()})
    assert records[0] == records[1]


def _comparable(row: Line) -> Line:
    return {key: row[key] for key in ("size", "kind", "state", "reason", "blake3", "xxh128", "links", "version")}
