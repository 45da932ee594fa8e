"""Say of files that may belong together which do, and when each was made.

Takes rows of the catalogue, gives rows for it; looks at nothing else. What a sidecar says counts for the file that it
follows, and who has no date of its own has that of the picture that it belongs to. Who waits to be read is left out:
nothing is known of it, and what it gave before was another content.
Fails with: nothing; a mistake of ours costs the files of one home their groups and their dates, and is told.
"""

from __future__ import annotations

import time
import traceback
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.catalogue.readings import Tie, Timed
from mediasluice.identify import grouping
from mediasluice.identify.capture import Evidence, Rules, capture
from mediasluice.identify.grouping import Group, Member, Role, grouped
from mediasluice.identify.reading import is_read
from mediasluice.model.files import Kind
from mediasluice.model.media import MEDIA_KINDS, DateSource, Reading, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from mediasluice.catalogue.readings import Relative
    from mediasluice.model.media import Capture

# Who was made at the same moment as the master of its group. The tracks of an album were not.
_OF_ONE_MOMENT = frozenset({Role.MOTION, Role.RENDERED, Role.RAW, Role.EDITED, Role.MEMO, Role.PROXY, Role.THUMBNAIL})
# What a file says itself of its time; a name or a file system only lets guess it.
_OWN = frozenset(tuple(DateSource)[: tuple(DateSource).index(DateSource.TAKEOUT)])
_NOTHING = Reading("")


class Related(NamedTuple):
    """What is to be kept of some files."""

    ties: list[Tie]  # those that changed
    timed: list[Timed]  # likewise
    troubles: list[str]  # traces of what should not happen


class _One(NamedTuple):
    """A relative with what stands inside it."""

    row: Relative
    reading: Reading


class Relater:
    """The rule, with what holds for all libraries."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone

    def relate(self, relatives: Sequence[Relative]) -> Related:
        """Group the files of each home, and work out their capture times."""
        rules = Rules(time.time_ns(), self._zone)
        related = Related([], [], [])
        readable = [row for row in relatives if row.found is not None or not is_read(row.kind, row.name)]
        for _, found in groupby(sorted(readable, key=_home), key=_home):
            rows = list(found)
            try:
                ties, timed = _of_home(rows, rules)
            except Exception:  # noqa: BLE001 - it would meet us again with each start
                related.troubles.append(traceback.format_exc())
                ties, timed = _apart(rows, rules)
            related.ties.extend(tie for tie, row in zip(ties, rows, strict=True) if tie != _tie_of(row))
            known = {row.file: row.timed for row in rows}
            related.timed.extend(one for one in timed if one != known[one.file])
        return related


def _of_home(rows: Sequence[Relative], rules: Rules) -> tuple[list[Tie], list[Timed]]:
    """Where each of these files belongs, and when the media among them were made."""
    known = {row.file: _One(row, _NOTHING if row.found is None else from_json(row.found)) for row in rows}
    own = {file: capture(_evidence(one), rules) for file, one in known.items() if one.row.kind in MEDIA_KINDS}
    groups = grouped(_member(one, own.get(file)) for file, one in known.items())
    return _ties(known, groups), _timed(known, own, groups, rules)


def _apart(rows: Sequence[Relative], rules: Rules) -> tuple[list[Tie], list[Timed]]:
    """The same where that cannot be worked out: nobody belongs to anybody, and the file system says the time."""
    media = [row for row in rows if row.kind in MEDIA_KINDS]
    timed = [
        Timed(row.file, row.version, capture(Evidence(kind=row.kind, mtime_ns=row.mtime_ns), rules)) for row in media
    ]
    return [_alone(row.file) for row in rows], timed


def member(file: int, name: bytes, kind: Kind, below: bytes, found: str | None) -> Member:
    """A file as its keys are made, before its time is worked out."""
    reading = _NOTHING if found is None else from_json(found)
    taken = next((claim.text for claim in reading.dates if claim.source in _OWN), None)
    return Member(file, name, kind, reading.pair, taken, reading.media.duration, below)


def _home(row: Relative) -> tuple[int, int, int]:
    return row.root, row.home, row.file if row.is_alone else 0


def _evidence(one: _One, beside: Sequence[Reading] = (), sibling: Capture | None = None) -> Evidence:
    """What speaks of the date of a file; ``beside``: what its sidecars say."""
    row, reading = one
    return Evidence(
        claims=(*reading.dates, *(claim for sidecar in beside for claim in sidecar.dates)),
        sibling=sibling,
        name=row.name,
        own_name=row.is_ours,
        kind=row.kind,
        container=reading.media.container,
        make=reading.camera.make,
        gps=next((one.gps for one in (reading, *beside) if one.gps is not None), None),
        mtime_ns=row.mtime_ns,
    )


def _member(one: _One, own: Capture | None) -> Member:
    row, reading = one
    taken = own.local if own is not None and own.source in _OWN else None
    below = grouping.home(row.directory)[1]
    return Member(row.file, row.name, row.kind, reading.pair, taken, reading.media.duration, below)


def _ties(known: Mapping[int, _One], groups: Sequence[Group]) -> list[Tie]:
    """The place of each."""
    places = {
        file: Tie(file, group.primary, role.value, group.follows.get(file))
        for group in groups
        for file, role in group.roles.items()
    }
    return [places.get(file) or _alone(file) for file in known]


def _alone(file: int) -> Tie:
    return Tie(file, None, None, None)


def _tie_of(row: Relative) -> Tie:
    return Tie(row.file, row.master, row.role, row.follows)


def _timed(known: Mapping[int, _One], own: Mapping[int, Capture], groups: Sequence[Group], rules: Rules) -> list[Timed]:
    times = dict(own)
    for group in groups:
        beside: dict[int, list[Reading]] = {}  # sidecars, by the file that they follow
        for file, master in group.follows.items():
            if group.roles[file] is Role.SIDECAR:
                beside.setdefault(master, []).append(known[file].reading)
        for file in group.roles:  # the master comes first
            if file not in own:
                continue
            is_of_one = group.roles[file] in _OF_ONE_MOMENT
            sibling = times.get(group.primary) if is_of_one else None
            if sibling is not None or file in beside:
                times[file] = capture(_evidence(known[file], beside.get(file, ()), sibling), rules)
    return [Timed(file, known[file].row.version, found) for file, found in times.items()]
