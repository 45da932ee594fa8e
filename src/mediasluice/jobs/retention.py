"""Keep the event log within its age and size, and forget jobs that ended long ago.

By age only what everybody has read goes; past the cap, outlived events go oldest first until the log is at
AFTER_CAP of it, and sinks that had not read them are told in the log and marked in their rows. Each transaction looks
at a bounded number of events. Cut off anywhere, the next run does the rest.

Gives counts. Fails with: what the writer fails with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.catalogue import jobs, retention
from mediasluice.jobs.port import Context, Kind

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.writer import Writer

NAME = "retention"
CHUNK = 2_000  # events that are looked at for one transaction; measured: 7 ms if most of them go
JOBS = 500  # ended jobs of one transaction, chosen
AFTER_CAP = 0.9  # of the cap; chosen: not at it again with the next file


class Rules(NamedTuple):
    """How long things are kept."""

    events_us: int
    cap: int  # bytes of the event log
    jobs_us: int


class Tools(NamedTuple):
    """What the job needs. ``rules`` and ``sinks`` are those of the document as it is now; ``clock``: microseconds."""

    open_view: Callable[[], View]
    writer: Writer
    rules: Callable[[], Rules]
    sinks: Callable[[], Collection[str]]
    clock: Callable[[], int]
    log: Log


@dataclass
class _Counts:
    events: int = 0
    lagged: list[str] = field(default_factory=list)


def kind(tools: Tools) -> Kind:
    """The kind of job, for an engine."""
    return Kind(NAME, partial(run, tools))


def run(tools: Tools, context: Context, _: Mapping[str, Any]) -> Mapping[str, Any]:
    """Drop what is too old or too much."""
    rules, now_us = tools.rules(), tools.clock()
    old, much = _Counts(), _Counts()
    with tools.open_view() as view:
        last = next(iter(view.events(view.head() - 1, 1)), None)
        # A clock that is far ahead makes everything old. If really nothing happened for so long, nothing grows.
        is_believed = last is None or now_us - last.at_us <= rules.events_us
        if is_believed:
            _drop(tools, context, view, old, before_us=now_us - rules.events_us)
        size = view.ask(retention.size)
        if size > rules.cap:
            _drop(tools, context, view, much, size=size, goal=int(rules.cap * AFTER_CAP))
            size = view.ask(retention.size)
    if much.lagged:
        tools.log.error(
            "sinks_lag",
            sinks=sorted(set(much.lagged)),
            why=f"the event log was larger than {rules.cap} bytes; they had not read {much.events} events that went",
            hint="they are told the present state of all files; raise retention.log_cap if they may be away for longer",
        )
    if size > rules.cap:
        tools.log.warning("log_over_cap", bytes=size, cap=rules.cap, why="the last event of each file takes as much")
    forgotten = _forget_jobs(tools, context, now_us - rules.jobs_us)
    return {
        "events_by_age": old.events, "events_by_size": much.events, "lagged": sorted({*old.lagged, *much.lagged}),
        "jobs": forgotten, "bytes": size, "clock_believed": is_believed,
    }  # fmt: skip


def _drop(
    tools: Tools,
    context: Context,
    view: View,
    counts: _Counts,
    *,
    before_us: int | None = None,
    size: int = 0,
    goal: int = 0,
) -> None:
    """Drop outlived events from the oldest on: all before a time that nobody holds, or until the size is right."""
    sinks = None if before_us is None else list(tools.sinks())
    after: int | None = 0
    each = size / max(1, view.ask(retention.count))
    while after is not None and (before_us is not None or size > goal):
        context.check()
        if before_us is None or sinks is None:
            found = view.ask(retention.outlived, after, CHUNK)
            excess = int((size - goal) / each) + 1
            seqs = found.seqs[:excess]
        else:
            upto = view.ask(retention.hold, sinks).seq
            found = view.ask(retention.outlived, after, CHUNK, upto=upto, before_us=before_us)
            seqs = found.seqs
        after = found.after
        if seqs:
            dropped = tools.writer.call(
                lambda catalogue, seqs=seqs: catalogue.change(retention.drop, seqs, sinks),  # type: ignore[misc]
                abandon=lambda: context.is_cancelled,
                is_bulk=True,
            )
            counts.events += dropped.events
            counts.lagged += dropped.lagged
            size -= int(dropped.events * each)
        context.progress(counts.events)


def _forget_jobs(tools: Tools, context: Context, before_us: int) -> int:
    count = 0
    while True:
        context.check()

        def change(catalogue: Catalogue) -> int:
            return catalogue.change(jobs.prune, before_us, JOBS)

        gone = tools.writer.call(change, abandon=lambda: context.is_cancelled, is_bulk=True)
        count += gone
        if gone < JOBS:
            return count
