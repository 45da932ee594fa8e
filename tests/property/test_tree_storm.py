"""Whatever happens to a tree, and however late its events are read: nothing in it goes unnoticed."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tempfile
import termios
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import InotifySource
from mediasluice.sources.kernel import HEADER
from mediasluice.sources.names import NameRules
from mediasluice.sources.readers import Inbox, Readers
from tests.watching import ROOT, Watching, files_below

NAMES = ["a", "b", "c", ".sluice-x"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
STEPS = st.one_of(
    st.tuples(st.just("mkdir"), PATHS, st.just("")),
    st.tuples(st.just("write"), PATHS, st.just("")),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("remove"), PATHS, st.just("")),
    st.tuples(st.just("out"), PATHS, st.just("")),
    st.tuples(st.just("in"), PATHS, st.just("")),
    st.tuples(st.just("read"), st.just(""), st.just("")),
    st.tuples(st.just("catch up"), st.just(""), st.just("")),
    st.tuples(st.just("wait"), st.just(""), st.just("")),
    st.tuples(st.just("lose"), st.just(""), st.just("")),
)
LIMIT = 1 << 20


class OneByOne(Inbox):
    """Hands out single events, as if the reader had come in between any two of them."""

    def put(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            length = HEADER.size + HEADER.unpack_from(chunk, at)[3]
            super().put(chunk[at : at + length])
            at += length


class Storm:
    """A tree, its source, and a clock that only moves when the story says so."""

    def __init__(self, base: Path) -> None:
        self.root, self.outside = base / "root", base / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.root / "a" / "b").mkdir(parents=True)
        self.now = 1_000.0
        self.count = 0
        path = os.fsencode(self.root)
        self.rules = NameRules(path)
        self.budget = WatchBudget()
        self.readers = Readers(lambda: None, lambda: self.now, limit=LIMIT)
        self.source = InotifySource(ROOT, path, self.rules, self.readers, self.budget, lambda: self.now)
        self.source.start()
        assert self.source._instance is not None
        inbox = OneByOne(LIMIT)
        self.source._inbox = self.readers._inboxes[self.source._instance.descriptor] = inbox
        self.watch = Watching(self.source, threading.Event())

    def step(self, action: str, path: str, other: str) -> None:
        place = self.root / path
        try:
            match action:
                case "mkdir":
                    place.mkdir(parents=True)
                case "write":
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(b"x")
                case "rename":
                    place.rename(self.root / other)
                case "remove":
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
                case "out":
                    self.count += 1
                    place.rename(self.outside / str(self.count))
                case "in":
                    self.arrive(place)
                case _:
                    self.meanwhile(action)
        except OSError:
            return  # the step makes no sense here

    def arrive(self, place: Path) -> None:
        """Something comes back from outside, or a new tree does."""
        known = sorted(self.outside.iterdir())
        if not known:
            known = [self.outside / "new"]
            (known[0] / "b" / "c").mkdir(parents=True)
            (known[0] / "b" / "f").write_bytes(b"")
        known[0].rename(place)

    def meanwhile(self, action: str) -> None:
        """What the process does while the tree changes."""
        if action == "read":
            self.watch.sightings += self.source.read()
        elif action == "catch up":
            self.catch_up()
        elif action == "wait":
            self.catch_up()
            self.now += 1
            self.catch_up()
        elif action == "lose":
            self.quiet()
            Inbox.put(self.source._inbox, b"\0" * (LIMIT + 1))

    def quiet(self) -> None:
        """Wait until the reader thread has emptied the kernel's queue."""
        pause = threading.Event()
        for _ in range(2):
            while self.waiting():
                pause.wait(0.001)
            pause.wait(0.004)  # longer than the reader takes its time in a burst

    def waiting(self) -> int:
        assert self.source._instance is not None
        answer = fcntl.ioctl(self.source._instance.descriptor, termios.FIONREAD, b"\0" * 4)
        return int(struct.unpack("i", answer)[0])

    def catch_up(self) -> None:
        self.quiet()
        while (batch := self.source.read()) or self.source._inbox or self.source._walks:
            self.watch.sightings += batch

    def directories(self) -> list[bytes]:
        found = []
        for directory, names, _ in os.walk(os.fsencode(self.root)):
            relative = directory[len(os.fsencode(self.root)) + 1 :]
            found.append(relative)
            names[:] = [
                name for name in names if self.rules.directory(relative + b"/" + name if relative else name) is None
            ]
        return found

    def close(self) -> None:
        self.source.close()
        self.readers.close()


@pytest.mark.timeout(1_800)  # the long profile has thousands of stories
@given(st.lists(STEPS, max_size=30))
def test_nothing_goes_unnoticed_in_a_storm(steps: list[tuple[str, str, str]]) -> None:
    """After any story every file is named or in a dirty directory, and every directory watched under its own path."""
    with tempfile.TemporaryDirectory() as base, pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediasluice.sources.inotify.CHUNK", 1)  # one event and one step of a walk per call of read()
        patch.setattr("mediasluice.sources.inotify.VISITS", 1)
        storm = Storm(Path(base))
        try:
            for action, path, other in steps:
                storm.step(action, path, other)
            storm.meanwhile("wait")
            places = set(storm.directories())
            told = storm.watch.told()
            for directory, name in files_below(storm.root):
                if directory in places and storm.rules.file(directory, name) is None:
                    assert told.covers(directory, name), (directory, name)
            assert storm.budget.used == len(places)
            storm.watch.sightings.clear()
            for directory in places:
                probe = os.path.join(os.fsencode(storm.root), directory, b"probe")
                os.close(os.open(probe, os.O_CREAT | os.O_WRONLY))
            for gone in storm.outside.iterdir():
                if gone.is_dir():
                    (gone / "phantom").write_bytes(b"")
            storm.catch_up()
            said = {(sighting.directory, sighting.name) for sighting in storm.watch.sightings}
            assert said == {(directory, b"probe") for directory in places}
        finally:
            storm.close()
