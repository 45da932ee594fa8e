"""What users of the Tracktion file watcher have, here: each test quotes its row of the feature ledger."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import xxhash
from blake3 import blake3

from tests.samples import wav
from tests.service import Service, Sluice, scaled

SOON_S = 20.0
COPIES = scaled(2_000, 10_000)
LARGE = 96 << 20  # bytes
HUGE = scaled(3 << 30, 10 << 30)  # bytes, all holes: far more than the memory that is allowed
MEMORY = 150 << 20  # bytes, all processes together

pytestmark = pytest.mark.timeout(180)


class Music(NamedTuple):
    """One service under the preset of Tracktion's users."""

    sluice: Sluice
    service: Service
    root: Path

    def place(self, name: str) -> Path:
        directory = self.root / name
        directory.mkdir(parents=True)
        return directory


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Music]:
    home = tmp_path_factory.mktemp("tracktion")
    root = home / "music"
    root.mkdir()
    document = {"preset": "tracktion", "libraries": {"music": {"path": str(root)}}}
    with Sluice(home / "home", config=document) as sluice:
        yield Music(sluice, sluice.start(), root)


def test_scan_finds_what_is_there(tmp_path: Path) -> None:
    """S2-10: a scan finds the files that were there before."""
    for number in range(10):
        (tmp_path / "music" / str(number)).mkdir(parents=True)
        (tmp_path / "music" / str(number) / "track.wav").write_bytes(wav(number))
    with Sluice(tmp_path / "home") as sluice:
        totals = sluice.object("scan", tmp_path / "music")
        assert (totals["files"], totals["new"]) == (10, 10)
        assert len(sluice.catalogued()) == 10


def test_digests(music: Music) -> None:
    """S2-12, S2-92, S2-93: SHA-256 and XXH128 of a file are those of `sha256sum` and of the reference."""
    path = music.place("s2-12") / "track.wav"
    path.write_bytes(wav("digests", 700_000))
    row = music.service.wait_catalogued([path], SOON_S)[str(path)]
    content = path.read_bytes()
    assert row["xxh128"] == xxhash.xxh3_128_hexdigest(content)
    assert row["blake3"] == blake3(content).hexdigest()
    event = next(e for e in music.sluice.events("file.created") if e["path"] == str(path))
    assert (event["xxh128"], event["size"]) == (row["xxh128"], len(content))
    assert event["data"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_decided_by_the_strong_digest(music: Music) -> None:
    """S2-92: equal content is found whatever the names; equal size alone is no duplicate."""
    place = music.place("s2-92")
    (place / "a.wav").write_bytes(wav("same", 5_000))
    (place / "b.wav").write_bytes(wav("same", 5_000))
    (place / "c.wav").write_bytes(wav("diff", 5_000))
    music.service.wait_catalogued(place.iterdir(), SOON_S)
    groups = [g for g in music.sluice.lines("duplicates") if "s2-92" in str(g)]
    assert [{Path(f["path"]).name for f in g["files"]} for g in groups] == [{"a.wav", "b.wav"}]


def test_recursive(music: Music) -> None:
    """S2-20: a file in a nested directory is noticed."""
    path = music.place("s2-20/artist/album/disc 1") / "track.wav"
    path.write_bytes(wav("nested"))
    music.service.wait_catalogued([path], SOON_S)


def test_bulk_copy(music: Music) -> None:
    """S2-22: a bulk copy of thousands of files loses none."""
    place = music.place("s2-22")
    paths = [place / f"{number:05d}.wav" for number in range(COPIES)]
    for number, path in enumerate(paths):
        path.write_bytes(wav(f"bulk {number}", 600))
    music.service.wait_catalogued(paths, 30 + COPIES / 200)


def test_read_once(music: Music) -> None:
    """S2-23: all digests come from one pass: the bytes read are those of the file, not twice as many."""
    place, outside = music.place("s2-23"), music.root.parent / "large.wav"
    outside.write_bytes(wav("large", LARGE))
    before = _bytes_read(music.service)
    outside.rename(place / "large.wav")
    music.service.wait_catalogued([place / "large.wav"], SOON_S)
    read = _bytes_read(music.service) - before
    assert LARGE <= read < LARGE * 1.1, f"{read / LARGE:.2f} times its size"


def _bytes_read(service: Service) -> int:
    """Bytes that the service and its workers asked the kernel for so far."""
    found = 0
    for pid in service.family():
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("rchar:"):
                found += int(line.split()[1])
    return found


def test_bounded_memory(tmp_path: Path) -> None:
    """S2-30: the digest of a huge file needs no more memory than that of a small one."""
    root = tmp_path / "music"
    root.mkdir()
    document = {"libraries": {"music": {"path": str(root), "settle": {"truncated": "500ms"}}}}
    with Sluice(tmp_path / "home", config=document) as sluice:
        service = sluice.start()
        with sluice.follow() as follower:
            path = root / "huge.wav"
            with path.open("wb") as file:
                file.truncate(HUGE)
            peak, end = 0, time.monotonic() + 120
            while not follower.seen:
                peak = max(peak, sum(_resident(pid) for pid in service.family()))
                assert time.monotonic() < end, "not read within two minutes"
                time.sleep(0.05)
        assert 0 < peak < MEMORY, f"{peak >> 20} MiB"
        service.stop()


def _resident(pid: int) -> int:
    """Proportional resident bytes: pages shared between the processes count once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
