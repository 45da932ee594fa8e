"""``sluice run``: the service, in the foreground, until it is stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import say
from mediasluice.cli.places import data_of, loaded_of
from mediasluice.config.values import owner as owner_name
from mediasluice.config.values import seconds
from mediasluice.config.values import template as path_template
from mediasluice.errors import UsageError
from mediasluice.model.imports import Mode

app = typer.Typer(add_completion=False)


def mode_of_transfer(value: str) -> str:
    """Read how files come to the directory of ``--to``."""
    modes = [mode.value for mode in Mode if mode is not Mode.IN_PLACE]
    if value not in modes:
        raise ValueError(f"is not one of {', '.join(modes)}")
    return value


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
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TARGET", help="Import what settles in these folders to this directory."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            parser=path_template,
            help="Path below TARGET, such as {taken:%Y/%m}/{name}; else {name}.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", parser=mode_of_transfer, help="copy (default), move, hardlink, hardlink! or reflink."
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(metavar="NAME", parser=owner_name, help="The account that imported files belong to."),
    ] = None,
) -> int:
    """Watch folders and catalogue what arrives in them, until stopped.

    What is there already is catalogued first.
    With --to files are imported as well.
    A folder that was watched before keeps its library and what is known of it.
    Ctrl-C and SIGTERM let it finish what it began; it ends with 0.
    """
    call: Call = ctx.obj
    said = {"template": template, "mode": mode, "owner": owner}
    section = importing(directories or (), to, {key: value for key, value in said.items() if value is not None})
    loaded = loaded_of(call)
    if not directories and not loaded.settings.libraries():
        raise UsageError(
            "there is nothing to watch",
            hint="name a folder: sluice run /some/folder\nor put libraries into a document, see --config",
        )
    from mediasluice.service.host import serve

    folders = [Path(os.path.abspath(directory)) for directory in directories or ()]
    announce = _nothing if call.quiet else say
    return serve(loaded, data_of(call), folders, until_idle_s=until_idle, announce=announce, section=section)


def importing(directories: Sequence[str], to: str | None, said: Mapping[str, str]) -> dict[str, Any]:
    """What the options say of the libraries of the folders, nested like the document; empty without ``--to``."""
    if to is None:
        if said:
            raise UsageError(f"--{next(iter(said))} says how to import, and not where to", hint="add: --to TARGET")
        return {}
    if not to:
        raise UsageError("--to names no directory")
    if not directories:
        raise UsageError(
            "--to says where to import, and not from where",
            hint=f"name a folder: sluice run /some/folder --to {to}\na library of a document has a section for this",
        )
    return {"action": "import", "import": {"target": os.path.abspath(to), **said}}


def _nothing(line: str) -> None:
    """Announce nothing: ``-q``."""
