"""Run the command that was asked for, and turn whatever it raises into text and an exit code.

Takes ``sys.argv``; gives an exit code. Each verb is a module of this room, imported when it is called, and
its own imports wait until it runs: ``sluice --version`` imports neither typer nor rich.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mediasluice.cli import errors
from mediasluice.cli.folders import plain_folders, report_folders
from mediasluice.errors import SluiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediasluice.cli.program import Sluice

PROGRAM = "sluice"


def main() -> int:
    """Run one command line; the entry point of ``sluice`` and of ``python -m mediasluice``."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal may know few letters
    try:
        if sys.argv[1:] == ["--version"]:
            from mediasluice.cli.output import print_version

            print_version()
            return 0
        folders = plain_folders(sys.argv[1:])
        if folders is not None:
            code = guarded(lambda: report_folders(folders, json=True, quiet=False))
        else:
            from mediasluice.cli.program import program

            code = _run(program())
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130  # as a shell reports a program that SIGINT ended
    except BrokenPipeError:
        # The reader has seen enough (`sluice files | head`); nothing may be flushed into that pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(sluice: Sluice) -> int:
    """Let typer call the command that was asked for."""
    import typer

    if "_SLUICE_COMPLETE" in os.environ:  # the shell asks for completions
        return int(sluice.main(prog_name=PROGRAM) or 0)

    def call() -> int:
        try:
            with sluice.make_context(PROGRAM, sys.argv[1:]) as context:
                code = sluice.invoke(context)
                return code if isinstance(code, int) else errors.OK
        except typer.Exit as end:
            return end.exit_code
        except typer.Abort:
            return errors.INTERRUPTED
        except typer.TyperException as error:
            return errors.report_usage(error)

    return guarded(call)


def guarded(call: Callable[[], int]) -> int:
    """Call a command and report what it raises."""
    try:
        return call()
    except SluiceError as error:
        return errors.report(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return errors.report_os(error)
    except Exception as error:  # the border of the process: a mistake of ours, told in one line
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        return errors.report_mistake(error)
