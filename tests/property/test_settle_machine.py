"""Writers, renames, scans and looks in every order, with time in hand, against a plain account of what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediasluice.model.files import ChangeKey
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.settle.decide import Arrival, Options, Ready, Timing, Wait, WaitReason, decide
from mediasluice.settle.formats import Format
from mediasluice.settle.names import held_by
from mediasluice.settle.probes import Evidence, Writer
from mediasluice.settle.tracker import Candidate, Tracker

ROOT = RootId(1)
LIMIT = 2
Place = tuple[bytes, bytes]
PLACES = st.sampled_from([(b"in", b"a.ts"), (b"in/x", b"a.ts"), (b"in/x", b"held.tmp")])
WALL_S = 1.7e9  # what the wall clock is ahead of ours


@dataclass
class File:
    """What is on disk."""

    key: ChangeKey
    format: Format
    holes: bool = False
    is_open: bool = False


@dataclass
class Seen:
    """What may be known of a path, kept without the tracker."""

    changed_s: float
    arrival: Arrival
    sightings: int = 1
    key: ChangeKey | None = None
    looks: int = 0


@dataclass
class Flight:
    """A look under way."""

    candidate: Candidate
    place: Place
    seen: Seen
    sightings: int
    learned_s: float
    looked_s: float | None = None
    evidence: Evidence | None = None
    decision: Ready | Wait | None = None


@dataclass
class Account:
    files: dict[Place, File] = field(default_factory=dict)
    seen: dict[Place, Seen] = field(default_factory=dict)
    flights: list[Flight] = field(default_factory=list)


class SettleMachine(RuleBasedStateMachine):
    """One directory tree, one tracker, one worker."""

    @initialize(mount=st.sampled_from(["proves", "local", "network"]), debounce_s=st.sampled_from([0.0, 0.0, 8.0]))
    def start(self, mount: str, debounce_s: float) -> None:
        self.now_s = 1_000.0
        local = mount != "network"
        self.options = Options(local=local, debounce_s=debounce_s, stale_after_s=500.0)
        self.proves_free = mount == "proves"
        self.tracker = Tracker(lambda _: self.options, LIMIT)
        self.there = Account()
        self.stamp = 0

    # -- the world --------------------------------------------------------------------------------

    def changed_key(self, size: int) -> ChangeKey:
        self.stamp += 1
        wall_ns = int((WALL_S + self.now_s) * 1e9)
        return ChangeKey(self.stamp, size, wall_ns, wall_ns)

    def saw(self, what: What, place: Place, old: Place | None = None) -> None:
        account = self.there.seen
        old_directory, old_name = old or (None, None)
        taken = self.tracker.sight(Sighting(ROOT, *place, what, self.now_s, old_directory, old_name))
        if old is not None:
            account.pop(old, None)
        before = account.get(place)
        assert taken == (before is not None or len(account) < LIMIT)
        if not taken or (before is not None and what is What.LISTED):
            return
        arrival = {What.CREATED: Arrival.CREATED, What.CLOSED: Arrival.CLOSED, What.LISTED: Arrival.LISTED}
        account[place] = Seen(
            self.now_s, arrival.get(what, Arrival.RENAMED), before.sightings + 1 if before is not None else 1
        )

    def is_valid(self, flight: Flight) -> bool:
        """Whether nothing was seen of the path since the look was handed out."""
        known = self.there.seen.get(flight.place)
        same = known is not None and known.sightings == flight.sightings
        return same and known is flight.seen

    @rule(place=PLACES, format=st.sampled_from(Format), size=st.integers(0, 3), is_open=st.booleans())
    def create(self, place: Place, format: Format, size: int, is_open: bool) -> None:  # noqa: A002, FBT001
        if place not in self.there.files:
            self.there.files[place] = File(self.changed_key(size), format, is_open=is_open)
            self.saw(What.CREATED, place)

    @rule(place=PLACES, format=st.sampled_from(Format), size=st.integers(0, 3))
    def write(self, place: Place, format: Format, size: int) -> None:  # noqa: A002
        """Somebody opens the file and writes; no event tells of that."""
        file = self.there.files.get(place)
        if file is not None:
            file.is_open = True
            file.key, file.format = self.changed_key(file.key.size + size), format

    @rule(place=PLACES, holes=st.booleans())
    def close(self, place: Place, holes: bool) -> None:  # noqa: FBT001
        file = self.there.files.get(place)
        if file is not None and file.is_open:
            file.is_open, file.holes = False, holes
            self.saw(What.CLOSED, place)

    @rule(place=PLACES)
    def close_unseen(self, place: Place) -> None:
        """As of a file that was linked into place without a name of its own: no event tells of its close."""
        if place in self.there.files:
            self.there.files[place].is_open = False

    @rule(place=PLACES, format=st.sampled_from(Format), size=st.integers(1, 3))
    def rename_in(self, place: Place, format: Format, size: int) -> None:  # noqa: A002
        self.there.files[place] = File(self.changed_key(size), format)
        self.saw(What.RENAMED_IN, place)

    @rule(old=PLACES, new=PLACES)
    def move(self, old: Place, new: Place) -> None:
        if old in self.there.files and old != new:
            self.there.files[new] = self.there.files.pop(old)
            self.saw(What.MOVED, new, old)

    @rule(place=PLACES)
    def delete(self, place: Place) -> None:
        if self.there.files.pop(place, None) is not None:
            forgotten = self.tracker.forget(ROOT, *place)
            assert (forgotten is not None) == (self.there.seen.pop(place, None) is not None)

    @rule(place=PLACES)
    def list_directory(self, place: Place) -> None:
        if place in self.there.files:
            self.saw(What.LISTED, place)

    @rule()
    def rename_directory(self) -> None:
        """``in/x`` becomes ``in/y``, then what it was: every look below is void."""
        self.tracker.move_tree(ROOT, b"in/x", b"in/y")
        self.tracker.move_tree(ROOT, b"in/y", b"in/x")
        for place, seen in list(self.there.seen.items()):
            if place[0] == b"in/x":
                self.there.seen[place] = Seen(seen.changed_s, seen.arrival, seen.sightings)

    @rule(by_s=st.sampled_from([0.01, 0.25, 0.5, 1.0, 4.75, 5.0, 15.0, 60.0]))
    def pass_time(self, by_s: float) -> None:
        self.now_s += by_s

    # -- looking ----------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 3))
    def hand_out(self, limit: int) -> None:
        for candidate in self.tracker.due(self.now_s, limit):
            place = (candidate.directory, candidate.name)
            seen = self.there.seen[place]
            learned_s = self.tracker.learned_for(candidate)
            self.there.flights.append(Flight(candidate, place, seen, seen.sightings, learned_s))

    @precondition(lambda self: any(flight.looked_s is None for flight in self.there.flights))
    @rule()
    def look(self) -> None:
        """As a worker does it: one descriptor, the times as they were handed out."""
        flight = next(flight for flight in self.there.flights if flight.looked_s is None)
        flight.looked_s = self.now_s
        file = self.there.files.get(flight.place)
        if file is None:
            return
        writer = Writer.FREE if self.proves_free else Writer.UNKNOWN
        if file.is_open and self.options.local:
            writer = Writer.BUSY
        flight.evidence = Evidence(file.key, 1, writer, file.holes, file.format)
        candidate = flight.candidate
        changed = candidate.key is not None and candidate.key != file.key
        flight.decision = decide(
            flight.evidence,
            Timing(
                candidate.arrival,
                0.0 if changed else self.now_s - candidate.changed_s,
                max(0.0, WALL_S + self.now_s - file.key.ctime_ns / 1e9),
                1 if changed else candidate.observations + 1,
                flight.learned_s,
            ),
            self.options,
        )

    @precondition(lambda self: any(flight.looked_s is not None for flight in self.there.flights))
    @rule()
    def give_back(self) -> None:
        flight = next(flight for flight in self.there.flights if flight.looked_s is not None)
        self.there.flights.remove(flight)
        is_valid = self.is_valid(flight)
        if held_by(flight.candidate.name) is not None or flight.evidence is None:
            assert self.tracker.finished(flight.candidate) == is_valid
            if is_valid:
                del self.there.seen[flight.place]
        elif isinstance(flight.decision, Ready):
            weak = None if flight.decision.strong else flight.evidence.key
            assert self.tracker.finished(flight.candidate, weak) == is_valid, "a stale result is refused"
            if is_valid:
                self.check_ready(flight)
                del self.there.seen[flight.place]
        else:
            assert flight.decision is not None
            self.tracker.waited(flight.candidate, flight.evidence, flight.decision, self.now_s)
            if is_valid:
                self.note_look(flight, flight.decision)

    @rule(rounds=st.integers(1, 4))
    def look_at_all_that_is_due(self, rounds: int) -> None:
        """Let time pass until something is due, and look at it at once."""
        for _ in range(rounds):
            while self.there.flights:
                if any(flight.looked_s is None for flight in self.there.flights):
                    self.look()
                else:
                    self.give_back()
            due_s = self.tracker.next_due_s()
            if due_s is None:
                return
            self.now_s = max(self.now_s, due_s)
            self.hand_out(LIMIT)

    @rule(place=PLACES, rounds=st.integers(1, 4))
    def work_behind_our_back(self, place: Place, rounds: int) -> None:
        """A writer comes and goes without an event, and only looks can notice it."""
        if place in self.there.files:
            self.write(place, Format.UNKNOWN, 1)
            self.look_at_all_that_is_due(rounds)
            self.close_unseen(place)
            self.look_at_all_that_is_due(rounds)

    def note_look(self, flight: Flight, wait: Wait) -> None:
        assert flight.evidence is not None
        seen, key = flight.seen, flight.evidence.key
        if wait.reason is WaitReason.EMPTY:
            del self.there.seen[flight.place]
            return
        if wait.reason is WaitReason.WRITER or seen.key not in {None, key}:
            seen.changed_s, seen.arrival = self.now_s, Arrival.CREATED
        seen.looks = seen.looks + 1 if seen.key == key else 1
        seen.key = key

    def check_ready(self, flight: Flight) -> None:
        """The promise: no writer, and as quiet as the evidence demands since the last change seen."""
        evidence, seen, options = flight.evidence, flight.seen, self.options
        assert evidence is not None
        assert flight.looked_s is not None
        assert evidence.writer is not Writer.BUSY
        assert evidence.key.size > 0
        is_sound = not evidence.holes and evidence.format is not Format.TRUNCATED
        rested_s = WALL_S + flight.looked_s - evidence.key.ctime_ns / 1e9
        if seen.arrival is Arrival.LISTED and rested_s >= 59.999 and (is_sound or options.local):
            return
        if not is_sound:
            need_s = 60.0
        elif not self.proves_free:
            need_s = 10.0 if options.local else 15.0
            assert seen.looks >= 2, "and this look is the third"
            assert seen.key == evidence.key
        elif seen.arrival is Arrival.RENAMED:
            need_s = 0.0
        else:
            need_s = 0.25 if evidence.format is Format.COMPLETE else 5.0
        assert flight.looked_s - seen.changed_s >= max(need_s, options.debounce_s) - 1e-3

    # -- always -----------------------------------------------------------------------------------

    @invariant()
    def knows_exactly_what_was_seen(self) -> None:
        if hasattr(self, "tracker"):
            pending = list(self.tracker.pending())
            assert {(entry.directory, entry.name) for entry in pending} == set(self.there.seen)
            assert len(self.tracker) == len(pending) <= LIMIT

    @invariant()
    def every_candidate_is_out_or_has_its_time(self) -> None:
        if hasattr(self, "tracker"):
            out = {id(flight.candidate) for flight in self.there.flights}
            names = self.tracker._open.values()
            waiting = [candidate.due_s for group in names for candidate in group.values() if id(candidate) not in out]
            assert self.tracker.next_due_s() == min(waiting, default=None)
            assert len(self.tracker._heap) <= 2 * LIMIT + 1_000

    def teardown(self) -> None:
        """When the writers are done, every candidate ends."""
        if not hasattr(self, "tracker"):
            return
        for place in list(self.there.files):
            self.close(place, holes=False)
        self.look_at_all_that_is_due(200)
        assert len(self.tracker) == 0


SettleMachine.TestCase.settings = settings(max_examples=3 * settings().max_examples)
TestSettleMachine = pytest.mark.timeout(900)(SettleMachine.TestCase)
