"""docs/cli.md says what the command line does: the same verbs, options and exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from mediasluice import errors
from mediasluice.cli import errors as codes
from mediasluice.cli.program import program

REFERENCE = Path(__file__).parents[3] / "docs" / "cli.md"
SHARED = {"--data", "--config", "--json", "-q", "--quiet", "-v", "--verbose", "--help"}


def sections() -> dict[str, str]:
    """Heading -> what stands below it."""
    parts = re.split(r"^##+ `?(.+?)`?$", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Every command of the tree with its full name."""
    root = program()
    context = typer.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if isinstance(command, TyperGroup):
            for below in command.list_commands(context):
                inner = command.get_command(context, below)
                assert isinstance(inner, typer.core.TyperCommand)
                yield f"sluice {name} {below}", inner
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield f"sluice {name}", command


COMMANDS = dict(commands())


def test_every_command_has_its_section_and_no_section_has_no_command() -> None:
    """The headings of the reference are the commands."""
    described = {heading for heading in sections() if heading.startswith("sluice ")}
    groups = {f"sluice {name}" for name in ("bench", "config", "items", "jobs", "sinks", "users")}
    assert described - groups == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_are_those_of_the_reference(name: str) -> None:
    """Each option has a row in the table of its command, and each row is an option."""
    real = {one for param in COMMANDS[name].params if isinstance(param, TyperOption) for one in param.opts}
    rows = re.findall(r"^\| `(--[a-z-]+)", sections()[name], flags=re.MULTILINE)
    assert set(rows) == real - SHARED
    assert real >= SHARED - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_and_arguments_explain_themselves(name: str) -> None:
    """Every command, option and argument has a help text."""
    command = COMMANDS[name]
    assert command.help
    for param in command.params:
        assert isinstance(param, TyperOption | TyperArgument)
        assert param.help, param.name


def test_the_shared_options_are_described() -> None:
    """The table of the shared options names each of them."""
    table = sections()["Options of every command"]
    assert {one for one in SHARED if f"`{one}" in table} == SHARED


def test_the_exit_codes_are_those_of_the_table() -> None:
    """The reference lists exactly the codes that a command can end with."""
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", sections()["Exit codes"], flags=re.MULTILINE)}
    assert listed == {codes.OK, codes.INTERRUPTED, *codes.EXIT_CODES.values()}


def leaves(kind: type[errors.SluiceError]) -> Iterator[type[errors.SluiceError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from leaves(one)


@pytest.mark.parametrize("kind", sorted(leaves(errors.SluiceError), key=str))
def test_every_leaf_of_the_exception_tree_has_an_exit_code(kind: type[errors.SluiceError]) -> None:
    """No error reaches the user by the code of a class above it."""
    assert kind in codes.EXIT_CODES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.BadSetting("x"), 78),
        (errors.HeldForReview("x"), 4),
        (errors.LockHeld("x", pid=1), 75),
        (errors.Unreadable("x"), 3),
        (errors.SluiceError("x"), 1),
    ],
    ids=str,
)
def test_errors_end_with_the_code_that_the_design_gives_them(error: errors.SluiceError, code: int) -> None:
    """Usage 2, configuration 78, review 4, later 75, files 3, else 1."""
    assert codes.exit_code(error) == code
