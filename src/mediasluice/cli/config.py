"""``sluice config``: what is set and where it comes from, whether the document is right, what it may hold.

Also makes a document of the settings of MediaCMS' directory monitor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediasluice.cli.errors import BAD_CONFIG, OK
from mediasluice.cli.options import Call, Command, Group
from mediasluice.cli.output import json_line, note, say, shown, table
from mediasluice.cli.places import loaded_of

app = typer.Typer(cls=Group, add_completion=False)


@app.callback()
def config() -> None:
    """Show, check and describe the configuration document."""


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say of each value where it was set.")] = False,
) -> None:
    """Print every setting that is in force; secrets are stars."""
    call: Call = ctx.obj
    loaded = loaded_of(call)
    for row in loaded.rows() if call.json else ():
        json_line(row._asdict() if origin else {"key": row.key, "value": row.value})
    if not call.json:
        rows = [(row.key, _written(row.value), row.origin) for row in loaded.rows()]
        table(("key", "value", "from")[: 3 if origin else 2], [row[: 3 if origin else 2] for row in rows])


@app.command(cls=Command)
def check(ctx: typer.Context) -> None:
    """Read the document and say what is wrong with it; touches no folder and no catalogue. 0 or 78."""
    from mediasluice.wiring.sinks import check as check_sinks

    call: Call = ctx.obj
    loaded = loaded_of(call)
    check_sinks(loaded.settings)
    libraries = loaded.settings.libraries()
    where = "no document" if loaded.path is None else str(loaded.path)
    if call.json:
        json_line(
            {
                "ok": True,
                "path": loaded.path and str(loaded.path),
                "libraries": [one.name for one in libraries],
            }
        )
    elif not call.quiet:
        say(f"{where}: right, with {len(libraries)} libraries")


@app.command(cls=Command)
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of the document, for editors that check while you type."""
    import json

    from mediasluice.config.document import json_schema

    call: Call = ctx.obj
    if call.json:
        json_line(json_schema())
    else:
        say(json.dumps(json_schema(), indent=2))


@app.command("from-mediacms", cls=Command)
def from_mediacms(
    ctx: typer.Context,
    settings: Annotated[str, typer.Argument(metavar="SETTINGS.py", help="The settings of MediaCMS, or local ones.")],
) -> int:
    """Print a document made of MediaCMS' settings; the file is read and never executed. 0 or 78."""
    from mediasluice.config import mediacms

    call: Call = ctx.obj
    path = Path(settings).absolute()
    made = mediacms.read(path)
    if call.json:
        findings = {"warnings": made.warnings, "errors": made.errors}
        json_line(
            {"document": made.document, **{name: [one._asdict() for one in told] for name, told in findings.items()}}
        )
    else:
        comment = (f"Made by `sluice config from-mediacms` of {shown(str(path))}",)
        say(mediacms.written(made.document, comment).rstrip("\n"))
        for mark, told in (("!", () if call.quiet else made.warnings), ("✗", made.errors)):
            for one in told:
                note(f"{mark} {one.setting}{'' if one.line is None else f', line {one.line}'}: {one.message}")
    return BAD_CONFIG if made.errors else OK


def _written(value: object) -> str:
    """A value as the document writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "[]"
    return str(value)
