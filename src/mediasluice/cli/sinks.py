"""``sluice sinks``: how far each system is that is told what happens, what it could not take, and having it again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.cli.options import Call, Command, Group, whole_number
from mediasluice.cli.output import duration, json_line, json_lines, moment, say, shown, table
from mediasluice.cli.places import data_of, loaded_of, view_of
from mediasluice.errors import ServiceGone, SinkRefused, SinkUnreachable, UsageError

if TYPE_CHECKING:
    from mediasluice.catalogue.view import View

app = typer.Typer(cls=Group, add_completion=False)

COUNTED = 100_000  # facts at most that are counted one by one

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the sink in the document.")]


@app.callback(invoke_without_command=True)
def sinks(ctx: typer.Context) -> None:
    """Show the systems that are told what happens; pause them, try again, tell them once more."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj)


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List all sinks, with how far each is and why it is not further."""
    _list(ctx.obj)


@app.command(cls=Command)
def test(ctx: typer.Context, name: _Name) -> None:
    """Connect to a sink and say whether it can be reached; it is told nothing."""
    call: Call = ctx.obj
    from mediasluice.service.control import ask_once

    try:
        try:
            answer = ask_once(data_of(call), "sinks.test", {"name": name}, timeout_s=60.0)
        except ServiceGone:
            answer = _test_here(call, name)
    except (SinkUnreachable, SinkRefused) as error:
        error.message = f"sink {shown(name)}: {error.message}"
        raise
    _tell(call, answer, f"{shown(name)} can be reached; it was told nothing")


@app.command(cls=Command)
def pause(ctx: typer.Context, name: _Name) -> None:
    """Tell a sink nothing until it is resumed; what happens meanwhile is kept for it."""
    call: Call = ctx.obj
    _tell(call, _change(call, "sinks.pause", name), f"{shown(name)} is paused; go on with: sluice sinks resume {name}")


@app.command(cls=Command)
def resume(ctx: typer.Context, name: _Name) -> None:
    """Let a sink go on that was paused, that wanted no more calls, or that is left alone for a while."""
    call: Call = ctx.obj
    _tell(call, _change(call, "sinks.resume", name), f"{shown(name)} goes on")


@app.command(cls=Command)
def replay(
    ctx: typer.Context,
    name: _Name,
    since: Annotated[
        str, typer.Option(metavar="SEQ|TIME", help="After this event, or from this time on: 2026-11-21T08:00:00.")
    ],
) -> None:
    """Tell a sink again what it was told already, with the same ids."""
    call: Call = ctx.obj
    seq = int(since) if since.isascii() and since.isdigit() else _before(call, since)
    _tell(call, _change(call, "sinks.replay", name, since=seq), f"{shown(name)} is told again what came after {seq}")


@app.command("dead-letters", cls=Command)
def dead_letters(ctx: typer.Context, name: _Name) -> None:
    """List what a sink could not take, and what waits behind it."""
    call: Call = ctx.obj
    view = view_of(data_of(call), quiet=call.quiet)
    if view is None:
        return
    with view:
        letters = _letters(view, name)
    if call.json:
        json_lines(letters)
    elif letters:
        columns = ("seq", "state", "type", "path", "tries", "reason")
        table(columns, [[one[column] for column in columns] for one in letters])
        say(f"try them again: sluice sinks retry {name}; give one up: sluice sinks drop {name} SEQ")
    elif not call.quiet:
        say(f"{shown(name)} took all that it was told")


@app.command(cls=Command)
def retry(ctx: typer.Context, name: _Name) -> None:
    """Try all dead letters of a sink again, and what waits behind them, in order."""
    call: Call = ctx.obj
    done = _change(call, "sinks.retry", name)
    _tell(call, done, f"{done['events']:,} events are tried again")


@app.command(cls=Command)
def drop(
    ctx: typer.Context,
    name: _Name,
    events: Annotated[
        list[int], typer.Argument(metavar="SEQ...", parser=whole_number, help="Numbers, as `dead-letters` lists them.")
    ],
) -> None:
    """Give up dead letters for good; what waits behind them is delivered."""
    call: Call = ctx.obj
    done = _change(call, "sinks.drop", name, events=events)
    _tell(call, done, f"{done['events']:,} events are given up")


# -- what is shown ----------------------------------------------------------------------------------


def stored(view: View) -> list[dict[str, Any]]:
    """How each sink was left, while no service runs."""
    from mediasluice.catalogue import outbox

    rows = []
    for position in view.ask(outbox.positions).values():
        pending, oldest_us = view.ask(outbox.count_after, position.cursor, COUNTED)
        states = [letter.state for letter in view.ask(outbox.letters, position.name)]
        dead = states.count(outbox.DEAD)
        rows.append(
            {
                "name": position.name,
                "type": position.type,
                "state": position.state if position.state != outbox.ACTIVE else "stopped",
                "reason": position.reason or "no service is running",
                "next": "it goes on with: sluice run"
                if position.state == outbox.ACTIVE
                else f"sluice sinks resume {position.name}",
                "cursor": position.cursor,
                "pending": pending,
                "delivered": position.delivered,
                "dead": dead,
                "parked": len(states) - dead,
                "failures": 0,
                "breaker": "closed",
                "since": position.since_us / 1e6,
                "oldest": None if oldest_us is None else oldest_us / 1e6,
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print sinks for people, with what is wrong and what comes next."""
    now_s = time.time()
    table(
        ("sink", "type", "state", "pending", "oldest", "delivered", "dead", "reason"),
        [
            (
                *(row["name"], row["type"], row["state"], f"{row['pending']:,}"),
                "-" if row["oldest"] is None else duration(max(0.0, now_s - row["oldest"])),
                *(f"{row['delivered']:,}", f"{row['dead'] + row['parked']:,}", row["reason"] or "-"),
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["next"] and row["state"] != "stopped":
            say(f"{shown(row['name'])}: {shown(row['next'])}")


def _list(call: Call) -> None:
    rows = [_marked(row, loaded_of(call).settings.sinks) for row in _rows(call)]
    if call.json:
        json_lines({**row, **{name: _moment(row[name]) for name in ("since", "oldest")}} for row in rows)
    elif rows:
        show(rows)
    elif not call.quiet:
        say("there are no sinks; see docs/settings.md, section Sinks")


def _marked(row: dict[str, Any], wanted: Mapping[str, object]) -> dict[str, Any]:
    """One that the document does not have any more says so, while no service runs."""
    if row["state"] != "stopped" or row["name"] in wanted:
        return row
    return row | {
        "state": "removed",
        "reason": "it is not in the document",
        "next": "it goes on there when it is again",
    }


def _moment(at_s: float | None) -> str | None:
    return None if at_s is None else moment(round(at_s * 1e6))


def _rows(call: Call) -> list[dict[str, Any]]:
    from mediasluice.service.control import ask

    try:
        return list(ask(data_of(call), "sinks"))
    except ServiceGone:
        view = view_of(data_of(call), quiet=call.quiet)
        if view is None:
            return []
        with view:
            return stored(view)


def _letters(view: View, name: str) -> list[dict[str, Any]]:
    from mediasluice.catalogue import outbox

    letters = view.ask(outbox.letters, name)
    facts = {fact.event.seq: fact.event for fact in view.ask(outbox.numbered, [letter.seq for letter in letters])}
    rows = []
    for letter in letters:
        event = facts.get(letter.seq)
        rows.append(
            {
                "seq": letter.seq,
                "state": letter.state,
                "type": None if event is None else event.type.value,
                "path": None if event is None else shown(event.path),
                "tries": letter.tries,
                "reason": letter.reason,
                "at": moment(letter.at_us),
            }
        )
    return rows


# -- what is done -----------------------------------------------------------------------------------


def _change(call: Call, what: str, name: str, **params: object) -> dict[str, Any]:
    from mediasluice.service.changes import change

    return change(data_of(call), what, {"name": name, **params})


def _before(call: Call, since: str) -> int:
    """The last event before a time, which is local unless it says otherwise."""
    from mediasluice.catalogue import outbox

    try:
        at_us = int(datetime.fromisoformat(since).timestamp() * 1e6)
    except ValueError:
        message = f"{since!r} is neither the number of an event nor a time"
        raise UsageError(message, hint="write it like 120 or 2026-11-21T08:00:00") from None
    view = view_of(data_of(call), quiet=True)
    if view is None:
        return 0
    with view:
        return view.ask(outbox.last_before, at_us)


def _test_here(call: Call, name: str) -> dict[str, Any]:
    """Without a service, this process makes the sink and connects."""
    from mediasluice.catalogue.location import catalogue_file
    from mediasluice.catalogue.view import View
    from mediasluice.wiring.sinks import Needs, plans

    file = catalogue_file(data_of(call))
    needs = Needs(lambda: View.open(file), lambda _: None)
    found = {plan.name: plan for plan in plans(loaded_of(call).settings, needs)}
    if name not in found:
        message = f"there is no sink {name!r}"
        raise UsageError(message, hint="sinks: " + (", ".join(found) or "none; see docs/settings.md"))
    sink = found[name].make()
    try:
        sink.open()
    finally:
        sink.close()
    return {"name": name, "reached": True}


def _tell(call: Call, done: dict[str, Any], words: str) -> None:
    if call.json:
        json_line(done)
    elif not call.quiet:
        say(words)
