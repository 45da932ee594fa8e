"""``sluice run``: the service, in the foreground, until it is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import say
from mediasluice.cli.places import data_of, loaded_of
from mediasluice.config.values import seconds
from mediasluice.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
def run(
    ctx: typer.Context,
    directories: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="Folders to watch, beside the libraries of the configuration."),
    ] = None,
    until_idle: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="Leave when nothing was pending for so long."),
    ] = None,
) -> int:
    """Watch folders and catalogue what arrives in them, until stopped.

    What is there already is catalogued first.
    A folder that was watched before keeps its library and what is known of it.
    Ctrl-C and SIGTERM let it finish what it began; it ends with 0.
    """
    call: Call = ctx.obj
    loaded = loaded_of(call)
    if not directories and not loaded.settings.libraries():
        raise UsageError(
            "there is nothing to watch",
            hint="name a folder: sluice run /some/folder\nor put libraries into a document, see --config",
        )
    from mediasluice.service.host import serve

    folders = [Path(os.path.abspath(directory)) for directory in directories or ()]
    announce = _nothing if call.quiet else say
    return serve(loaded, data_of(call), folders, until_idle_s=until_idle, announce=announce)


def _nothing(line: str) -> None:
    """Announce nothing: ``-q``."""
