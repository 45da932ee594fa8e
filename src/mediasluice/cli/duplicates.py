"""``sluice duplicates``: files with the same content, of folders at once or of the catalogue.

With folders everything is read now: nothing is stored, no file has to be settled, no catalogue and no service
is needed. Without them the catalogue answers. Several names of one inode are one copy; a group has two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mediasluice.cli.errors import FILES_FAILED, OK, complain
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import amount, json_line, say, shown
from mediasluice.cli.places import data_of, view_of
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import DuplicateGroup
    from mediasluice.pipeline.duplicates import Group

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
def duplicates(
    ctx: typer.Context,
    directories: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="Folders to compare now; nothing named: what the catalogue knows."),
    ] = None,
) -> int:
    """List files that have the same content, compared over their whole length.

    Ends with 3 when some files could not be read.
    """
    call: Call = ctx.obj
    return _report(directories, call) if directories else _catalogued(call)


def _report(directories: Sequence[str], call: Call) -> int:
    from mediasluice.pipeline.duplicates import json_line, report

    write, flush = sys.stdout.write, sys.stdout.flush

    def emit_json(group: Group) -> None:
        write(json_line(group) + "\n")
        flush()

    def emit_plain(group: Group) -> None:
        _tell(group.size, len({file[1:] for file in group.files}), [file[0] for file in group.files])

    totals = report([os.fsencode(directory) for directory in directories], emit_json if call.json else emit_plain)
    for path, why in totals.failed:
        complain(why, path=os.fsdecode(path))
    if not call.json and not call.quiet:
        _sum_up(totals.groups, totals.copies, totals.bytes)
    return FILES_FAILED if totals.failed else OK


def _catalogued(call: Call) -> int:

    groups = copies = surplus = 0
    view = view_of(data_of(call), quiet=call.quiet)
    if view is None:
        return OK
    with view:
        for group in view.duplicates():
            distinct = len({(file.filesystem, file.ino or file.path) for file in group.files})
            groups, copies, surplus = groups + 1, copies + distinct - 1, surplus + group.size * (distinct - 1)
            if call.json:
                json_line(group_row(group))
            else:
                _tell(group.size, distinct, [file.path for file in group.files])
    if not call.json and not call.quiet:
        _sum_up(groups, copies, surplus)
    return OK


def group_row(group: DuplicateGroup) -> dict[str, object]:
    """A group of the catalogue as JSON carries it."""
    files = [{"library": file.library, "path": text(file.path), "inode": file.ino} for file in group.files]
    return {"size": group.size, "content": group.blake3.hex(), "files": files}


def _tell(size: int, copies: int, paths: Sequence[bytes]) -> None:

    say(f"{copies} x {amount(size)}")
    for path in paths:
        say(f"  {shown(path)}")


def _sum_up(groups: int, copies: int, surplus: int) -> None:

    say(f"{groups:,} groups; {copies:,} files more than needed, {amount(surplus)}")
