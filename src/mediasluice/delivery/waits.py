"""When to try again: growing waits, the breaker of a sink, and the rate that it may be sent at.

Pure: the time [s, monotonic] and the dice are arguments. The waits are here and not in a library, because a wait is
a state of the relay, which shows it, ends it when it is told to stop, and goes on with other files meanwhile.
Fails with: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

FIRST_S = 0.5  # chosen: the first wait; it doubles
TROUBLES = 5  # chosen: failures in a row after which the far side is left alone for a while


def wait_s(tries: int, cap_s: float, dice: Callable[[], float]) -> float:
    """The wait after this many tries, between half and all of the growing one: clients must not come back together."""
    longest = min(cap_s, FIRST_S * 2.0 ** min(max(tries - 1, 0), 40))
    return longest * (0.5 + dice() / 2)


class BreakerState(StrEnum):
    """Whether deliveries go through."""

    CLOSED = "closed"  # all goes through
    OPEN = "open"  # nothing does
    HALF_OPEN = "half-open"  # one batch is tried


class Breaker:
    """Leaves a far side alone that does not take anything, and tries it again after a growing wait."""

    def __init__(self, cap_s: float, dice: Callable[[], float]) -> None:
        self._cap_s = cap_s
        self._dice = dice
        self._opened = 0  # times in a row
        self._troubles = 0
        self._until_s: float | None = None
        self.reason: str | None = None
        self.since_s: float | None = None  # when it was opened first

    def state(self, now_s: float) -> BreakerState:
        if self._until_s is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_s < self._until_s else BreakerState.HALF_OPEN

    def due_s(self) -> float:
        """When it may be tried again; in the past while it is closed."""
        return self._until_s or 0.0

    def went_well(self) -> None:
        self._opened = self._troubles = 0
        self._until_s = self.reason = self.since_s = None

    def went_wrong(self, reason: str, now_s: float) -> None:
        """One delivery failed; enough of them in a row open it."""
        self._troubles += 1
        if self._troubles >= TROUBLES or self._until_s is not None:
            self.open(reason, now_s)

    def open(self, reason: str, now_s: float, wait: float | None = None) -> None:
        """Nothing can be delivered now; ``wait`` [s] instead of the growing one."""
        self._opened += 1
        self._until_s = now_s + (wait_s(self._opened, self._cap_s, self._dice) if wait is None else wait)
        self.reason = reason
        if self.since_s is None:
            self.since_s = now_s

    def try_now(self) -> None:
        """Somebody says that it may go well again."""
        if self._until_s is not None:
            self._until_s = 0.0


class Rate:
    """At most so many a second on average, and ``burst`` at once."""

    def __init__(self, per_second: float | None, burst: int, now_s: float) -> None:
        self._per_second = per_second
        self._burst = float(max(1, burst))
        self._tokens = self._burst
        self._at_s = now_s

    def allows(self, wanted: int, now_s: float) -> int:
        """How many may go now."""
        if self._per_second is None:
            return wanted
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        return min(wanted, int(self._tokens + 1e-9))

    def take(self, count: int) -> None:
        if self._per_second is not None:
            self._tokens -= count

    def due_s(self, now_s: float) -> float:
        """When the next one may go."""
        if self._per_second is None or self._tokens >= 1:
            return now_s
        return now_s + (1 - self._tokens) / self._per_second
