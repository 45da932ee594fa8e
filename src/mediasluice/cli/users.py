"""``sluice users``: the accounts that imported items belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from mediasluice.cli.options import Call, Command, Group
from mediasluice.cli.output import json_line, json_lines, local_time, moment, say, shown, table
from mediasluice.cli.places import data_of, view_of

app = typer.Typer(cls=Group, add_completion=False)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the account.")]


@app.callback(invoke_without_command=True)
def users(ctx: typer.Context) -> None:
    """List, add and remove the accounts that items belong to."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj)


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List all accounts, with how many items each owns."""
    _list(ctx.obj)


@app.command(cls=Command)
def add(ctx: typer.Context, name: _Name) -> None:
    """Make an account; works before any service ever ran."""
    from mediasluice.service.changes import change

    call: Call = ctx.obj
    made = change(data_of(call), "users.add", {"name": name})
    _tell(call, made, f"there is an account {shown(name)} now")


@app.command(cls=Command)
def remove(ctx: typer.Context, name: _Name) -> None:
    """Remove an account that owns no item."""
    from mediasluice.service.changes import change

    call: Call = ctx.obj
    removed = change(data_of(call), "users.remove", {"name": name})
    _tell(call, removed, f"the account {shown(name)} is removed")


def _list(call: Call) -> None:
    view = view_of(data_of(call), quiet=call.quiet)
    if view is None:
        return
    with view:
        accounts = view.accounts()
    if call.json:
        json_lines({"name": name, "items": items, "at": moment(at_us)} for name, at_us, items in accounts)
    elif accounts:
        table(("name", "items", "since"), [(name, items, local_time(at_us)) for name, at_us, items in accounts])
    elif not call.quiet:
        say("there are no accounts yet; make one: sluice users add NAME")


def _tell(call: Call, done: dict[str, object], words: str) -> None:
    if call.json:
        json_line(done)
    elif not call.quiet:
        say(words)
