"""Have a library compared with its disk, as a job that is listed, can be cancelled and is taken up after a crash.

The pass itself is the pipeline's: it knows what it has seen, so one that is begun again only does what is left.

Args: ``library``. Gives what the pass says of itself. Fails with: UsageError (no such library), Unavailable (its root
is out of reach), each as the callable raises it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from mediasluice.errors import UsageError
from mediasluice.jobs.port import Context, Kind

NAME = "scan"


class Scan(Protocol):
    """Ask for a pass over a library and wait until it is through; ends early when the context is cancelled."""

    def __call__(self, library: str, context: Context) -> Mapping[str, Any]: ...


def kind(scan: Scan) -> Kind:
    """The kind of job: one pass at a time in a library, some libraries at once."""
    return Kind(NAME, partial(run, scan), at_once=2)


def run(scan: Scan, context: Context, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do it."""
    library = args.get("library")
    if not isinstance(library, str):
        raise UsageError("a scan is of one library", hint="name it: library=NAME")
    result = scan(library, context)
    context.check()
    return result
