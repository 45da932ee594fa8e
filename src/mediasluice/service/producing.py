"""Have a product made of all contents that lack it, on request, and tell how far that is.

Takes a running service and ``essence`` or ``likeness``; gives rows ``{"progress": {...}}`` and at the end
``{"result": {...}}``: ``found done refused left hears``; ``left`` could not be read now, ``hears`` says whether sounds
have a likeness here. Fails with: UsageError, Unavailable, and what ended the service.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.products import ESSENCE, LIKENESS
from mediasluice.errors import Unavailable, UsageError
from mediasluice.pipeline.making import hears

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediasluice.pipeline.making import Progress
    from mediasluice.service.service import Service

PROGRESS_S = 0.2


def run_making(service: Service, what: str) -> Iterator[dict[str, Any]]:
    """Make what is lacking; who goes away leaves it to be made all the same."""
    if what not in (ESSENCE, LIKENESS):
        raise UsageError(f"{what!r} is nothing that can be asked for", hint=f"one of: {ESSENCE}, {LIKENESS}")
    progress, pause_s = service.host.maker.request(what), 0.01
    while not progress.is_ended:
        if service.failure is not None:
            raise service.failure
        if service.full is not None and not service.is_service:
            raise service.full
        if service.is_stopping:
            raise Unavailable("the service is being stopped", hint="ask again: what was made is kept")
        yield {"progress": _row(progress)}
        time.sleep(pause_s)
        pause_s = min(PROGRESS_S, pause_s * 2)
    yield {"result": {**_row(progress), "hears": hears()}}


def _row(progress: Progress) -> dict[str, Any]:
    return {"found": progress.found, "done": progress.done, "refused": progress.refused, "left": progress.left}
