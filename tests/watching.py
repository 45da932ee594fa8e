"""Drive a source as the pipeline does: woken, never asked in a loop, and put to rest at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic  # noqa: TID251 - what a source is driven by outside of the tests of its parts

from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.model.paths import join, split
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import InotifySource
from mediasluice.sources.names import NameRules
from mediasluice.sources.readers import BUFFERED, Readers
from mediasluice.sources.source import Source

ROOT = RootId(7)
QUIET_S = 0.4  # longer than a source waits for the second half of a rename


class Watching:
    """A source at work and everything that it said, in order."""

    def __init__(self, source: Source, wake: threading.Event) -> None:
        self.source = source
        self.sightings: list[Sighting] = []
        self._wake = wake

    def rest(self, quiet_s: float = QUIET_S) -> list[Sighting]:
        """What it says until it has been silent for so long."""
        first = len(self.sightings)
        self.drain()
        while self._wake.wait(quiet_s):
            self.drain()
        return self.sightings[first:]

    def until(self, seen: Callable[[Sighting], bool], limit_s: float = 20) -> list[Sighting]:
        """What it says up to the first sighting that matters; fails when that does not come."""
        first = len(self.sightings)
        end = monotonic() + limit_s
        self.drain()
        while not any(seen(sighting) for sighting in self.sightings[first:]):
            assert monotonic() < end, self.sightings[first:]
            self._wake.wait(0.05)
            self.drain()
        return self.sightings[first:]

    def drain(self) -> None:
        """Take what there is to say at this moment."""
        self._wake.clear()
        while batch := self.source.read():
            self.sightings += batch

    def told(self) -> Told:
        """The tree as one knows it who heard everything from the first sighting on."""
        told = Told()
        for sighting in self.sightings:
            told.hear(sighting)
        return told


class Told:
    """One directory and what was said of it: its files, its directories, and whether it has to be looked at anyway."""

    def __init__(self) -> None:
        self.files: set[bytes] = set()
        self.below: dict[bytes, Told] = {}
        self.dirty = False

    def hear(self, sighting: Sighting) -> None:
        """Change with what a sighting says."""
        match sighting.what:
            case What.DIRTY:
                self._at(sighting.directory).dirty = True
            case What.DIRECTORY_DEPARTED:
                self._take(sighting.directory)
            case What.DIRECTORY_MOVED:
                self._put(sighting.directory, self._take(sighting.old_directory or b""))
            case What.DEPARTED:
                self._at(sighting.directory).files.discard(sighting.name)
            case What.ROOT_LOST:
                pass
            case _:
                if sighting.old_name is not None:
                    self._at(sighting.old_directory or b"").files.discard(sighting.old_name)
                self._at(sighting.directory).files.add(sighting.name)

    def covers(self, directory: bytes, name: bytes) -> bool:
        """Whether a file is known, or lies in what has to be looked at anyway."""
        here = self
        for part in directory.split(b"/") if directory else []:
            if here.dirty:
                return True
            if part not in here.below:
                return False
            here = here.below[part]
        return here.dirty or name in here.files

    def missing(self, root: Path) -> list[tuple[bytes, bytes]]:
        """The files of a tree of which nothing was said."""
        return [file for file in files_below(root) if not self.covers(*file)]

    def _at(self, directory: bytes) -> Told:
        here = self
        for part in directory.split(b"/") if directory else []:
            here = here.below.setdefault(part, Told())
        return here

    def _take(self, directory: bytes) -> Told:
        above, name = split(directory)
        taken = self._at(above).below.pop(name, Told())
        # What is taken out of a directory that was not looked at yet has to be looked at where it goes.
        taken.dirty = taken.dirty or self.covers(directory, b"")
        return taken

    def _put(self, directory: bytes, subtree: Told) -> None:
        above, name = split(directory)
        self._at(above).below[name] = subtree


def brief(sightings: list[Sighting]) -> list[tuple[str, bytes, bytes]]:
    """What, where and where from, without times.

    A CREATED whose CLOSED follows is left out: whether both came in one read of the queue is a matter of luck.
    """
    told = [
        (
            sighting.what.name,
            join(sighting.directory, sighting.name) if sighting.name else sighting.directory,
            join(sighting.old_directory or b"", sighting.old_name)
            if sighting.old_name
            else sighting.old_directory or b"",
        )
        for sighting in sightings
    ]
    return [
        story
        for number, story in enumerate(told)
        if story[0] != "CREATED" or ("CLOSED", *story[1:]) not in told[number:]
    ]


def files_below(root: Path) -> list[tuple[bytes, bytes]]:
    """Every file of a tree as (directory, name)."""
    found = []
    for directory, _, names in os.walk(os.fsencode(root)):
        found += [(directory[len(os.fsencode(root)) + 1 :], name) for name in names]
    return found


@contextmanager
def watching(
    root: Path,
    *,
    rules: NameRules | None = None,
    budget: WatchBudget | None = None,
    attributes: bool = False,
    buffered: int = BUFFERED,
    start: bool = True,
) -> Iterator[Watching]:
    """An inotify source on a tree."""
    path = os.fsencode(root)
    wake = threading.Event()
    readers = Readers(wake.set, monotonic, limit=buffered)
    source = InotifySource(
        ROOT,
        path,
        rules or NameRules(path),
        readers,
        budget or WatchBudget(),
        monotonic,
        attributes=attributes,
    )
    try:
        if start:
            source.start()
        yield Watching(source, wake)
    finally:
        source.close()
        readers.close()


def is_inside(directory: bytes, above: bytes) -> bool:
    """Whether a directory is another one or lies below it."""
    return not above or directory == above or directory.startswith(above + b"/")
