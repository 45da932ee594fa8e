"""Say what went wrong, and with which exit code a command ends.

    0    done; also run after Ctrl-C or SIGTERM, and any command whose reader went away
    1    failed
    2    the command cannot be understood
    3    done, but single files failed or stayed unsettled
    4    nothing was done: held for review
    75   nothing is wrong with the request: try again later
    78   the configuration or the environment has to be changed first
    130  interrupted

Takes an exception; gives text on standard error and a code. A test proves that the table holds every leaf of
the exception tree. Source: docs/cli.md.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mediasluice import errors
from mediasluice.cli.output import shown

if TYPE_CHECKING:
    import typer

OK = 0
FAILED = 1
USAGE = 2
FILES_FAILED = 3
HELD = 4
TRY_LATER = 75
BAD_CONFIG = 78
INTERRUPTED = 130

EXIT_CODES: Mapping[type[errors.SluiceError], int] = {
    errors.UsageError: USAGE,
    errors.BadSetting: BAD_CONFIG,
    errors.RootUnusable: BAD_CONFIG,
    errors.RootOverlap: BAD_CONFIG,
    errors.MissingExtra: BAD_CONFIG,
    errors.ForeignDatabase: BAD_CONFIG,
    errors.Vanished: FILES_FAILED,
    errors.ChangedWhileReading: FILES_FAILED,
    errors.Unreadable: FILES_FAILED,
    errors.HeldForReview: HELD,
    errors.SinkRefused: FAILED,
    errors.SinkUnreachable: TRY_LATER,
    errors.LockHeld: TRY_LATER,
    errors.ServiceGone: TRY_LATER,
    errors.DiskFull: TRY_LATER,
    errors.ConfigError: BAD_CONFIG,
    errors.FileError: FILES_FAILED,
    errors.Unavailable: TRY_LATER,
    errors.SluiceError: FAILED,
}


def exit_code(error: errors.SluiceError) -> int:
    """The code of the nearest class in the table."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def report(error: errors.SluiceError) -> int:
    """Print what failed, which path, why and what to do next; gives the exit code."""
    complain(error.message, path=error.path, hint=error.hint)
    return exit_code(error)


def report_os(error: OSError) -> int:
    """Print an error of the system that no room gave a name to; gives the exit code."""
    path = None if error.filename is None else shown(error.filename)
    complain(error.strerror or str(error), path=path)
    return TRY_LATER if error.errno in (errno.ENOSPC, errno.EDQUOT) else FAILED


def complain(message: str, *, path: str | None = None, hint: str | None = None) -> None:
    """Print an error to standard error, each part shown in printable characters."""
    where = "" if path is None else f"{shown(path)}: "
    print(f"sluice: {where}{shown(message, keep_lines=True)}", file=sys.stderr)
    for line in (hint or "").splitlines():
        print(f"  {shown(line)}", file=sys.stderr)


def report_usage(error: typer.TyperException) -> int:
    """Print what typer did not understand and where help is."""
    context = getattr(error, "ctx", None)
    complain(error.format_message(), hint=f"see: {context.command_path if context else 'sluice'} --help")
    return USAGE


def report_mistake(error: Exception) -> int:
    """Print an error that nobody foresaw."""
    complain(
        f"internal error: {type(error).__name__}: {error}",
        hint="this is a mistake in mediasluice; the same command with -v shows where",
    )
    return FAILED
