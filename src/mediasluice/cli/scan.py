"""``sluice scan``: one pass over folders, through the same gate as files that arrive.

A running service does it and is followed over its control connection; without one this process takes the data
lock and is the service for as long as the pass lasts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from mediasluice.cli.errors import FILES_FAILED, HELD, OK
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import amount, duration, json_line, say
from mediasluice.cli.places import data_of, loaded_of
from mediasluice.config.values import seconds

app = typer.Typer(add_completion=False)

REDRAW_S = 0.1
"""Between two progress lines, chosen: as often as an eye follows."""


@app.command(cls=Command)
def scan(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR|LIBRARY", help="What to look at; nothing named: every library."),
    ] = None,
    settle_timeout: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            parser=seconds,
            help="How long to wait for files that are still being written.",
            show_default="90s",
        ),
    ] = 90.0,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Return after the first pass: what stands inside the files is read later.",
        ),
    ] = False,
    trust_times: Annotated[
        bool,
        typer.Option(
            "--trust-times",
            help="Skip folders whose own time did not change: files rewritten in place are not seen.",
        ),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="Agree to what is held: a root that was replaced, or many missing files at once."
        ),
    ] = False,
) -> int:
    """Look at folders once and catalogue what is new, changed, moved or missing.

    Ends with 3 when files stayed unsettled or could not be read.
    """
    from mediasluice.service.control import service_pid

    call: Call = ctx.obj
    data = data_of(call)
    wanted = [_target(target) for target in targets or ()]
    with Progress(wanted=sys.stderr.isatty() and not call.quiet) as progress:
        if service_pid(data) is None:
            from mediasluice.service.host import scan_once

            result = scan_once(
                loaded_of(call),
                data,
                wanted,
                settle_timeout_s=settle_timeout,
                fast=fast,
                trusts_times=trust_times,
                accept=accept,
                progress=progress,
            )
        else:
            params = {
                "targets": wanted,
                "settle_timeout_s": settle_timeout,
                "fast": fast,
                "trusts_times": trust_times,
                "accept": accept,
            }
            result = _asked(data, params, progress)
    if call.json:
        json_line(result)
    elif not call.quiet:
        _tell(result)
    if result.get("held"):
        return HELD
    return FILES_FAILED if result["settling"] or result["errors"] else OK


class Progress:
    """One line on standard error that is drawn over and over."""

    def __init__(self, *, wanted: bool, line: Callable[[dict[str, Any]], str] | None = None) -> None:
        self._wanted = wanted
        self._line = line or progress_line
        self._drawn_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._drawn_s:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, state: dict[str, Any]) -> None:
        now_s = time.monotonic()
        if self._wanted and now_s - self._drawn_s >= REDRAW_S:
            self._drawn_s = now_s
            print(f"\r\x1b[K{self._line(state)}", end="", file=sys.stderr, flush=True)


def progress_line(state: dict[str, Any]) -> str:
    """What is done of what was found so far, how fast, and how long the rest takes."""
    parts = [
        f"{state['files']:,} of {state['files_found']:,} files",
        f"{amount(state['bytes'])} of {amount(state['bytes_found'])}",
        f"{amount(state['bytes_per_second'])}/s",
    ]
    if state["eta_s"] is not None:
        parts.append(f"{duration(state['eta_s'])} left")
    if state["waiting"]:
        parts.append(f"{state['waiting']:,} not complete yet")
    return ", ".join(parts)


def _target(target: str) -> str:
    """A folder becomes absolute, because the service works elsewhere; else it is the name of a library."""
    return os.path.abspath(target) if os.sep in target or os.path.isdir(target) else target


def _asked(data: Path, params: dict[str, Any], progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from mediasluice.service.control import ask

    rows = ask(data, "scan", params)
    while True:
        try:
            progress(next(rows)["progress"])
        except StopIteration as stop:
            result: dict[str, Any] = stop.value
            return result


def _tell(result: dict[str, Any]) -> None:

    say(f"{result['files']:,} files, {amount(result['bytes'])}, in {duration(result['seconds'])}")
    counted = [
        "new",
        "changed",
        "moved",
        "missing",
        "unchanged",
        "ignored",
        "junk",
        "empty",
        "settling",
        "errors",
    ]
    for name in counted:
        if result[name]:
            say(f"  {name:<10} {result[name]:>12,}")
    twice = result["duplicates"]
    if twice["groups"]:
        say(f"  duplicates {twice['files']:>12,}  in {twice['groups']:,} groups, {amount(twice['bytes'])}")
