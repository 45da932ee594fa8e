"""Say where a file goes of which something is to be done: its path at the target, or below the processed directory.

Takes what is due and the root with its rules; gives absolute paths as bytes, reserved until they are released. Who
belongs to a group that has a place goes beside it. The parts of a disc keep their names and their order of folders in a
directory that is the disc's own: the one where others of its parts are, the one that was tried before, or a fresh one.
Fails with: ``OSError`` of the target's file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.actions.naming import Fields, folded, numbered, stamped
from mediasluice.actions.targets import Names, Target, Wanted, aside
from mediasluice.catalogue.items import FOLLOW, PROCESSED
from mediasluice.catalogue.journal import Beside
from mediasluice.identify.external import merged
from mediasluice.identify.grouping import FOLDER, Member, Role, beside, home, keys
from mediasluice.model.files import Kind
from mediasluice.model.imports import SHOT_ROLES, Judgement, Undated
from mediasluice.model.media import Confidence, from_json
from mediasluice.model.paths import join

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediasluice.catalogue.journal import Due
    from mediasluice.model.flow import RootId
    from mediasluice.model.imports import ImportRules
    from mediasluice.pipeline.watched import Watched

TOOK_ANOTHER = "the name beside the file that it belongs to was taken"
LIES_ELSEWHERE = "the file that it belongs to lies outside its target"
TOO_LONG = "no file system takes the name that it would have beside the file that it belongs to"
OURS = b".sluice-"  # what is half carries such a name

_SHOT_KINDS = (Kind.IMAGE, Kind.VIDEO)  # of files that others may come to be beside
_OF_FOLDERS = frozenset({Role.COVER, Role.ART, Role.DOCUMENT})  # they keep their names


class Importing(NamedTuple):
    """An importing root, with what its rules were compiled to."""

    watched: Watched
    rules: ImportRules
    target: Target
    needs_date: bool  # its template does
    needs_tags: bool


@dataclass(slots=True)
class Places:
    """The paths that were chosen and are not taken yet."""

    names: Names = field(default_factory=Names)
    _discs: dict[tuple[RootId, bytes, bytes], bytes] = field(default_factory=dict)  # (root, home, top): directory
    _taken: set[bytes] = field(default_factory=set)  # of these directories, as people compare names

    def begin(self, under_way: Iterable[tuple[Due, bytes]] = ()) -> None:
        """A new batch: the directories of the last one hold parts by now, or the journal knows them.

        ``under_way``: what an earlier one left open, with the paths where that may be one day.
        """
        self._discs.clear()
        self._taken.clear()
        for due, path in under_way:
            if is_part(due.directory, due.name):
                part = Beside(due.name, path, due.directory)
                self._taken.update(map(folded, _discs_of([part], home(due.directory)[0], b"/")))

    def wanted(self, root: Importing, due: Due) -> Wanted:
        """What an import target has to know of a file."""
        is_undated = root.rules.undated is Undated.FOLDER and is_weak(due)
        fields = Fields(due.name, due.directory, taken(due), due.kind, root.watched.library, due.owner, is_undated)
        if due.found is not None and root.needs_tags:
            inside = merged(from_json(due.found), due.told)
            fields = replace(fields, tags=inside.tags, camera=inside.camera)
        top, at = root.rules.target, None
        if top is not None and "{directory}" not in root.rules.template:  # that keeps a disc whole by itself
            at = self._in_disc(due, top)
        if at is None and due.beside is not None and top is not None and lies_in(due.beside.path, top):
            at = place_beside(due)
        source = join_root(root.watched.path, due)
        return Wanted(source, due.key.size, due.blake3, fields, at, at is None and due.kind in _SHOT_KINDS)

    def aside(self, root: Importing, due: Due) -> bytes:
        """Reserve a path below the processed directory, beside others of the group if they lie there."""
        assert root.rules.processed is not None
        top = processed_top(root.rules.processed, due)
        at, is_apart = self._in_disc(due, top), False
        if at is None and due.beside is not None and lies_in(due.beside.path, top):
            at = place_beside(due)
        elif at is None:
            at, is_apart = top + b"/" + due.name, due.kind in _SHOT_KINDS
        directory, _, name = at.rpartition(b"/")
        return aside(directory, name, self.names, datetime.now(), is_apart=is_apart)  # noqa: DTZ005 - local

    def earlier(self, path: bytes) -> bytes:
        """Reserve a name for an earlier version of what is at a path: with the time in it."""
        directory, _, name = path.rpartition(b"/")
        wish = stamped(name, datetime.now())  # noqa: DTZ005 - names are for people
        return self.names.free(directory + b"/" + wish, numbered)

    # -- discs ------------------------------------------------------------------------------------

    def _in_disc(self, due: Due, top: bytes) -> bytes | None:
        """The path of a part of a disc, below a directory that is the disc's own; ``None``: it is none."""
        if not is_part(due.directory, due.name):
            return None
        above, inside = home(due.directory)
        key = due.root, above, top
        disc = self._discs.get(key)
        if disc is None:
            disc = self._disc(due, above, top)
            self._discs[key] = disc
            self._taken.add(folded(disc))
        return disc + b"/" + join(inside, due.name)

    def _disc(self, due: Due, above: bytes, top: bytes) -> bytes:
        """Choose the directory of a disc."""
        for disc in _discs_of(due.parts, above, top):
            return disc
        for disc in _discs_of(due.tried, above, top):
            if folded(disc) not in self._taken and not _holds_files(disc):
                return disc  # a retry that chose another one each time would leave an empty directory each time
        name, number = above.rpartition(b"/")[2] or b"disc", 1
        disc = top.rstrip(b"/") + b"/" + name
        while folded(disc) in self._taken or os.path.lexists(disc):  # strangers may be in it
            number += 1
            disc = top.rstrip(b"/") + b"/" + numbered(name, number)
        return disc


def _discs_of(parts: Iterable[Beside], above: bytes, top: bytes) -> Iterator[bytes]:
    """The directories below ``top`` where these parts of a disc have, or should have had, their order of folders."""
    for part in parts:
        whole = join(part.directory, part.name)
        end = b"/" + (whole[len(above) + 1 :] if above else whole)
        if part.path.endswith(end) and lies_in(part.path, top):
            yield part.path[: -len(end)]


def _holds_files(directory: bytes) -> bool:
    """Whether there is anything but empty directories, and what is half."""
    if os.path.islink(directory) or not os.path.isdir(directory):
        return os.path.lexists(directory)
    for below, directories, files in os.walk(directory, onerror=_refuse):
        if any(not name.startswith(OURS) for name in files):
            return True
        if any(os.path.islink(os.path.join(below, name)) for name in directories):
            return True
    return False


def _refuse(error: OSError) -> None:
    raise error


def is_part(directory: bytes, name: bytes) -> bool:
    """Whether a file is a part of a disc, by its folder or its name."""
    return keys(Member(0, name, Kind.OTHER, directory=home(directory)[1])) == (FOLDER,)


# -- groups -------------------------------------------------------------------------------------


def place_beside(due: Due) -> bytes:
    """Where a file belongs by the one of its group that is at its place."""
    assert due.beside is not None
    assert due.role is not None
    directory, _, placed = due.beside.path.rpartition(b"/")
    name = beside(due.name, Role(due.role), due.beside.name, placed)
    if is_part(due.beside.directory, due.beside.name):  # the cover of a disc is not one of its parts
        above, inside = home(due.directory)
        if home(due.beside.directory)[0] == above:
            for disc in _discs_of([due.beside], above, b"/"):
                return disc + b"/" + join(inside, name)
    return directory + b"/" + name


def misplaced(due: Due, path: bytes) -> str | None:
    """Why a file is not where it belongs by its group; ``None``: it is, or it has none."""
    if due.beside is None:
        return None
    wish = place_beside(due)
    if directory_of(path) != directory_of(wish):
        return LIES_ELSEWHERE
    if path != wish:
        return TOOK_ANOTHER
    is_renamed = due.beside.path.rpartition(b"/")[2] != due.beside.name
    keeps_name = is_renamed and due.role not in _OF_FOLDERS and wish.rpartition(b"/")[2] == due.name
    return TOO_LONG if keeps_name else None


def goes_aside(due: Due) -> bool:
    """Whether a file is to be set aside; a companion is with the copy that it belongs to."""
    return due.todo == PROCESSED or (due.todo == FOLLOW and due.master is Judgement.DUPLICATE)


def processed_top(processed: bytes, due: Due) -> bytes:
    """Below which directory a file is set aside."""
    is_copy = Judgement.DUPLICATE in (due.judgement, due.master if due.role not in SHOT_ROLES else None)
    return processed + (b"/duplicates" if is_copy else b"/imported")


# -- what is known of one file --------------------------------------------------------------------


def taken(due: Due) -> datetime:
    """When a file was made, as the clock on the wall said; what is no media has the time of its file."""
    if due.capture is None:
        return datetime.fromtimestamp(_sane(due.key.mtime_ns))  # noqa: DTZ006 - a wall clock
    return datetime.fromisoformat(due.capture.local)


def is_weak(due: Due) -> bool:
    """Whether only the file system says when a file was made."""
    return due.capture is None or due.capture.confidence is Confidence.WEAK


def _sane(time_ns: int) -> float:
    """A file time that a calendar has, in seconds."""
    return min(max(time_ns / 1e9, -62_000_000_000.0), 253_000_000_000.0)


# -- paths ----------------------------------------------------------------------------------------


def join_root(root: bytes, due: Due) -> bytes:
    """The absolute path of what is due."""
    return root.rstrip(b"/") + b"/" + join(due.directory, due.name)


def directory_of(path: bytes) -> bytes:
    """The directory of an absolute path."""
    return path.rpartition(b"/")[0] or b"/"


def lies_in(path: bytes, directory: bytes) -> bool:
    """Whether an absolute path lies below a directory."""
    return path.startswith(directory.rstrip(b"/") + b"/")
