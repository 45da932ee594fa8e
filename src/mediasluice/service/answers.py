"""What a running service answers over its control socket.

Each verb is a function of the request's parameters that gives rows; see ``service/control.py``.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue import integrity, renditions
from mediasluice.catalogue.jobs import JobState
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.config.layers import load
from mediasluice.errors import SluiceError, Unavailable, UsageError
from mediasluice.jobs.port import Wish
from mediasluice.model.paths import join, text
from mediasluice.model.roots import RootState
from mediasluice.pipeline.looking import Looking
from mediasluice.pipeline.scans import Chunk
from mediasluice.pipeline.workers import Lane
from mediasluice.service.changes import CHANGES, JOBS, job_key, job_number, job_row, job_wish, no_job
from mediasluice.service.importing import rules_of, run_import, wish_for
from mediasluice.service.passing import Request, run_pass
from mediasluice.service.producing import run_making
from mediasluice.settle.decide import WaitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.isolation import Busy
    from mediasluice.pipeline.watched import Watched
    from mediasluice.service.service import Service

HEARTBEAT_S = 1.0  # an answer that waits repeats a row now and then, so that a client that left is noticed
SHOWN = 1000  # chosen: settling files named in a status; the rest is counted


class Answers:
    """The verbs of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def verbs(self) -> dict[str, Callable[[dict[str, Any]], Iterator[dict[str, Any]]]]:
        """Name each verb."""
        return {
            "status": self._status,
            "follow": self._follow,
            "scan": self._scan,
            "import": self._import,
            "make": self._make,
            "health": self._health,
            "explain": self._explain,
            "idle": self._idle,
            "sinks": self._sinks,
            "sinks.test": self._test_sink,
            **{what: partial(self._change, what) for what in CHANGES},
            "jobs": self._list_jobs,
            "jobs.show": self._show_job,
            "jobs.run": self._run_job,
            "jobs.cancel": self._cancel_job,
            "jobs.resume": self._resume_job,
        }

    def _status(self, _params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        service = self._service
        live = service.ask(self._live)
        with View.open(catalogue_file(service.data)) as view:
            live["counts"] = view.counts()
            live["imports"] = {"counts": view.imports(), "waiting": service.host.importer.waits}
            live["inside"] |= view.inside()
            live["renditions"] = self._renditions(view)
            live["damaged"] = view.ask(integrity.count_damages)
            live["sinks"] = service.deliveries.rows(view)
        yield live

    def _live(self) -> dict[str, Any]:
        """Runs on the intake thread: a consistent picture of it."""
        service, intake = self._service, self._service.host.intake
        settling: list[dict[str, Any]] = []
        now_s, now = time.monotonic(), time.time()
        for pending in intake.pending():
            if len(settling) == SHOWN:
                break
            root = intake.roots.get(pending.root)
            if root is None:
                continue
            settling.append(
                {
                    "path": text(join(root.path, join(pending.directory, pending.name))),
                    "reason": pending.reason or WaitReason.QUIET,  # not looked at yet
                    "since": now - (now_s - pending.since_s),
                    "due": now + (pending.due_s - now_s),
                }
            )
        return {
            "pid": os.getpid(),
            "roots": [_root(root) for root in intake.roots.values()],
            "settling": settling,
            "queues": {
                "candidates": len(intake.tracker),
                "looks": intake.workers.outstanding(Lane.EXPRESS),
                "bulk": intake.workers.outstanding(Lane.BULK),
                "writes": service.host.writer.backlog(),
                "reading": [
                    {"path": _path_of(busy.token), "since": now - (now_s - busy.since_s), "bytes": busy.read}
                    for busy in intake.workers.busy()
                ],
            },
            "inside": {"reading": _inside(service.host.enricher.isolation.busy(), intake.roots, now - now_s)},
            "overflows": sum(root.overflows for root in intake.roots.values()),
            "disk_full": None if service.full is None else str(service.full),
            "scans": [
                {"files": scan.totals.done_files, "files_found": scan.totals.files, "bytes": scan.totals.done_size}
                for scan in intake.passes.running
            ],
        }

    def _renditions(self, view: View) -> dict[str, Any]:
        renderer = self._service.host.renderer
        now = renderer.now
        return {
            "counts": view.ask(renditions.counts),
            "reason": renderer.waits,
            "now": now
            and {
                "path": text(now.path),
                "profile": now.profile,
                "share": now.share,
                "since": time.time() - (time.monotonic() - now.since_s),
            },
        }

    def _follow(self, _params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A row after each commit; ``head`` is the newest event's number."""
        service = self._service
        with View.open(catalogue_file(service.data)) as view:
            head = -1
            while not service.is_stopping:
                newest = view.head()
                yield {"head": newest}
                if newest == head:
                    continue
                head = newest
                with service.committed:
                    if view.head() == head:
                        service.committed.wait(HEARTBEAT_S)

    def _scan(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        service = self._service
        targets = list(params.get("targets", ()))
        scope = [self._starting_point(target) for target in targets] or [
            (root, b"") for root in service.host.intake.roots.values()
        ]
        request = Request(
            scope,
            settle_timeout_s=float(params.get("settle_timeout_s", 90.0)),
            fast=bool(params.get("fast", False)),
            trusts_times=bool(params.get("trusts_times", False)),
            accept=bool(params.get("accept", False)),
        )
        result: dict[str, Any] = {}
        for row in run_pass(service, request):
            if "result" in row:
                result = row["result"]
            else:
                yield row
        return result  # type: ignore[return-value]

    def _import(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        service = self._service
        rules = rules_of(params.get("library"), service.settings.libraries())
        paths = [os.fsencode(path) for path in params["paths"]]
        for path in paths:
            self._starting_point(text(path if os.path.isdir(path) else os.path.dirname(path)))
        wishes = [wish_for(path, list(service.host.intake.roots.values())) for path in paths]
        timeout_s = float(params.get("settle_timeout_s", 90.0))
        yield from run_import(service, wishes, rules, settle_timeout_s=timeout_s)

    def _make(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from run_making(self._service, str(params.get("what")))

    def _starting_point(self, target: str) -> tuple[Watched, bytes]:
        """Find the root of a target; a folder that nobody watches becomes a library that is not watched."""
        roots = list(self._service.host.intake.roots.values())
        path = os.fsencode(os.path.abspath(target))
        for root in roots:
            if root.library == target or root.path == path:
                return root, b""
            if path.startswith(root.path + b"/"):
                return root, path[len(root.path) + 1 :]
        if not os.path.isdir(path):
            message = f"{target} is neither a folder nor a library"
            raise UsageError(message, hint="libraries: " + ", ".join(root.library for root in roots))
        name = os.path.basename(path).decode("utf-8", "replace") or "root"
        taken = {root.library for root in roots}
        with View.open(catalogue_file(self._service.data)) as view:
            for row in view.roots():
                if row.path == path:
                    name = row.library
                else:
                    taken.add(row.library)
        while name in taken:
            name += "-2"
        unwatched = {"path": text(path), "watch": False, "action": "catalogue"}
        loaded = load(None, {}, {"libraries": {name: unwatched}})
        root = self._service.register(loaded.settings.libraries()[0])
        self._service.attach(root)
        return root, b""

    def _health(self, _params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        service = self._service
        service.ask(lambda: None)  # the intake thread answers
        ok = service.failure is None and service.full is None
        yield {"ok": ok, "pid": os.getpid(), "reason": str(service.failure or service.full or "") or None}

    def _explain(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        path = os.fsencode(params["path"])
        yield self._service.ask(lambda: self._explain_live(path) or {"state": None})

    def _explain_live(self, path: bytes) -> dict[str, Any] | None:
        intake = self._service.host.intake
        now_s, now = time.monotonic(), time.time()
        for pending in intake.pending():
            root = intake.roots.get(pending.root)
            if root is not None and path == join(root.path, join(pending.directory, pending.name)):
                after = f"looked at again in {max(0.0, pending.due_s - now_s):.1f} s"
                return {
                    "state": "held" if pending.reason == "name" else "settling",
                    "reason": pending.reason or WaitReason.QUIET,  # not looked at yet
                    "next": after,
                    "since": now - (now_s - pending.since_s),
                }
        for root in intake.roots.values():
            if root.state is RootState.OFFLINE and (path == root.path or path.startswith(root.path + b"/")):
                return {
                    "state": None,
                    "reason": f"its root is offline: {root.reason}",
                    "next": "compared when the root is back",
                }
        return None

    def _change(self, what: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Have the writer change something; what it refuses is told to who asked, and ends nothing."""
        if what == "users.remove":
            self._refuse_owner(params["name"])

        def attempt(catalogue: Catalogue) -> dict[str, Any] | SluiceError:
            try:
                return CHANGES[what](catalogue, params)
            except Unavailable:
                raise  # a full disk: the writer tries again
            except SluiceError as error:
                return error
            except (ValueError, TypeError, KeyError, OverflowError) as error:  # whoever asked asked nonsense
                return UsageError(f"{what}: {error}")

        answer = self._service.host.writer.call(attempt)
        if isinstance(answer, SluiceError):
            raise answer
        if what.startswith("sinks."):
            self._service.deliveries.reload(params["name"])
        yield answer

    def _list_jobs(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        states = [JobState(state) for state in params.get("states", ())]
        for job in self._service.jobs.list(states, limit=min(int(params.get("limit", JOBS)), 100_000)):
            yield job_row(job)

    def _show_job(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        found = self._service.jobs.show(job_number(params["id"]))
        if found is None:
            raise no_job(params["id"])
        yield job_row(found.job) | {"marks": {mark.name: mark.value for mark in found.marks}}

    def _run_job(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        kind, args = job_wish(params["kind"], params["args"])
        library = args.get("library")
        names = [root.library for root in self._service.host.intake.roots.values()]
        if library is not None and library not in names:
            raise UsageError(f"there is no library {library!r}", hint="libraries: " + ", ".join(names))
        wish = Wish(kind, job_key(args), library, args)
        yield {"id": self._service.jobs.enqueue(wish)}

    def _cancel_job(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        state = self._service.jobs.cancel(job_number(params["id"]))
        if state is None:
            raise no_job(params["id"])
        yield {"id": params["id"], "state": state}

    def _resume_job(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        resumed = self._service.jobs.resume(job_number(params["id"]))
        if resumed is None:
            raise no_job(params["id"])
        yield {"id": resumed}

    def _sinks(self, _params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with View.open(catalogue_file(self._service.data)) as view:
            yield from self._service.deliveries.rows(view)

    def _test_sink(self, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self._service.deliveries.test(params["name"])
        yield {"name": params["name"], "reached": True}

    def _refuse_owner(self, name: str) -> None:
        """An account that a library imports for is needed as long as this service runs."""
        for root in list(self._service.host.intake.roots.values()):
            rules = root.rules.imports
            if rules is not None and rules.owner == name:
                message = f"library {root.library} imports for {name}"
                raise UsageError(message, hint=f"set libraries.{root.library}.import.owner otherwise first")

    def _idle(self, _params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        since_s = self._service.idle_since_s()
        yield {"idle_s": None if since_s is None else time.monotonic() - since_s}


def _path_of(token: object) -> str | None:
    """The file that a worker reads, where its job has only one: large files travel alone."""
    if isinstance(token, Looking) and len(token.paths) == 1:
        return text(join(token.root.path, join(*token.paths[0])))
    if isinstance(token, Chunk) and token.files == 1:
        here, looks = token.groups[0]
        return text(join(token.root.path, join(here.directory, looks[0].name)))
    return None


def _inside(busy: Iterable[Busy], roots: Mapping[RootId, Watched], epoch: float) -> list[dict[str, Any]]:
    """What isolated processes look into; ``epoch``: when the monotonic clock began [s]."""
    return [
        {"path": text(join(root.path, join(one.directory, one.name))), "since": epoch + one.since_s}
        for one in busy
        if (root := roots.get(one.root)) is not None
    ]


def _root(root: Watched) -> dict[str, Any]:
    coverage = root.source.coverage() if root.source is not None else None
    lost = [f"{text(point)} is not mounted as it was: its files are kept as they were" for point in sorted(root.lost)]
    return {
        "library": root.library,
        "path": text(root.path),
        "mode": root.mode.value,
        "state": root.state.value,
        "watches": 0 if coverage is None else coverage.watches,
        "reason": "; ".join(filter(None, [root.reason or (coverage.reason if coverage else None), *lost])) or None,
        "overflows": root.overflows if coverage is None else max(root.overflows, coverage.overflows),
        "missed": root.missed,
    }
