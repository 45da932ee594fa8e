"""The immediate report of ``sluice duplicates DIR``: read folders now, and print what is equal in them.

Takes folders; prints groups and gives an exit code. It imports no typer: that alone would take as long as reading a
small tree. Fails with: RootUnusable, Unavailable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mediasluice.cli.errors import FILES_FAILED, OK, complain
from mediasluice.cli.output import amount, say, shown

if TYPE_CHECKING:
    from mediasluice.pipeline.duplicates import Group


def plain_folders(arguments: Sequence[str]) -> list[str] | None:
    """The folders of a command line that is ``duplicates --json DIR ...`` and nothing else, in any order."""
    if arguments[:1] != ["duplicates"] or arguments.count("--json") != 1:
        return None
    folders = [argument for argument in arguments[1:] if argument != "--json"]
    return None if any(not folder or folder.startswith("-") for folder in folders) else folders or None


def report_folders(directories: Sequence[str], *, json: bool, quiet: bool) -> int:
    """Print groups as they are found, then what could not be read."""
    from mediasluice.pipeline.duplicates import json_line, report

    write, flush = sys.stdout.write, sys.stdout.flush

    def emit_json(group: Group) -> None:
        write(json_line(group) + "\n")
        flush()

    def emit_plain(group: Group) -> None:
        tell(group.size, len({file[1:] for file in group.files}), [file[0] for file in group.files])

    totals = report([os.fsencode(directory) for directory in directories], emit_json if json else emit_plain)
    for path, why in totals.failed:
        complain(why, path=os.fsdecode(path))
    if not json and not quiet:
        sum_up(totals.groups, totals.copies, totals.bytes)
    return FILES_FAILED if totals.failed else OK


def tell(size: int, copies: int, paths: Sequence[bytes]) -> None:
    """Print one group for people."""
    say(f"{copies} x {amount(size)}")
    for path in paths:
        say(f"  {shown(path)}")


def sum_up(groups: int, copies: int, surplus: int) -> None:
    """Print what all groups come to; ``surplus`` in bytes."""
    say(f"{groups:,} groups; {copies:,} files more than needed, {amount(surplus)}")
