"""Carry parts of a pass through the workers into the catalogue.

An event about a file that is under way in a chunk is newer than what the chunk found: the event wins.
A directory is sealed with its signature in the same transaction as the last of its files.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.rows import Outcome
from mediasluice.model.files import ChangeKey, Digests, FileState, Origin
from mediasluice.model.flow import IdentifiedFile, Sighting, What
from mediasluice.model.paths import is_inside
from mediasluice.pipeline.looking import evidence
from mediasluice.pipeline.outcomes import Code
from mediasluice.pipeline.recording import KINDS, identified
from mediasluice.pipeline.scans import Taking
from mediasluice.pipeline.workers import Lane
from mediasluice.pipeline.writer import now_us
from mediasluice.settle.decide import Wait, WaitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mediasluice.catalogue.rows import Verdict
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.outcomes import Look
    from mediasluice.pipeline.parts import Parts, Row
    from mediasluice.pipeline.recording import Recorder
    from mediasluice.pipeline.reuniting import Reunions
    from mediasluice.pipeline.scans import Chunk, OpenDirectory, Totals
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.workers import Answer


SETTLED_S = 10.0  # chosen: the longest that an event may take from the kernel through the queues to here


class Chunks:
    """The chunks that are under way; used on the intake thread, but for what the writer runs."""

    def __init__(self, parts: Parts, recorder: Recorder, mark_dirty: Callable[[Watched, bytes], None]) -> None:
        self._parts = parts
        self._recorder = recorder
        self._mark_dirty = mark_dirty
        self._open: dict[tuple[RootId, bytes], list[Chunk]] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, chunk: Chunk) -> None:
        """Send a chunk to the workers."""
        groups = []
        for here, looks in chunk.groups:
            self._open.setdefault((chunk.root.id, here.directory), []).append(chunk)
            groups.append((here.directory, here.has_held, [tuple(look) for look in looks]))
        self._parts.workers.submit(Lane.BULK, chunk, "look", (tuple(chunk.root.spec), False, groups), chunk.root.id)

    def take(self, chunk: Chunk, directories: list[bytes], number: int) -> None:
        """Have new directories listed and read in one job; they are under way from now on."""
        for directory in directories:
            self._open.setdefault((chunk.root.id, directory), []).append(chunk)
        payload = (tuple(chunk.root.spec), number, directories)
        self._parts.workers.submit(Lane.BULK, Taking(chunk, directories), "take", payload, chunk.root.id)

    def taken(self, token: Taking, answer: Answer) -> None:
        """Record what was read together with its directory."""
        chunk = token.chunk
        chunk.places = token.wanted
        root, scan, tracker = chunk.root, chunk.scan, self._parts.tracker
        if answer.value is None:
            scan.not_taken(chunk, token.wanted)
            self._end(chunk)
            return
        origin = Origin.BASELINE if root.baseline else scan.origin
        files: list[IdentifiedFile] = []
        make, key_of, digests_of, number = IdentifiedFile._make, ChangeKey._make, Digests._make, root.id
        for here, read in scan.taken(chunk, answer.value):
            directory = here.directory
            if len(tracker):
                there = [found for found in read if not tracker.holds(number, directory, found[0])]
                here.clean = here.clean and len(there) == len(
                    read
                )  # of the others an event told: their looks are to come
                read = there  # noqa: PLW2901 - what is left of it
            files += [
                make(
                    (
                        number, directory, name, key_of(key), links, origin, False, KINDS[kind],
                        xxh128, digests_of((blake3, xxh128, None, None, None)), None, None, birth_ns,
                    )
                )
                for name, key, links, kind, blake3, xxh128, birth_ns in read
            ]  # fmt: skip
        self._write(chunk, files)

    def touch(self, sighting: Sighting) -> None:
        """Something was sighted: what chunks found of it is old."""
        root, what = sighting.root, sighting.what
        if what in (What.DIRECTORY_MOVED, What.DIRECTORY_DEPARTED, What.ROOT_LOST):
            start = sighting.old_directory or b"" if what is What.DIRECTORY_MOVED else sighting.directory
            for (owner, place), chunks in self._open.items():
                if owner == root and is_inside(place, start):
                    for chunk in chunks:
                        chunk.void = True
            return
        self._touch_name(root, sighting.directory, sighting.name)
        if sighting.old_directory is not None and sighting.old_name is not None:
            self._touch_name(root, sighting.old_directory, sighting.old_name)

    def void(self, root: Watched) -> None:
        """A root is out of reach: nothing that is under way of it counts."""
        for (owner, _), chunks in self._open.items():
            if owner == root.id:
                for chunk in chunks:
                    chunk.void = True

    def _touch_name(self, root: RootId, directory: bytes, name: bytes) -> None:
        for chunk in self._open.get((root, directory), ()):
            chunk.touched.add((directory, name))

    def answered(self, chunk: Chunk, answer: Answer) -> None:
        """Act on what the workers found in a chunk."""
        if answer.value is None:
            self._look_one_by_one(chunk)
            return
        files: list[IdentifiedFile] = []
        rows: list[Row] = []
        outcomes = iter(answer.value)
        root = chunk.root
        origin = Origin.BASELINE if root.baseline else chunk.scan.origin
        for here, looks in chunk.groups:
            for look in looks:
                outcome = next(outcomes)
                if outcome[0] == Code.READY:
                    files.append(identified(root.id, here.directory, look.name, origin, outcome))
                    if outcome[1] != look.last_key:
                        here.clean = False
                elif not chunk.void and (here.directory, look.name) not in chunk.touched:
                    row = self._unread(chunk, here, look, outcome)
                    if row is not None:
                        rows.append(row)
                else:
                    here.clean = False
        if rows:
            self._recorder.note(root, rows, is_awaited=False)
        self._write(chunk, files)

    def _write(self, chunk: Chunk, files: list[IdentifiedFile]) -> None:
        """Hand the files to the writer in small parts, so that an arrival passes between two of them."""
        at_us = now_us()
        size = self._parts.writer.portion
        parts = [files[begin : begin + size] for begin in range(0, len(files), size)] or [[]]
        for part in parts[:-1]:
            self._parts.writer.bulk(
                partial(_record, reunions=self._parts.reunions, chunk=chunk, files=part, at_us=at_us),
                lambda result: self._parts.post(lambda: self._recorded(chunk, *result)),
            )
        self._parts.writer.bulk(
            partial(_finish, reunions=self._parts.reunions, chunk=chunk, files=parts[-1], at_us=at_us),
            lambda result: self._parts.post(lambda: self._finished(chunk, *result)),
        )

    def _unread(self, chunk: Chunk, here: OpenDirectory, look: Look, outcome: tuple[Any, ...]) -> Row | None:
        """A file that was not read: give it a row, and keep its directory open where another look may change that."""
        code, root, totals = outcome[0], chunk.root, chunk.scan.totals
        if code == Code.SKIP:
            totals.skipped += 1
            return (here.directory, look.name, ChangeKey(*outcome[2]), outcome[3], FileState.SKIPPED, outcome[1])
        here.clean = False
        if code == Code.WAIT:
            return self._wait(chunk, here, look, outcome)
        if code == Code.UNREADABLE:
            totals.errors += 1
            root.unreadable.add(here.directory)
            key = ChangeKey(*(outcome[2] or look.last_key or (0, 0, 0, 0)))
            return (here.directory, look.name, key, outcome[3], FileState.UNREADABLE, outcome[1])
        return None

    def _wait(self, chunk: Chunk, here: OpenDirectory, look: Look, outcome: tuple[Any, ...]) -> Row:
        _, reason, need_s, raw, detail = outcome
        key, links, root = ChangeKey(*raw[:4]), raw[4], chunk.root
        if reason == WaitReason.EMPTY.value:
            chunk.scan.totals.empty += 1
            return (here.directory, look.name, key, links, FileState.EMPTY, "no bytes yet")
        wait = Wait(WaitReason(reason), need_s)
        is_known = self._parts.tracker.holds(root.id, here.directory, look.name)
        if self._parts.tracker.add_listed(
            root.id, here.directory, look.name, key, evidence(raw), wait, time.monotonic()
        ):
            place = (root.id, here.directory, look.name)
            chunk.scan.waiting.add(place)
            if not is_known:  # else an event told of it: it was not there before
                self._parts.origins[place] = chunk.scan.origin if root.has_baseline else Origin.BASELINE
        else:
            self._mark_dirty(root, here.directory)
        note = reason if detail is None else f"{reason}: {detail}"
        return (here.directory, look.name, key, links, FileState.SETTLING, note)

    def _look_one_by_one(self, chunk: Chunk) -> None:
        """A worker died on a chunk: its files go through the tracker, which finds out which one it was."""
        now_s = time.monotonic()
        for here, looks in chunk.groups:
            here.clean = False
            here.remaining -= len(looks)
            for look in () if chunk.void else looks:
                if self._parts.tracker.sight(Sighting(chunk.root.id, here.directory, look.name, What.LISTED, now_s)):
                    chunk.scan.waiting.add((chunk.root.id, here.directory, look.name))
                else:
                    self._mark_dirty(chunk.root, here.directory)
        self._end(chunk)

    def _recorded(self, chunk: Chunk, files: Sequence[IdentifiedFile], verdicts: Sequence[Verdict]) -> None:
        count(chunk.scan.totals, verdicts)
        if not chunk.root.baseline:
            self._recorder.tell(chunk.root, files, verdicts)
            before_ns = time.time_ns() - int(SETTLED_S * 1e9)  # one that changed later may have an event on its way
            news = sum(
                verdict.outcome in (Outcome.CREATED, Outcome.MODIFIED) and file.key.ctime_ns < before_ns
                for file, verdict in zip(files, verdicts, strict=True)
            )
            chunk.scan.missed[chunk.root.id] = chunk.scan.missed.get(chunk.root.id, 0) + news

    def _finished(self, chunk: Chunk, files: Sequence[IdentifiedFile], verdicts: Sequence[Verdict]) -> None:
        self._recorded(chunk, files, verdicts)
        self._end(chunk)

    def _end(self, chunk: Chunk) -> None:
        for directory in chunk.places or [here.directory for here, _ in chunk.groups]:
            place = (chunk.root.id, directory)
            left = [other for other in self._open.get(place, ()) if other is not chunk]
            if left:
                self._open[place] = left
            else:
                self._open.pop(place, None)
            if chunk.void:  # not all of its directories were meant: those that are where they were are looked at again
                self._mark_dirty(chunk.root, directory)
        chunk.scan.chunk_done(chunk)


def _record(
    catalogue: Catalogue, reunions: Reunions, chunk: Chunk, files: list[IdentifiedFile], at_us: int
) -> tuple[list[IdentifiedFile], list[Verdict]]:
    """Runs on the writer: leave out what an event touched meanwhile."""
    if chunk.void:
        return [], []
    touched = chunk.touched.copy()  # the intake thread may add to it at any moment
    kept = [file for file in files if (file.directory, file.name) not in touched] if touched else files
    verdicts = reunions.record(catalogue, chunk.root, kept, at_us) if kept else []
    late = [file for file, verdict in zip(kept, verdicts, strict=True) if verdict is None]
    if late:
        chunk.touched.update((file.directory, file.name) for file in late)
        kept = [file for file, verdict in zip(kept, verdicts, strict=True) if verdict is not None]
    return kept, [verdict for verdict in verdicts if verdict is not None]


def _finish(
    catalogue: Catalogue, reunions: Reunions, chunk: Chunk, files: list[IdentifiedFile], at_us: int
) -> tuple[list[IdentifiedFile], list[Verdict]]:
    """Runs on the writer: record the last files of a chunk and seal the directories that are complete."""
    result = _record(catalogue, reunions, chunk, files, at_us)
    places = {directory for directory, _ in chunk.touched.copy()}
    seals = []
    for here, looks in chunk.groups:
        here.clean = here.clean and not chunk.void and here.directory not in places
        if not chunk.counted:  # a full disk makes the writer run this again
            here.remaining -= len(looks)
        if not here.remaining and here.clean:
            seals.append((here.directory, here.signature, here.mtime_ns))
    chunk.counted = True
    if seals:
        catalogue.seal(chunk.root.id, seals)
    return result


def count(totals: Totals, verdicts: Iterable[Verdict]) -> None:
    """Add verdicts to what a pass found."""
    for verdict in verdicts:
        outcome = verdict.outcome
        if outcome is Outcome.CREATED or outcome is Outcome.RESTORED:
            totals.new += 1
        elif outcome is Outcome.MODIFIED:
            totals.changed += 1
        elif outcome is Outcome.MOVED:
            totals.moved += 1
        else:
            totals.unchanged += 1
