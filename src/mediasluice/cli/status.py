"""``sluice status``: what the service is doing; without one, what the catalogue remembers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mediasluice.cli import sinks
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import duration, json_line, say, shown, table
from mediasluice.cli.places import data_of, view_of
from mediasluice.errors import ServiceGone
from mediasluice.model.paths import text
from mediasluice.model.roots import WatchMode

app = typer.Typer(add_completion=False)

REFRESH_S = 1.0
"""Between two looks of ``--watch``, chosen."""


@app.command(cls=Command)
def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second until interrupted.")] = False,
) -> None:
    """Show the roots, what is being waited for, the queues and the counts."""
    call: Call = ctx.obj
    data = data_of(call)
    while True:
        state = status_of(data, quiet=call.quiet)
        if call.json:
            json_line(state)
        else:
            if watch and sys.stdout.isatty():
                sys.stdout.write("\x1b[H\x1b[2J")
            _show(state)
        if not watch:
            return
        time.sleep(REFRESH_S)


def status_of(data: Path, *, quiet: bool) -> dict[str, Any]:
    """Ask the service; when none runs, read what the catalogue says of the roots and counts."""
    from mediasluice.service.control import ask_once

    try:
        answer: dict[str, Any] = ask_once(data, "status", timeout_s=10.0)
    except ServiceGone:
        return _remembered(data, quiet=quiet)
    return answer


def _remembered(data: Path, *, quiet: bool) -> dict[str, Any]:
    from mediasluice.catalogue import integrity, renditions

    state: dict[str, Any] = {
        "pid": None,
        "roots": [],
        "settling": [],
        "queues": {},
        "counts": {},
        "overflows": 0,
        "imports": {"counts": {}, "waiting": {}},
        "inside": {"behind": 0, "again": {}, "reading": []},
        "renditions": {"counts": {}, "reason": None, "now": None},
        "sinks": [],
        "damaged": 0,
    }
    view = view_of(data, quiet=quiet)
    if view is None:
        return state
    with view:
        roots = [
            {
                "library": root.library,
                "path": text(root.path),
                "mode": WatchMode.OFF,
                "state": root.state,
                "watches": 0,
                "reason": root.reason,
            }
            for root in view.roots()
        ]
        imports = {"counts": view.imports(), "waiting": {}}
        counts = view.ask(renditions.counts)
        rest = {
            "imports": imports,
            "inside": view.inside() | {"reading": []},
            "renditions": {"counts": counts, "reason": None, "now": None},
            "sinks": sinks.stored(view),
            "damaged": view.ask(integrity.count_damages),
        }
        return state | {"roots": roots, "counts": view.counts(), **rest}


def _show(state: dict[str, Any]) -> None:

    say("no service is running" if state["pid"] is None else f"running, process {state['pid']}")
    if state["roots"]:
        columns = ("library", "path", "mode", "state", "watches", "reason")
        table(columns, [[root[column] for column in columns] for root in state["roots"]])
    if state["settling"]:
        now_s = time.time()
        table(
            ("waiting for", "because of", "since", "next look"),
            [
                (one["path"], one["reason"], duration(now_s - one["since"]), _until(one["due"], now_s))
                for one in state["settling"]
            ],
        )
    for name in ("counts", "queues"):
        counted = [f"{count:,} {of}" for of, count in sorted(state[name].items()) if isinstance(count, int)]
        if counted:
            say(f"{name}: {', '.join(counted)}")
    imports = state["imports"]
    if imports["counts"]:
        say("imports: " + ", ".join(f"{count:,} {judged}" for judged, count in sorted(imports["counts"].items())))
    for library, reason in sorted(imports["waiting"].items()):
        say(f"imports of {shown(library)} wait: {shown(reason)}; tried again by themselves")
    _show_inside(state["inside"])
    for line in _renditions(state["renditions"]):
        say(line)
    if state["sinks"]:
        sinks.show(state["sinks"])
    if state["damaged"]:
        say(f"damaged: {state['damaged']:,} files, told in the log; sluice explain says more of each")
    if state["overflows"]:
        say(f"event queue overflows: {state['overflows']:,}; each time the root was compared again")


def _show_inside(inside: dict[str, Any]) -> None:

    if inside["behind"]:
        say(f"still to be looked into: {inside['behind']:,} changes")
    for reason, count in inside["again"].items():
        say(f"looked into again later: {count:,} files, because {shown(reason)}")
    if inside["reading"]:
        now_s = time.time()
        rows = [(one["path"], duration(max(0.0, now_s - one["since"]))) for one in inside["reading"]]
        table(("looking into", "for"), rows)


def _renditions(state: dict[str, Any]) -> Iterator[str]:
    if state["counts"]:
        yield "renditions: " + ", ".join(f"{count:,} {of}" for of, count in sorted(state["counts"].items()))
    now = state["now"]
    if now is not None:
        share = "" if now["share"] is None else f", {now['share']:.0%} done"
        yield f"being made: {now['profile']} of {shown(now['path'])}{share}, for {duration(time.time() - now['since'])}"
    if state["reason"]:
        yield f"renditions wait: {shown(state['reason'])}; they go on by themselves"


def _until(due_s: float | None, now_s: float) -> str:

    return "-" if due_s is None else f"in {duration(max(0.0, due_s - now_s))}"
