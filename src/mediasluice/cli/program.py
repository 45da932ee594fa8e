"""The tree of verbs, each imported when it is asked for.

Takes nothing; gives the typer command that ``main`` runs and that the tests compare with docs/cli.md.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command

from mediasluice.cli.options import Group, plain
from mediasluice.cli.output import print_version

if TYPE_CHECKING:
    from typer._click import Command, Context  # the base classes that typer passes around

VERBS = (
    "run", "scan", "import", "items", "duplicates", "events", "sinks", "jobs", "files", "users", "status", "explain",
    "check", "bench", "config", "health", "demo",
)  # fmt: skip
"""In the order of the help; each is the module of this room that holds it."""


class Sluice(Group):
    """The program itself: finds a verb by importing its module."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - the signature is typer's
        return list(VERBS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - the signature is typer's
        if cmd_name not in VERBS:
            return None
        module = "importing" if cmd_name == "import" else cmd_name  # a module cannot be called like a word of Python
        command = get_command(import_module(f"mediasluice.cli.{module}").app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = get_close_matches(args[0], VERBS, n=1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


def program() -> Sluice:
    """Build the tree; cheap, because no verb is imported yet."""
    app = typer.Typer(cls=Sluice, no_args_is_help=False)
    app.callback(invoke_without_command=True)(_sluice)
    built = get_command(app)
    assert isinstance(built, Sluice)
    built.params = [plain(param) for param in built.params]
    return built


def _sluice(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Takes in media: notices files, waits until they are complete, and catalogues each of them once.

    To begin: sluice run /some/folder
    """
    if version:
        print_version()
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
