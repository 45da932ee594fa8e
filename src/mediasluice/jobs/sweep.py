"""Have the second pass go through everything once more, as a job that is listed and can be cancelled.

What reads and makes has queues of its own in the catalogue, which survive a crash; the job says how far they are, and
one that is begun again finds less to do.

``read``: contents that an older version read, and files that could not be read. ``make``: what a product is not made
of yet; args: ``what``, preview, essence or likeness. ``transcode``: renditions that could not be made are tried again,
and it is waited for all that are wanted. Gives counts. Fails with: UsageError (another product).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from mediasluice.errors import UsageError
from mediasluice.jobs.port import Context, Kind

READ, MAKE = "read", "make"
TRANSCODE = "transcode"
PRODUCTS = ("preview", "essence", "likeness")
LOOK_S = 0.5  # chosen: how often is looked how far it is


class Sweep(Protocol):
    """Something that goes through everything, and says how far it is."""

    @property
    def is_ended(self) -> bool: ...

    @property
    def done(self) -> int: ...


def reading(begin: Callable[[], Sweep]) -> Kind:
    """The kind that reads anew."""
    return Kind(READ, partial(_read, begin))


def making(begin: Callable[[str], Sweep]) -> Kind:
    """The kind that makes products."""
    return Kind(MAKE, partial(_make, begin))


def transcoding(begin: Callable[[], Sweep]) -> Kind:
    """The kind that makes renditions."""
    return Kind(TRANSCODE, partial(_read, begin))


def _read(begin: Callable[[], Sweep], context: Context, _: Mapping[str, Any]) -> Mapping[str, Any]:
    return _wait(begin(), context)


def _make(begin: Callable[[str], Sweep], context: Context, args: Mapping[str, Any]) -> Mapping[str, Any]:
    what = args.get("what")
    if what not in PRODUCTS:
        raise UsageError(
            f"{what!r} is nothing that can be made of everything", hint=f"what={' or what='.join(PRODUCTS)}"
        )
    return _wait(begin(what), context)


def _wait(sweep: Sweep, context: Context) -> Mapping[str, Any]:
    stopped = threading.Event()
    context.when_stopped(stopped.set)
    while not sweep.is_ended:
        context.progress(sweep.done)
        stopped.wait(LOOK_S)
        context.check()
    context.progress(sweep.done)
    return {"done": sweep.done}
