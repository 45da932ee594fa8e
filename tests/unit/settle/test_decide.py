from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.model.files import ChangeKey
from mediasluice.settle.decide import Arrival, Options, Ready, Timing, Wait, WaitReason, decide, rest_s
from mediasluice.settle.formats import Format
from mediasluice.settle.probes import Evidence, Writer

LOCAL = Options()
NETWORK = Options(local=False)
SLOW = Options(debounce_s=30.0)
STRONG, WEAK = Ready(strong=True), Ready(strong=False)
KEY = ChangeKey(1, 1000, 1, 1)
UNKNOWN, COMPLETE, TRUNCATED = Format


def evidence(
    format: Format = UNKNOWN,  # noqa: A002 - the field's name
    writer: Writer = Writer.FREE,
    *,
    holes: bool = False,
    size: int = 1000,
) -> Evidence:
    return Evidence(KEY._replace(size=size), 1, writer, holes, format)


def timing(
    arrival: Arrival = Arrival.CLOSED,
    quiet_s: float = 0.0,
    age_s: float = 0.0,
    observations: int = 1,
    learned_s: float = 0.0,
) -> Timing:
    return Timing(arrival, quiet_s, age_s, observations, learned_s)


RENAMED, CLOSED, CREATED, LISTED = Arrival
BLIND = evidence(writer=Writer.UNKNOWN)

TABLE = {
    "busy": (evidence(COMPLETE, Writer.BUSY), timing(RENAMED), LOCAL, Wait(WaitReason.WRITER, 0.0)),
    "busy, empty": (evidence(writer=Writer.BUSY, size=0), timing(), LOCAL, Wait(WaitReason.WRITER, 0.0)),
    "busy, at rest": (
        evidence(COMPLETE, Writer.BUSY),
        timing(LISTED, age_s=1e6),
        LOCAL,
        Wait(WaitReason.WRITER, 0.0),
    ),
    "empty": (evidence(size=0), timing(RENAMED, 1e6, 1e6), LOCAL, Wait(WaitReason.EMPTY, 0.0)),
    "renamed": (evidence(), timing(RENAMED), LOCAL, STRONG),
    "renamed, truncated": (evidence(TRUNCATED), timing(RENAMED), LOCAL, Wait(WaitReason.TRUNCATED, 60.0)),
    "renamed, holes": (evidence(holes=True), timing(RENAMED), LOCAL, Wait(WaitReason.HOLES, 60.0)),
    "complete, soon": (evidence(COMPLETE), timing(CLOSED, 0.2), LOCAL, Wait(WaitReason.QUIET, 0.25)),
    "complete": (evidence(COMPLETE), timing(CLOSED, 0.25), LOCAL, STRONG),
    "complete, learned": (evidence(COMPLETE), timing(CLOSED, 0.25, learned_s=99.0), LOCAL, STRONG),
    "complete, linked": (evidence(COMPLETE), timing(CREATED, 0.25), LOCAL, STRONG),
    "complete, holes": (evidence(COMPLETE, holes=True), timing(CLOSED, 59), LOCAL, Wait(WaitReason.HOLES, 60.0)),
    "complete, holes, long": (evidence(COMPLETE, holes=True), timing(CLOSED, 60), LOCAL, WEAK),
    "unknown, soon": (evidence(), timing(CLOSED, 4.9), LOCAL, Wait(WaitReason.QUIET, 5.0)),
    "unknown": (evidence(), timing(CLOSED, 5.0), LOCAL, WEAK),
    "unknown, linked": (evidence(), timing(CREATED, 5.0), LOCAL, WEAK),
    "unknown, learned": (evidence(), timing(CLOSED, 5.0, learned_s=24), LOCAL, Wait(WaitReason.QUIET, 24.0)),
    "unknown, learned, long": (evidence(), timing(CLOSED, 24.0, learned_s=24.0), LOCAL, WEAK),
    "truncated": (evidence(TRUNCATED), timing(CLOSED, 59.9), LOCAL, Wait(WaitReason.TRUNCATED, 60.0)),
    "truncated, long": (evidence(TRUNCATED), timing(CLOSED, 60.0), LOCAL, WEAK),
    "at rest": (evidence(), timing(LISTED, age_s=60.0), LOCAL, STRONG),
    "not yet at rest": (evidence(), timing(LISTED, age_s=59.0), LOCAL, Wait(WaitReason.QUIET, 5.0)),
    "at rest, but it was closed now": (evidence(), timing(age_s=1e6), LOCAL, Wait(WaitReason.QUIET, 5.0)),
    "at rest, truncated": (evidence(TRUNCATED), timing(LISTED, age_s=60.0), LOCAL, WEAK),
    "at rest, holes": (evidence(holes=True), timing(LISTED, age_s=60.0), LOCAL, WEAK),
    "at rest, learned": (evidence(), timing(LISTED, 0, 99, 1, 100.0), LOCAL, Wait(WaitReason.QUIET, 100.0)),
    "blind, soon": (BLIND, timing(CLOSED, 9.9, observations=9), LOCAL, Wait(WaitReason.QUIET, 10.0)),
    "blind, two looks": (BLIND, timing(CLOSED, 99.0, observations=2), LOCAL, Wait(WaitReason.QUIET, 10.0)),
    "blind": (BLIND, timing(CLOSED, 10.0, observations=3), LOCAL, WEAK),
    "blind, renamed": (BLIND, timing(RENAMED), LOCAL, Wait(WaitReason.QUIET, 10.0)),
    "blind, complete": (
        evidence(COMPLETE, Writer.UNKNOWN),
        timing(CLOSED, 1.0),
        LOCAL,
        Wait(WaitReason.QUIET, 10.0),
    ),
    "blind, at rest": (BLIND, timing(LISTED, age_s=60.0), LOCAL, WEAK),
    "network, soon": (BLIND, timing(CLOSED, 14.9, 0, 9), NETWORK, Wait(WaitReason.NETWORK, 15.0)),
    "network, two looks": (BLIND, timing(CLOSED, 15.0, 0, 2), NETWORK, Wait(WaitReason.NETWORK, 15.0)),
    "network": (BLIND, timing(CLOSED, 15.0, 0, 3), NETWORK, WEAK),
    "network, a lease says free": (evidence(), timing(RENAMED), NETWORK, Wait(WaitReason.NETWORK, 15.0)),
    "network, truncated": (
        evidence(TRUNCATED, Writer.UNKNOWN),
        timing(CLOSED, 59.0, 0, 9),
        NETWORK,
        Wait(WaitReason.TRUNCATED, 60.0),
    ),
    "network, truncated, long": (evidence(TRUNCATED, Writer.UNKNOWN), timing(CLOSED, 60, 0, 3), NETWORK, WEAK),
    "network, at rest": (BLIND, timing(LISTED, age_s=60.0), NETWORK, WEAK),
    "network, at rest, truncated": (
        evidence(TRUNCATED, Writer.UNKNOWN),
        timing(LISTED, age_s=1e6),
        NETWORK,
        Wait(WaitReason.TRUNCATED, 60.0),
    ),
    "network, rests longer than its quiet period": (
        BLIND,
        timing(LISTED, age_s=99.0),
        replace(NETWORK, network_s=100.0),
        Wait(WaitReason.NETWORK, 100.0),
    ),
    "debounce, renamed": (evidence(), timing(RENAMED, 29.0), SLOW, Wait(WaitReason.DEBOUNCE, 30.0)),
    "debounce, over": (evidence(), timing(RENAMED, 30.0), SLOW, STRONG),
    "debounce, unknown": (evidence(), timing(CLOSED, 1.0), SLOW, Wait(WaitReason.QUIET, 30.0)),
    "debounce, at rest": (evidence(), timing(LISTED, age_s=60.0), SLOW, STRONG),
    "debounce, longer than rest": (
        evidence(COMPLETE),
        timing(LISTED, 1.0, 60.0),
        replace(SLOW, debounce_s=90.0),
        Wait(WaitReason.DEBOUNCE, 90.0),
    ),
}


@pytest.mark.parametrize(("seen", "when", "options", "expected"), TABLE.values(), ids=TABLE)
def test_the_table(seen: Evidence, when: Timing, options: Options, expected: Ready | Wait) -> None:
    """Every row of the decision table holds, at its limits too."""
    assert decide(seen, when, options) == expected


@pytest.mark.parametrize(("seen", "when", "options", "expected"), TABLE.values(), ids=TABLE)
def test_plain_integers_say_the_same(seen: Evidence, when: Timing, options: Options, expected: Ready | Wait) -> None:
    """What crossed a process border as integers is decided in the same way."""
    plain = seen._replace(writer=int(seen.writer), format=int(seen.format))  # type: ignore[arg-type]
    assert decide(plain, when._replace(arrival=int(when.arrival)), options) == expected  # type: ignore[arg-type]


def test_a_clock_asked_exactly_at_the_end_of_a_period_does_not_miss_it() -> None:
    """Rounding of times far from zero costs no extra look."""
    changed_s = 1_000_000.1
    for need_s, seen in ((0.25, evidence(COMPLETE)), (5.0, evidence())):
        assert isinstance(decide(seen, timing(quiet_s=(changed_s + need_s) - changed_s), LOCAL), Ready)


SECONDS = st.floats(0.0, 1e5)
EVIDENCE = st.builds(
    Evidence,
    st.builds(ChangeKey, st.just(1), st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)),
    st.just(1),
    st.sampled_from(Writer),
    st.booleans(),
    st.sampled_from(Format),
)
TIMINGS = st.builds(Timing, st.sampled_from(Arrival), SECONDS, SECONDS, st.integers(1, 9), SECONDS)
OPTIONS = st.builds(Options, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, st.booleans())


@given(EVIDENCE, TIMINGS, OPTIONS)
def test_the_decision_is_total_and_patience_helps(seen: Evidence, when: Timing, options: Options) -> None:
    """Whatever is seen there is an answer, and waiting as long as it asks for makes a sound file ready."""
    decision = decide(seen, when, options)
    if isinstance(decision, Ready):
        assert seen.writer is not Writer.BUSY
        assert seen.key.size > 0
        assert not decision.strong or (options.local and seen.writer is Writer.FREE and not seen.holes)
        later = when._replace(quiet_s=when.quiet_s + 1.0, age_s=when.age_s + 1.0)
        assert isinstance(decide(seen, later, options), Ready)
    elif decision.reason not in {WaitReason.WRITER, WaitReason.EMPTY}:
        patient = when._replace(quiet_s=decision.need_s, observations=9)
        assert isinstance(decide(seen, patient, options), Ready)


@given(EVIDENCE, TIMINGS, OPTIONS)
def test_what_rested_long_enough_is_ready_whatever_it_holds(seen: Evidence, when: Timing, options: Options) -> None:
    """A pass may skip holes and format for files as old as that: the table would not wait for them."""
    seen = seen._replace(writer=Writer.FREE, key=seen.key._replace(size=1))
    when = when._replace(arrival=LISTED, age_s=rest_s(options, when.learned_s))
    assert isinstance(decide(seen, when, replace(options, local=True)), Ready)
