"""What users of the Melodee file watcher have, here: each test quotes its row of the feature ledger."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from blake3 import blake3

from tests.samples import jpeg, wav
from tests.service import Line, Service, Sluice, until

SOON_S = 20.0
DEBOUNCE_S = 1.0
TIGHT_LOOP = 500

pytestmark = pytest.mark.timeout(120)


class Watcher(NamedTuple):
    """One service for the tests that only add files, each in a place of its own."""

    sluice: Sluice
    service: Service
    base: Path

    def place(self, library: str, name: str) -> Path:
        directory = self.base / library / name
        directory.mkdir(parents=True)
        return directory

    def events(self, place: Path) -> list[Line]:
        return [e for e in self.sluice.events() if (e["path"] + "/").startswith(f"{place}/")]


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    home = tmp_path_factory.mktemp("melodee")
    base = home / "libraries"
    libraries: dict[str, dict[str, object]] = {
        "music": {},
        "staging": {"type": "staging"},
        "staging2": {"type": "library"},
        "100%_done": {},
        "100x_done": {},
        "songs": {"include": ["*.wav", "*.flac"]},
        "bounced": {"debounce": f"{DEBOUNCE_S:g}s"},
        "chmods": {"attributes": True},
        "gone": {},
    }
    for name, library in libraries.items():
        library["path"] = str(base / name)
        if name != "gone":
            (base / name).mkdir(parents=True)
    existing = base / "music" / "Artist" / "Album"
    existing.mkdir(parents=True)
    document = {"system": {"log_level": "debug", "log_format": "json"}, "libraries": libraries}
    with Sluice(home / "home", config=document) as sluice:
        yield Watcher(sluice, sluice.start(), base)


def test_staging_library(watcher: Watcher) -> None:
    """S1-14: a library can be the staging one, and is watched as such."""
    assert watcher.sluice.settings()["libraries.staging.type"] == "staging"
    assert watcher.sluice.root(watcher.base / "staging")["state"] == "online"


def test_each_type_of_event(watcher: Watcher) -> None:
    """S1-15, S1-68, S1-69, S1-70: create, modify, rename and delete each give one event of their type."""
    place = watcher.place("music", "s1-15")
    path, renamed = place / "song.wav", place / "renamed.wav"
    path.write_bytes(wav("first"))
    watcher.service.wait_catalogued([path], SOON_S)
    path.write_bytes(wav("second", 3_000))
    watcher.service.wait(lambda: len(watcher.events(place)) == 2, "modified", SOON_S)
    path.rename(renamed)
    watcher.service.wait(lambda: len(watcher.events(place)) == 3, "renamed", SOON_S)
    renamed.unlink()
    watcher.service.wait(lambda: len(watcher.events(place)) == 4, "deleted", SOON_S)
    events = watcher.events(place)
    assert [(e["type"], e["path"], e["old_path"]) for e in events] == [
        ("file.created", str(path), None),
        ("file.modified", str(path), None),
        ("file.renamed", str(renamed), str(path)),
        ("file.deleted", str(renamed), None),
    ]
    assert str(renamed) not in watcher.sluice.files()
    missing = watcher.sluice.files(missing=True)[str(renamed)]
    assert missing["state"] == "missing"


def test_patterns(watcher: Watcher) -> None:
    """S1-16: a name that matches no pattern gives no event.

    Patterns are globs on the name, whatever its case.
    """
    place = watcher.place("songs", "s1-16")
    (place / "cover.jpg").write_bytes(jpeg("cover"))
    (place / "LOUD.WAV").write_bytes(wav("loud"))
    watcher.service.wait_catalogued([place / "LOUD.WAV"], SOON_S)
    assert [e["path"] for e in watcher.events(place)] == [str(place / "LOUD.WAV")]


def test_fifty_writes(watcher: Watcher) -> None:
    """S1-17, S1-75: fifty writes in a second give one event, after the last write and the window.

    With the final content.
    """
    path = watcher.place("bounced", "s1-17") / "song.wav"
    for number in range(50):
        path.write_bytes(wav(number, 2_000 + 2 * number))
        time.sleep(0.02)
    ended = path.stat().st_mtime
    with watcher.sluice.follow() as follower:
        arrived, event = follower.wait_created([path], SOON_S)[str(path)]
    assert arrived - ended >= DEBOUNCE_S
    assert event["blake3"] == blake3(path.read_bytes()).hexdigest()
    time.sleep(DEBOUNCE_S + 0.5)
    assert len(watcher.events(path.parent)) == 1


def test_raw_events(watcher: Watcher) -> None:
    """S1-67: what the kernel says is in the debug log.

    Create, write, remove, rename and, where asked for, chmod.
    """
    place = watcher.place("chmods", "s1-67")
    path = place / "a.wav"
    path.write_bytes(wav("raw"))
    watcher.service.wait_catalogued([path], SOON_S)
    (place / "later.wav").write_bytes(wav("later"))  # the folder is watched by now: its close is an event
    os.link(path, place / "b.wav")
    path.chmod(0o600)
    (place / "b.wav").rename(place / "c.wav")
    path.unlink()

    def kinds() -> set[str]:
        return {
            r["what"] for r in watcher.service.records() if r["event"] == "sighted" and "s1-67" in r.get("path", "")
        }

    watcher.service.wait(
        lambda: {"CREATED", "CLOSED", "DEPARTED", "MOVED", "ATTRIBUTES"} <= kinds(), "all in the log", SOON_S
    )


def test_chmod(watcher: Watcher) -> None:
    """S1-71: a change of the mode is no event, unless the library asks for it."""
    quiet, told = watcher.place("music", "s1-71") / "song.wav", watcher.place("chmods", "s1-71") / "song.wav"
    for path in (quiet, told):
        path.write_bytes(wav(path))
    watcher.service.wait_catalogued([quiet, told], SOON_S)
    for path in (quiet, told):
        path.chmod(0o600)
    watcher.service.wait(lambda: len(watcher.events(told.parent)) == 2, "file.attributes", SOON_S)
    assert watcher.events(told.parent)[1]["type"] == "file.attributes"
    assert len(watcher.events(quiet.parent)) == 1


def test_existing_nested_directory(watcher: Watcher) -> None:
    """S1-72: a directory that was there before the start is watched, however deep."""
    path = watcher.base / "music" / "Artist" / "Album" / "track.wav"
    path.write_bytes(wav("s1-72"))
    watcher.service.wait_catalogued([path], SOON_S)


def test_files_in_fresh_directories(watcher: Watcher) -> None:
    """S1-73: of 500 files that are copied into directories made the moment before, none is missed."""
    place = watcher.place("music", "s1-73")
    script = 'for i in $(seq 1 "$2"); do mkdir -p "$1/$i/b/c" && cp "$3" "$1/$i/b/c/f.wav"; done'
    source = watcher.base.parent / "s1-73.wav"
    source.write_bytes(wav("copied"))
    subprocess.run(["sh", "-c", script, "sh", str(place), str(TIGHT_LOOP), str(source)], check=True)
    watcher.service.wait_catalogued([place / str(n) / "b" / "c" / "f.wav" for n in range(1, TIGHT_LOOP + 1)], 60)


def test_watches_of_removed_directories(watcher: Watcher) -> None:
    """S1-74: the number of watches drops when directories are removed."""
    place = watcher.place("staging", "s1-74")

    def watches() -> int:
        return int(watcher.sluice.root(watcher.base / "staging")["watches"])

    before = watches()
    for number in range(20):
        (place / f"d{number}").mkdir()
    watcher.service.wait(lambda: watches() >= before + 20, "20 watches more", SOON_S)
    shutil.rmtree(place)
    watcher.service.wait(lambda: watches() <= before, "the watches are gone", SOON_S)


def test_one_bad_root(watcher: Watcher) -> None:
    """S1-77: a root that does not exist is offline and said to be.

    The others work, and it joins when it appears.
    """
    missing = watcher.sluice.root(watcher.base / "gone")
    assert missing["state"] == "offline"
    assert missing["reason"]
    assert watcher.sluice.root(watcher.base / "music")["state"] == "online"
    (watcher.base / "gone").mkdir()
    (watcher.base / "gone" / "song.wav").write_bytes(wav("it appeared"))
    watcher.service.wait_catalogued([watcher.base / "gone" / "song.wav"], 30)


def test_membership_is_by_whole_names(watcher: Watcher) -> None:
    """S1-78: `staging2` does not belong to `staging`, and `%` and `_` in a path stand for themselves."""
    paths = [watcher.base / name / "song.wav" for name in ("staging", "staging2", "100%_done", "100x_done")]
    for path in paths:
        path.write_bytes(wav(path))
    rows = watcher.service.wait_catalogued(paths, SOON_S)
    assert [rows[str(path)]["library"] for path in paths] == [path.parent.name for path in paths]
    shutil.rmtree(watcher.base / "100%_done" / "none", ignore_errors=True)
    paths[2].unlink()
    deleted = [str(watcher.base / "100%_done" / "song.wav")]
    watcher.service.wait(
        lambda: [e["path"] for e in watcher.sluice.events("file.deleted") if "_done" in e["path"]] == deleted,
        "deleted",
        SOON_S,
    )
    assert str(paths[3]) in watcher.sluice.catalogued()


def test_no_way_up(tmp_path: Path) -> None:
    """S1-94: a folder that goes up with `..` is refused, and nothing of it is read."""
    with Sluice(tmp_path / "home", config={"libraries": {"one": {"path": f"{tmp_path}/../../etc"}}}) as sluice:
        refused = sluice.call("config", "check", code=78)
        assert "libraries.one.path" in refused.stdout + refused.stderr
        sluice.call("run", code=78)


def test_number_of_roots_is_limited(tmp_path: Path) -> None:
    """S1-95: more folders than the limit are refused with both numbers."""
    libraries = {f"l{number}": {"path": str(tmp_path / str(number))} for number in range(4)}
    with Sluice(tmp_path / "home", config={"libraries": libraries, "file_watch": {"max_roots": 3}}) as sluice:
        refused = sluice.call("config", "check", code=78)
        text = refused.stdout + refused.stderr
        assert "4" in text
        assert "file_watch.max_roots" in text


def test_gap_while_stopped(tmp_path: Path) -> None:
    """S1-109: what arrives, changes, moves and goes while nothing runs is processed after the start.

    Exactly once.
    """
    root = tmp_path / "music"
    root.mkdir()
    for name in ("kept", "changed", "moved", "deleted"):
        (root / f"{name}.wav").write_bytes(wav(name))
    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root)
        service.wait_catalogued(root.iterdir(), SOON_S)
        service.stop()
        before = sluice.events()
        (root / "new.wav").write_bytes(wav("new"))
        (root / "changed.wav").write_bytes(wav("changed while stopped", 3_000))
        (root / "below").mkdir()
        (root / "moved.wav").rename(root / "below" / "moved.wav")
        (root / "deleted.wav").unlink()
        service = sluice.start(root)
        until(lambda: len(sluice.events()) >= len(before) + 4, "four facts", SOON_S)
        service.stop()
        service = sluice.start(root)
        time.sleep(3)
        service.stop()
        facts = sorted((e["type"], os.path.relpath(e["path"], root)) for e in sluice.events()[len(before) :])
    assert facts == [
        ("file.created", "new.wav"),
        ("file.deleted", "deleted.wav"),
        ("file.modified", "changed.wav"),
        ("file.moved", "below/moved.wav"),
    ]
