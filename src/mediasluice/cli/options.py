"""The options that every command takes, before and after its verb, and how a command receives them.

Takes the command line; gives a :class:`Call` as ``ctx.obj``. What stands after the verb wins.
Fails with: typer's own usage errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Context, Parameter  # the base classes that typer passes around

_PANEL = "Every command"
P = TypeVar("P", bound="Parameter")


@dataclass(frozen=True, slots=True)
class Call:
    """What the shared options said: where the catalogue is, which document, and how to speak."""

    data: str | None = None
    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0


def _shared(
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Directory of the catalogue.", rich_help_panel=_PANEL),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="The configuration document.", rich_help_panel=_PANEL),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one object, or one per line.", rich_help_panel=_PANEL)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say only what went wrong.", rich_help_panel=_PANEL)
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("-v", "--verbose", count=True, help="Say more.", rich_help_panel=_PANEL, show_default=False),
    ] = 0,
) -> None:
    """Nothing: this is where typer reads what the shared options are."""


class Command(TyperCommand):
    """A command with the shared options."""

    def __init__(self, name: str | None, *, params: list[Parameter], **more: Any) -> None:  # noqa: ANN401
        super().__init__(name, params=_with_shared(params), **more)

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        return option and plain(option)

    def invoke(self, ctx: Context) -> object:
        _collect(ctx)
        return super().invoke(ctx)


class Group(TyperGroup):
    """A verb with verbs below it, with the shared options."""

    def __init__(self, *, params: list[Parameter], **more: Any) -> None:  # noqa: ANN401
        super().__init__(params=_with_shared(params), **more)

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        return option and plain(option)

    def invoke(self, ctx: Context) -> object:
        _collect(ctx)
        return super().invoke(ctx)


def whole_number(value: str) -> int:
    """Read a count or a sequence number."""
    if not value.isascii() or not value.isdigit():
        raise ValueError("is not a whole number")
    return int(value)


def plain(param: P) -> P:
    """Let a parameter that typer made convert its text without pydantic; see :func:`_converted`."""
    object.__setattr__(param, "__class__", _Option if isinstance(param, TyperOption) else _Argument)
    return param


def _with_shared(params: Sequence[Parameter]) -> list[Parameter]:
    app = typer.Typer(add_completion=False)
    app.command()(_shared)
    return [plain(param) for param in (*params, *get_command(app).params)]


def _collect(ctx: Context) -> None:
    above = ctx.parent.obj if ctx.parent and isinstance(ctx.parent.obj, Call) else Call()
    said = {field.name: ctx.params.pop(field.name) for field in fields(Call)}
    ctx.obj = Call(**{name: value or getattr(above, name) for name, value in said.items()})


class _Option(TyperOption):
    def process_value(self, ctx: Context, value: object) -> object:
        return _converted(self, ctx, value)


class _Argument(TyperArgument):
    def process_value(self, ctx: Context, value: object) -> object:
        return _converted(self, ctx, value)


def _converted(param: TyperOption | TyperArgument, ctx: Context, value: object) -> object:
    """Convert by the ``parser`` of an option, else leave the text as it is.

    typer's own way goes through pydantic, whose import takes 0.19 of the 0.30 s that a small command then
    needs (measured with typer 0.29 on two slow cores).
    """
    if param.required and param.value_is_missing(value):
        ctx.fail(f"{param.display_name_raw} is missing")
    parser = param.type_descriptor.parameter_info.parser or str
    try:
        if isinstance(value, str):
            value = parser(value)
        elif isinstance(value, list | tuple):
            value = [parser(item) for item in value]
    except ValueError as error:
        ctx.fail(f"{param.opts[0]} {value!r} {error}")
    return param.callback(ctx, param, value) if param.callback else value
