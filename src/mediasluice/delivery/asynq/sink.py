"""Hand facts to the workers of Melodee as jobs of Asynq.

A job with a lock stands for all that happens in its library until a worker takes it. The lock says that there is such
a job, not that it still has to begin: only while it waits does it cover what is new. While it runs, the newest fact
comes back later, and a job follows when the lock is gone; the other facts of the batch are covered by that one.

Takes ``Fact``; gives outcomes, and never a dead letter: what does not go waits for Redis or for a person.
Fails with: SinkUnreachable, SinkRefused, MissingExtra; BadSetting when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.asynq.mapping import FILE_JOBS, STAGING_SCAN, Mapped, Options, Wanted
from mediasluice.delivery.asynq.producer import ENQUEUED, LOCKED, RUNNING, THERE, Answer, Order, Producer
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits

TRAITS = Traits(is_strict=False, concurrency=1, batch=1000)

RUNNING_S = 5.0  # chosen: a scan takes minutes, and who copies an album does not wait for it
DANGLING_S = 60.0  # chosen: somebody may free a lock by hand before its time
TAIL_S = 10.0  # chosen: what a scan has moved is settled and told after at most half of it

_WAITING = frozenset({"pending", "scheduled", "retry", "aggregating"})  # has still to begin, or to begin again


class _Scan(NamedTuple):
    """A scan that was asked for."""

    at_ns: int
    order: Order
    id: str  # of the task that was enqueued for it, or that was there for it already


class AsynqSink:
    """One Redis with the queues of Asynq."""

    def __init__(self, options: Options, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._mapped = Mapped(options)
        self._producer = Producer(options.url, clock_ns, options.answer_s)
        self._over: dict[str, frozenset[str]] = {}  # jobs that an event which comes back has already: one for each
        self._scans: dict[str, _Scan] = {}  # by lock: the last one that was asked for
        self._scanned_us = 0  # so long what appears in staging libraries is taken for a scan's own

    def open(self) -> None:
        """Connect, and see that this Redis takes changes."""
        self._producer.open(self._mapped.queues)
        self._catch_up()

    def deliver(self, facts: Sequence[Fact]) -> list[Outcome]:
        """Enqueue what a batch asks for; facts that ask for nothing cost no call."""
        wanted = self._mapped.wanted(facts, self._over, self._scanned_us)
        if not wanted:
            return [DELIVERED] * len(facts)
        answers = self._producer.put([self._ordered(one.order) for one in wanted])
        outcomes = [DELIVERED] * len(facts)
        done: dict[int, set[str]] = {}
        for one, answer in zip(wanted, answers, strict=True):
            self._see(one, answer)
            later = _later(one, answer)
            if later is not None:
                newest = one.facts[-1]
                outcomes[newest] = _sooner(outcomes[newest], later)
            else:
                for place in one.facts:
                    done.setdefault(place, set()).add(one.job)
        self._remember(facts, outcomes, done)
        self._catch_up()
        return outcomes

    def close(self) -> None:
        """Give up the connection."""
        self._producer.close()

    def _ordered(self, order: Order) -> Order:
        """An order that knows what was ordered before it."""
        last = self._scans.get(order.task.unique_key)
        return order if last is None else order._replace(last=last.id)

    def _catch_up(self) -> None:
        """Enqueue again what a Redis that began anew may have lost after it was confirmed.

        One scan too many finds nothing to do; one that is missing leaves files lying until the next one comes.
        """
        if self._producer.has_begun_anew:
            now_ns = self._clock_ns()
            again = [one.order for one in self._scans.values() if now_ns - one.at_ns < one.order.lock_s * 1e9]
            if again:
                self._producer.put(again)
            self._producer.has_begun_anew = False

    def _see(self, one: Wanted, answer: Answer) -> None:
        """Keep what an answer says of scans."""
        if one.job == STAGING_SCAN and _is_active(answer):
            self._scanned_us = self._clock_ns() // 1000 + int(TAIL_S * 1e6)
        is_there = answer.code in {ENQUEUED, THERE} or (answer.code == LOCKED and answer.state in _WAITING)
        if is_there and one.order.lock_s and one.job not in FILE_JOBS:
            task = one.order.task
            self._scans[task.unique_key] = _Scan(self._clock_ns(), one.order, answer.holder or task.id)

    def _remember(self, facts: Sequence[Fact], outcomes: Sequence[Outcome], done: dict[int, set[str]]) -> None:
        """Keep which of its jobs an event has that comes back for another one: a worker may be done with them by then.

        Forgotten with the process: then such a job may be there twice, with the same id.
        """
        for place, fact in enumerate(facts):
            if outcomes[place].result is Result.DELIVERED:
                self._over.pop(fact.event.id, None)
            elif place in done:
                self._over[fact.event.id] = self._over.get(fact.event.id, frozenset()) | done[place]


def _later(one: Wanted, answer: Answer) -> Outcome | None:
    """Why a job is not its time yet; ``None``: it is there, or it is not to be."""
    if _is_active(answer):
        reason = f"{one.job} is running (task {answer.holder}); another one follows"
        return None if one.is_logged_only else Outcome(Result.LATER, reason, RUNNING_S)
    if answer.code != LOCKED or answer.state in _WAITING:
        return None
    key = one.order.task.unique_key
    what = f"is {answer.state} and will not run" if answer.state else "does not exist any more"
    ends = "never ends by itself" if answer.lock_s is None else f"ends in {round(answer.lock_s)} s"
    reason = (
        f"the lock of {one.job} is held by task {answer.holder}, which {what}; the lock {ends}."
        f" To go on at once: run or delete that task in Asynq, or DEL '{key}' in Redis"
    )
    after_s = DANGLING_S if answer.lock_s is None else min(DANGLING_S, max(1.0, answer.lock_s))
    return Outcome(Result.LATER, reason, after_s)


def _is_active(answer: Answer) -> bool:
    return answer.code == RUNNING or (answer.code == LOCKED and answer.state == "active")


def _sooner(known: Outcome, other: Outcome) -> Outcome:
    """Of two reasons to come back, that which ends first."""
    if known.after_s is None or other.after_s is None:
        return other
    return min(known, other, key=lambda outcome: outcome.after_s or 0.0)
