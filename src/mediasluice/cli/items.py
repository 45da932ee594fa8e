"""``sluice items``: what was imported, and the changes that people make to it.

Reads the catalogue; changes go through the service that runs, else this process is the writer for a moment.
Bytes are never touched: an item that is deleted leaves its file where it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from mediasluice.cli.options import Call, Command, Group, whole_number
from mediasluice.cli.output import amount, hexadecimal, json_line, json_lines, local_time, moment, say, shown
from mediasluice.cli.places import data_of, view_of
from mediasluice.errors import UsageError
from mediasluice.identify.previews import LARGE, SMALL, is_stored, path_of
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.renditions import Rendition
    from mediasluice.catalogue.rows import ItemLine, StepLine
    from mediasluice.catalogue.view import View

app = typer.Typer(cls=Group, add_completion=False)

AT_ONCE = 250
"""Lines per write, chosen: a few milliseconds of work."""

LARGEST_ID = (1 << 63) - 1
"""What an id can be in SQLite."""

_Id = Annotated[int, typer.Argument(metavar="ID", parser=whole_number, help="The number of the item.")]
_Text = str | None


class Origin(NamedTuple):
    """Where the bytes of an item came from, what was done with them, and its renditions."""

    source: bytes | None
    steps: Sequence[StepLine]
    renditions: Sequence[Rendition]


@app.callback(invoke_without_command=True)
def items(ctx: typer.Context) -> None:
    """List, show, change and delete what was imported."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj)


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List all items in the order in which they were imported."""
    _list(ctx.obj)


@app.command(cls=Command)
def show(ctx: typer.Context, number: _Id) -> None:
    """Show one item: what it is, where it came from, and what was done with its bytes."""
    call: Call = ctx.obj
    (line,), (origin,) = _found(call, [number])
    data = data_of(call)
    if call.json:
        json_line(
            _with_products(line, data, origin.renditions)
            | {"came_from": _path(origin.source), "steps": [step_row(one) for one in origin.steps]}
        )
        return
    say(_plain(line))
    said = {
        "title": line.title,
        "described": line.description,
        "library": line.library,
        "owner": line.owner or "nobody",
        "state": line.state,
        "blake3": line.blake3.hex(),
        "since": local_time(line.at_us),
        "from": origin.source or "",
        "collides": "" if line.collides_with is None else f"its file has the content of item {line.collides_with} now",
    }
    for label, value in said.items():
        if value:
            say(f"  {label:<10} {shown(value)}")
    for one in origin.renditions:
        say(f"  {'rendition':<10} {shown(rendition_line(one, data))}")
    for step in origin.steps:
        say(f"  {step_line(step)}")


@app.command("set", cls=Command)
def set_(
    ctx: typer.Context,
    number: _Id,
    title: Annotated[_Text, typer.Option(metavar="TEXT", help="What it is called.")] = None,
    description: Annotated[_Text, typer.Option(metavar="TEXT", help="What is said about it.")] = None,
    owner: Annotated[_Text, typer.Option(metavar="NAME", help="The account that it belongs to.")] = None,
    state: Annotated[_Text, typer.Option(metavar="STATE", help="Who may see it: public, private, unlisted.")] = None,
) -> None:
    """Change what is said about an item; its file stays as it is."""
    from mediasluice.service.changes import change

    call: Call = ctx.obj
    said = {"title": title, "description": description, "owner": owner, "state": state}
    values = {name: value for name, value in said.items() if value is not None}
    if not values:
        raise UsageError("nothing is to be changed", hint="say what: --title --description --owner --state")
    _found(call, [number])
    change(data_of(call), "items.set", {"id": number, "values": values})
    (line,), (origin,) = _found(call, [number])
    if call.json:
        json_line(_with_products(line, data_of(call), origin.renditions))
    elif not call.quiet:
        say(_plain(line))


@app.command(cls=Command)
def delete(
    ctx: typer.Context,
    numbers: Annotated[list[int], typer.Argument(metavar="ID", parser=whole_number, help="The numbers of the items.")],
) -> None:
    """Forget items, all of those named or none; their bytes stay where they are."""
    from mediasluice.service.changes import change

    call: Call = ctx.obj
    lines, origins = _found(call, list(dict.fromkeys(numbers)))
    change(data_of(call), "items.delete", {"ids": [line.id for line in lines]})
    for line, origin in zip(lines, origins, strict=True):
        stays = line.path or origin.source
        if call.json:
            json_line({"id": line.id, "title": line.title, "path": _path(stays)})
        elif not call.quiet:
            say(f"item {line.id} {shown(line.title)!r} is deleted; its bytes stay at {shown(stays or b'?')}")
    if not call.json and not call.quiet:
        say("An equal file that still lies in a watched folder is imported again by the next pass: sluice scan")


def _list(call: Call) -> None:
    from mediasluice.catalogue import renditions

    data = data_of(call)
    view = view_of(data, quiet=call.quiet)
    if view is None:
        return
    with view:
        lines = view.items()
        while part := list(islice(lines, AT_ONCE)):
            if call.json:
                made = view.ask(renditions.of_contents, [line.blake3 for line in part])
                json_lines(_with_products(line, data, made.get(line.blake3, ())) for line in part)
            else:
                say("\n".join(map(_plain, part)))


def _found(call: Call, numbers: Sequence[int]) -> tuple[list[ItemLine], list[Origin]]:
    """The items of these numbers, with where they came from."""
    view = view_of(data_of(call), quiet=True)
    if view is None:
        raise _no_item(numbers[0])
    lines: list[ItemLine] = []
    origins: list[Origin] = []
    with view:
        for number in numbers:
            line = next(view.items(number), None) if number <= LARGEST_ID else None
            if line is None:
                raise _no_item(number)
            lines.append(line)
            origins.append(origin_of(view, line))
    return lines, origins


def _no_item(number: int) -> UsageError:
    return UsageError(f"there is no item {number}", hint="see: sluice items")


def origin_of(view: View, line: ItemLine) -> Origin:
    """Where the bytes of an item came from: the source of the step that brought them, else its file."""
    from mediasluice.catalogue import renditions

    steps = view.steps(line.file)
    brought = [step.source for step in steps if step.purpose == "import" and step.state == "done"]
    made = view.ask(renditions.of_contents, [line.blake3]).get(line.blake3, [])
    return Origin(brought[-1] if brought else view.path_of(line.file), steps, made)


def item_row(line: ItemLine) -> dict[str, Any]:
    """An item as JSON carries it."""
    return {
        "id": line.id,
        "title": line.title,
        "description": line.description,
        "library": line.library,
        "owner": line.owner,
        "state": line.state,
        "kind": line.kind,
        "path": _path(line.path),
        "size": line.size,
        "blake3": hexadecimal(line.blake3),
        "file": line.file,
        "at": moment(line.at_us),
        "collides_with": line.collides_with,
    }


def _with_products(line: ItemLine, data: Path, made: Sequence[Rendition]) -> dict[str, Any]:
    """An item, where its two small pictures are, if they are there, and its renditions."""
    place = os.fsencode(os.path.abspath(data))
    preview = None
    if is_stored(place, line.blake3):
        preview = {
            "small": text(path_of(place, line.blake3, SMALL)),
            "large": text(path_of(place, line.blake3, LARGE)),
        }
    return item_row(line) | {"preview": preview, "renditions": [rendition_row(one, data) for one in made]}


def rendition_row(rendition: Rendition, data: Path) -> dict[str, Any]:
    """A rendition as JSON carries it; its path is there only when it is made."""
    from mediasluice.catalogue.renditions import MADE, place

    is_made = rendition.state == MADE
    return {
        "profile": rendition.name.profile,
        "state": rendition.state,
        "path": os.path.join(os.path.abspath(data), place(rendition.name)) if is_made else None,
        "size": rendition.size,
        "duration": rendition.duration,
        "reason": rendition.reason,
    }


def rendition_line(rendition: Rendition, data: Path) -> str:
    """A rendition for people."""
    row = rendition_row(rendition, data)
    if row["path"] is None:
        return f"{row['profile']}: {row['state']}" + (f", {row['reason']}" if row["reason"] else "")
    seconds = "" if row["duration"] is None else f", {row['duration']:.1f} s"
    note = f"; {row['reason']}" if row["reason"] else ""
    return f"{row['profile']}: {row['path']} ({amount(row['size'])}{seconds}){note}"


def step_row(step: StepLine) -> dict[str, Any]:
    """A step of the journal as JSON carries it."""
    return {
        "id": step.id,
        "purpose": step.purpose,
        "mode": step.mode,
        "source": text(step.source),
        "target": text(step.target),
        "state": step.state,
        "note": step.note,
        "at": moment(step.at_us),
        "ended": None if step.ended_us is None else moment(step.ended_us),
    }


def step_line(step: StepLine) -> str:
    """A step of the journal for people: before and after."""
    how = step.mode if step.state == "done" else f"{step.mode}, {step.state}"
    why = f"  ({shown(step.note)})" if step.note else ""
    at = local_time(step.ended_us or step.at_us)
    return f"{at}  {step.purpose} ({how}): {shown(step.source)} -> {shown(step.target)}{why}"


def _plain(line: ItemLine) -> str:
    where = shown(line.path) if line.path is not None else "on its way"
    owner = shown(line.owner) if line.owner else "-"
    return f"{line.id:>6} {line.state:<8} {owner:<12} {line.kind:<8} {amount(line.size):>9}  {where}"


def _path(path: bytes | None) -> str | None:
    return None if path is None else text(path)
