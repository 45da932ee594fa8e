"""kill -9 at any instant of an import loses, changes and doubles nothing: promises 1 and 4."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
from blake3 import blake3

from mediasluice.catalogue.location import catalogue_file
from tests.samples import jpeg
from tests.service import STOP_S, Line, Mounts, Service, Sluice, scaled, until

KILLS = scaled(20, 200)
LEAST = 1 if KILLS < 200 else 5  # kills at each stage
LONGEST_LIFE_S = 2.0  # chosen: from before it can do anything to well after its gap scan
BURST = 30  # files at once, so that a batch has several steps and each of its stages lasts a little
PAUSE_S = 1.0  # between bursts, chosen: something is under way at most kills, and a full run stays below 10,000 files
DUPLICATES = 0.1  # of all files
BIG = (1 << 20, 4 << 20)  # bytes: it takes a moment to copy them
AIM_S = 15.0
TO_THE_END_S = 120.0

Outside = Callable[[Path], Path]
"""Where this process sees a path of the service."""

pytestmark = [pytest.mark.timeout(240 + 10 * KILLS), pytest.mark.needs_root]


class Stage(StrEnum):
    """How far the import of some file had come when the service was killed, as seen from outside."""

    BEFORE_INTENT = "to be imported, no intent in the journal"
    AFTER_INTENT = "intent, nothing done"
    COPY = "a part is being made"
    RENAME = "at the target, the original still in place"
    UNLINK = "at the target, the original set aside"
    COMMIT = "all done, not closed in the journal"


class Open(NamedTuple):
    """An open step of the journal: its names, as this process sees them."""

    number: int
    is_move: bool
    source: Path
    target: Path


class Copy(NamedTuple):
    """What shows whether an original was touched."""

    ino: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        status = path.stat()
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Arrivals:
    """Files that arrive in all libraries as long as the block lasts; most contents are unique, some are not."""

    def __init__(self, roots: Iterable[Path], seed: int) -> None:
        self.roots = list(roots)
        self.arrived: dict[Path, tuple[str, Copy]] = {}  # digest, and what it was when it was written
        self._random = random.Random(seed)
        self._contents: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_S):
            root = self._random.choice(self.roots)
            for _ in range(self._random.randrange(1, BURST + 1)):
                self._arrive(root)

    def _arrive(self, root: Path) -> None:
        path = root / f"{len(self.arrived):06d}.jpg"
        content = self._content()
        if self._random.random() < 0.5:
            path.write_bytes(content)
        else:
            part = path.with_name(path.name + ".part")
            part.write_bytes(content)
            old = self._random.randrange(1_000_000_000, 1_700_000_000)
            os.utime(part, (old, old))
            self.arrived[path] = blake3(content).hexdigest(), Copy.of(part)
            part.rename(path)
            return
        # From the content, not from the path: by now it may be on its way.
        self.arrived[path] = blake3(content).hexdigest(), Copy(0, len(content), 0)

    def _content(self) -> bytes:
        if self._contents and self._random.random() < DUPLICATES:
            return self._random.choice(self._contents)
        size = self._random.randrange(*BIG) if self._random.random() < 0.1 else self._random.randrange(400, 60_000)
        content = jpeg(f"content {len(self.arrived)}", size)
        if size < BIG[0]:
            self._contents.append(content)
        return content


def test_kill_at_any_instant_of_an_import(tmp_path: Path) -> None:
    """After every kill -9 each content is one item with one file, by move and by copy, on one device and on two.

    Originals are gone where they were moved and untouched where not; nothing half and no name of ours is left.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    incoming = {name: tmp_path / name / "in" for name in ("move", "copy", "across")}
    other = tmp_path / "other"
    targets = {"move": tmp_path / "move" / "out", "copy": tmp_path / "copy" / "out", "across": other / "out"}
    for directory in (*incoming.values(), other):
        directory.mkdir(parents=True)
    libraries = {
        name: {
            "path": str(root),
            "action": "import",
            "import": {"target": str(targets[name]), "mode": "copy" if name == "copy" else "move"},
        }
        for name, root in incoming.items()
    }
    with Mounts() as mounts:
        mounts.run("mount", "-t", "tmpfs", "tmpfs", other, "-o", "size=2g")
        home = tmp_path / "home"
        document = {"system": {"log_format": "json"}, "libraries": libraries}
        with Sluice(home, config=document, prefix=mounts.prefix) as sluice:
            with Arrivals(incoming.values(), seed) as arrivals:
                hit = _kill_again_and_again(sluice, mounts.outside, incoming["across"], random.Random(seed))
            last = sluice.start(options=["--until-idle", "2s"], ready=False)
            assert last.process.wait(timeout=TO_THE_END_S) == 0, last.log_tail()
            reconciled = sum(
                line["steps"]
                for service in sluice.services
                for line in service.records()
                if line.get("event") == "reconciling"
            )
            lines = [f"{count:5} {stage}" for stage, count in hit.most_common()]
            print("\n".join([*lines, f"{reconciled:5} steps reconciled"]))  # noqa: T201 - the count is the evidence
            with Journal(sluice, mounts.outside) as journal:
                assert journal.open_steps() == []
            told = sluice.events()
            _check_once(told, arrivals)
            _check_files(told, arrivals, {name: mounts.outside(path) for name, path in targets.items()}, mounts)
        assert reconciled > 0
        assert not [stage for stage in Stage if hit[stage] < LEAST], f"hit too seldom: {hit}"


def _kill_again_and_again(sluice: Sluice, outside: Outside, across: Path, chance: random.Random) -> Counter[Stage]:
    """Start and kill; gives how often some import stood at each stage. ``across``: whence is moved to another disk."""
    hit: Counter[Stage] = Counter()
    for number in range(KILLS):
        service = sluice.start(ready=False)
        time.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
        if number % 2:  # a random instant; every other time the next one at which a stage is seen that was hit seldom
            _aim(service, min(Stage, key=lambda stage: hit[stage]), outside, across)
        assert service.process.poll() is None, service.log_tail()
        service.kill()
        with Journal(sluice, outside) as journal:
            hit.update(journal.stages())  # of the dead: nothing changes while we look
    return hit


def _aim(service: Service, wanted: Stage, outside: Outside, across: Path) -> None:
    """Give up the present instant for one at which the wanted stage is seen; leave the service frozen there."""
    end = time.monotonic() + AIM_S
    with Journal(service.sluice, outside) as journal:
        while time.monotonic() < end:  # without a pause: a stage may last as long as one system call
            if wanted is Stage.UNLINK and not any(name.endswith(".src") for name in os.listdir(across)):
                continue  # asked for separately, because asking the journal takes longer than this stage
            if wanted is not Stage.UNLINK and wanted not in journal.stages():
                continue
            os.kill(service.process.pid, signal.SIGSTOP)
            until(lambda: _is_stopped(service.process.pid), "the service stands", STOP_S, step_s=0.001)
            if wanted in journal.stages():
                return
            os.kill(service.process.pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    """Whether every thread of a process stands still: one in a system call ends that first."""
    states = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            states.add(Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split()[0])
    return states <= {"T", "Z", "X"}


class Journal:
    """The journal as it is read beside the service, or after it."""

    def __init__(self, sluice: Sluice, outside: Outside) -> None:
        self._file = catalogue_file(sluice.data)
        self._outside = outside
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def stages(self) -> set[Stage]:
        """The stages of all imports that are under way."""
        stages = {_stage(step) for step in self.open_steps()}
        if self._ask(
            "SELECT j.file FROM judgement j WHERE j.todo IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM step s WHERE s.file = j.file AND s.state = 'open') LIMIT 1"
        ):
            stages.add(Stage.BEFORE_INTENT)
        return stages

    def open_steps(self) -> list[Open]:
        """What the journal holds open."""
        found = self._ask("SELECT id, mode, source, target FROM step WHERE state = 'open'")
        return [
            Open(number, mode == "move", self._seen(source), self._seen(target))
            for number, mode, source, target in found
        ]

    def _seen(self, path: bytes) -> Path:
        return self._outside(Path(os.fsdecode(path)))

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=5.0)
            return self._connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "unable to open" in str(error) or "no such table" in str(error):
                return []  # there is none yet
            raise


def _stage(step: Open) -> Stage:
    if any(step.target.parent.glob(f".sluice-*-{step.number}.part")):
        return Stage.COPY
    if any(step.source.parent.glob(f".sluice-*-{step.number}.src")):
        return Stage.UNLINK
    if not step.target.exists():
        return Stage.AFTER_INTENT
    return Stage.RENAME if step.is_move and step.source.exists() else Stage.COMMIT


def _check_once(told: list[Line], arrivals: Arrivals) -> None:
    """Each file was created once, each content imported once, each move told once, and nothing was deleted."""
    by_type: dict[str, list[Line]] = defaultdict(list)
    for event in told:
        by_type[event["type"]].append(event)
    created = Counter(event["path"] for event in by_type["file.created"])
    assert created == Counter(map(str, arrivals.arrived)), "a file was not noticed, or noticed twice"
    imported = Counter(event["blake3"] for event in by_type["item.imported"])
    assert imported == Counter({digest for digest, _ in arrivals.arrived.values()}), "not each content once"
    moved = Counter(event["old_path"] for event in by_type["file.moved"])
    sources = [event["path"] for event in by_type["item.imported"] if event["library"] != "copy"]
    assert moved == Counter(sources), "not each move once"
    duplicates = {event["path"] for event in by_type["file.duplicate"]}
    assert duplicates == set(map(str, arrivals.arrived)) - {event["path"] for event in by_type["item.imported"]}
    expected = {"file.created", "file.duplicate", "file.moved", "item.imported"}
    assert by_type.keys() <= expected, [event for event in told if event["type"] not in expected][:3]


def _check_files(told: list[Line], arrivals: Arrivals, targets: dict[str, Path], mounts: Mounts) -> None:
    """Each item has its one file with its bytes; of the originals exactly those that were moved are gone."""
    imported = [event for event in told if event["type"] == "item.imported"]
    there = [path for target in targets.values() for path in target.rglob("*") if path.is_file()]
    assert {str(mounts.outside(Path(event["data"]["to"]))): event["blake3"] for event in imported} == {
        str(path): blake3(path.read_bytes()).hexdigest() for path in there
    }
    gone = {event["path"] for event in imported if event["library"] != "copy"}
    left = {path for root in arrivals.roots for path in root.rglob("*") if path.is_file()}
    assert {str(path) for path in left} == {str(path) for path in arrivals.arrived} - gone
    for path in left:
        digest, before = arrivals.arrived[path]
        assert blake3(path.read_bytes()).hexdigest() == digest, path
        now = Copy.of(path)
        assert now == before._replace(ino=before.ino or now.ino, mtime_ns=before.mtime_ns or now.mtime_ns), path
