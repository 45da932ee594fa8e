from __future__ import annotations

import pytest

from mediasluice.model.files import ChangeKey
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.settle.decide import Arrival, Options, Wait, WaitReason
from mediasluice.settle.formats import Format
from mediasluice.settle.probes import Evidence, Writer
from mediasluice.settle.tracker import Candidate, Learned, Tracker

ROOT, OTHER = RootId(1), RootId(2)
QUIET = Wait(WaitReason.QUIET, 5.0)
BUSY = Wait(WaitReason.WRITER, 0.0)


def tracker(limit: int = 100, **options: float) -> Tracker:
    return Tracker(lambda _: Options(**options), limit)  # type: ignore[arg-type]


def saw(
    what: What,
    at_s: float,
    name: bytes = b"a.ts",
    directory: bytes = b"in",
    old: tuple[bytes, bytes] | tuple[None, None] = (None, None),
    root: RootId = ROOT,
) -> Sighting:
    return Sighting(root, directory, name, what, at_s, *old)


def found(size: int = 10, writer: Writer = Writer.FREE) -> Evidence:
    return Evidence(ChangeKey(1, size, size, size), 1, writer, holes=False, format=Format.UNKNOWN)


def one(tracker: Tracker, now_s: float) -> Candidate:
    (candidate,) = tracker.due(now_s, 10)
    return candidate


def at(tracker: Tracker, name: bytes) -> Candidate:
    candidate = tracker._find(ROOT, b"in", name)
    assert candidate is not None
    return candidate


def settle(tracker: Tracker, at_s: float, size: int) -> None:
    """Let a file be closed, waited for and ready on weak proof."""
    assert tracker.sight(saw(What.CLOSED, at_s))
    tracker.waited(one(tracker, at_s + 1), found(size), QUIET, at_s + 1)
    assert tracker.finished(one(tracker, at_s + 5), found(size).key)


@pytest.mark.parametrize(
    ("what", "debounce_s", "delay_s"),
    [
        (What.CLOSED, 0.0, 0.25),
        (What.CREATED, 0.0, 0.25),
        (What.LISTED, 0.0, 0.25),
        (What.CLOSED, 3.0, 3.0),
        (What.RENAMED_IN, 0.0, 0.0),
        (What.MOVED, 0.0, 0.0),
        (What.RENAMED_IN, 3.0, 3.0),
    ],
)
def test_the_first_look_comes_when_a_complete_file_may_be_taken(what: What, debounce_s: float, delay_s: float) -> None:
    """One look is enough for files that prove themselves."""
    candidates = tracker(debounce_s=debounce_s)
    candidates.sight(saw(what, 100.0))
    assert candidates.next_due_s() == 100.0 + delay_s
    assert candidates.due(100.0 + delay_s - 0.01, 10) == []
    assert one(candidates, 100.0 + delay_s).name == b"a.ts"
    assert candidates.next_due_s() is None


def test_a_sighting_restarts_the_clock_and_the_looks() -> None:
    """What was seen before the last change counts no more."""
    candidates = tracker()
    candidates.sight(saw(What.CREATED, 0.0))
    candidate = one(candidates, 0.25)
    candidates.waited(candidate, found(), QUIET, 0.25)
    assert (candidate.observations, candidate.due_s) == (1, 5.0)
    candidates.sight(saw(What.CLOSED, 3.0))
    assert (candidate.changed_s, candidate.observations, candidate.key) == (3.0, 0, None)
    assert (candidate.arrival, candidate.first_s, candidate.due_s) == (Arrival.CLOSED, 0.0, 3.25)
    assert len(candidates) == 1


def test_a_scan_that_finds_a_candidate_again_changes_nothing() -> None:
    """Polling passes see the same unsettled file over and over: its clock goes on."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidates.waited(one(candidates, 1.0), found(), QUIET, 1.0)
    assert candidates.sight(saw(What.LISTED, 4.0))
    assert candidates.add_listed(ROOT, b"in", b"a.ts", found().key, found(), QUIET, 4.0)
    assert candidates.next_due_s() == 5.0


def test_a_key_that_differs_between_looks_restarts_the_clock() -> None:
    """A change that no event told of counts from when it was seen, and a rename proves nothing any more."""
    candidates = tracker()
    candidates.sight(saw(What.RENAMED_IN, 0.0))
    candidate = one(candidates, 0.0)
    candidates.waited(candidate, found(10), QUIET, 0.0)
    assert one(candidates, 5.0) is candidate
    candidates.waited(candidate, found(11), QUIET, 5.0)
    assert (candidate.changed_s, candidate.observations, candidate.arrival) == (5.0, 1, Arrival.CREATED)
    assert candidates.next_due_s() == 10.0


def test_a_scan_that_finds_another_key_restarts_the_clock() -> None:
    """On mounts without events the passes are the only witnesses."""
    candidates = tracker()
    assert candidates.add_listed(ROOT, b"in", b"a.ts", found(10).key, found(10), QUIET, 0.0)
    assert candidates.add_listed(ROOT, b"in", b"a.ts", found(11).key, found(11), QUIET, 4.0)
    assert candidates.next_due_s() == 9.0
    assert one(candidates, 9.0).arrival is Arrival.CREATED


def test_a_writer_is_looked_after_less_and_less_often() -> None:
    """Pauses double from 0.25 s to 5 s; the quiet period begins when the writer is gone."""
    candidates = tracker()
    candidates.sight(saw(What.CREATED, 0.0))
    now_s, pauses = 0.25, []
    for _ in range(7):
        candidate = one(candidates, now_s)
        candidates.waited(candidate, found(writer=Writer.BUSY), BUSY, now_s)
        assert candidate.changed_s == now_s
        pauses.append(candidate.due_s - now_s)
        now_s = candidate.due_s
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    candidates.sight(saw(What.CLOSED, now_s))
    assert candidates.next_due_s() == now_s + 0.25


def test_a_sighting_voids_the_look_under_way() -> None:
    """What was read before the change is dropped and the file looked at again."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidate = one(candidates, 1.0)
    candidates.sight(saw(What.CLOSED, 2.0))
    assert candidates.next_due_s() is None, "nobody else gets it meanwhile"
    assert not candidates.finished(candidate)
    assert one(candidates, 2.25) is candidate
    assert candidates.finished(candidate)
    assert len(candidates) == 0


def test_a_void_look_teaches_nothing() -> None:
    """The key that it found may be older than the sighting."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidate = one(candidates, 1.0)
    candidates.sight(saw(What.RENAMED_IN, 2.0))
    candidates.waited(candidate, found(), QUIET, 3.0)
    assert (candidate.key, candidate.arrival, candidate.due_s) == (None, Arrival.RENAMED, 2.0)


def test_a_look_may_be_kept_for_longer_unless_it_is_void() -> None:
    """Large files go on to another lane with the candidate still out."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidate = one(candidates, 1.0)
    assert candidates.still(candidate)
    candidates.sight(saw(What.CLOSED, 2.0))
    assert not candidates.still(candidate)
    assert candidates.next_due_s() == 2.25


def test_the_result_of_a_path_that_went_away_is_void() -> None:
    """Forgotten and seen again is another candidate."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidate = one(candidates, 1.0)
    assert candidates.forget(ROOT, b"in", b"a.ts") is candidate
    assert not candidates.finished(candidate)
    candidates.sight(saw(What.CLOSED, 2.0))
    candidates.waited(candidate, found(), QUIET, 2.0)
    assert not candidates.finished(candidate)
    assert candidates.next_due_s() == 2.25
    assert candidates.forget(ROOT, b"in", b"b.ts") is None


def test_an_empty_file_leaves_until_it_is_seen_again() -> None:
    """It may stay empty for ever; its next change is a new sighting."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidates.waited(one(candidates, 1.0), found(0), Wait(WaitReason.EMPTY, 0.0), 1.0)
    assert (len(candidates), candidates.next_due_s()) == (0, None)


def test_looks_that_must_agree_are_spread_over_the_quiet_period() -> None:
    """Three looks in one instant would find the same key whatever happens."""
    candidates = tracker(local=False)
    blind = found(writer=Writer.UNKNOWN)
    wait = Wait(WaitReason.NETWORK, 15.0)
    candidates.sight(saw(What.CLOSED, 0.0))
    times = []
    for _ in range(4):
        candidate = one(candidates, now_s := candidates.next_due_s() or 0.0)
        times.append(now_s)
        candidates.waited(candidate, blind, wait, now_s)
    assert times == [0.25, 7.625, 15.0, 20.0]


def test_a_rename_remembers_where_the_catalogue_knows_the_file() -> None:
    """Twice renamed before it was looked at, it still has its first name there; back at home it has none."""
    candidates = tracker()
    candidates.sight(saw(What.MOVED, 0.0, b"b", old=(b"in", b"a")))
    candidates.sight(saw(What.MOVED, 1.0, b"c", b"out", old=(b"in", b"b")))
    assert not candidates.holds(ROOT, b"in", b"b")
    candidate = one(candidates, 1.0)
    assert (candidate.old_directory, candidate.old_name) == (b"in", b"a")
    candidates.sight(saw(What.MOVED, 2.0, b"a", old=(b"out", b"c")))
    candidate = one(candidates, 2.0)
    assert (candidate.old_directory, candidate.old_name) == (None, None)


def test_a_renamed_file_that_is_not_there_waits_for_its_next_name() -> None:
    """The news of the next rename may be on its way: its old path is kept that long, and goes along with it."""
    candidates = tracker()
    candidates.sight(saw(What.MOVED, 0.0, b"b", old=(b"in", b"a")))
    candidates.waited(one(candidates, 0.0), None, Wait(WaitReason.VANISHED, 0.0), 1.0)
    assert candidates.next_due_s() == 1.25
    candidates.sight(saw(What.MOVED, 1.125, b"c", old=(b"in", b"b")))
    moved = one(candidates, 1.125)
    assert (moved.name, moved.old_name, moved.reason) == (b"c", b"a", None)


def test_who_took_a_name_follows_the_one_that_had_it() -> None:
    """Until that one is decided."""
    candidates = tracker()
    candidates.sight(saw(What.MOVED, 0.0, b"b", old=(b"in", b"a")))
    candidates.sight(saw(What.MOVED, 0.0, b"a", old=(b"in", b"c")))
    candidates.sight(saw(What.CREATED, 0.0, b"c"))
    a, b, c = (at(candidates, name) for name in (b"a", b"b", b"c"))
    assert [candidates.must_follow(candidate) for candidate in (a, b, c)] == [True, False, True]
    candidates.due(1.0, 3)
    candidates.waited(a, None, Wait(WaitReason.FOLLOWS, 0.0), 1.0)
    assert a.due_s == 1.25
    assert candidates.finished(b)
    assert [candidates.must_follow(candidate) for candidate in (a, c)] == [False, True]


def test_who_change_places_do_not_wait() -> None:
    """Files that took each other's names in a ring would wait for ever."""
    candidates = tracker()
    candidates.sight(saw(What.MOVED, 2.0, b"t", old=(b"in", b"a")))
    candidates.sight(saw(What.MOVED, 2.0, b"a", old=(b"in", b"c")))
    candidates.sight(saw(What.MOVED, 2.0, b"c", old=(b"in", b"t")))
    ring = [at(candidates, name) for name in (b"a", b"c")]
    assert [candidate.old_name for candidate in ring] == [b"c", b"a"]
    assert not any(candidates.must_follow(candidate) for candidate in ring)


def test_a_held_name_is_not_looked_at_until_it_is_renamed_or_stale() -> None:
    """Downloads wait for their real name, and not for ever."""
    candidates = tracker(stale_after_s=100.0)
    candidates.sight(saw(What.CLOSED, 0.0, b"a.ts.part"))
    candidates.sight(saw(What.CLOSED, 50.0, b"a.ts.part"))
    assert candidates.due(149.0, 10) == []
    assert [pending.reason for pending in candidates.pending()] == [WaitReason.NAME]
    assert one(candidates, 150.0).reason is WaitReason.NAME
    candidates.sight(saw(What.MOVED, 160.0, b"a.ts", old=(b"in", b"a.ts.part")))
    candidate = one(candidates, 160.0)
    assert (candidate.name, candidate.reason) == (b"a.ts", None)


def test_the_end_of_a_companion_calls_for_a_look() -> None:
    """A transfer ends when its control file goes away."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    now_s = 0.25
    for _ in range(12):
        candidate = one(candidates, now_s)
        candidates.waited(candidate, found(), Wait(WaitReason.COMPANION, 0.0), now_s)
        now_s = candidate.due_s
    assert candidate.due_s - candidate.changed_s > 60.0
    candidates.forget(ROOT, b"in", b"a.ts.aria2")
    assert one(candidates, 1.0) is candidate
    candidates.forget(ROOT, b"in", b"a.ts.aria2")
    assert not candidates.finished(candidate), "the look under way may have seen it"


def test_a_full_tracker_says_so() -> None:
    """The caller compares that directory later; known paths go on."""
    candidates = tracker(limit=2)
    assert candidates.sight(saw(What.CLOSED, 0.0, b"a"))
    assert candidates.sight(saw(What.CLOSED, 0.0, b"b"))
    assert not candidates.sight(saw(What.CLOSED, 0.0, b"c"))
    assert not candidates.add_listed(ROOT, b"in", b"c", found().key, found(), QUIET, 0.0)
    assert candidates.sight(saw(What.CLOSED, 1.0, b"a"))
    assert candidates.sight(saw(What.MOVED, 1.0, b"c", old=(b"in", b"a")))
    assert len(candidates) == 2


def test_sightings_of_one_path_do_not_pile_up() -> None:
    """A file that is closed a hundred thousand times is one candidate and few notes."""
    candidates = tracker()
    for at in range(100_000):
        candidates.sight(saw(What.CLOSED, at / 1000))
    assert len(candidates._heap) < 2_000
    assert candidates.next_due_s() == 99.999 + 0.25


def test_a_directory_that_leaves_takes_its_candidates() -> None:
    """Those below it too, not those whose names only begin alike, nor those of other roots."""
    candidates = tracker()
    for directory in (b"in", b"in/deep/er", b"into", b""):
        candidates.sight(saw(What.CLOSED, 0.0, directory=directory))
    candidates.sight(saw(What.CLOSED, 0.0, root=OTHER))
    candidates.forget_tree(ROOT, b"in")
    assert sorted(pending.directory for pending in candidates.pending(ROOT)) == [b"", b"into"]
    candidates.forget_tree(ROOT, b"")
    assert [pending.root for pending in candidates.pending()] == [OTHER]


def test_a_renamed_directory_carries_its_candidates() -> None:
    """Their clocks go on under the new path; looks under way are void."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0, b"a.ts", b"in/x"))
    candidates.sight(saw(What.MOVED, 0.0, b"b.ts", b"out", old=(b"in/x", b"b.ts")))
    candidates.sight(saw(What.MOVED, 0.0, b"c.ts", b"in", old=(b"in/x", b"c.ts")))
    under_way = candidates.due(0.25, 10)
    candidates.move_tree(ROOT, b"in", b"new/in")
    (left,) = [candidate for candidate in under_way if candidate.directory == b"out"]
    assert candidates.finished(left), "it is not there any more"
    assert left.old_directory == b"new/in/x", "but the catalogue's row moves"
    assert not any(candidates.finished(candidate) for candidate in under_way)
    moved = {candidate.name: candidate for candidate in candidates.due(0.25, 10)}
    assert moved[b"a.ts"].directory == b"new/in/x"
    assert moved[b"a.ts"].changed_s == 0.0
    assert (moved[b"c.ts"].directory, moved[b"c.ts"].old_directory) == (b"new/in", b"new/in/x")
    assert len(candidates) == 2


def test_what_was_sighted_under_the_new_path_wins_over_what_is_carried_there() -> None:
    """The newer news holds, and nothing is counted twice."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0, directory=b"old"))
    candidates.sight(saw(What.LISTED, 3.0, directory=b"new"))
    candidates.move_tree(ROOT, b"old", b"new")
    assert len(candidates) == 1
    assert one(candidates, 3.25).changed_s == 3.0


def test_a_held_directory_lets_go_when_it_is_renamed() -> None:
    """Unpackers rename the directory when all is there."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0, directory=b"_UNPACK_show"))
    assert candidates.due(1000.0, 10) == []
    candidates.move_tree(ROOT, b"_UNPACK_show", b"show")
    assert one(candidates, 1000.0).reason is None


def test_sizes_of_what_was_looked_at_are_known() -> None:
    """A departed file of that size may be among them."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    assert candidates.open_sizes() == set()
    candidates.waited(one(candidates, 1.0), found(77), QUIET, 1.0)
    assert candidates.open_sizes() == {77}


def test_held_names_are_not_unsettled_files() -> None:
    """Nobody waits for a download that nobody finishes."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    candidates.sight(saw(What.CLOSED, 0.0, b"a.ts.part"))
    assert (len(candidates), candidates.unsettled()) == (2, 1)


def test_old_paths_of_files_under_way_are_known() -> None:
    """What is missing there has not been deleted."""
    candidates = tracker()
    candidates.sight(saw(What.MOVED, 0.0, b"b", old=(b"in", b"a")))
    candidates.sight(saw(What.CLOSED, 0.0, b"c"))
    assert set(candidates.old_paths()) == {(ROOT, b"in", b"a")}


def test_a_writer_that_pauses_longer_than_its_quiet_period_is_learned() -> None:
    """A file that changed after it was ready on weak proof: three times its pause, for its kind and directory."""
    candidates = tracker()
    settle(candidates, 0.0, 10)
    candidates.sight(saw(What.CLOSED, 8.0))
    candidate = one(candidates, 8.25)
    assert candidates.learned_for(candidate) == 24.0, "this file waits at once"
    assert candidates.learned_at(ROOT, b"in", b"z.TS") == 0.0, "others when the change is proven"
    candidates.waited(candidate, found(20), Wait(WaitReason.QUIET, 24.0), 8.25)
    assert candidates.learned_at(ROOT, b"in", b"z.TS") == 24.0
    assert candidates.learned_at(ROOT, b"in", b"z.mp4") == 0.0
    assert candidates.learned_at(ROOT, b"out", b"z.ts") == 0.0
    assert candidates.learned_changes() == [Learned(ROOT, b"in", b".ts", 24.0)]
    assert candidates.learned_changes() == []
    candidates.sight(saw(What.CLOSED, 16.0))
    assert candidates.learned_for(one(candidates, 16.25)) == 24.0


def test_a_pause_is_learned_also_where_the_next_look_is_the_last() -> None:
    """With a long debounce a file is ready at its first look every time."""
    candidates = tracker()
    settle(candidates, 0.0, 10)
    settle(candidates, 30.0, 20)
    assert candidates.learned_at(ROOT, b"in", b"a.ts") == 90.0


@pytest.mark.parametrize(
    ("at_s", "size", "what"),
    [(8.0, 10, What.CLOSED), (900.0, 20, What.CLOSED), (8.0, 20, What.RENAMED_IN)],
    ids=["touched, not changed", "edited long after", "replaced by a rename"],
)
def test_what_is_no_pause_of_a_writer_is_not_learned(at_s: float, size: int, what: What) -> None:
    """Edits, touches and replacements do not make later files wait."""
    candidates = tracker()
    settle(candidates, 0.0, 10)
    candidates.sight(saw(what, at_s))
    candidates.waited(one(candidates, at_s + 1), found(size), QUIET, at_s + 1)
    assert candidates.learned_changes() == []


def test_only_weak_proof_teaches() -> None:
    """A file that proved itself complete and was changed later was complete then."""
    candidates = tracker()
    candidates.sight(saw(What.CLOSED, 0.0))
    assert candidates.finished(one(candidates, 1.0))
    candidates.sight(saw(What.CLOSED, 8.0))
    assert candidates.learned_for(one(candidates, 9.0)) == 0.0


def test_learned_times_survive_a_restart() -> None:
    """They are given back by the store as they were taken."""
    candidates = tracker()
    candidates.load_learned([Learned(ROOT, b"in", b".ts", 24.0)])
    assert candidates.learned_at(ROOT, b"in", b"a.ts") == 24.0
    assert candidates.learned_changes() == []


def test_memory_of_files_that_were_ready_is_bounded() -> None:
    """The oldest of them make room."""
    candidates = tracker()
    for index in range(10_050):
        candidates.sight(saw(What.CLOSED, 0.0, b"%d.ts" % index))
        assert candidates.finished(one(candidates, 1.0), found().key)
    assert len(candidates._ready) == 10_000
    assert (ROOT, b"in", b"0.ts") not in candidates._ready
