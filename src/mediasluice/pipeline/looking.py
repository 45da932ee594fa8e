"""Look at candidates when their time has come, and act on what the workers found.

Takes due candidates from the tracker; sends them in small jobs to the express lane; gives settled files
to the recorder and the others back to the tracker.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mediasluice.model.files import ChangeKey, FileState, Origin
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.model.roots import RootState, WatchMode
from mediasluice.pipeline.outcomes import Code, Look
from mediasluice.pipeline.recording import identified
from mediasluice.pipeline.workers import Lane
from mediasluice.pipeline.writer import now_us
from mediasluice.settle.decide import Wait, WaitReason
from mediasluice.settle.formats import Format
from mediasluice.settle.names import held_by
from mediasluice.settle.probes import Evidence, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mediasluice.catalogue.rows import Verdict
    from mediasluice.model.flow import IdentifiedFile
    from mediasluice.pipeline.departures import Departures
    from mediasluice.pipeline.parts import Parts, Row
    from mediasluice.pipeline.recording import Recorder
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.workers import Answer
    from mediasluice.settle.tracker import Candidate

HELD_NOTE_S = 5.0  # chosen: a temporary name younger than that gets no row
LOOKS_PER_JOB = 64  # chosen: a millisecond or two of small files
LOOKS_AHEAD = 12  # jobs: keeps the workers fed and lets what arrives next overtake
WRITES_AHEAD = 64  # operations of the writer: beyond, looks wait instead of piling up results


Closed: TypeAlias = "Callable[[RootId, bytes, bytes, FileState | None, Verdict | None], None]"
"""Hears of every candidate that is decided: where it is, its state, the catalogue's verdict."""


class Looking(NamedTuple):
    """Token of a job: the candidates in the order of its looks, and where they were when it was sent."""

    root: Watched
    candidates: list[Candidate]
    paths: list[tuple[bytes, bytes]]
    lane: Lane


class Noting(NamedTuple):
    """Token of a job that only finds out what a held or junk name is."""

    root: Watched
    state: FileState
    names: list[tuple[bytes, bytes, str]]
    is_stale: bool = False  # held for long: junk, unless somebody is at it after all


class Looks:
    """The looks of the intake. ``closed`` hears of every candidate that is decided."""

    def __init__(
        self,
        parts: Parts,
        recorder: Recorder,
        departures: Departures,
        roots: Mapping[RootId, Watched],
        closed: Closed,
        mark_dirty: Callable[[Watched, bytes], None],
    ) -> None:
        self._parts = parts
        self._recorder = recorder
        self._departures = departures
        self._roots = roots
        self._closed = closed
        self._mark_dirty = mark_dirty
        self._held: list[tuple[float, RootId, bytes, bytes]] = []
        self._postponed: dict[RootId, list[Candidate]] = {}
        self._recording: Counter[tuple[RootId, bytes, bytes]] = Counter()  # settled, and not committed yet

    @property
    def has_room(self) -> bool:
        """Whether more looks may be sent."""
        parts = self._parts
        return parts.workers.outstanding(Lane.EXPRESS) < LOOKS_AHEAD and parts.writer.arrivals() < WRITES_AHEAD

    def look_at(self, root: Watched, directory: bytes, name: bytes) -> None:
        """See who lies at a name that a file left: another one may have taken it."""
        self._parts.tracker.sight(Sighting(root.id, directory, name, What.LISTED, time.monotonic()))

    def _look_back(self, root: Watched, candidate: Candidate) -> None:
        """A renamed file came to nothing that is catalogued: see what lies at its old name."""
        if candidate.old_directory is not None and candidate.old_name is not None:
            self.look_at(root, candidate.old_directory, candidate.old_name)

    # -- sending ----------------------------------------------------------------------------------

    def send_due(self) -> None:
        """Send what is due, as far as there is room."""
        now_s = time.monotonic()
        self._note_held(now_s)
        self._send_postponed()
        while self.has_room:
            due = self._parts.tracker.due(now_s, LOOKS_PER_JOB)
            if not due:
                return
            by_root: dict[RootId, list[Candidate]] = {}
            for candidate in due:
                if candidate.reason is WaitReason.FOLLOWS and self._follows(candidate):
                    continue
                by_root.setdefault(candidate.root, []).append(candidate)
            for root_id, candidates in by_root.items():
                root = self._roots[root_id]
                if root.is_listed:
                    self._send(root, candidates, Lane.EXPRESS)
                else:
                    self._postponed.setdefault(root_id, []).extend(candidates)

    def _send_postponed(self) -> None:
        """What was due while it was not known what is missing: a file may be one that is known from elsewhere."""
        for root_id in list(self._postponed):
            root = self._roots.get(root_id)
            if root is None or root.state is RootState.OFFLINE:
                del self._postponed[root_id]
            elif root.is_listed and self.has_room:
                candidates = self._postponed[root_id]
                part, candidates[:] = candidates[:LOOKS_PER_JOB], candidates[LOOKS_PER_JOB:]
                if not candidates:
                    del self._postponed[root_id]
                self._send(
                    root, [candidate for candidate in part if self._parts.tracker.still(candidate)], Lane.EXPRESS
                )

    def note_later(self, root: Watched, directory: bytes, name: bytes, at_s: float) -> None:
        """Give a held name a row if it is still there in a while."""
        heapq.heappush(self._held, (at_s + HELD_NOTE_S, root.id, directory, name))

    def look_up(
        self, root: Watched, state: FileState, names: list[tuple[bytes, bytes, str]], *, is_stale: bool = False
    ) -> None:
        """Find out what held or junk names are, ``(directory, name, reason)``, to record them unread."""
        look = Look(b"", 0, 0.0, 0, 0.0, None, None, True)
        groups = [(directory, False, [tuple(look._replace(name=name))]) for directory, name, _ in names]
        token = Noting(root, state, names, is_stale)
        self._parts.workers.submit(Lane.EXPRESS, token, "look", (tuple(root.spec), True, groups), root.id)

    def _note_held(self, now_s: float) -> None:
        while self._held and self._held[0][0] <= now_s:
            _, root_id, directory, name = heapq.heappop(self._held)
            root = self._roots.get(root_id)
            if root is not None and self._parts.tracker.holds(root_id, directory, name):
                reason = f"temporary name: {held_by(name, directory)}"
                self.look_up(root, FileState.HELD, [(directory, name, reason)])

    def _send(self, root: Watched, candidates: list[Candidate], lane: Lane) -> None:
        stale = [candidate for candidate in candidates if candidate.held]
        if stale:
            reason = "stale: a temporary name that nobody finished"
            self.look_up(root, FileState.JUNK, [(c.directory, c.name, reason) for c in stale], is_stale=True)
            for candidate in stale:
                self._parts.tracker.forget(root.id, candidate.directory, candidate.name)
        candidates = [candidate for candidate in candidates if not candidate.held]
        if not candidates:
            return
        groups: list[tuple[bytes, bool, list[tuple[Any, ...]]]] = []
        for candidate in candidates:
            if not groups or groups[-1][0] != candidate.directory:
                groups.append((candidate.directory, True, []))
            groups[-1][2].append(self._look(candidate))
        token = Looking(root, candidates, [(c.directory, c.name) for c in candidates], lane)
        payload = (tuple(root.spec), lane is Lane.EXPRESS, groups)
        self._parts.workers.submit(lane, token, "look", payload, root.id, urgent=True)

    def _look(self, candidate: Candidate) -> tuple[Any, ...]:
        known = None
        if candidate.old_directory is not None and candidate.old_name is not None:
            row = self._parts.view.known(candidate.root, candidate.old_directory, candidate.old_name)
            # Where another file took the old name meanwhile (two that changed places), only reading tells them apart.
            is_taken = self._parts.tracker.holds(candidate.root, candidate.old_directory, candidate.old_name)
            if row is not None and row.has_content and not is_taken and candidate.is_pure_move:
                known = (row.key.ino, row.key.size, row.key.mtime_ns)
        key = candidate.key
        return (
            candidate.name,
            int(candidate.arrival),
            candidate.changed_s,
            candidate.observations,
            self._parts.tracker.learned_for(candidate),
            None if key is None else (key.ino, key.size, key.mtime_ns, key.ctime_ns),
            known,
            False,
        )

    # -- answers ----------------------------------------------------------------------------------

    def answered(self, token: Looking, answer: Answer) -> None:
        """Act on the outcomes of a job."""
        if answer.value is None:
            self._look_again(token)
            return
        files: list[IdentifiedFile] = []
        rows: list[Row] = []
        for candidate, (directory, name), outcome in zip(token.candidates, token.paths, answer.value, strict=True):
            if outcome[0] == Code.WAIT:
                row = self._waits(token.root, candidate, directory, name, outcome)
            elif outcome[0] == Code.LARGE:
                row = None
                if self._parts.tracker.still(candidate) and not self._follows(candidate):
                    self._send(token.root, [candidate], Lane.BULK)
            elif self._is_put_off(candidate, outcome[0]):
                row = None
            else:
                weak = ChangeKey(*outcome[1]) if outcome[0] == Code.READY and not outcome[3] else None
                if not self._parts.tracker.finished(candidate, weak):
                    continue  # it was sighted again meanwhile and is looked at again
                if outcome[0] == Code.SAME and files:  # renames and arrivals keep their order
                    self._record(token.root, files)
                    files = []
                row = self._decided(token.root, candidate, directory, name, outcome, files)
            if row is not None:
                rows.append(row)
        if rows:
            self._recorder.note(token.root, rows)
        if files:
            self._record(token.root, files)

    def _is_put_off(self, candidate: Candidate, code: int) -> bool:
        """Whether the outcome of a renamed file is not to be believed yet: it will be looked at again."""
        if code in (Code.READY, Code.SAME):
            return self._follows(candidate)
        return code == Code.GONE and self._may_be_renamed(candidate)

    def _follows(self, candidate: Candidate) -> bool:
        """Whether a file waits until the one that had its name is recorded under the next one."""
        if not self._parts.tracker.must_follow(candidate):
            return False
        self._parts.tracker.waited(candidate, None, Wait(WaitReason.FOLLOWS, 0.0), time.monotonic())
        return True

    def _may_be_renamed(self, candidate: Candidate) -> bool:
        """Whether a file that is not under its new name may have the next one already: its row waits for it once."""
        if candidate.old_name is None or candidate.reason is WaitReason.VANISHED:
            return False
        self._parts.tracker.waited(candidate, None, Wait(WaitReason.VANISHED, 0.0), time.monotonic())
        return True

    def _record(self, root: Watched, files: list[IdentifiedFile]) -> None:
        self._recording.update(file[:3] for file in files)
        self._recorder.record(root, files, lambda verdicts: self._recorded(files, verdicts))

    def is_recording(self, root: RootId, directory: bytes, name: bytes) -> bool:
        """Whether a file is on its way into the catalogue: no candidate any more, and not to be read there yet."""
        return (root, directory, name) in self._recording

    @property
    def are_recording(self) -> bool:
        """Whether any file is on its way into the catalogue."""
        return bool(self._recording)

    def looked_up(self, token: Noting, answer: Answer) -> None:
        """Record held and junk names; a job that failed is left to the next pass."""
        rows: list[Row] = []
        if self._roots.get(token.root.id) is not token.root:
            return  # its library was taken out meanwhile
        for (directory, name, reason), outcome in zip(token.names, answer.value or (), strict=False):
            if outcome[0] != Code.STATUS or not outcome[3]:
                continue
            if token.is_stale and outcome[4]:
                sighting = Sighting(token.root.id, directory, name, What.LISTED, time.monotonic())
                self._parts.tracker.sight(sighting)
            elif token.state is not FileState.HELD or self._parts.tracker.holds(token.root.id, directory, name):
                rows.append((directory, name, ChangeKey(*outcome[1]), outcome[2], token.state, reason))
        if rows:
            self._recorder.note(token.root, rows)

    def _recorded(self, files: list[IdentifiedFile], verdicts: Sequence[Verdict | None]) -> None:
        for file, verdict in zip(files, verdicts, strict=True):
            place = file[:3]
            self._recording[place] -= 1
            if not self._recording[place]:
                del self._recording[place]
            if not self._parts.reunions.holds(*place):  # else it is decided later
                self._closed(file.root, file.directory, file.name, FileState.CATALOGUED, verdict)

    def _waits(
        self, root: Watched, candidate: Candidate, directory: bytes, name: bytes, outcome: tuple[Any, ...]
    ) -> Row | None:
        """Not settled: back to the tracker; its first look leaves a row, so that others can see it wait."""
        _, reason, need_s, raw, detail = outcome
        key, links = ChangeKey(*raw[:4]), raw[4]
        if reason == WaitReason.EMPTY.value:
            if not self._parts.tracker.finished(candidate):
                return None
            self._closed(root.id, directory, name, FileState.EMPTY, None)
            self._look_back(root, candidate)
            return (directory, name, key, links, FileState.EMPTY, "no bytes yet")
        if not self._parts.tracker.still(candidate):
            return None  # it was sighted again, or is gone: no row for what is not there
        is_first = candidate.reason is None
        self._parts.tracker.waited(candidate, evidence(raw), Wait(WaitReason(reason), need_s), time.monotonic())
        if not is_first:
            return None
        return (directory, name, key, links, FileState.SETTLING, reason if detail is None else f"{reason}: {detail}")

    def _decided(
        self,
        root: Watched,
        candidate: Candidate,
        directory: bytes,
        name: bytes,
        outcome: tuple[Any, ...],
        files: list[IdentifiedFile],
    ) -> Row | None:
        """Settled, or nothing to settle any more. Gives a row for what is not read; adds to ``files`` what was."""
        code = outcome[0]
        if code == Code.READY:
            usual = Origin.EVENT if root.mode is WatchMode.EVENTS else Origin.POLL
            origin = self._parts.origins.pop((root.id, directory, name), usual)
            old = (candidate.old_directory, candidate.old_name)
            files.append(identified(root.id, directory, name, origin, outcome, *old))
            return None
        if code == Code.SAME:
            self._move(root, candidate, directory, name, outcome)
            return None
        self._look_back(root, candidate)  # whatever it is, no row of its old path came along
        if code == Code.UNREADABLE:
            root.unreadable.add(directory)
            self._recorder.warn(root, directory, name, "unreadable", reason=outcome[1])
            self._closed(root.id, directory, name, FileState.UNREADABLE, None)
            if outcome[2] is None:
                return None
            return (directory, name, ChangeKey(*outcome[2]), outcome[3], FileState.UNREADABLE, outcome[1])
        if code == Code.SKIP:
            self._closed(root.id, directory, name, FileState.SKIPPED, None)
            return (directory, name, ChangeKey(*outcome[2]), outcome[3], FileState.SKIPPED, outcome[1])
        if code in (Code.GONE, Code.SPECIAL):  # in both cases no file has this name any more
            if code == Code.GONE:
                self._recorder.say(root, directory, name, "vanished", reason="gone before it could be read")
            # A share that shows nothing any more has lost no file. Whether one is missing there is for a pass to say,
            # which sees all of it; on this machine's own disks the kernel has told of it as well.
            if code == Code.SPECIAL or (root.spec.local and not root.mounts):
                self._departures.depart(root, [(directory, name)])
            elif root.mode is WatchMode.EVENTS and self._parts.view.known(root.id, directory, name) is not None:
                self._mark_dirty(root, directory)  # no regular pass comes by
        self._closed(root.id, directory, name, None, None)
        return None

    def _move(
        self, root: Watched, candidate: Candidate, directory: bytes, name: bytes, outcome: tuple[Any, ...]
    ) -> None:
        """A file was renamed and nothing else: move its row. Should the row be gone, read it after all."""
        old = (candidate.old_directory or b"", candidate.old_name or b"")
        key, links, at_us = ChangeKey(*outcome[1]), outcome[2], now_us()

        def after(*, moved: bool) -> None:
            if moved:
                self._recorder.say_moved(root, old, (directory, name))
                self._closed(root.id, directory, name, FileState.CATALOGUED, None)
            elif self._roots.get(root.id) is root:
                # Whoever is known at the old name is another one by now: see what lies at both.
                self.look_at(root, *old)
                self._parts.tracker.sight(Sighting(root.id, directory, name, What.RENAMED_IN, time.monotonic()))

        self._parts.writer.express(
            lambda catalogue: catalogue.move(root.id, *old, directory, name, key, links, at_us),
            lambda moved: self._parts.post(lambda: after(moved=moved)),
        )

    def _look_again(self, token: Looking) -> None:
        """The worker died or broke: one by one; who does it alone is unreadable for now, not lost."""
        root = token.root
        if len(token.candidates) > 1:
            for candidate in token.candidates:
                if self._parts.tracker.still(candidate):
                    self._send(root, [candidate], token.lane)
            return
        candidate, (directory, name) = token.candidates[0], token.paths[0]
        if self._parts.tracker.finished(candidate):
            self._look_back(root, candidate)
            self._recorder.warn(root, directory, name, "reader_died", next="tried again by the next pass")
            root.unreadable.add(directory)
            self.look_up(root, FileState.UNREADABLE, [(directory, name, "the reader process died on it")])
            self._closed(root.id, directory, name, FileState.UNREADABLE, None)


def evidence(raw: tuple[Any, ...]) -> Evidence:
    """Rebuild the evidence of a WAIT outcome; where a look ended early, only the key and the links are known."""
    key, links = ChangeKey(*raw[:4]), raw[4]
    if len(raw) == 5:
        return Evidence(key, links, Writer.UNKNOWN, holes=False, format=Format.UNKNOWN)
    return Evidence(key, links, Writer(raw[5]), holes=raw[6], format=Format(raw[7]))
