"""One pass on request: start it, report how far it is, wait for what has not settled, sum it up.

Takes a running service and the starting points; gives rows ``{"progress": {...}}`` and at the end
``{"result": {...}}`` with the keys of ``sluice scan --json``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.errors import Unavailable
from mediasluice.model.files import Origin
from mediasluice.model.paths import text
from mediasluice.model.roots import RootState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mediasluice.pipeline.scans import Scan
    from mediasluice.pipeline.watched import Watched
    from mediasluice.service.service import Service

PROGRESS_S = 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """What to pass over. ``accept``: what is missing or replaced there is right."""

    scope: Sequence[tuple[Watched, bytes]]
    settle_timeout_s: float
    fast: bool = False  # do not wait for the second pass
    trusts_times: bool = False  # directories whose own time did not change are not listed
    accept: bool = False


def run_pass(service: Service, request: Request) -> Iterator[dict[str, Any]]:
    """Run one pass to its end; the caller decides how to show it."""
    began_s = time.monotonic()
    intake = service.host.intake
    for root in {root.id: root for root, _ in request.scope}.values():
        if request.accept:
            service.accept_root(root)
            if root.state is RootState.OFFLINE:
                service.bring_online(root)
    scope = [(root, directory) for root, directory in request.scope if root.state is not RootState.OFFLINE]
    offline = [root for root, _ in request.scope if root.state is RootState.OFFLINE]
    if not scope:
        message = f"library {offline[0].library} is offline: {offline[0].reason}"
        raise Unavailable(
            message, path=text(offline[0].path), hint="nothing was changed; it is compared when it is back"
        )
    looked = threading.Event()
    scan: Scan = service.ask(
        lambda: intake.passes.begin(
            scope, Origin.SCAN, fast=request.trusts_times, accept=request.accept, finished=lambda _: looked.set()
        )
    )
    intake.post(lambda: None)
    pause_s = 0.002  # a small tree is done in a moment
    while not looked.wait(pause_s):
        _raise_failure(service)
        if pause_s >= PROGRESS_S:
            yield {"progress": _progress(scan, began_s)}
        pause_s = min(PROGRESS_S, pause_s * 2)
    until_s = time.monotonic() + request.settle_timeout_s
    while scan.waiting and time.monotonic() < until_s:
        _raise_failure(service)
        yield {"progress": _progress(scan, began_s)}
        time.sleep(0.05)
    unsettled = len(scan.waiting)
    if unsettled:
        service.ask(lambda: intake.passes.forget_waiting(scan))
    enricher, importer = service.host.enricher, service.host.importer
    service.host.writer.call(lambda _: None)  # everything before it is committed
    with View.open(catalogue_file(service.data)) as view:
        head = view.head()
    # What is read and imported belongs to the pass. A file is imported after it was read: ask in this order.
    while not (request.fast or enricher.has_reached(head)) or importer.is_busy:
        _raise_failure(service)
        yield {"progress": _progress(scan, began_s)}
        time.sleep(0.02)
    service.host.writer.call(lambda _: None)  # everything before it is committed
    yield {"result": _result(service, scan, [root for root, _ in scope], unsettled, len(offline), began_s)}


def _raise_failure(service: Service) -> None:
    if service.failure is not None:
        raise service.failure
    if service.full is not None and not service.is_service:
        raise service.full


def _progress(scan: Scan, began_s: float) -> dict[str, Any]:
    """Files and bytes done of those found so far, bytes a second, seconds left (``null`` when unknown)."""
    totals = scan.totals
    took_s = max(time.monotonic() - began_s, 1e-3)
    rate = totals.done_size / took_s
    left = max(0, totals.size - totals.done_size)
    return {
        "files": totals.done_files,
        "files_found": totals.files,
        "bytes": totals.done_size,
        "bytes_found": totals.size,
        "bytes_per_second": round(rate),
        "eta_s": round(left / rate, 1) if scan.all_listed and rate else None,
        "waiting": len(scan.waiting),
        "seconds": round(took_s, 2),
    }


def _result(
    service: Service, scan: Scan, roots: Sequence[Watched], unsettled: int, offline: int, began_s: float
) -> dict[str, Any]:
    totals = scan.totals
    with View.open(catalogue_file(service.data)) as view:
        groups, files, size = view.duplicate_totals([root.id for root in roots])
    return {
        "files": totals.files,
        "bytes": totals.size,
        "new": totals.new,
        "changed": totals.changed,
        "moved": totals.moved,
        "missing": max(0, totals.missing - totals.moved),
        "unchanged": totals.unchanged,
        "ignored": totals.ignored,
        "junk": totals.junk,
        "empty": totals.empty,
        "settling": unsettled + totals.held,
        "errors": totals.errors + offline,
        "held": len(scan.held),
        "duplicates": {"groups": groups, "files": files, "bytes": size},
        "seconds": round(time.monotonic() - began_s, 3),
    }
