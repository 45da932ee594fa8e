"""``sluice jobs``: long work: what is running, what waits, what failed, and beginning, stopping and resuming it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from mediasluice.cli.options import Call, Command, Group, whole_number
from mediasluice.cli.output import duration, json_line, json_lines, moment, say, shown, table
from mediasluice.cli.places import data_of, view_of
from mediasluice.errors import ServiceGone, UsageError

app = typer.Typer(cls=Group, add_completion=False)

LISTED = 100

_Id = Annotated[int, typer.Argument(metavar="ID", parser=whole_number, help="The number of the job.")]


@app.callback(invoke_without_command=True)
def jobs(ctx: typer.Context) -> None:
    """Show long work, begin some, stop it, and take up what was stopped or given up."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, LISTED)


@app.command("list", cls=Command)
def list_(
    ctx: typer.Context,
    limit: Annotated[
        int, typer.Option(metavar="COUNT", parser=whole_number, help="At most so many, the newest.")
    ] = LISTED,
) -> None:
    """List jobs, the newest first."""
    _list(ctx.obj, limit)


@app.command(cls=Command)
def show(ctx: typer.Context, job: _Id) -> None:
    """Show one job with what it has behind it."""
    call: Call = ctx.obj
    from mediasluice.service.control import ask_once

    try:
        row = ask_once(data_of(call), "jobs.show", {"id": job}, timeout_s=10.0)
    except ServiceGone:
        row = _stored_one(call, job)
    row = _as_json(row)
    if call.json:
        json_line(row)
    else:
        table(("", ""), [(name, "-" if value is None else value) for name, value in row.items()])


@app.command(cls=Command)
def run(
    ctx: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="verify, digests, retention, scan, read, make or transcode.")
    ],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="What it is told, such as library=photos.")
    ] = None,
) -> None:
    """Queue a job; while no service runs, the next one does it."""
    call: Call = ctx.obj
    done = _change(call, "jobs.run", {"kind": kind, "args": dict(map(_parted, args or ()))})
    _tell(call, done, f"job {done['id']}; see: sluice jobs show {done['id']}")


@app.command(cls=Command)
def cancel(ctx: typer.Context, job: _Id) -> None:
    """Cancel a job; one that is running stops at the end of the piece that it is at."""
    call: Call = ctx.obj
    done = _change(call, "jobs.cancel", {"id": job})
    _tell(call, done, f"job {job} is {done['state']}")


@app.command(cls=Command)
def resume(ctx: typer.Context, job: _Id) -> None:
    """Take up a job that was cancelled or given up, behind what it had done."""
    call: Call = ctx.obj
    done = _change(call, "jobs.resume", {"id": job})
    _tell(call, done, f"job {done['id']} is queued")


def _list(call: Call, limit: int) -> None:
    rows = _rows(call, limit)
    if call.json:
        json_lines(map(_as_json, rows))
    elif rows:
        now_s = time.time()
        table(
            ("job", "kind", "library", "state", "done", "since", "reason"),
            [
                (
                    *(row["id"], row["kind"], row["library"] or "-", row["state"], _share(row)),
                    *(duration(max(0.0, now_s - (row["started"] or row["at"]))), row["reason"] or "-"),
                )
                for row in rows
            ],
        )
    elif not call.quiet:
        say("there are no jobs")


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: row[name] for name in ("due", "at", "started", "ended")}
    return row | {name: None if at_s is None else moment(round(at_s * 1e6)) for name, at_s in times.items()}


def _share(row: dict[str, Any]) -> str:
    if row["done"] is None:
        return "-"
    return f"{row['done']:,}" + (f" of {row['total']:,}" if row["total"] is not None else "")


def _rows(call: Call, limit: int) -> list[dict[str, Any]]:
    from mediasluice.catalogue import jobs as stored
    from mediasluice.service.changes import job_row
    from mediasluice.service.control import ask

    try:
        return list(ask(data_of(call), "jobs", {"limit": limit}))
    except ServiceGone:
        view = view_of(data_of(call), quiet=call.quiet)
        if view is None:
            return []
        with view:
            return [job_row(job) for job in view.ask(stored.listed, (), limit=limit)]


def _stored_one(call: Call, job: int) -> dict[str, Any]:
    from mediasluice.catalogue import jobs as stored
    from mediasluice.service.changes import job_row, no_job

    view = view_of(data_of(call), quiet=True)
    if view is None:
        raise no_job(job)
    with view:
        found = view.ask(stored.one, job)
        if found is None:
            raise no_job(job)
        return job_row(found) | {"marks": {mark.name: mark.value for mark in view.ask(stored.marks, job)}}


def _parted(said: str) -> tuple[str, object]:
    """``name=value``: a time, a size, words with commas or a name, by what it is called."""
    from mediasluice.config import values

    name, found, value = said.partition("=")
    if not found or not name:
        message = f"{shown(said)} is not NAME=VALUE"
        raise UsageError(message, hint="such as library=photos, seconds=10m or algorithms=sha256")
    if name == "algorithms":
        return name, [word.strip() for word in value.split(",")]
    try:
        if name == "seconds":
            return name, int(values.seconds(value))
        if name == "bytes":
            return name, values.size(value)
    except ValueError as error:
        message = f"{shown(said)}: {error}"
        raise UsageError(message, hint="such as seconds=10m or bytes=10GiB") from None
    return name, value


def _change(call: Call, what: str, params: dict[str, Any]) -> dict[str, Any]:
    from mediasluice.service.changes import change

    return change(data_of(call), what, params)


def _tell(call: Call, done: dict[str, Any], words: str) -> None:
    if call.json:
        json_line(done)
    elif not call.quiet:
        say(words)
