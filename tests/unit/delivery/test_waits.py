"""Spans, growing waits, the breaker and the rate, with time as an argument."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mediasluice.delivery.spans import Spans
from mediasluice.delivery.waits import TROUBLES, Breaker, BreakerState, Rate, wait_s


@given(st.lists(st.integers(0, 60)), st.integers(-1, 60))
def test_spans_are_a_set(numbers: list[int], cut: int) -> None:
    """Whatever is put in, in whatever order, is in; what is cut off is not; nothing lies in two spans."""
    spans = Spans()
    for number in numbers:
        spans.add(number)
    spans.drop_to(cut)
    kept = {number for number in numbers if number > cut}
    pairs = spans.pairs()
    assert {number for first, last in pairs for number in range(first, last + 1)} == kept
    assert all(number in spans for number in kept)
    assert not any(number in spans for number in range(-1, 62) if number not in kept)
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(pairs))
    assert Spans(pairs).pairs() == pairs
    assert len(spans) == len(pairs)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 1e6))
def test_waits_grow_to_their_limit_and_differ(tries: int, dice: float, cap_s: float) -> None:
    """A wait is between half and all of the growing one, and never longer than the limit."""
    wait = wait_s(tries, cap_s, lambda: dice)
    longest = min(cap_s, 0.5 * 2.0 ** min(tries - 1, 60))
    assert longest / 2 <= wait <= longest


def test_a_breaker_opens_half_and_closes() -> None:
    """After failures in a row nothing passes for a while, then one is tried, and its fate decides."""
    breaker = Breaker(60.0, lambda: 1.0)
    for _ in range(TROUBLES - 1):
        breaker.went_wrong("500", 0.0)
        assert breaker.state(0.0) is BreakerState.CLOSED
    breaker.went_wrong("500", 0.0)
    assert breaker.state(0.4) is BreakerState.OPEN
    assert breaker.state(0.5) is BreakerState.HALF_OPEN
    breaker.went_wrong("500", 0.5)
    assert breaker.state(1.4) is BreakerState.OPEN
    assert breaker.since_s == 0.0
    breaker.went_well()
    assert breaker.state(1.4) is BreakerState.CLOSED
    breaker.went_wrong("500", 2.0)
    assert breaker.state(2.0) is BreakerState.CLOSED


@given(st.lists(st.floats(0, 5), min_size=1, max_size=40), st.floats(0.1, 50), st.integers(1, 20))
def test_a_rate_holds_over_any_time(pauses: list[float], per_second: float, burst: int) -> None:
    """Never more than the burst and what the time allows, and never less for one who asks all the time."""
    now_s, taken, rate = 0.0, 0, Rate(per_second, burst, 0.0)
    for pause in pauses:
        now_s += pause
        allowed = rate.allows(1000, now_s)
        rate.take(allowed)
        taken += allowed
        assert taken <= burst + now_s * per_second + 1e-6
        assert rate.allows(1, rate.due_s(now_s) + 1e-6) == 1


def test_without_a_rate_all_goes() -> None:
    """Who sets none is not slowed down."""
    rate = Rate(None, 1, 0.0)
    rate.take(10_000)
    assert rate.allows(500, 0.0) == 500
    assert rate.due_s(7.0) == 7.0
