"""kill -9 at any instant of the import of groups tears none apart, and loses and doubles none of their files."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mediasluice.catalogue.location import catalogue_file
from tests import pictures as made
from tests.recordings import Film, record
from tests.service import Service, Sluice, scaled

KILLS = scaled(6, 60)
LONGEST_LIFE_S = 2.0  # chosen: from before it can do anything to well after its gap scan
AIM_S = 10.0
TO_THE_END_S = 120.0
GROUPS = 3  # that arrive in one life, chosen: steps of several are open at once
NAMES = ("IMG_1.HEIC", "IMG_1.MOV", "IMG_1.HEIC.xmp", "IMG_1.AAE")

pytestmark = [pytest.mark.timeout(240 + 15 * KILLS)]


class Groups:
    """Groups that arrive in folders of their own, all under the same names, and what each file holds."""

    def __init__(self, roots: list[Path], film: bytes, chance: random.Random) -> None:
        self.held: dict[bytes, tuple[Path, str]] = {}  # the folder and name of each content
        self._roots, self._film, self._chance = roots, film, chance
        self._late: list[tuple[Path, bytes]] = []

    def arrive(self) -> None:
        """What is missing of earlier groups, and some new ones, of which a part will be late."""
        self.arrive_late()
        for root in self._roots:
            for _ in range(GROUPS):
                self._begin(root / str(len(self.held)))

    def arrive_late(self) -> None:
        """What is missing of earlier groups."""
        for path, content in self._late:
            path.write_bytes(content)
        self._late.clear()

    def _begin(self, folder: Path) -> None:
        folder.mkdir()
        order = self._chance.sample(NAMES, len(NAMES))
        late = self._chance.randrange(len(NAMES))
        for place, name in enumerate(order):
            content = self._content(folder, name)
            self.held[content] = folder, name
            if place < late:
                (folder / name).write_bytes(content)
            else:
                self._late.append((folder / name, content))

    def _content(self, folder: Path, name: str) -> bytes:
        mark = os.fsencode(folder)
        if name.endswith(".MOV"):
            return self._film + made.box(b"free", mark)
        if name.endswith(".HEIC"):
            exif = made.tiff({made.MAKE: "Apple", made.EXIF: {made.ORIGINAL: "2024:05:06 07:08:09"}})
            return made.heif({2: (b"Exif", bytes(4) + exif)}) + made.box(b"free", mark)
        return b"<?xml version='1.0'?><!-- %b of %b --><plist/>" % (os.fsencode(name), mark)


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    """The movie of a Live Photo."""
    return record(tmp_path / "a.mov", None, Film("mpeg4", seconds=0.2), container="mov").read_bytes()


def test_kill_at_any_instant_of_a_group(tmp_path: Path, film: bytes) -> None:
    """After every kill -9 each group lies at one place under one stem, by move and by copy, and is set aside as one."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    chance = random.Random(seed)
    roots = [tmp_path / name / "in" for name in ("move", "copy")]
    libraries = {}
    for root in roots:
        root.mkdir(parents=True)
        mode = root.parent.name
        rules: dict[str, str] = {"target": str(root.parent / "out"), "template": "{name}", "mode": mode}
        if mode == "copy":
            rules |= {"after": "move", "processed_dir": str(root.parent / "done")}
        libraries[mode] = {"path": str(root), "action": "import", "import": rules}
    document = {
        "system": {"log_format": "json"},
        "previews": {"of": "none"},
        "essences": {"of": "none"},
        "libraries": libraries,
    }
    groups = Groups(roots, film, chance)
    hit: Counter[str] = Counter()
    with Sluice(tmp_path / "home", config=document) as sluice:
        for number in range(KILLS):
            service = sluice.start(ready=False)
            groups.arrive()
            if number % 3:
                _aim(service, sluice, "follow" if number % 3 == 1 else "import")
            else:
                time.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
            service.kill()
            hit.update(_open(sluice))
        for arrive in (groups.arrive, groups.arrive_late):  # while nobody is there
            arrive()
            last = sluice.start(options=["--until-idle", "2s"], ready=False)
            assert last.process.wait(timeout=TO_THE_END_S) == 0, last.log_tail()
        print(dict(hit))  # noqa: T201 - the count is the evidence
        assert _open(sluice) == []
        told = Counter(event["type"] for event in sluice.events())
    count = len(groups.held)
    assert (told["item.imported"], told["item.joined"], told["file.created"]) == (count // 2, count // 2, count)
    _check_places(groups, [tmp_path / "move" / "out", tmp_path / "copy" / "out"], count)
    _check_places(groups, [tmp_path / "copy" / "done"], count // 2)
    assert not [path for root in roots for path in root.rglob("*") if path.is_file()]


def _check_places(groups: Groups, places: list[Path], count: int) -> None:
    """Each content lies at one place once, and all of a group under one stem."""
    stems: dict[Path, set[str]] = {}
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    for path in found:
        folder, name = groups.held[path.read_bytes()]
        assert path.name.endswith(name.removeprefix("IMG_1")), path
        stems.setdefault(folder, set()).add(str(path.parent / path.name.removesuffix(name.removeprefix("IMG_1"))))
    assert len(found) == count
    assert len({path.read_bytes() for path in found}) == count
    assert not [folder for folder, names in stems.items() if len(names) != 1], stems
    assert len({*map(str, stems)}) == len({stem for names in stems.values() for stem in names})


def _open(sluice: Sluice) -> list[str]:
    """The purposes of the open steps."""
    with suppress(sqlite3.OperationalError), closing(_connect(sluice)) as connection:  # there is none yet
        return [row[0] for row in connection.execute("SELECT purpose FROM step WHERE state = 'open'").fetchall()]
    return []


def _connect(sluice: Sluice) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{catalogue_file(sluice.data)}?mode=ro", uri=True, timeout=5.0)


def _aim(service: Service, sluice: Sluice, purpose: str) -> None:
    """Wait until a file is on its way for this purpose, and leave the service frozen there."""
    end = time.monotonic() + AIM_S
    while time.monotonic() < end and service.process.poll() is None:  # without a pause: it lasts a few system calls
        if purpose in _open(sluice):
            os.kill(service.process.pid, signal.SIGSTOP)
            return
