"""The relay, turn by turn: what is delivered when, in which order, and what is kept of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediasluice.catalogue import outbox
from mediasluice.catalogue.outbox import ACTIVE, DEAD, DISABLED, PARKED, PAUSED, Announced, Fact
from mediasluice.delivery.relay import DEAD_IN_A_ROW, REFUSED_S
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits
from mediasluice.errors import MissingExtra, SinkRefused, SinkUnreachable
from tests.catalogues import add_root
from tests.relaying import BY_FILE, IN_ORDER, Bench

LATER = Outcome(Result.LATER, "not yet", 5.0)
FAILED = Outcome(Result.FAILED, "it said 500")
GIVEN_UP = Outcome(Result.DEAD, "it said 404")
DOWN = SinkUnreachable("nobody answers at far:1", hint="is it running?")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.register()
    yield bench
    bench.close()
    assert bench.failures == []


def about(*paths: str, outcome: Outcome, times: int = 10**9) -> Callable[[Fact], Outcome]:
    """An answer: this outcome for these paths, so often; all else is delivered."""
    left = {"/photos/" + path: times for path in paths}

    def answer(fact: Fact) -> Outcome:
        path = fact.event.path.decode()
        if left.get(path, 0):
            left[path] -= 1
            return outcome
        return DELIVERED

    return answer


# -- all goes well ------------------------------------------------------------------------------


def test_everything_in_order_and_once(bench: Bench) -> None:
    """The log is delivered in its order, in batches, and how far it is stands in the catalogue."""
    bench.create("a", "b", "c", "d")
    relay = bench.relay(IN_ORDER)
    bench.run(relay)
    bench.change("a", "other")
    bench.run(relay)
    assert bench.far.batches == [[1, 2, 3], [4], [5]]
    assert (bench.position().cursor, bench.position().done, bench.position().delivered) == (5, (), 5)
    bench.run(bench.relay(IN_ORDER), 100)
    assert bench.far.seqs == [1, 2, 3, 4, 5]


def test_a_new_sink_begins_where_it_is_told(bench: Bench) -> None:
    """At the head of the log, or at its beginning."""
    bench.create("a", "b")
    bench.register("late", from_start=False)
    bench.create("c")
    bench.run(bench.relay(name="late"))
    assert bench.far.paths == ["c"]
    bench.register("early", from_start=True)
    bench.run(bench.relay(name="early"))
    assert bench.far.paths == ["c", "a", "b", "c"]


def test_what_is_not_wanted_is_passed_over(bench: Bench) -> None:
    """Events, libraries and own moves that a sink does not want leave no trace but the cursor."""
    bench.create("a", "b")
    bench.change("a", "x")
    relay = bench.relay(events=("file.mod*",))
    bench.run(relay, 5)
    assert bench.far.seqs == [3]
    relay = bench.relay(name=bench.register("other") or "other", libraries=("films",))
    bench.create("c")
    bench.run(relay, 5)
    assert bench.far.seqs == [3]
    assert bench.position("other").cursor == 4
    assert bench.status(relay).pending == 0


def test_a_log_that_is_longer_than_what_is_held(bench: Bench) -> None:
    """No more than the read-ahead is in memory, and all of a long log is delivered."""
    for number in range(30):
        bench.create(*(f"{number}/{name}" for name in range(50)))
    relay = bench.relay(read_ahead=10, batch=7)
    bench.run(relay)
    assert bench.far.seqs == list(range(1, 1501))
    assert max(map(len, bench.far.batches)) == 7


def test_a_batch_waits_to_be_full(bench: Bench) -> None:
    """With a window, facts that come soon after one another go together; a full batch goes at once."""
    relay = bench.relay(window_s=2.0)
    bench.create("a")
    bench.run(relay, 1)
    assert bench.far.batches == []
    bench.create("b")
    bench.run(relay, 1)
    assert bench.far.batches == [[1, 2]]
    bench.create("c", "d", "e")
    bench.run(relay)
    assert bench.far.batches == [[1, 2], [3, 4, 5]]


def test_no_faster_than_allowed(bench: Bench) -> None:
    """A rate holds on average; what waits for it is not lost."""
    bench.create(*map(str, range(20)))
    relay = bench.relay(rate=2.0, batch=3)
    bench.run(relay)
    assert len(bench.far.seqs) == 3
    bench.run(relay, 4)
    assert len(bench.far.seqs) == 11
    bench.run(relay, 5)
    assert bench.far.seqs == list(range(1, 21))


@pytest.mark.parametrize("traits", [BY_FILE, IN_ORDER], ids=["by file", "in order"])
def test_a_library_is_told_no_faster_than_it_says(bench: Bench, traits: Traits) -> None:
    """S1-96: the rate of a library holds, nothing of it is lost, and in any order other libraries pass."""
    slow = bench.root
    other = add_root(bench.catalogue, "films", b"disk-2")
    bench.create(*map(str, range(10)), root=slow)
    bench.create("film", root=other)
    relay = bench.relay(traits, library_rates={"photos": (1.0, 2)})
    bench.run(relay)
    assert len(bench.far.seqs) == (3 if traits is BY_FILE else 2)
    bench.run(relay, 4)
    assert len(bench.far.seqs) == (7 if traits is BY_FILE else 6)
    bench.run(relay, 10)
    assert sorted(bench.far.seqs) == list(range(1, 12))


# -- it does not go well -------------------------------------------------------------------------


def test_what_failed_is_tried_again_and_others_pass(bench: Bench) -> None:
    """One file that fails holds up what follows for this file, and nothing else."""
    bench.create("a", "b")
    bench.change("a", "x")
    bench.far.answer = about("a", outcome=FAILED, times=2)
    relay = bench.relay(batch=1)
    bench.run(relay)
    assert bench.far.paths == ["b"]
    assert bench.position().done == ((2, 2),)
    bench.run(relay, 60)
    assert bench.far.seqs == [2, 1, 3]
    assert (bench.position().cursor, bench.position().done) == (3, ())


def test_a_strict_sink_waits_for_the_first(bench: Bench) -> None:
    """What came after trouble is delivered again: the far side sees the order of the log from there on."""
    bench.create("a", "b", "c", "d")
    bench.far.answer = about("b", outcome=FAILED, times=1)
    relay = bench.relay(IN_ORDER)
    bench.run(relay)
    assert bench.position().cursor == 1
    bench.run(relay, 10)
    assert bench.far.seqs == [1, 3, 2, 3, 4]


def test_a_move_goes_after_what_was_told_of_both_places(bench: Bench) -> None:
    """A file that moves keeps its order at the place that it leaves and at the one that it comes to."""
    bench.create("a", "b")
    bench.delete("b")
    bench.move("a", "b")
    bench.change("b", "x")
    bench.far.answer = about("b", outcome=FAILED, times=1)
    bench.run(bench.relay(), 100)
    assert bench.far.seqs == [1, 2, 3, 4, 5]


def test_its_time_has_not_come(bench: Bench) -> None:
    """What is to go later goes then, and counts as no failure."""
    bench.create("a", "b")
    bench.far.answer = about("a", outcome=LATER, times=1)
    relay = bench.relay(retry_max=0)
    bench.run(relay, 4)
    assert bench.far.paths == ["b"]
    assert (bench.status(relay).reason, bench.status(relay).failures) == ("not yet", 0)
    bench.run(relay, 1)
    assert bench.far.paths == ["b", "a"]


def test_nobody_answers(bench: Bench) -> None:
    """A far side that is away is left alone for growing times, said once, and gets all when it is back."""
    bench.create("a", "b", "c", "d")
    bench.far.refuses = DOWN
    relay = bench.relay(IN_ORDER, retry_cap_s=5.0)
    bench.run(relay, 100)
    status = bench.status(relay)
    assert (status.state, status.reason, status.pending) == ("unreachable", "nobody answers at far:1", 4)
    assert 20 <= bench.far.opened <= 30
    assert bench.diary.count("sink_unreachable") == 1
    bench.far.refuses = None
    bench.run(relay, 6)
    assert bench.far.seqs == [1, 2, 3, 4]
    assert bench.far.batches[0] == [1]
    assert (bench.status(relay).state, bench.status(relay).breaker) == (ACTIVE, "closed")
    assert bench.diary.count("sink_reached") == 1


def test_it_goes_away_amid_a_batch(bench: Bench) -> None:
    """Nothing of a batch that broke off counts: it may come twice, with the same ids, and nothing is left out."""
    bench.create("a", "b", "c")
    bench.far.raises, bench.far.takes = DOWN, 2
    relay = bench.relay(IN_ORDER)
    bench.run(relay)
    assert (bench.far.seqs, bench.position().cursor) == ([1, 2], 0)
    first = [fact.event.id for fact in bench.far.got]
    bench.far.raises = None
    bench.run(relay, 10)
    assert bench.far.seqs == [1, 2, 1, 2, 3]
    assert [fact.event.id for fact in bench.far.got[2:4]] == first


def test_a_mistake_of_ours_ends_nothing(bench: Bench) -> None:
    """A sink that raises what it must not, or answers too little, is shown and tried again."""
    bench.create("a", "b")
    bench.far.raises, bench.far.takes = ZeroDivisionError("oh"), 0
    relay = bench.relay()
    bench.run(relay, 3)
    assert "a mistake in mediasluice: ZeroDivisionError: oh" in str(bench.status(relay).reason)
    assert bench.diary.count("sink_bug") == 1
    bench.far.raises = None
    bench.run(relay, 400)
    assert bench.far.seqs == [1, 2]


@pytest.mark.parametrize(
    "error", [SinkRefused("wrong password", hint="set url"), MissingExtra("no driver", hint="pip")]
)
def test_a_person_has_to_change_something(bench: Bench, error: Exception) -> None:
    """Who is refused says what is to be done, asks again seldom, and goes on by itself when that was done."""
    bench.create("a")
    bench.far.refuses = error
    relay = bench.relay(retry_cap_s=5.0)
    bench.run(relay, 10 * REFUSED_S + 1)
    assert bench.far.opened == 11
    assert bench.status(relay).state == "refused"
    assert bench.status(relay).next in {"set url", "pip"}
    assert bench.diary.count("sink_refused") == 1
    bench.far.refuses = None
    bench.run(relay, REFUSED_S)
    assert bench.far.seqs == [1]


def test_never_again(bench: Bench) -> None:
    """A far side that wants no call ever again gets none, not after a restart either, until a person says so."""
    bench.create("a")
    bench.far.refuses = SinkRefused("410 Gone", hint="remove it", is_final=True)
    bench.run(bench.relay(), 1000)
    assert (bench.far.opened, bench.position().state) == (1, DISABLED)
    bench.run(bench.relay(), 1000)
    assert bench.far.opened == 1
    bench.far.refuses = None
    bench.catalogue.change(outbox.set_state, "far", ACTIVE, None, 0)
    bench.run(bench.relay())
    assert bench.far.seqs == [1]


# -- dead letters --------------------------------------------------------------------------------


def test_a_dead_letter_parks_what_follows_it(bench: Bench) -> None:
    """What cannot be delivered is kept, with all that follows for this file or path; other files pass."""
    bench.create("a", "b", "c")
    bench.change("a", "x")
    bench.delete("b")
    bench.move("a", "b")
    bench.change("b", "y")
    bench.far.answer = about("a", outcome=GIVEN_UP)
    relay = bench.relay()
    bench.run(relay)
    bench.change("b", "z")
    bench.create("d")
    bench.run(relay)
    assert bench.far.paths == ["b", "c", "b", "d"]
    letters = bench.view.ask(outbox.letters, "far")
    assert [(letter.seq, letter.state) for letter in letters] == [
        *((1, DEAD), (4, PARKED), (6, PARKED), (7, PARKED), (8, PARKED)),
    ]
    assert letters[0].reason == "it said 404"
    status = bench.status(relay)
    assert (status.dead, status.parked, status.pending) == (1, 4, 0)


@pytest.mark.parametrize("restarts", [False, True])
def test_letters_are_tried_again_in_order(bench: Bench, *, restarts: bool) -> None:
    """Once what was wrong is right, dead letters and what waited behind them are delivered in the order of the log."""
    bench.create("a")
    bench.change("a", "x")
    bench.far.answer = about("a", outcome=GIVEN_UP, times=1)
    relay = bench.relay()
    bench.run(relay)
    bench.change("a", "y")
    bench.create("b")
    bench.run(relay)
    assert bench.far.paths == ["b"]
    assert bench.catalogue.change(outbox.retry_letters, "far") == 3
    if restarts:
        relay = bench.relay()
    else:
        relay.reload()
    bench.change("a", "z")
    bench.run(relay)
    assert bench.far.seqs == [4, 1, 2, 3, 5]
    assert bench.view.ask(outbox.letters, "far") == []
    assert bench.position().cursor == 5


def test_a_letter_that_is_given_up_again(bench: Bench) -> None:
    """What fails again is a dead letter again, and what follows it still waits."""
    bench.create("a")
    bench.change("a", "x")
    bench.far.answer = about("a", outcome=GIVEN_UP)
    relay = bench.relay()
    bench.run(relay)
    bench.catalogue.change(outbox.retry_letters, "far")
    relay.reload()
    bench.run(relay)
    assert [letter.state for letter in bench.view.ask(outbox.letters, "far")] == [DEAD, PARKED]


def test_a_letter_that_is_dropped_lets_the_others_go(bench: Bench) -> None:
    """A person may give a fact up for good; what waited behind it is delivered."""
    bench.create("a")
    bench.change("a", "x")
    bench.far.answer = about("a", outcome=GIVEN_UP, times=1)
    relay = bench.relay()
    bench.run(relay)
    assert bench.catalogue.change(outbox.drop_letters, "far", [1]) == 1
    relay.reload()
    bench.run(relay)
    assert bench.far.seqs == [2]


def test_so_many_failures_and_no_more(bench: Bench) -> None:
    """With a limit, a fact that fails too often becomes a dead letter."""
    bench.create("a", "b")
    bench.far.answer = about("a", outcome=FAILED)
    bench.run(bench.relay(retry_max=2, retry_cap_s=5.0), 100)
    assert [(one.seq, one.tries, one.reason) for one in bench.view.ask(outbox.letters, "far")] == [
        (1, 3, "it said 500")
    ]


def test_where_everything_is_refused_the_facts_are_not_wrong(bench: Bench) -> None:
    """A wrong address does not turn the whole log into dead letters: after a few, all waits for a person."""
    bench.create(*map(str, range(100)))
    bench.far.answer = lambda _: GIVEN_UP
    relay = bench.relay()
    bench.run(relay, 1000)
    assert len(bench.view.ask(outbox.letters, "far")) == DEAD_IN_A_ROW
    assert bench.status(relay).state == "refused"
    bench.far.answer = lambda _: DELIVERED
    bench.run(relay, REFUSED_S)
    assert len(bench.far.seqs) == 100 - DEAD_IN_A_ROW
    bench.catalogue.change(outbox.retry_letters, "far")
    relay.reload()
    bench.run(relay)
    assert sorted(bench.far.seqs) == list(range(1, 101))


# -- people, restarts ----------------------------------------------------------------------------


def test_a_pause(bench: Bench) -> None:
    """A paused sink is told nothing, over restarts, and all of it when it goes on."""
    bench.catalogue.change(outbox.set_state, "far", PAUSED, "by a person", 0)
    relay = bench.relay()
    bench.create("a")
    bench.run(relay, 100)
    assert bench.far.opened == 0
    assert (bench.status(relay).state, bench.status(relay).pending) == (PAUSED, 1)
    bench.catalogue.change(outbox.set_state, "far", ACTIVE, None, 0)
    relay.reload()
    bench.run(relay)
    assert bench.far.seqs == [1]


def test_once_more(bench: Bench) -> None:
    """Replayed facts come again with their ids; one that the sink has not got yet comes once."""
    bench.create("a", "b", "c")
    relay = bench.relay()
    bench.run(relay)
    bench.catalogue.change(outbox.replay, "far", 1)
    relay.reload()
    bench.create("d")
    bench.run(relay)
    assert bench.far.seqs == [1, 2, 3, 2, 3, 4]
    assert bench.far.got[3].event.id == bench.far.got[1].event.id


def test_out_of_order_and_not_twice(bench: Bench) -> None:
    """What was delivered ahead of something that waits is not delivered again by the next process."""
    bench.create("a", "b", "c", "d")
    bench.far.answer = about("a", "c", outcome=LATER)
    bench.run(bench.relay())
    assert bench.position().done == ((2, 2), (4, 4))
    bench.far.answer = lambda _: DELIVERED
    bench.run(bench.relay())
    assert bench.far.seqs == [2, 4, 1, 3]


def test_a_cursor_ahead_of_the_log(bench: Bench) -> None:
    """After an older copy of the catalogue was put back, a sink begins at its head, and that is said."""
    bench.create("a", "b")
    bench.run(bench.relay())
    bench.catalogue.change(outbox.record, "far", outbox.Progress(9, (), 0))
    assert "ahead of the log, which ends at 2" in str(bench.register())
    bench.create("c")
    bench.run(bench.relay())
    assert bench.far.seqs == [1, 2, 3]


def test_another_log(bench: Bench) -> None:
    """A cursor of another log is worthless here, and that is said."""
    bench.create("a")
    bench.catalogue._connection.execute("UPDATE sink SET epoch = 'other', cursor = 0")
    assert "another log" in str(bench.register())
    bench.create("b")
    bench.run(bench.relay())
    assert bench.far.seqs == [2]


def test_another_type_under_the_same_name(bench: Bench) -> None:
    """A sink that became another system starts anew and is told nothing of what the first one was told."""
    bench.create("a")
    bench.run(bench.relay())
    bench.catalogue.change(outbox.register, "far", "other type", 0, from_start=True)
    assert (bench.position().type, bench.position().cursor, bench.position().delivered) == ("other type", 0, 0)


def test_what_was_told_is_kept_with_the_cursor(bench: Bench) -> None:
    """What a sink was told of a file is recorded when, and only when, it was delivered; the last word counts."""
    bench.create("a", "b")
    path = b"/photos/a"

    def answer(fact: Fact) -> Outcome:
        assert fact.file is not None
        return Outcome(Result.DELIVERED, announced=[Announced(fact.file, fact.event.path, fact.content, "created")])

    bench.far.answer = answer
    bench.far.raises, bench.far.takes = DOWN, 1
    relay = bench.relay()
    bench.run(relay)
    assert bench.view.ask(outbox.announced, "far", [1, 2]) == {}
    bench.far.raises = None
    bench.run(relay, 10)
    known = bench.view.ask(outbox.announced, "far", [1, 2])
    assert known[1].path == path
    assert known[1].content is not None
    bench.far.answer = lambda fact: Outcome(
        Result.DELIVERED, announced=[Announced(fact.file or 0, fact.event.path, None, None)]
    )
    bench.delete("a")
    bench.run(relay)
    assert bench.view.ask(outbox.announced, "far", [1, 2]).keys() == {2}


def test_a_sink_that_lagged_hears_so(bench: Bench) -> None:
    """Where the log keeps only the last fact of each file, it says that it is told to a sink that was away."""
    bench.create("a", "b")
    bench.catalogue._connection.execute("UPDATE sink SET lagged = 1")
    relay = bench.relay()
    assert bench.status(relay).state == "lagged"
    bench.run(relay)
    assert [fact.event.data for fact in bench.far.got] == [{"reseeded": True}, {}]
    assert bench.status(relay).state == ACTIVE


def test_a_replay_while_a_batch_is_under_way(bench: Bench) -> None:
    """What a person sets is not overwritten by what was under way by then."""
    bench.create("a", "b", "c")
    relay = bench.relay(IN_ORDER)

    def answer(fact: Fact) -> Outcome:
        if fact.event.seq == 3 and len(bench.far.got) == 2:
            bench.catalogue.change(outbox.replay, "far", 0)
            relay.reload()
        return DELIVERED

    bench.far.answer = answer
    bench.run(relay)
    assert bench.far.seqs == [1, 2, 3, 1, 2, 3]
    assert bench.position().cursor == 3


def test_a_retry_while_another_letter_is_written(bench: Bench) -> None:
    """What is parked while a person has letters tried again is tried again as well, in order."""
    bench.create("a")
    bench.change("a", "x")
    bench.far.answer = about("a", outcome=GIVEN_UP, times=1)
    relay = bench.relay()
    bench.run(relay)
    bench.change("a", "y")
    bench.catalogue.change(outbox.retry_letters, "far")  # and the relay does not know yet
    bench.run(relay)
    relay.reload()
    bench.run(relay)
    assert bench.far.seqs == [1, 2, 3]
    assert bench.view.ask(outbox.letters, "far") == []


def test_a_letter_behind_one_that_is_dead_stays_there(bench: Bench) -> None:
    """Dropping one letter lets go what waits behind it, and nothing that waits behind another one."""
    bench.create("a", "b")
    bench.change("a", "x")
    bench.change("b", "y")
    bench.far.answer = about("a", "b", outcome=GIVEN_UP)
    relay = bench.relay()
    bench.run(relay)
    bench.catalogue.change(outbox.drop_letters, "far", [1])
    bench.far.answer = lambda _: DELIVERED
    relay.reload()
    bench.run(relay)
    assert bench.far.seqs == [3]
    bench.catalogue.change(outbox.retry_letters, "far")
    relay.reload()
    bench.run(relay)
    assert bench.far.seqs == [3, 2, 4]


def test_one_fact_that_is_never_heard_of(bench: Bench) -> None:
    """A fact at which the far side always goes silent keeps no other file waiting, and its failures count."""
    bench.create("a", "b", "c")

    def answer(fact: Fact) -> Outcome:
        if fact.event.path == b"/photos/a":
            raise DOWN
        return DELIVERED

    bench.far.answer = answer
    relay = bench.relay(batch=1, retry_max=2, retry_cap_s=5.0)
    bench.run(relay, 60)
    assert bench.far.paths == ["b", "c"]
    for number in range(4):
        bench.create(f"{number}")
        bench.run(relay, 20)
    assert bench.far.paths == ["b", "c", "0", "1", "2", "3"]
    assert [(one.seq, one.state) for one in bench.view.ask(outbox.letters, "far")] == [(1, DEAD)]


def test_an_outage_makes_no_dead_letters(bench: Bench) -> None:
    """However long nobody answers, no fact counts as failed for it."""
    bench.create("a", "b")
    bench.far.raises, bench.far.takes = DOWN, 0
    relay = bench.relay(batch=1, retry_max=0)
    bench.run(relay, 100_000)
    bench.far.raises = None
    bench.run(relay, 700)
    assert sorted(bench.far.seqs) == [1, 2]
    assert bench.view.ask(outbox.letters, "far") == []


def test_a_mistake_of_ours_at_one_fact_holds_up_a_strict_sink_for_a_while(bench: Bench) -> None:
    """A fact that a mistake of ours keeps from being told becomes a dead letter, and the others are told."""
    bench.create("a", "b", "c")

    def answer(fact: Fact) -> Outcome:
        if fact.event.path == b"/photos/b":
            raise ZeroDivisionError("oh")
        return DELIVERED

    bench.far.answer = answer
    bench.run(bench.relay(IN_ORDER, retry_cap_s=5.0), 100)
    assert bench.far.seqs[-1] == 3
    [letter] = bench.view.ask(outbox.letters, "far")
    assert (letter.seq, letter.state) == (2, DEAD)
    assert "a mistake in mediasluice: ZeroDivisionError" in letter.reason


def test_a_batch_that_fails_is_one_failure(bench: Bench) -> None:
    """A hundred facts that fail together make the far side be left alone no longer than one."""
    bench.create(*map(str, range(100)))
    bench.far.answer = lambda _: FAILED
    relay = bench.relay(batch=100)
    bench.run(relay)
    assert bench.status(relay).breaker == "closed"
    bench.far.answer = lambda _: DELIVERED
    bench.run(relay, 1)
    assert len(bench.far.seqs) == 100


def test_a_sink_that_begins_to_lag_while_it_runs(bench: Bench) -> None:
    """What retention cuts away while a relay waits is known to it when it goes on."""
    relay = bench.relay(read_ahead=1, batch=1)
    bench.create("a", "b")
    bench.catalogue.change(outbox.set_state, "far", PAUSED, None, 0)
    relay.reload()
    bench.run(relay, 5)
    bench.catalogue._connection.execute("UPDATE sink SET lagged = 2")
    bench.catalogue.change(outbox.set_state, "far", ACTIVE, None, 0)
    relay.reload()
    bench.run(relay)
    assert [fact.event.data for fact in bench.far.got] == [{"reseeded": True}, {"reseeded": True}]


def test_a_stop_keeps_what_was_delivered(bench: Bench) -> None:
    """A relay in its thread delivers what is added, and after a stop nothing of it comes again."""
    bench.create("a", "b")
    both = threading.Event()

    def answer(_: Fact) -> Outcome:
        if bench.far.got:
            both.set()
        return DELIVERED

    bench.far.answer = answer
    threads = bench.relay(BY_FILE._replace(batch=1))
    threads.start()
    assert both.wait(20)
    threads.stop()
    assert sorted(bench.far.seqs) == [1, 2]
    bench.run(bench.relay())
    assert sorted(bench.far.seqs) == [1, 2]
