"""The values on the arrows of the pipeline, left to right, one frozen type per arrow.

    sources ──Sighting──> settle ──SettledFile──> identify ──IdentifiedFile──> catalogue

They are named tuples because a burst makes a hundred thousand of them. Paths are bytes: ``directory``
is relative to the root without slashes at its ends (``b""`` is the root itself), ``name`` has no slash.
Times that end in ``_s`` are seconds of ``time.monotonic()``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, NewType

from mediasluice.model.files import ChangeKey, Digests, Kind, Origin

RootId = NewType("RootId", int)


class What(IntEnum):
    """What a source saw of a path. Integers: they cross process borders by the thousand."""

    CREATED = 1  # a name appeared and nothing more is known (also a hard link or a linked O_TMPFILE)
    CLOSED = 2  # a writer closed it
    RENAMED_IN = 3  # renamed into place from outside what is watched
    MOVED = 4  # renamed inside the root; carries the old directory and name
    LISTED = 5  # found by listing a directory, no event of its own
    DEPARTED = 6  # unlinked, or renamed to where nobody watches
    ATTRIBUTES = 7  # owner, mode or times changed (only where a library asks for it)
    DIRECTORY_MOVED = 8  # a directory was renamed inside the root: old -> new
    DIRECTORY_DEPARTED = 9  # a directory with all below it left the root
    DIRTY = 10  # events of this directory and below were lost: compare it with the catalogue
    ROOT_LOST = 11  # the root itself was renamed, removed or unmounted


class Sighting(NamedTuple):
    """``sources`` -> ``settle``: something about this path changed.

    For the ``DIRECTORY_*`` and ``DIRTY`` kinds ``directory`` is the directory itself and ``name`` is empty.
    ``old_directory``/``old_name`` are set for ``MOVED`` and (directory only) ``DIRECTORY_MOVED``.
    """

    root: RootId
    directory: bytes
    name: bytes
    what: What
    at_s: float
    old_directory: bytes | None = None
    old_name: bytes | None = None


class SettledFile(NamedTuple):
    """``settle`` -> ``identify``: proven complete as far as it can be proven, at exactly this key."""

    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
    links: int
    origin: Origin
    strong: bool  # proven by rename, format or writer count; False = only by a quiet period


class IdentifiedFile(NamedTuple):
    """``identify`` -> ``catalogue``: read once from the first to the last byte, unchanged meanwhile.

    ``digests`` is ``None`` only where the full pass waits for the off-peak window; ``quick`` is then set.
    ``old_directory``/``old_name``: where the same file was before, when a source saw the rename. ``birth_ns``: when it
    came into being, where inodes are stable and the file system says so; ``None``: not known.
    """

    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
    links: int
    origin: Origin
    strong: bool
    kind: Kind
    quick: bytes  # 16 bytes, see identify/digests.py
    digests: Digests | None
    old_directory: bytes | None = None
    old_name: bytes | None = None
    birth_ns: int | None = None
