"""``sluice events``: the event log, from a point on, and everything that is added to it.

The log is read from the catalogue, also while a service runs; with ``--follow`` the service says over its
control connection that there is more, so that a line appears within milliseconds of its commit. While no
service runs the catalogue is looked at ten times a second, and the next service is found by itself.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediasluice.cli.options import Call, Command, whole_number
from mediasluice.cli.output import encode, hexadecimal, local_time, moment, quote, say, shown
from mediasluice.cli.places import data_of, view_of
from mediasluice.errors import Unavailable
from mediasluice.model.events import Event
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.view import View

app = typer.Typer(add_completion=False)

AT_ONCE = 250
"""Events per query and per write, chosen: a few milliseconds of work."""

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
            while part := list(view.events(since, AT_ONCE)):
                show(part)
                since = part[-1].seq


def event_line(event: Event) -> str:
    """An event as one JSON object. Written out by hand: a follower must keep up with a scan, 30,000 events a second."""
    seq, identity, kind, at_us, library, path, old_path, size, blake3, xxh128, origin, data = event
    return (
        f'{{"seq":{seq},"id":"{identity}","type":"{kind.value}","at":{_quoted(moment(at_us))},'
        f'"library":{quote(library)},"path":{quote(text(path))},'
        f'"old_path":{"null" if old_path is None else quote(text(old_path))},'
        f'"size":{"null" if size is None else size},"blake3":{_quoted(hexadecimal(blake3))},'
        f'"xxh128":{_quoted(hexadecimal(xxh128))},"origin":{_quoted(origin)},"data":{encode(data) if data else "{}"}}}'
    )


def event_row(event: Event) -> dict[str, object]:
    """The same as :func:`event_line`, as a part of something larger."""
    row: dict[str, object] = json.loads(event_line(event))
    return row


def _quoted(plain: str | None) -> str:
    """Text that has nothing to escape."""
    return "null" if plain is None else f'"{plain}"'


def _json(part: Sequence[Event]) -> None:
    say("\n".join(map(event_line, part)))


def _plain(part: Sequence[Event]) -> None:
    say("\n".join(map(_line, part)))


def _line(event: Event) -> str:
    moved = "" if event.old_path is None else f"  (was {shown(event.old_path)})"
    return f"{event.seq:>8}  {local_time(event.at_us)}  {event.type:<15} {shown(event.path)}{moved}"


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
