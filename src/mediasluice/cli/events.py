"""``sluice events``: the event log, from a point on, and everything that is added to it.

The log is read from the catalogue, also while a service runs; with ``--follow`` the service says over its
control connection that there is more, so that a line appears within milliseconds of its commit. While no
service runs the catalogue is looked at ten times a second, and the next service is found by itself.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediasluice.cli.options import Call, Command, whole_number
from mediasluice.cli.output import hexadecimal, json_line, local_time, moment, say, shown
from mediasluice.cli.places import data_of, view_of
from mediasluice.errors import Unavailable
from mediasluice.model.events import Event
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.view import View

app = typer.Typer(add_completion=False)

AT_ONCE = 1000
"""Events per query, chosen: about 10 ms of reading."""

LOOK_S = 0.1
"""Between two looks while no service pushes."""


@app.command(cls=Command)
def events(
    ctx: typer.Context,
    since: Annotated[
        int, typer.Option(metavar="SEQ", parser=whole_number, help="Begin after the event with this number.")
    ] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with every new event until interrupted.")] = False,
) -> None:
    """Print what happened, oldest first: one line for each fact."""
    call: Call = ctx.obj
    data = data_of(call)
    show = _json if call.json else _plain
    view = view_of(data, quiet=call.quiet, wait=follow)
    if view is None:
        return
    with view:
        for _ in _moments(data, view) if follow else iter([None]):
            for event in _after(view, since):
                show(event)
                since = event.seq


def event_row(event: Event) -> dict[str, object]:
    """An event as JSON carries it."""
    return {
        "seq": event.seq,
        "id": event.id,
        "type": event.type,
        "at": moment(event.at_us),
        "library": event.library,
        "path": text(event.path),
        "old_path": None if event.old_path is None else text(event.old_path),
        "size": event.size,
        "blake3": hexadecimal(event.blake3),
        "xxh128": hexadecimal(event.xxh128),
        "origin": event.origin,
        "data": event.data,
    }


def _json(event: Event) -> None:

    json_line(event_row(event))


def _plain(event: Event) -> None:

    moved = "" if event.old_path is None else f"  (was {shown(event.old_path)})"
    say(f"{event.seq:>8}  {local_time(event.at_us)}  {event.type:<15} {shown(event.path)}{moved}")


def _after(view: View, since: int) -> Iterator[Event]:
    """Every event after ``since``, in parts, so that a reader who stops does not hold the catalogue."""
    while True:
        last = since
        for event in view.events(since, AT_ONCE):
            yield event
            since = event.seq
        if since == last:
            return


def _moments(data: Path, view: View) -> Iterator[None]:
    """Yield now and whenever there may be more events, for ever."""
    from mediasluice.service.control import ask

    seen = view.data_version()
    yield
    while True:
        try:
            for _ in ask(data, "follow"):
                _leave_without_reader()
                yield
        except Unavailable:
            pass  # none runs, or it is ending: look by ourselves until the next one is there
        if (version := view.data_version()) != seen:
            seen = version
            yield
        _leave_without_reader()
        time.sleep(LOOK_S)


def _leave_without_reader() -> None:
    """Find out that nobody reads any more before there is a line to write: events may be rare."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if any(happened & select.POLLERR for _, happened in poll.poll(0)):
            raise BrokenPipeError
