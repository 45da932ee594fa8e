"""Renditions when something goes wrong: kill -9 at any instant, a full disk, a file system that hangs."""

from __future__ import annotations

import functools
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import av
import pytest
from blake3 import blake3

from mediasluice.catalogue.location import catalogue_file
from tests import encoded
from tests.samples import jpeg
from tests.service import STOP_S, Line, Mounts, Service, Sluice, scaled, until

KILLS = scaled(8, 120)
AIM_S = 20.0
SOON_S = 60.0

pytestmark = [
    pytest.mark.timeout(240 + 20 * KILLS),
    pytest.mark.needs_root,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]


class Stage(StrEnum):
    """How far a rendition had come when the service was killed."""

    WAITS = "nothing of it is there"
    GROWS = "a part is being made"
    NAMED = "it has its name, and is not recorded"
    RECORDED = "it is recorded"


@functools.lru_cache
def film(seed: object, seconds: float = 8.0) -> bytes:
    """A film that takes about half a second."""
    return encoded.film("mkv", seed, seconds)


def document(root: Path, **rules: Any) -> dict[str, Any]:
    """A library whose films become renditions."""
    section = {"template": "{name}", "transcode": {"enabled": True}, **rules}
    library = {"path": str(root), "action": "import", "import": section, "settle": {"network": 0.5}}
    return {"previews": {"of": "none"}, "libraries": {"inbox": library}}


def arrive(root: Path, name: str, content: bytes) -> None:
    part = root / f"{name}.part"
    part.write_bytes(content)
    part.rename(root / name)


def renditions(sluice: Sluice) -> dict[str, list[Line]]:
    """What items says of each title."""
    return {line["title"]: line["renditions"] for line in sluice.lines("items")}


class Renditions:
    """The renditions as a look from outside finds them."""

    def __init__(self, sluice: Sluice) -> None:
        self._data = sluice.data
        self.folder = sluice.data / "renditions"

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.h264-aac.mp4"

    def states(self) -> dict[str, str]:
        """Digest -> state, as recorded."""
        try:
            connection = sqlite3.connect(f"file:{catalogue_file(self._data)}?mode=ro", uri=True, timeout=5.0)
            try:
                return dict(connection.execute("SELECT lower(hex(blake3)), state FROM rendition"))
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return {}  # there is none yet

    def parts(self) -> list[Path]:
        return [*self.folder.glob("*.part*")]

    def stages(self, digests: list[str]) -> Iterator[Stage]:
        states = self.states()
        if self.parts():
            yield Stage.GROWS
        for digest in digests:
            is_there = self.path(digest).exists()
            if states.get(digest) == "made":
                yield Stage.RECORDED
            elif is_there:
                yield Stage.NAMED
            else:
                yield Stage.WAITS


def _catch(service: Service, wanted: Stage, seen: Renditions, digests: list[str]) -> bool:
    """Freeze the service when a rendition is at a stage; gives whether there was one before long."""
    end_s = time.monotonic() + AIM_S
    before = {digest for digest, state in seen.states().items() if state == "made"}
    new = [seen.path(digest) for digest in digests if digest not in before]
    while time.monotonic() < end_s:
        if wanted is Stage.GROWS and not seen.parts():
            continue
        if wanted is Stage.NAMED and not any(map(os.path.lexists, new)):
            continue
        if wanted is Stage.RECORDED and not any(
            state == "made" and digest not in before for digest, state in seen.states().items()
        ):
            continue
        os.kill(service.process.pid, signal.SIGSTOP)
        return True
    return False


def test_kill_at_any_instant_leaves_nothing_or_a_rendition(tmp_path: Path) -> None:
    """After every kill -9 the next start goes on: at the end each film has one rendition that plays, told once."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    chance = random.Random(seed)
    root = tmp_path / "in"
    root.mkdir()
    hit: Counter[Stage] = Counter()
    with Sluice(tmp_path / "home", config=document(root, target=str(tmp_path / "out"))) as sluice:
        seen = Renditions(sluice)
        films: dict[str, bytes] = {}
        for number in range(KILLS):
            for more in range(2):
                name = f"{number}-{more}"
                films[name] = film(name)
                arrive(root, f"{name}.mkv", films[name])
            digests = [blake3(content).hexdigest() for content in films.values()]
            service = sluice.start(ready=False)
            wanted = (Stage.NAMED, Stage.GROWS, Stage.GROWS, Stage.RECORDED)[number % 4]
            hit[wanted] += _catch(service, wanted, seen, digests)
            if number % 4 == 2:
                os.kill(service.process.pid, signal.SIGCONT)
                time.sleep(chance.uniform(0.0, 0.5))  # anywhere in the making of one
            service.kill()
            hit.update(set(seen.stages(digests)))
            assert set(seen.states().values()) <= {"waiting", "made"}
            for digest, state in seen.states().items():
                assert state != "made" or seen.path(digest).exists(), "recorded and not there"
        service = sluice.start()
        service.wait(
            lambda: all(rows and rows[0]["state"] == "made" for rows in renditions(sluice).values()), "all", 120
        )
        service.stop()
        print("\n".join(f"{count:5} {stage}" for stage, count in hit.most_common()))  # noqa: T201 - the evidence
        made = renditions(sluice)
        assert made.keys() == films.keys()
        assert seen.parts() == []
        assert {Path(rows[0]["path"]) for rows in made.values()} == {*seen.folder.glob("*/*")}
        told = Counter(event["blake3"] for event in sluice.events("item.rendition"))
        assert told == Counter({blake3(content).hexdigest(): 1 for content in films.values()})
        for [row] in made.values():
            assert os.stat(row["path"]).st_size == row["size"]
            assert row["duration"] == pytest.approx(8.0, abs=0.1)
            with av.open(row["path"]) as container:
                assert sum(1 for _ in container.decode(video=0)) == 8 * encoded.PER_SECOND
    assert all(hit[stage] for stage in Stage), hit


def test_a_full_disk_keeps_renditions_waiting_and_nothing_else(tmp_path: Path) -> None:
    """The reason stands in status and in items; imports go on, and with more room the rendition is made."""
    root, home = tmp_path / "in", tmp_path / "home"
    root.mkdir()
    kept = home / "data" / "renditions"
    kept.mkdir(parents=True)
    with Mounts() as mounts:
        mounts.run("mount", "-t", "tmpfs", "tmpfs", kept, "-o", "size=64k")
        outside = mounts.outside(kept)
        config = document(root, target=str(tmp_path / "out"))
        with Sluice(home, config=config, prefix=mounts.prefix) as sluice:
            service = sluice.start()
            arrive(root, "film.mkv", film("large", 20.0))
            service.wait(lambda: sluice.status()["renditions"]["reason"], "a reason", SOON_S)
            state = sluice.status()["renditions"]
            assert "No space left on device" in state["reason"]
            assert state["counts"] == {"waiting": 1}
            [row] = renditions(sluice)["film"]
            assert (row["state"], row["path"]) == ("waiting", None)
            assert "No space left on device" in row["reason"]
            arrive(root, "photo.jpg", jpeg("photo"))
            service.wait(lambda: len(sluice.events("item.imported")) == 2, "imports go on", SOON_S)
            assert [path for path in outside.rglob("*") if path.is_file()] == []
            assert "renditions wait: " in sluice.call("status").stdout
            mounts.run("mount", "-o", "remount,size=256m", kept)
            service.wait(lambda: renditions(sluice)["film"][0]["state"] == "made", "a rendition", SOON_S)
            assert sluice.status()["renditions"]["reason"] is None
            service.stop()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_source_that_hangs_holds_up_nothing_else(tmp_path: Path, layers: int) -> None:
    """A film is to be opened where nothing answers: status does, imports go on, and a stop ends in time.

    With two layers what waits for the outer one cannot even be killed. When it answers again the rendition is made.
    """
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    places = [tmp_path / f"layer-{number}" for number in range(layers + 1)]
    root, other, programs = tmp_path / "in", tmp_path / "other", tmp_path / "bin"
    for directory in (*places, root, other, programs):
        directory.mkdir()
    (programs / "nsenter").symlink_to(shutil.which("nsenter") or "")
    mounted = []
    with Mounts() as mounts:
        try:
            for source, place in itertools.pairwise(places):
                mounted.append(subprocess.Popen([*mounts.prefix, "bindfs", "-f", str(source), str(place)]))
                until(lambda place=place: str(place) in mounts.run("cat", "/proc/self/mounts"), "mounted", 10)  # type: ignore[misc]
            config = document(root, target=str(places[-1]), mode="move")
            config["libraries"]["near"] = {"path": str(other)}
            environment = {"PATH": str(programs)}
            with Sluice(tmp_path / "home", config=config, prefix=mounts.prefix, environment=environment) as sluice:
                service = sluice.start()
                arrive(root, "film.mkv", film("far"))
                service.wait(lambda: sluice.status()["renditions"]["counts"] == {"waiting": 1}, "it waits", SOON_S)
                time.sleep(3)  # what the kernel remembers of names is forgotten
                mounted[0].send_signal(signal.SIGSTOP)
                (programs / "ffmpeg").symlink_to(shutil.which("ffmpeg") or "")
                service.wait(lambda: sluice.status()["renditions"]["now"], "it is to be opened", SOON_S)
                arrive(other, "near.jpg", jpeg("near"))
                service.wait_catalogued([other / "near.jpg"], SOON_S)
                assert sluice.status()["renditions"]["now"]
                service.process.terminate()
                assert service.process.wait(STOP_S) == 0
                mounted[0].send_signal(signal.SIGCONT)
                service = sluice.start()
                service.wait(lambda: renditions(sluice)["film"][0]["state"] == "made", "a rendition", SOON_S)
                service.stop()
                assert not Renditions(sluice).parts()
        finally:
            for layer in mounted:
                layer.send_signal(signal.SIGCONT)
                layer.kill()
                layer.wait(timeout=10)
