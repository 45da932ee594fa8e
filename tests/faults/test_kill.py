"""kill -9 at any instant leaves neither loss nor duplicate: promise 4."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Self

import pytest
from blake3 import blake3

from tests.samples import jpeg, unknown
from tests.service import Service, Sluice, scaled

KILLS = scaled(20, 200)
LONGEST_LIFE_S = 2.5  # chosen: from before it can do anything to well after its gap scan
BIG = 32 << 20  # bytes: long enough to be seen while it is read
MOST_FILES = 800  # chosen: then only names and contents change, and looking at all of them stays quick
AIM_S = 10.0

pytestmark = pytest.mark.timeout(240 + 10 * KILLS)


class Stage(StrEnum):
    """How far the journey of some file had come when the service was killed, as seen from outside."""

    STARTING = "starting: no control socket yet"
    UNSEEN = "on disk, not in the catalogue"
    SETTLING = "in the catalogue, not settled"
    READING = "open in a worker"
    COMMITTING = "the catalogue is locked for a transaction"
    LEFT = "catalogued at a path that it has left"
    RESTING = "everything catalogued where it is"


class Arrivals:
    """Files that arrive, are renamed and are modified, as long as the block lasts.

    A file is either renamed or modified, never both: then "the same file" is beyond doubt even when both its
    name and the service are gone for a moment. Each content is unique.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.expected: dict[Path, bytes] = {}  # path -> content, as it is on disk
        self.same_path: set[Path] = set()  # those that are modified; all others keep their content
        self._random = random.Random(seed)
        self._counter = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def digests(self) -> dict[str, str]:
        """Path -> digest of what is on disk now."""
        return {str(path): blake3(content).hexdigest() for path, content in self.expected.items()}

    def _run(self) -> None:
        while not self._stop.wait(0.015):
            self._random.choice((self._arrive, self._arrive, self._rename, self._modify, self._replace, self._big))()

    def _fresh(self, folder: str) -> Path:
        self._counter += 1
        directory = self.root / folder / f"{self._counter // 100:03d}"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{self._counter:06d}.jpg"

    def _content(self, size: int = 0) -> bytes:
        self._counter += 1
        return jpeg(f"content {self._counter}", size or self._random.randrange(400, 60_000))

    def _arrive(self) -> None:
        if len(self.expected) >= MOST_FILES:
            self._rename()
            return
        path, content = self._fresh(self._random.choice(("renamed", "modified", "kept"))), self._content()
        if path.is_relative_to(self.root / "kept"):  # of a format that only a quiet period proves complete
            path, content = path.with_suffix(".mp3"), unknown(path, self._random.randrange(400, 60_000))
        if self._random.random() < 0.5:
            path.write_bytes(content)
        else:
            part = path.with_name(path.name + ".part")
            part.write_bytes(content)
            part.rename(path)
        self.expected[path] = content

    def _big(self) -> None:
        """Now and then one that takes a while to read, always at the same path.

        So that the disk does not fill.
        """
        if self._random.random() < 0.25:
            path, content = self.root / "big.jpg", self._content(BIG)
            part = path.with_name("big.jpg.part")
            part.write_bytes(content)
            part.rename(path)
            self.expected[path] = content
            self.same_path.add(path)

    def _pick(self, folder: str) -> Path | None:
        paths = [path for path in self.expected if path.is_relative_to(self.root / folder)]
        return self._random.choice(paths) if paths else None

    def _rename(self) -> None:
        path = self._pick("renamed")
        if path is not None:
            target = self._fresh("renamed")
            path.rename(target)
            self.expected[target] = self.expected.pop(path)

    def _modify(self) -> None:
        path = self._pick("modified")
        if path is not None:
            content = self._content()
            path.write_bytes(content)
            self.expected[path] = content
            self.same_path.add(path)

    def _replace(self) -> None:
        path = self._pick("modified")
        if path is not None:
            content = self._content()
            part = path.with_name(path.name + ".part")
            part.write_bytes(content)
            part.rename(path)
            self.expected[path] = content
            self.same_path.add(path)


def test_kill_at_any_instant(tmp_path: Path) -> None:
    """After every kill -9 each file is catalogued once, with one file.created and the right digest.

    No worker survives.
    """
    root = tmp_path / "incoming"
    root.mkdir()
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    hit: Counter[Stage] = Counter()
    aims = [stage for stage in Stage if stage is not Stage.RESTING]
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    with Sluice(tmp_path / "home") as sluice:
        with Arrivals(root, seed) as arrivals:
            for number in range(KILLS):
                service = sluice.start(root, ready=False)
                time.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
                # The instant is random; while a stage was never hit, a later random instant is taken instead.
                wanted = next((stage for stage in aims if not hit[stage]), None) if number >= KILLS // 4 else None
                hit.update(_stop_and_look(service, root, wanted, chance))
                service.kill()
        print("\n".join(f"{count:5} {stage}" for stage, count in hit.most_common()))  # noqa: T201 - the count is the evidence
        service = sluice.start(root)
        service.wait(lambda: _at_rest(sluice, arrivals), "everything catalogued after the last kill", 120)
        _check(sluice, arrivals)
        service.stop()
        assert not [stage for stage in aims if not hit[stage]], f"never hit: {hit}"


def _stop_and_look(service: Service, root: Path, wanted: Stage | None, chance: random.Random) -> set[Stage]:
    """Freeze the service and see where it stands.

    While a wanted stage is not among it, go on and try again.
    """
    end = time.monotonic() + AIM_S
    while True:
        assert service.process.poll() is None, service.log_tail()
        service.pause()
        stages = _from_the_kernel(service, root)
        if wanted not in {Stage.READING, Stage.COMMITTING}:
            stages |= _from_the_catalogue(service, root)
        if wanted is None or wanted in stages or time.monotonic() > end:
            return stages
        service.resume()
        time.sleep(chance.uniform(0.0, 0.02))


def _from_the_kernel(service: Service, root: Path) -> set[Stage]:
    """What a frozen service has open and locked."""
    family = service.family()
    stages = set()
    if any(_has_open_below(pid, root) for pid in family):
        stages.add(Stage.READING)
    for memory in service.sluice.data.glob("*-shm"):
        if _is_write_locked(memory, family):
            stages.add(Stage.COMMITTING)
    return stages


def _has_open_below(pid: int, root: Path) -> bool:
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    except OSError:  # it ended while we looked
        return False
    return any(link.startswith(f"{root}/") and not os.path.isdir(link) for link in links)


def _is_write_locked(memory: Path, family: list[int]) -> bool:
    """SQLite's writer in WAL mode holds byte 120 of the shared-memory file (sqlite.org/walformat.html.

    2.3).
    """
    inode = memory.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if "->" not in words and words[3] == "WRITE" and int(words[4]) in family:
            place = words[5].rpartition(":")[2]
            if int(place) == inode and int(words[6]) <= 120 <= (1 << 62 if words[7] == "EOF" else int(words[7])):
                return True
    return False


def _from_the_catalogue(service: Service, root: Path) -> set[Stage]:
    """What the catalogue says of the files beside a frozen service."""
    socket = service.sluice.data / "control.sock"
    if not socket.exists() or socket.stat().st_ctime < service.started_s:
        return {Stage.STARTING}
    rows = service.sluice.files()
    there = {str(path) for path in root.rglob("*.[jm]p[g3]")}
    stages = set()
    if there - rows.keys():
        stages.add(Stage.UNSEEN)
    if rows.keys() - there - {path for path, row in rows.items() if row["state"] == "held"}:
        stages.add(Stage.LEFT)
    if any(row["state"] == "settling" for row in rows.values()):
        stages.add(Stage.SETTLING)
    return stages or {Stage.RESTING}


def _at_rest(sluice: Sluice, arrivals: Arrivals) -> bool:
    rows = sluice.files()
    return {path: row["blake3"] for path, row in rows.items()} == arrivals.digests() and all(
        row["state"] == "catalogued" for row in rows.values()
    )


def _check(sluice: Sluice, arrivals: Arrivals) -> None:
    """Nothing lost, nothing twice.

    Each file of a kept content and each file of a kept path was created once.
    """
    events = sluice.events()
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events}), "seq repeats or goes back"
    assert len({e["id"] for e in events}) == len(events), "two events with one id"
    created = [e for e in events if e["type"] == "file.created"]
    by_content = Counter(e["blake3"] for e in created)
    by_path = Counter(e["path"] for e in created)
    wrong: list[str] = []
    for path, digest in arrivals.digests().items():
        times = by_path[path] if Path(path) in arrivals.same_path else by_content[digest]
        if times != 1:
            wrong.append(f"{path}: created {times} times")
    assert not wrong, f"{len(wrong)} of {len(arrivals.expected)}: {wrong[:5]}"
    assert len(created) == len(arrivals.expected), "files were announced that never were"
    others = [e for e in events if e["type"] in {"file.deleted", "file.duplicate"}]
    assert not others, f"nothing was deleted and no content came twice, but: {others[:3]}"
    last = {e["path"]: e["blake3"] for e in events}
    assert all(last[path] == digest for path, digest in arrivals.digests().items()), (
        "the last event is not the last content"
    )
