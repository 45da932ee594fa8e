"""``sluice import``: import files by hand, whatever lies there since when.

A running service does it and is followed over its control connection; without one this process takes the data lock
and is the service until it is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.cli.errors import FILES_FAILED, OK
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import json_line, say, shown
from mediasluice.cli.places import data_of, loaded_of
from mediasluice.cli.scan import Progress
from mediasluice.config.values import seconds
from mediasluice.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(add_completion=False)

_WORDS = {"imported": "imported as item", "duplicate": "duplicate of item", "refused": "refused", "pending": "waits"}


@app.command("import", cls=Command)
def import_(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files or folders.")],
    library: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose rules to use for files outside of every importing library."),
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
) -> int:
    """Import files by the rules of their library, also those that were there before it was watched.

    Ends with 3 when a file was refused, waits, or could not be read.
    """
    call: Call = ctx.obj
    wanted = [os.path.abspath(path) for path in paths]
    for path, given in zip(wanted, paths, strict=True):
        if not os.path.lexists(path):
            raise UsageError("there is no such file or folder", path=given)
    counts: dict[str, int] = {}
    with Progress(wanted=sys.stderr.isatty() and not call.quiet) as progress:
        for row in _rows(call, data_of(call), wanted, library, settle_timeout):
            if "progress" in row:
                if "files" in row["progress"]:
                    progress(row["progress"])
            elif "file" in row:
                _tell(row["file"], call)
            else:
                counts = row["result"]
    if not (call.json or call.quiet):
        say(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    done = counts.get("imported", 0) + counts.get("duplicate", 0)
    return OK if done and done == counts.get("files") else FILES_FAILED


def _rows(
    call: Call, data: Path, paths: list[str], library: str | None, settle_timeout_s: float
) -> Iterator[dict[str, Any]]:
    from mediasluice.service.control import ask, service_pid

    if service_pid(data) is None:
        from mediasluice.service.host import import_once

        yield from import_once(loaded_of(call), data, paths, library, settle_timeout_s=settle_timeout_s)
    else:
        params = {"paths": paths, "library": library, "settle_timeout_s": settle_timeout_s}
        yield from ask(data, "import", params)


def _tell(file: dict[str, Any], call: Call) -> None:
    if call.json:
        json_line(file)
        return
    if call.quiet and file["judgement"] in ("imported", "duplicate"):
        return
    what = _WORDS.get(str(file["judgement"]), "not imported")
    number = f" {file['item']}" if file["item"] is not None and file["judgement"] != "pending" else ""
    where = f", at {file['to']}" if file["to"] else ""
    why = f": {file['reason']}" if file["reason"] else ""
    say(shown(f"{file['path']}: {what}{number}{where}{why}"))
