"""What delivery asks of every sink, and what it gets back.

A sink takes facts in the order in which they are handed to it and says of each what became of it. It keeps nothing
that must survive: cursor, dead letters and what a sink was told are kept by the catalogue, in the transaction that
follows the outcome. A process that ends before it delivers the same facts again, with the same ids.

Takes ``Fact``; gives an ``Outcome`` for each. Fails with: SinkUnreachable (nothing was decided: all of it again
later), SinkRefused (a person has to change something at one of the two ends), MissingExtra (the driver is not there).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from mediasluice.catalogue.outbox import Announced, Fact


class Result(StrEnum):
    """What became of one fact."""

    DELIVERED = "delivered"  # the far side confirmed it, or it is not for this sink
    LATER = "later"  # nothing is wrong, it is not its time yet: again after ``after_s``, counted nowhere
    FAILED = "failed"  # may go well another time: again after a growing wait, up to the limit of the sink
    DEAD = "dead"  # will never go well: it becomes a dead letter


class Outcome(NamedTuple):
    """What became of one fact, and what the catalogue is to remember of it when it was delivered."""

    result: Result
    reason: str | None = None  # for people; set unless it was delivered
    after_s: float | None = None  # not before; ``None``: as the sink's own waits have it
    announced: Sequence[Announced] = ()  # what the sink knows of which file now, recorded with the cursor


DELIVERED = Outcome(Result.DELIVERED)


class Sink(Protocol):
    """One far side. All calls come from one thread at a time unless ``concurrency`` is more than 1."""

    def open(self) -> None:
        """Connect, or see that it could; called before the first delivery and after every SinkUnreachable."""

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        """Deliver facts in their order; gives one outcome for each.

        Waits no longer than the time-outs of the sink: a stalled connection is SinkUnreachable, not a wait for ever.
        """

    def close(self) -> None:
        """Give up connections and threads; a delivery that runs in another thread comes back within a second."""


class Traits(NamedTuple):
    """How facts are to be handed to a kind of sink."""

    is_strict: bool  # in the order of the log, each batch before the next; else in order per file and per path only
    concurrency: int = 1  # batches that are under way at once; each has no file and no path of another one
    batch: int = 100  # facts at most that are handed over together
    window_s: float = 0.0  # a batch that is not full waits so long for more
