"""``sluice files``: what the catalogue knows, one line for each file."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from mediasluice.cli.inside import inside_row, promised
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import amount, hexadecimal, json_lines, moment, say, shown
from mediasluice.cli.places import data_of, view_of
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import FileLine

app = typer.Typer(add_completion=False)

AT_ONCE = 250
"""Lines per write, chosen: a few milliseconds of work."""


@app.command(cls=Command)
def files(
    ctx: typer.Context,
    missing: Annotated[
        bool, typer.Option("--missing", help="Those that were deleted and are still remembered.")
    ] = False,
) -> None:
    """List every present file, unreadable and unsettled ones included."""
    call: Call = ctx.obj
    view = view_of(data_of(call), quiet=call.quiet)
    if view is None:
        return
    with view:
        lines = view.files(missing=missing)
        while part := list(islice(lines, AT_ONCE)):
            if call.json:
                json_lines(map(file_row, part))
            else:
                say("\n".join(map(_plain, part)))


def _plain(line: FileLine) -> str:
    why = f"  ({shown(line.reason)})" if line.reason else ""
    return f"{line.state:<10} {line.kind or '-':<8} {amount(line.size):>9}  {shown(line.path)}{why}"


def file_row(line: FileLine) -> dict[str, object]:
    """A file as JSON carries it."""
    return {
        "id": line.id,
        "library": line.library,
        "path": text(line.path),
        "size": line.size,
        "mtime": moment(line.mtime_ns // 1000),
        "kind": line.kind,
        "misnamed": promised(line),
        "state": line.state,
        "reason": line.reason,
        "blake3": hexadecimal(line.blake3),
        "xxh128": hexadecimal(line.xxh128),
        "links": line.links,
        "version": line.version,
        **inside_row(line.inside),
    }
