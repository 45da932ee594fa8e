"""Where imported files go: the import targets, and the choice of a name that nobody has.

A target is asked for the place of a file before the journal is written, and whether it holds a content before
anything is tried again. Takes what is due and the rules of its library; gives absolute paths as bytes.
Fails with: ``OSError`` of the target's file system.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from mediasluice.actions.copying import digest_of
from mediasluice.actions.naming import Fields, Template, folded, numbered, stamped

NAMES_KEPT = 200_000  # names of target directories in memory, chosen: about 30 MB


class Wanted(NamedTuple):
    """A file that is to be brought to a target."""

    path: bytes  # where it is, absolute
    size: int
    blake3: bytes
    fields: Fields
    at: bytes | None = None  # the path beside others of its group; the template says nothing then
    is_apart: bool = False  # others may go by its name: no stranger's name may look as if it were one of them


class Target(Protocol):
    """Where the items of a library have their bytes."""

    def place(self, wanted: Wanted) -> bytes | None:
        """A free path for the file, reserved for this process; ``None``: it stays where it is."""

    def held(self, wanted: Wanted) -> bytes | None:
        """Where the target holds this very content under the file's name already, compared byte for byte."""


class InPlace:
    """Items stay where their files are."""

    def place(self, wanted: Wanted) -> bytes | None:
        """Nowhere else."""
        del wanted
        return None

    def held(self, wanted: Wanted) -> bytes | None:
        """It is there."""
        return wanted.path


_UNDATED = Template.parse("undated/{directory}/{name}")


@dataclass(frozen=True, slots=True)
class Directory:
    """Items lie below a directory, by the template of their library."""

    path: bytes
    template: Template
    names: Names

    def place(self, wanted: Wanted) -> bytes | None:
        """By the template, with a number where another file has that name."""
        return self.names.free(self._wish(wanted), _counted, is_apart=wanted.is_apart)

    def held(self, wanted: Wanted) -> bytes | None:
        """Look at the one path that the template gives, or its group."""
        path = self._wish(wanted)
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if status.st_size != wanted.size or digest_of(path) != wanted.blake3:
            return None
        return path

    def _wish(self, wanted: Wanted) -> bytes:
        if wanted.at is not None:
            return wanted.at
        is_undated = wanted.fields.is_undated and self.template.needs_date
        template = _UNDATED if is_undated else self.template
        return self.path.rstrip(b"/") + b"/" + template.path(wanted.fields)


def aside(directory: bytes, name: bytes, names: Names, now: datetime, *, is_apart: bool = False) -> bytes:
    """A free path for a file that is dealt with; where the name is taken, with the time in it."""

    def next_name(wish: bytes, number: int) -> bytes:
        return stamped(wish, now) if number == 2 else numbered(stamped(wish, now), number - 1)

    return names.free(directory.rstrip(b"/") + b"/" + name, next_name, is_apart=is_apart)


def _counted(wish: bytes, number: int) -> bytes:
    return numbered(wish, number)


@dataclass(slots=True)
class Names:
    """The names in target directories, as people compare them: some file systems take ``A`` and ``a`` for one name.

    What another program puts there meanwhile is found out by the file system; :meth:`forget` then.
    """

    _known: dict[bytes, tuple[int, set[bytes]]] = field(default_factory=dict)  # directory: (mtime_ns, names)
    _current: dict[bytes, set[bytes]] = field(default_factory=dict)  # compared since the last :meth:`settle`
    _stems: dict[bytes, Counter[bytes]] = field(default_factory=dict)  # of directories that somebody asked about
    _count: int = 0

    def free(self, wish: bytes, other: Callable[[bytes, int], bytes], *, is_apart: bool = False) -> bytes:
        """Reserve a path that nobody has: the one wished for, else ``other(name, 2)``, ``other(name, 3)`` ...

        ``is_apart``: one that differs from others by more than an extension: no ``IMG_1.HEIC`` beside an ``IMG_1.MOV``.
        """
        directory, name = os.path.split(wish)
        names = self._names(directory)
        chosen, number = name, 1
        stems = self._stems_in(directory, names) if is_apart else Counter()
        while folded(chosen) in names or stems[_stem(folded(chosen))]:
            number += 1
            chosen = other(name, number)
        self._add(directory, names, folded(chosen))
        return directory + b"/" + chosen

    def _add(self, directory: bytes, names: set[bytes], name: bytes) -> None:
        names.add(name)
        self._count += 1
        if directory in self._stems:
            self._stems[directory][_stem(name)] += 1

    def _stems_in(self, directory: bytes, names: set[bytes]) -> Counter[bytes]:
        if directory not in self._stems:
            self._stems[directory] = Counter(map(_stem, names))
        return self._stems[directory]

    def settle(self, directories: Iterable[bytes]) -> None:
        """These directories changed by what was reserved, and are known as they are now."""
        self._current.clear()
        for directory in set(directories):
            known = self._known.get(directory)
            if known is not None:
                try:
                    self._known[directory] = (_mtime_ns(directory), known[1])
                except OSError:  # out of reach: read again by who asks next, and hears why
                    self.forget(directory)

    def release(self, path: bytes) -> None:
        """Nothing came of a reservation: the name is free again."""
        directory, name = os.path.split(path)
        known = self._known.get(directory)
        if known is not None and folded(name) in known[1]:
            known[1].remove(folded(name))
            self._count -= 1
            if directory in self._stems:
                self._stems[directory][_stem(folded(name))] -= 1

    def forget(self, directory: bytes) -> None:
        """Read a directory again: what is known of it is wrong."""
        self._current.pop(directory, None)
        self._stems.pop(directory, None)
        known = self._known.pop(directory, None)
        if known is not None:
            self._count -= len(known[1])

    def _names(self, directory: bytes) -> set[bytes]:
        current = self._current.get(directory)
        if current is not None:
            return current
        mtime_ns = _mtime_ns(directory)
        known = self._known.get(directory)
        if known is not None and known[0] == mtime_ns:
            self._current[directory] = known[1]
            return known[1]
        self.forget(directory)
        if self._count > NAMES_KEPT:
            self._known.clear()
            self._current.clear()
            self._stems.clear()
            self._count = 0
        names: set[bytes] = set()
        if mtime_ns:
            with os.scandir(directory) as entries:
                names = {folded(entry.name) for entry in entries}
        self._known[directory] = (mtime_ns, names)
        self._current[directory] = names
        self._count += len(names)
        return names


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0]


def _mtime_ns(directory: bytes) -> int:
    """When a directory changed last; 0 if it is not there yet."""
    try:
        return os.stat(directory).st_mtime_ns
    except FileNotFoundError:
        return 0
