"""``sluice duplicates``: files with the same content, of folders at once or of the catalogue.

With folders everything is read now: nothing is stored, no file has to be settled, no catalogue and no service
is needed. Without them the catalogue answers. Several names of one inode are one copy; a group has two.
``--essence`` and ``--similar`` ask for other bytes that play, look or sound the same: see ``cli/alike.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mediasluice.cli.errors import OK
from mediasluice.cli.folders import report_folders, sum_up, tell
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import json_line
from mediasluice.cli.places import data_of, view_of
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import DuplicateGroup

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
def duplicates(
    ctx: typer.Context,
    directories: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="Folders to compare now; nothing named: what the catalogue knows."),
    ] = None,
    essence: Annotated[
        bool,
        typer.Option(
            "--essence",
            help="Instead, media that play the same from other bytes: another container, other tags, another lossless"
            " codec. Never a reason to delete one of them.",
        ),
    ] = False,
    similar: Annotated[
        bool,
        typer.Option(
            "--similar",
            help="Instead, pictures, films and sounds that look or sound alike. A guess, and never a reason to delete"
            " one of them.",
        ),
    ] = False,
) -> int:
    """List files that have the same content, compared over their whole length.

    Ends with 3 when some files could not be read.
    """
    call: Call = ctx.obj
    if essence or similar:
        from mediasluice.cli.alike import report_alike

        return report_alike(call, directories or (), essence=essence, similar=similar)
    if directories:
        return report_folders(directories, json=call.json, quiet=call.quiet)
    return _catalogued(call)


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
                tell(group.size, distinct, [file.path for file in group.files])
    if not call.json and not call.quiet:
        sum_up(groups, copies, surplus)
    return OK


def group_row(group: DuplicateGroup) -> dict[str, object]:
    """A group of the catalogue as JSON carries it."""
    files = [{"library": file.library, "path": text(file.path), "inode": file.ino} for file in group.files]
    return {"size": group.size, "content": group.blake3.hex(), "files": files}
