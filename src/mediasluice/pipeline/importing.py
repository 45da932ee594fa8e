"""Import what was judged: plan steps for a batch, journal them, carry them out, note what came of it.

One thread does all of it, and it alone changes files of users. It takes what is due from the catalogue, which is its
queue: whatever ends this process, the next one goes on from there. The steps that an earlier run left open are
reconciled before anything else.

    catalogue ──due──> plan ──> journal (open) ──> transfer ──> journal (closed), items, events
                                   writer                          writer
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar

from mediasluice.actions.copying import digest_of
from mediasluice.actions.grounds import Grounds
from mediasluice.actions.naming import Template
from mediasluice.actions.reconcile import reconcile
from mediasluice.actions.targets import Directory, InPlace, Target, Wanted
from mediasluice.actions.transfer import Done, Step, Undone, Why, key_of
from mediasluice.catalogue.items import FOLLOW, GIVE_WAY, IMPORT, PROCESSED
from mediasluice.catalogue.journal import Closed, Due, Planned, Postponed
from mediasluice.identify.grouping import FOLDER, Member, is_companion, keys
from mediasluice.model.files import FileState, Kind, Origin
from mediasluice.model.imports import After, Judgement, Mode, Undated
from mediasluice.model.paths import is_inside, text
from mediasluice.model.roots import RootState
from mediasluice.pipeline.placing import (
    TOOK_ANOTHER,
    Importing,
    Places,
    directory_of,
    goes_aside,
    is_part,
    is_weak,
    join_root,
    lies_in,
    misplaced,
    taken,
)
from mediasluice.pipeline.writer import Abandoned, now_us
from mediasluice.sources.roots import check_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mediasluice.actions.transfer import Transfer
    from mediasluice.catalogue.rows import Observed, Verdict
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.model.files import ChangeKey
    from mediasluice.model.flow import IdentifiedFile, RootId
    from mediasluice.model.imports import ImportRules
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

_T = TypeVar("_T")

BATCH = 256  # steps of one journal transaction; design
BATCH_SIZE = 256 << 20  # bytes, chosen: a batch of large files ends within seconds
WAS_THERE = "an equal file was there already"
GONE_WITH_ITEM = "the item of the file that it belongs to was deleted, and its bytes are not there any more"
PAGE = 500  # files judged in one transaction, chosen
ROUNDS = 8  # chosen: how often another name is chosen before the step is put off
AGAIN_S = 2.0  # chosen: a file that changed is looked at by then
RETRY_S = 5.0  # chosen: a full disk, a directory that may not be written
ALONE_S = 60.0  # chosen, three gaps in a group: what may be a document of its own waits no longer for its files
_MAY_BE_ALONE = frozenset(b"json xml nfo cue log m3u m3u8 pls".split())
PAUSE_S = 1.0  # longest pause of the loop while something waits for its time


class Importer:
    """The imports of one host. Build it, then :meth:`start`."""

    def __init__(
        self,
        open_view: Callable[[], View],
        writer: Writer,
        transfer: Callable[[Callable[[], bool]], Transfer],
        log: Log,
        *,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._open_view = open_view
        self._writer = writer
        self._transfer = transfer(lambda: self._stopping)
        self._log = log
        self._failed = failed
        self._places = Places()
        self._grounds = Grounds({}, self._remember)
        self._roots: dict[RootId, Importing] = {}
        self._changes: deque[Callable[[], None]] = deque()  # of the roots, for this thread: never amid a batch
        self._to_judge: deque[tuple[Watched, bool]] = deque()  # roots whose known files were never judged
        self._look: Callable[[Watched, bytes, bytes], None] = lambda *_: None
        self._rested: Callable[[], None] = lambda: None
        self._wake = threading.Event()
        self._has_lost_roots = True  # since claims were given back last; at the start nobody knows
        self._claimed = False  # something to be done was recorded and not committed yet
        self._working = False
        self._stopping = False
        self._paused: dict[RootId, float] = {}  # until when [monotonic s]
        self._told: dict[RootId, str] = {}  # why imports wait, as it was logged last
        self._unsure: list[tuple[Due, Step]] = []
        self._why_unsure: dict[int, str] = {}  # by step, as it was told last
        self._thread = threading.Thread(target=self._run, name="importer")
        self._moving: frozenset[tuple[RootId, bytes, bytes]] = frozenset()
        self._leaving: frozenset[tuple[RootId, bytes, bytes]] = frozenset()  # of them, those that will not be there
        self._seen_leaving: set[tuple[RootId, bytes, bytes]] = set()  # of them
        self._moving_lock = threading.Lock()

    # -- for other threads ------------------------------------------------------------------------

    def start(self, look: Callable[[Watched, bytes, bytes], None], rested: Callable[[], None]) -> None:
        """Begin. ``look`` asks the intake to look at a file again; ``rested`` is called when nothing is left to do."""
        self._look, self._rested = look, rested
        self._working = True
        with self._open_view() as view:
            self._take_over(view)
        self._thread.start()

    def stop(self) -> None:
        """End after the present batch; a large copy is given up. Before the writer is closed."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_busy(self) -> bool:
        """Whether something is to be done now; what waits for a disk does not count."""
        return self._claimed or self._working

    @property
    def waits(self) -> dict[str, str]:
        """Why imports of libraries wait."""
        told, roots = dict(self._told), dict(self._roots)  # both change meanwhile
        return {roots[root].watched.library: reason for root, reason in told.items() if root in roots}

    def moves(self, root: RootId, directory: bytes, name: bytes) -> bool:
        """Whether a file that is seen to leave is being moved here: what becomes of it is told by its step."""
        place = (root, directory, name)
        if place not in self._moving:
            return False
        with self._moving_lock:
            if place in self._moving:
                self._seen_leaving.add(place)
                return True
        return False

    def _takes_away(self, root: RootId, directory: bytes, name: bytes) -> bool:
        """Whether a file is being moved from a path: what is found there is another one, or will be gone."""
        return (root, directory, name) in self._leaving and self.moves(root, directory, name)

    def tree_leaves(self, root: RootId, directory: bytes) -> None:
        """A directory leaves with all below it: what is being moved from there is looked at when that is done."""
        with self._moving_lock:
            places = {place for place in self._moving if place[0] == root and is_inside(place[1], directory)}
            self._seen_leaving |= places

    def moves_in(self, root: RootId) -> bool:
        """Whether files of a root are being moved."""
        return any(place[0] == root for place in self._moving)

    def add(self, root: Watched) -> None:
        """Take on a root, if it imports."""
        rules = root.rules.imports
        if rules is not None:
            self._change(lambda: self._take(root, rules))
            self._change(lambda: self._to_judge.append((root, True)))

    def accept(self, root: Watched) -> None:
        """A person says that the directories of a root's rules are where they should be."""
        rules = root.rules.imports
        for directory in () if rules is None else (rules.target, rules.processed):
            if directory is not None:
                self._grounds.forget(directory)
                self._writer.express(partial(_forget_ground, directory=directory))
        self._paused.pop(root.id, None)
        self._wake.set()

    def adopt(self, root: Watched, rules: ImportRules) -> None:
        """Import by these rules what a person wants of a root that does not import by itself."""
        if root.rules.imports is None:
            self._change(lambda: self._take(root, rules))

    def remove(self, root: Watched) -> None:
        """Let a root go."""
        self._change(lambda: self._let_go(root))

    def judge_known(self, root: Watched) -> None:
        """Judge what is catalogued and was never judged, or is to be judged again."""
        if root.rules.imports is not None:
            self._change(lambda: self._to_judge.append((root, False)))

    def wake(self) -> None:
        """Files were read that may be imported now."""
        self._working = True
        self._wake.set()

    def committed(self) -> None:
        """The writer committed; runs on its thread."""
        if self._claimed:
            self._working = True
            self._claimed = False
            self._wake.set()

    def _change(self, change: Callable[[], None]) -> None:
        self._changes.append(change)
        self._working = True
        self._wake.set()

    # -- on the writer ----------------------------------------------------------------------------

    def record(
        self, catalogue: Catalogue, root: Watched, files: Sequence[IdentifiedFile], at_us: int
    ) -> list[Verdict | None]:
        """Record files, and judge them in the same transaction where their library imports.

        ``None`` for a file at a path from which another one is being moved: it is looked at when that is done, or it
        would be taken for a version of the one that leaves.
        """
        rules = root.rules.imports
        if rules is None:
            return [*catalogue.record(files, at_us)]
        late = [self._takes_away(*file[:3]) for file in files] if self._leaving else []
        if any(late):
            files = [file for file, is_late in zip(files, late, strict=True) if not is_late]
        verdicts = catalogue.record(files, at_us)
        self._judge_recorded(catalogue, root, rules, files, verdicts, at_us)
        if not any(late):
            return [*verdicts]
        found = iter(verdicts)
        return [None if is_late else next(found) for is_late in late]

    def _judge_recorded(
        self,
        catalogue: Catalogue,
        root: Watched,
        rules: ImportRules,
        files: Sequence[IdentifiedFile],
        verdicts: Sequence[Verdict],
        at_us: int,
    ) -> None:
        if verdicts:
            told = {verdict.file for verdict in verdicts if verdict.duplicate_of is not None}
            companions = _companions(
                (verdict.file, file.directory, file.name, file.kind)
                for file, verdict in zip(files, verdicts, strict=True)
            )
            for is_baseline in (True, False):
                numbers = [
                    verdict.file
                    for file, verdict in zip(files, verdicts, strict=True)
                    if _was_there(root, file) is is_baseline
                ]
                numbers.sort(key=told.__contains__)  # of two equal files the one becomes the item of which none is told
                if not numbers:
                    continue
                todo = catalogue.judge(
                    root.id, rules, numbers, at_us, baseline=is_baseline, told=told, companions=companions
                )
                if todo is None:
                    self._say_waiting(root, None, f"there is no account {rules.owner!r} (import.owner)")
                elif todo:
                    self._claimed = True

    def observe(self, catalogue: Catalogue, root: Watched, rows: Sequence[Observed], at_us: int) -> None:
        """Note files that are not read, and refuse them where their library imports."""
        if root.rules.imports is not None and self._leaving:
            rows = [row for row in rows if not self._takes_away(row.root, row.directory, row.name)]
        catalogue.observe(rows, at_us)
        if root.rules.imports is not None:
            catalogue.refuse(rows, at_us)
            self._claimed = True  # what was a duplicate of one of them may not be any more

    def judge_by_hand(self, catalogue: Catalogue, root: Watched, rules: ImportRules, files: Sequence[int]) -> int:
        """A person wants these files imported; gives for how many something is done."""
        count = catalogue.judge(root.id, rules, files, now_us(), by_hand=True)
        if count:
            self._claimed = True
        return count or 0

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._open_view() as view:
                self._grounds = Grounds(view.grounds(), self._remember)
                self._make_changes()
                self._settle_unsure()
                while not self._stopping:
                    self._round(view)
                    if not self._stopping:
                        self._wake.wait(self._pause_s(view))
        except Abandoned:
            pass  # the catalogue cannot be written while this process ends: the next one goes on from the journal
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _call(self, change: Callable[[Catalogue], _T]) -> _T:
        return self._writer.call(change, abandon=lambda: self._stopping)

    def _take(self, root: Watched, rules: ImportRules) -> None:
        template = Template.parse(rules.template)
        self._roots[root.id] = Importing(
            root, rules, self._target(rules, template), template.needs_date, template.needs_tags
        )

    def _let_go(self, root: Watched) -> None:
        held = self._roots.get(root.id)
        if held is not None and held.watched is root:  # else it was made anew meanwhile
            del self._roots[root.id]
            self._told.pop(root.id, None)
            self._has_lost_roots = True

    def _make_changes(self) -> None:
        while self._changes:
            self._changes.popleft()()
        if self._has_lost_roots:
            self._has_lost_roots = False
            self._call(lambda catalogue: catalogue.give_back_claims(list(self._roots)))

    def _round(self, view: View) -> None:
        self._wake.clear()
        self._make_changes()
        while self._to_judge and not self._stopping:
            self._judge_known(view, *self._to_judge.popleft())
        self._judge_freed(view)
        self._settle_unsure()
        while not self._stopping and (due := view.due(self._ready(), now_us(), BATCH)):
            self._do(due)
            self._judge_freed(view)
            self._make_changes()
        if not (self._to_judge or self._wake.is_set()):
            was_working, self._working = self._working, False
            if self._wake.is_set():  # somebody came in between
                self._working = True
            elif was_working:
                self._rested()

    def _pause_s(self, view: View) -> float | None:
        if self._wake.is_set():
            return 0.0
        next_us = view.next_due_us()
        if next_us is None:
            return PAUSE_S if self._unsure else None
        left_s = (next_us - now_us()) / 1e6
        return min(PAUSE_S, left_s) if left_s > 0 else PAUSE_S  # what is due now waits for its root

    def _ready(self) -> list[RootId]:
        now_s = time.monotonic()
        return [
            number
            for number, root in list(self._roots.items())
            if root.watched.state is not RootState.OFFLINE and self._paused.get(number, 0.0) <= now_s
        ]

    def _judge_known(self, view: View, root: Watched, is_new: bool) -> None:  # noqa: FBT001 - of a queue
        """Judge what is to be judged again; of a new root also what nobody has judged, and what was refused."""
        rules = root.rules.imports
        if rules is None or root.id not in self._roots:
            return
        for files in _pages(lambda after: view.judged_again(root.id, after, PAGE, at_once=False)):
            self._judge(view, root, rules, files)
        if is_new:  # it may not have imported before, or by other rules
            for files in _pages(lambda after: view.unjudged(root.id, after, PAGE)):
                self._judge(view, root, rules, files, baseline=True)
            for files in _pages(lambda after: view.refused(root.id, after, PAGE)):
                self._judge(view, root, rules, files, by_hand=True)

    def _judge_freed(self, view: View) -> None:
        """Judge what was a duplicate of something that came to nothing."""
        for root in list(self._roots.values()):
            for files in _pages(lambda after, root=root: view.judged_again(root.watched.id, after, PAGE, at_once=True)):  # type: ignore[misc]
                self._judge(view, root.watched, root.rules, files)

    def _judge(
        self,
        view: View,
        root: Watched,
        rules: ImportRules,
        files: Sequence[int],
        *,
        baseline: bool = False,
        by_hand: bool = False,
    ) -> None:
        companions = _companions(view.named(files))
        self._call(
            lambda catalogue: catalogue.judge(
                root.id, rules, files, now_us(), baseline=baseline, by_hand=by_hand, companions=companions
            )
        )

    def _judge_alone(self, due: Sequence[Due]) -> list[Closed | Postponed]:
        """What could have belonged to another file that did not come is judged like any other."""
        put_off: list[Closed | Postponed] = []
        for number in {one.root for one in due}:
            root, those = self._roots[number], [one for one in due if one.root == number]
            files = [one.file for one in those]
            if self._call(partial(_judge_alone, root=number, rules=root.rules, files=files)) is None:
                reason = f"there is no account {root.rules.owner!r} (import.owner)"
                put_off += [Postponed(one, None, reason, now_us() + int(RETRY_S * 1e6)) for one in those]
        return put_off

    # -- one batch --------------------------------------------------------------------------------

    def _do(self, due: Sequence[Due]) -> None:
        """Deal with files that are due."""
        self._places.begin((one, step.target) for one, step in self._unsure)
        ended: list[Closed | Postponed] = []
        planned: list[Planned] = []
        size = 0
        grounds = lru_cache(self._grounds.why_not)  # asked once for a batch
        resolved = lru_cache(os.path.realpath)
        alone = [one for one in due if _is_alone(one) and one.root in self._roots]
        ended += self._judge_alone(alone)
        for one in (one for one in due if not _is_alone(one)):
            root = self._roots.get(one.root)
            if root is None:
                continue
            try:
                plan = self._plan(root, one, grounds, resolved)
            except OSError as error:
                reason = f"{error.filename and text(error.filename)}: {error.strerror}"
                ended.append(self._put_off(root, one, None, Why.REFUSED, reason))
                continue
            if isinstance(plan, Planned):
                planned.append(plan)
                size += one.key.size
                if size >= BATCH_SIZE:
                    break  # the rest is due in the next batch
            else:
                ended.append(plan)
        if planned:
            ended += self._carry_out(planned)
        if ended or planned:
            self._close(ended)

    def _plan(
        self, root: Importing, due: Due, grounds: Callable[[bytes], str | None], resolved: Callable[[bytes], bytes]
    ) -> Planned | Closed | Postponed:
        """What is to be done with a file, or how it ends without a step."""
        if due.state is FileState.MISSING:
            return Postponed(due, None, "it is gone", None)
        rules, source = root.rules, join_root(root.watched.path, due)
        base = rules.processed if goes_aside(due) else rules.target
        if base is not None and (reason := grounds(base)) is not None:
            self._paused[due.root] = time.monotonic() + RETRY_S
            return self._put_off(root, due, None, Why.REFUSED, reason)
        is_link = root.watched.rules.follow_symlinks == "files" and os.path.islink(source)
        if goes_aside(due):
            return self._plan_aside(root, due, source, is_link=is_link)
        if due.todo == FOLLOW and due.master is Judgement.AGAIN and _is_lost(due):
            return Postponed(due, None, GONE_WITH_ITEM, None)
        if due.todo == FOLLOW and due.beside is not None and directory_of(due.beside.path) == directory_of(source):
            return self._imported(root, due, None, Mode.IN_PLACE, source, due.key, due.key)  # as that one did
        if due.todo == IMPORT and root.needs_date and rules.undated is Undated.SKIP and is_weak(due):
            return Postponed(due, None, "nothing says when it was made (undated: skip)", None)
        wanted = self._places.wanted(root, due)
        if rules.mode is not Mode.MOVE and (there := root.target.held(wanted)) not in (None, source):
            return self._imported(root, due, None, Mode.COPY, there, due.key, due.key, WAS_THERE)
        if (earlier := self._plan_to_give_way(due, wanted)) is not None:
            return earlier
        if is_link and rules.mode is Mode.HARDLINK_ONLY and rules.target is not None:
            return Postponed(due, None, "it is a symbolic link, and the rules want hard links only", None)
        target = root.target.place(wanted)
        if target is None:
            return self._imported(root, due, None, Mode.IN_PLACE, source, due.key, due.key)
        reason = self._why_watched(target, resolved)
        if reason is not None:
            self._places.names.release(target)
            return Postponed(due, None, reason, None)
        return Planned(due, (Mode.COPY if is_link else rules.mode).value, source, target, is_link)

    def _why_watched(self, target: bytes, resolved: Callable[[bytes], bytes]) -> str | None:
        """Why a file must not be brought to a path: its importing library would take it for an arrival."""
        try:
            place = resolved(directory_of(target)) + b"/"
        except OSError:
            self._places.names.release(target)
            raise
        for other in list(self._roots.values()):
            top = other.watched.top + b"/"
            own = [top + directory[len(other.watched.path.rstrip(b"/")) + 1 :] for directory in other.watched.spec.own]
            if place.startswith(top) and not any(place.startswith(directory + b"/") for directory in own):
                return f"its target {text(target)} lies in the watched folder of library {other.watched.library}"
        return None

    def _plan_to_give_way(self, due: Due, wanted: Wanted) -> Planned | None:
        """An earlier version of a companion that nobody changed where it was brought gets the time into its name."""
        if due.earlier is None or due.earlier[0] != wanted.at:
            return None
        path, blake3 = due.earlier
        key = _unchanged(path, blake3, due.key)
        if key is None:
            return None
        planned = due._replace(todo=GIVE_WAY, key=key, blake3=blake3)
        return Planned(planned, Mode.MOVE.value, path, self._places.earlier(path))

    def _plan_aside(self, root: Importing, due: Due, source: bytes, *, is_link: bool) -> Planned | Postponed:
        """Set a file aside that is dealt with, a group in one place."""
        if root.rules.processed is None:
            return Postponed(due, None, "there is no processed directory any more", None)
        if is_link:
            return Postponed(due, None, "it is a symbolic link, and stays", None)
        if due.todo == FOLLOW and due.beside is None:
            return Postponed(due, None, "the file that it belongs to is a duplicate, and stays", None)
        if due.judgement is Judgement.COMPANION and due.role is not None and due.beside is None:
            return Postponed(due, None, "the file that it belongs to stays", None)
        return Planned(due, Mode.MOVE.value, source, self._places.aside(root, due))

    def _carry_out(self, planned: Sequence[Planned]) -> list[Closed | Postponed]:
        """Journal the steps, do them, and give what came of each."""
        at_us = now_us()
        with self._moving_lock:  # before the journal says so: what is recorded from now on finds it
            self._moving = self._unsure_places() | {_place(one.due) for one in planned}
            self._leaving = self._unsure_moves() | {_place(one.due) for one in planned if one.mode == Mode.MOVE}
        numbers = self._call(lambda catalogue: catalogue.open_steps(planned, at_us))
        opened = [(number, one) for number, one in zip(numbers, planned, strict=True) if number is not None]
        for one in (one for number, one in zip(numbers, planned, strict=True) if number is None):
            self._places.names.release(one.target)
        dues = {number: one.due for number, one in opened}
        steps = [
            Step(number, Mode(one.mode), one.source, one.target, one.due.key, one.due.blake3, one.follows)
            for number, one in opened
        ]
        ended: list[Closed | Postponed] = []
        for _ in range(ROUNDS):
            outcomes = self._transfer.carry_out(steps)
            taken: list[Step] = []
            for outcome in outcomes:
                if isinstance(outcome, Undone) and outcome.why is Why.TAKEN:
                    taken.append(outcome.step)
                    continue
                if isinstance(outcome, Undone) and outcome.why is not Why.UNSURE:
                    self._places.names.release(outcome.step.target)
                ended += self._ended(dues[outcome.step.id], outcome)
            self._places.names.settle(directory_of(step.target) for step in steps)
            if not taken:
                return ended
            steps = self._retarget(taken, dues, ended)
        for step in steps:
            self._places.names.release(step.target)
            root = self._roots.get(dues[step.id].root)
            ended.append(self._put_off(root, dues[step.id], step.id, Why.TAKEN, f"{text(step.target)}: is taken"))
        return ended

    def _retarget(self, taken: Sequence[Step], dues: dict[int, Due], ended: list[Closed | Postponed]) -> list[Step]:
        """Somebody took names in between: choose others, in the journal first. What is there already is not copied."""
        steps = []
        for directory in {directory_of(step.target) for step in taken}:
            self._places.names.forget(directory)
        for step in taken:
            due = dues[step.id]
            try:
                found = self._elsewhere(step, due)
            except OSError as error:  # the target is out of reach by now
                root = self._roots.get(due.root)
                reason = f"{text(step.target)}: {error.strerror or error}"
                ended.append(self._put_off(root, due, step.id, Why.REFUSED, reason))
                continue
            if isinstance(found, Step):
                steps.append(found)
            else:
                ended.append(found)
        self._call(lambda catalogue: catalogue.retarget([(step.id, step.target) for step in steps]))
        return steps

    def _elsewhere(self, step: Step, due: Due) -> Step | Closed | Postponed:
        """The same step with a name that is free, or its end where the target has the content already."""
        if due.todo == GIVE_WAY:
            return step._replace(target=self._places.earlier(step.source))
        root = self._roots[due.root]
        wanted = self._places.wanted(root, due)
        is_aside = goes_aside(due)
        there = root.target.held(wanted) if not is_aside and step.mode is not Mode.MOVE else None
        if there is not None:
            return self._imported(root, due, step.id, Mode.COPY, there, due.key, due.key, WAS_THERE)
        target = self._places.aside(root, due) if is_aside else root.target.place(wanted)
        assert target is not None
        return step._replace(target=target)

    def _ended(self, due: Due, outcome: Done | Undone) -> list[Closed | Postponed]:
        """What follows from the outcome of a step."""
        root = self._roots.get(due.root)
        step = outcome.step
        if isinstance(outcome, Undone):
            if outcome.why is Why.UNSURE:
                self._unsure.append((due, step))
                return []
            return [self._put_off(root, due, step.id, outcome.why, outcome.reason)]
        if due.todo == GIVE_WAY:
            self._places.names.release(step.source)
        elif due.todo != PROCESSED:
            return [
                self._imported(root, due, step.id, outcome.mode, step.target, outcome.key, outcome.source, outcome.note)
            ]
        note = outcome.note
        if note is None and due.todo == PROCESSED and misplaced(due, step.target) == TOOK_ANOTHER:
            note = TOOK_ANOTHER
        data: dict[str, object] = {"item": due.item}
        mode = outcome.mode.value
        return [Closed(due, step.id, mode, step.target, outcome.key, outcome.source, None, note, data)]

    def _imported(
        self,
        root: Importing | None,
        due: Due,
        step: int | None,
        mode: Mode,
        path: bytes,
        key: ChangeKey,
        source: ChangeKey | None,
        note: str | None = None,
    ) -> Closed:
        """The target has acknowledged the file."""
        is_left = source is not None and root is not None and root.rules.processed is not None
        then = PROCESSED if root is not None and is_left and root.rules.after is After.MOVE else None
        data: dict[str, object] = {"item": due.item, "owner": due.owner, "to": text(path), "mode": mode.value}
        if due.todo == FOLLOW:
            del data["owner"]
            data["role"] = due.role
        else:
            data["taken"] = taken(due).isoformat(timespec="seconds")
            data["taken_source"] = "mtime" if due.capture is None else due.capture.source.value
        if note is None and step is not None:
            note = misplaced(due, path)
        if note is not None:
            data["note"] = note
        return Closed(due, step, mode.value, path, key, source, then, note, data)

    def _put_off(self, root: Importing | None, due: Due, step: int | None, why: Why, reason: str) -> Postponed:
        """Decide when a step that was not done is tried again, or whether at all."""
        if why is Why.CANNOT_LINK:
            return Postponed(due, step, reason, None)
        if why is Why.STOPPED:
            return Postponed(due, step, reason, now_us())
        if why in (Why.CHANGED, Why.GONE) and root is not None:
            self._look(root.watched, due.directory, due.name)
            return Postponed(due, step, reason, now_us() + int(AGAIN_S * 1e6))
        if why is Why.FULL:
            self._paused[due.root] = time.monotonic() + RETRY_S
        if root is not None:
            self._say_waiting(root.watched, due, reason)
        return Postponed(due, step, reason, now_us() + int(RETRY_S * 1e6))

    def _say_waiting(self, root: Watched, due: Due | None, reason: str) -> None:
        """Say once why imports of a library wait."""
        if self._told.get(root.id) != reason:
            self._told[root.id] = reason
            path = root.path if due is None else join_root(root.path, due)
            next_try = f"the files are where they were; tried again in {RETRY_S:g} s"
            self._log.warning("import_waits", library=root.library, path=text(path), reason=reason, next=next_try)

    def _close(self, ended: Sequence[Closed | Postponed]) -> None:
        at_us = now_us()
        self._call(lambda catalogue: catalogue.close_steps(ended, at_us))
        with self._moving_lock:
            self._moving, self._leaving = self._unsure_places(), self._unsure_moves()
            seen_leaving = self._seen_leaving - self._moving
            self._seen_leaving -= seen_leaving
        for number, directory, name in seen_leaving:  # somebody took it away, or put another one there
            root = self._roots.get(number)
            if root is not None:
                self._look(root.watched, directory, name)
        for one in ended:
            root = self._roots.get(one.due.root)
            if root is None or not isinstance(one, Closed):
                continue
            self._told.pop(one.due.root, None)
            what = _DONE[one.due.todo]
            self._log.info(
                what,
                library=root.watched.library,
                path=text(join_root(root.watched.path, one.due)),
                item=one.due.item,
                to=text(one.path),
                mode=one.mode,
            )

    # -- after a crash ----------------------------------------------------------------------------

    def _take_over(self, view: View) -> None:
        """Take over the steps that an earlier run left open, before anybody sees their files leave."""
        left = view.unfinished()
        if left:
            self._log.info("reconciling", steps=len(left))
        for one in left:
            plan = one.planned
            self._unsure.append(
                (plan.due, Step(one.id, Mode(plan.mode), plan.source, plan.target, plan.due.key, plan.due.blake3))
            )
        self._moving, self._leaving = self._unsure_places(), self._unsure_moves()

    def _unsure_places(self) -> frozenset[tuple[RootId, bytes, bytes]]:
        return frozenset(_place(due) for due, _ in self._unsure)

    def _unsure_moves(self) -> frozenset[tuple[RootId, bytes, bytes]]:
        return frozenset(_place(due) for due, step in self._unsure if step.mode is Mode.MOVE)

    def _away(self, root: Importing | None, due: Due, step: Step) -> str | None:
        """Why nobody can say now what became of a step: a disk that it was about is not there."""
        if root is None:
            return None  # no rules any more: what is there counts
        if root.watched.identity is None:
            return root.watched.reason or "its root is offline"
        check = check_root(root.watched.path, root.watched.identity, had_files=False)
        if not check.online:
            return f"{text(root.watched.path)}: {check.reason}"
        base = root.rules.processed if due.todo == PROCESSED else root.rules.target
        processed = root.rules.processed
        if due.todo == FOLLOW and processed is not None and lies_in(step.target, processed):
            base = processed  # with a copy that was set aside
        return None if base is None else self._grounds.why_not(base)

    def _settle_unsure(self) -> None:
        unsure, self._unsure = self._unsure, []
        ended: list[Closed | Postponed] = []
        for due, step in unsure:
            root = self._roots.get(due.root)
            outcome = None
            reason = self._away(root, due, step)
            if reason is None:
                try:
                    outcome = reconcile(self._transfer, step)
                except OSError as error:
                    reason = f"{text(step.target)}: {error.strerror or error}"
            if outcome is None:
                self._unsure.append((due, step))
                if reason is not None and self._why_unsure.get(step.id) != reason:
                    self._why_unsure[step.id] = self._told[due.root] = reason
                    ended.append(Postponed(due, None, reason, now_us() + int(AGAIN_S * 1e6)))  # its step stays open
                    self._log.warning(
                        "reconciling_waits", path=text(step.source), reason=reason, next="tried again in a moment"
                    )
                continue
            self._why_unsure.pop(step.id, None)
            if isinstance(outcome, Undone):
                self._places.names.release(step.target)
                again_us = now_us() if outcome.why in (Why.REFUSED, Why.TAKEN) else now_us() + int(AGAIN_S * 1e6)
                ended.append(Postponed(due, step.id, outcome.reason, again_us))
                if root is not None and outcome.why is Why.GONE:
                    self._look(root.watched, due.directory, due.name)
            else:
                ended += self._ended(due, outcome)
        if ended:
            self._close(ended)

    def _remember(self, directory: bytes, filesystem: bytes) -> None:
        self._call(lambda catalogue: catalogue.set_ground(directory, filesystem))

    def _target(self, rules: ImportRules, template: Template) -> Target:
        if rules.target is None or rules.mode is Mode.IN_PLACE:
            return InPlace()
        return Directory(rules.target, template, self._places.names)


_DONE = {IMPORT: "imported", PROCESSED: "set_aside", FOLLOW: "joined", GIVE_WAY: "gave_way"}  # as the log says it


def _unchanged(path: bytes, blake3: bytes, like: ChangeKey) -> ChangeKey | None:
    """The key of a file that has this digest still; ``None``: somebody changed it, or took it away."""
    try:
        before = os.lstat(path)
        if not stat.S_ISREG(before.st_mode) or digest_of(path) != blake3:
            return None
    except OSError:
        return None
    return key_of(before, like)


def _is_alone(due: Due) -> bool:
    """Whether a companion waited long enough for the file that it belongs to, or lost it."""
    return due.todo == FOLLOW and due.follows is None and due.state is FileState.CATALOGUED


def _is_lost(due: Due) -> bool:
    """Whether nothing is left of the file that a companion belongs to."""
    return due.beside is None or not os.path.lexists(due.beside.path)


def _judge_alone(catalogue: Catalogue, *, root: RootId, rules: ImportRules, files: Sequence[int]) -> int | None:
    return catalogue.judge(root, rules, files, now_us(), by_hand=True)


def _companions(files: Iterable[tuple[int, bytes, bytes, Kind]]) -> dict[int, int | None]:
    """Files that by their names mean nothing by themselves, and how long [us] they wait for the one they belong to."""
    found: dict[int, int | None] = {}
    for file, directory, name, kind in files:
        if is_companion(name, kind):
            extension = name.rpartition(b".")[2].lower()
            found[file] = int(ALONE_S * 1e6) if extension in _MAY_BE_ALONE else None
        elif kind is Kind.IMAGE and FOLDER in keys(Member(file, name, kind)):
            found[file] = int(ALONE_S * 1e6)  # it is called like the cover of an album
        elif kind is Kind.OTHER and is_part(directory, name):
            found[file] = int(ALONE_S * 1e6)  # the second pass says of which disc
    return found


def _forget_ground(catalogue: Catalogue, directory: bytes) -> None:
    catalogue.set_ground(directory, None)


def _was_there(root: Watched, file: IdentifiedFile) -> bool:
    """Whether a file was there before its root was watched, as far as a first pass that was cut short can tell."""
    return file.origin is Origin.BASELINE or (file.origin is Origin.SCAN and not root.has_baseline)


def _place(due: Due) -> tuple[RootId, bytes, bytes]:
    return due.root, due.directory, due.name


def _pages(ask: Callable[[int], list[int]]) -> Iterator[list[int]]:
    """Ask for ids again and again, each time after the last one."""
    after = 0
    while page := ask(after):
        yield page
        after = page[-1]
