"""Decide from what was seen of a file whether it is completely written, or how long to wait.

Takes the evidence of one look, times [s] and the root's options; gives :class:`Ready` or :class:`Wait`.
Pure and total: no clock, no disk; fails with nothing. The rows of the table, first match wins:

    a writer has it open             wait for the writer
    no bytes                         wait for the next change
    holes, or shorter than its       truncated_s without a change; then ready, on weak proof
      own format says
    writer count not provable        10 s without a change, network_s on a network mount, the same key in
                                     three looks; then ready, on weak proof
    renamed into place               ready
    complete by its format           complete_s after the last change
    nothing known of its format      unknown_s after the last change, or what was learned for its directory
                                     and extension; then ready, on weak proof

A file that a scan found and that has not changed for 60 s, and for as long as its row demands, is at
rest: ready at once, but for an unsound one on a network mount. ``debounce_s`` raises every minimum.
Source: the writer matrix and the mount matrix behind docs/guarantees.md, promise 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

from mediasluice.settle.formats import Format
from mediasluice.settle.probes import Evidence, Writer

REST_S = 60.0  # a file that did not change for so long before a scan found it is at rest
UNPROVEN_S = 10.0  # quiet period on a local mount that does not tell whether a writer is there
UNPROVEN_LOOKS = 3  # looks that must find the same key where only a quiet period can tell
_TICK_S = 1e-6  # a clock that is asked exactly when a period ends must not miss it by rounding


class Arrival(IntEnum):
    """How a path came to our notice last."""

    RENAMED = 1
    CLOSED = 2
    CREATED = 3  # a name appeared, and whether a close will follow is not known
    LISTED = 4  # a scan found it


class WaitReason(StrEnum):
    """Why a file is not taken yet."""

    NAME = "name"  # it has the name of an unfinished transfer
    EMPTY = "empty"
    WRITER = "writer"
    HOLES = "holes"
    TRUNCATED = "truncated"
    QUIET = "quiet"
    NETWORK = "network"
    DEBOUNCE = "debounce"
    COMPANION = "companion"  # a file beside it says that its transfer goes on
    FOLLOWS = "follows"  # the file that had its name is not recorded under the next one yet
    ESSENCE = "essence"  # it may be a known file with other tags: what it plays is being found out
    VANISHED = "vanished"  # it was renamed to this name and is not there: news of its next name may be on the way


@dataclass(frozen=True, slots=True)
class Options:
    """Quiet times of one root [s], and whether its mount is local."""

    complete_s: float = 0.25
    unknown_s: float = 5.0
    truncated_s: float = 60.0
    network_s: float = 15.0
    debounce_s: float = 0.0
    stale_after_s: float = 86400.0
    local: bool = True


class Timing(NamedTuple):
    """What is known of one candidate over time.

    ``quiet_s``: since the last change that was seen, by the monotonic clock. ``age_s``: since the change
    time that the file system gives, by the wall clock, counted for ``LISTED`` only; a time in the future
    counts as 0. ``observations``: looks in a row that found the present key, this one included.
    ``learned_s``: quiet time that earlier files of its kind needed, 0 = none.
    """

    arrival: Arrival
    quiet_s: float
    age_s: float
    observations: int
    learned_s: float


class Ready(NamedTuple):
    """Completely written. ``strong``: by proof, not only because nothing happened for a while."""

    strong: bool


class Wait(NamedTuple):
    """Not proven yet. ``need_s``: time without a change after which it may be [s]; 0 = time is not what lacks."""

    reason: WaitReason
    need_s: float


def decide(evidence: Evidence, timing: Timing, options: Options) -> Ready | Wait:
    """Read the table of this module for one look at one file.

    Plain integers do for the ``IntEnum`` fields: they come that way from other processes.
    """
    if evidence.writer == Writer.BUSY:
        return Wait(WaitReason.WRITER, 0.0)
    if evidence.key.size == 0:
        return Wait(WaitReason.EMPTY, 0.0)
    reason, need_s, strong = _quiet_time(evidence, timing, options)
    is_sound = not evidence.holes and evidence.format != Format.TRUNCATED
    if (
        timing.arrival == Arrival.LISTED
        and (is_sound or options.local)
        and timing.age_s >= max(REST_S, need_s, options.debounce_s)
    ):
        return Ready(strong=is_sound and is_proven_free(evidence, options))
    if timing.quiet_s + _TICK_S < need_s or timing.observations < looks_needed(evidence, options):
        return Wait(reason, max(need_s, options.debounce_s))
    if timing.quiet_s + _TICK_S < options.debounce_s:
        return Wait(WaitReason.DEBOUNCE, options.debounce_s)
    return Ready(strong)


def rest_s(options: Options, learned_s: float) -> float:
    """Age [s] from which a file that a scan found is ready whatever its holes and its format say.

    Only where its writer is proven free. Spares a pass over a library at rest two thirds of each look.
    """
    return max(REST_S, options.complete_s, options.unknown_s, options.truncated_s, options.debounce_s, learned_s)


def looks_needed(evidence: Evidence, options: Options) -> int:
    """How many looks in a row must find the same key."""
    return 1 if is_proven_free(evidence, options) else UNPROVEN_LOOKS


def is_proven_free(evidence: Evidence, options: Options) -> bool:
    """Whether nobody can be writing: the mount's own writer count says so and may be believed."""
    return options.local and evidence.writer == Writer.FREE


def _quiet_time(evidence: Evidence, timing: Timing, options: Options) -> tuple[WaitReason, float, bool]:
    """Why to wait, how long after the last change [s], and whether that is proof; debounce not counted."""
    proven_free = is_proven_free(evidence, options)
    if evidence.holes or evidence.format == Format.TRUNCATED:
        reason = WaitReason.HOLES if evidence.holes else WaitReason.TRUNCATED
        need_s = max(options.truncated_s, timing.learned_s)
    elif proven_free and timing.arrival == Arrival.RENAMED:
        return WaitReason.QUIET, 0.0, True
    elif proven_free and evidence.format == Format.COMPLETE:
        return WaitReason.QUIET, options.complete_s, True
    else:
        reason = WaitReason.QUIET if options.local else WaitReason.NETWORK
        need_s = max(options.unknown_s, timing.learned_s)
    if not proven_free:
        need_s = max(need_s, UNPROVEN_S if options.local else options.network_s)
    return reason, need_s, False
