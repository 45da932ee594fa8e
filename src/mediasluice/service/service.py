"""The life of a host process: register roots, start the threads, watch over them, stop in order.

Takes a loaded configuration and a data directory. The same class serves ``sluice run`` (everything) and
a one-shot ``sluice scan`` (no watching, no monitor, no control socket).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mediasluice.actions.fitness import fitness
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.errors import BadSetting, RootUnusable, SluiceError, Unavailable, UsageError
from mediasluice.jobs.digests import NAME as DIGESTS
from mediasluice.jobs.port import Wish
from mediasluice.model.files import Origin
from mediasluice.model.flow import RootId
from mediasluice.model.paths import text
from mediasluice.model.roots import Library, RootState, WatchMode
from mediasluice.pipeline.rendering import wishes_of
from mediasluice.service.delivering import Deliveries
from mediasluice.service.probing import HANGS, HANGS_S, Probe, Probes
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import Readers
from mediasluice.sources.mounts import mounts_below
from mediasluice.sources.roots import RootCheck, check_root, identity_of, refuse_overlap, told_apart
from mediasluice.wiring import host as wiring
from mediasluice.wiring.jobs import Ways, engine, schedules
from mediasluice.wiring.sinks import Needs, plans

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from mediasluice.catalogue.outbox import Fact
    from mediasluice.config.document import Settings
    from mediasluice.errors import DiskFull
    from mediasluice.jobs.engine import Engine
    from mediasluice.jobs.port import Context
    from mediasluice.model.roots import RootIdentity
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer
    from mediasluice.service.lock import DataLock
    from mediasluice.wiring.sinks import Plan

_T = TypeVar("_T")

MONITOR_S = 2.0  # chosen: how often a root is asked whether it is still there
STOP_S = 1.0  # chosen: who is about to watch a root sees by then that it is to stop, unless it hangs
START_S = 1.0  # chosen: the same at the start, where the process that asks has to be started as well
PROBE_S = 0.2  # chosen: longest wait for the answer of one root while others are still to be asked
PASS_S = 0.5  # chosen: how often a job says how far its pass is, and looks whether it is to stop
ANSWER_S = 5.0  # longest wait for the intake thread


class Service:
    """A host process. Use :meth:`start`, then :meth:`stop`; nothing runs before or after."""

    def __init__(
        self, lock: DataLock, settings: Settings, log: Log, *, is_service: bool, enriches: bool = True
    ) -> None:
        self.data = lock.data
        self.settings = settings
        self.log = log
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self.committed = threading.Condition()
        self.full: DiskFull | None = None
        self.started_s = time.monotonic()
        self._is_service = is_service
        self._enriches = enriches  # whether the second pass runs in this process
        self._lock = lock
        self._host: wiring.Host
        self._deliveries: Deliveries
        self._jobs: Engine
        self._has_committed: tuple[Callable[[], None], ...] = ()
        self._intake_thread: threading.Thread
        self._monitor: threading.Thread | None = None
        self._readers: Readers | None = None
        self._budget = WatchBudget()
        self._probes = Probes()
        self._arming: set[RootId] = set()
        self._at_work: dict[RootId, threading.Thread] = {}  # roots that are being armed or taken back
        self._begun = False
        self._stopping = threading.Event()

    @property
    def host(self) -> wiring.Host:
        """The connected parts."""
        return self._host

    @property
    def deliveries(self) -> Deliveries:
        """The sinks; none without a service."""
        return self._deliveries

    @property
    def jobs(self) -> Engine:
        """What runs long work; there is none without a service."""
        return self._jobs

    @property
    def is_service(self) -> bool:
        """Whether it watches; a one-shot pass does not."""
        return self._is_service

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def idle_since_s(self) -> float | None:
        """Since when nothing is pending (monotonic seconds); ``None`` while something is."""
        return None if self._arming or not self._begun else self._host.intake.idle_since_s

    # -- start ------------------------------------------------------------------------------------

    def start(self, libraries: Sequence[Library]) -> list[Watched]:
        """Open the catalogue, register the libraries, start every thread."""
        if sys.platform != "win32":
            import signal  # noqa: PLC0415

            signal.signal(signal.SIGIO, signal.SIG_IGN)  # a broken lease must not end the process
        if self._is_service:
            sys.setswitchinterval(0.0005)  # design: a busy thread hands over within half a millisecond
        silent = self._silent(libraries) if self._is_service else {}
        refuse_overlap({library.name: library.path for library in libraries}, silent)
        self._refuse_overlap_with_known(libraries, silent)
        writer = wiring.writer(
            self.data,
            is_service=self._is_service,
            committed=self._on_commit,
            failed=self._fail,
            disk_full=self._on_disk_full,
        )
        writer.start()
        try:
            roots: list[Watched] = []
            for library in libraries:
                reason = silent.get(library.path)
                roots.append(
                    self._register(writer, library, roots)
                    if reason is None
                    else self._begin_silent(writer, library, reason)
                )
            if all(root.identity is None and root.path not in silent for root in roots):
                unseen = [
                    self._never_seen(writer, library, root.id, root.reason)
                    for library, root in zip(libraries, roots, strict=True)
                ]
                raise unseen[0]
            with View.open(catalogue_file(self.data)) as view:
                for root in roots:
                    root.baseline = _is_new(view, root)
                knows_files = view.knows_files()
            if self._is_service:
                watched = [root.id for root in roots if root.mode is not WatchMode.OFF]
                writer.call(lambda catalogue: catalogue.watch_only(watched))
                for number in watched:
                    writer.call(lambda catalogue, number=number: catalogue.watch(number, watched=True))  # type: ignore[misc]
            self._host = wiring.host(
                self.data,
                roots,
                self.settings,
                writer,
                is_service=self._is_service,
                knows_files=knows_files,
                in_window=lambda: wiring.may_read_in_full(self.settings),
                failed=self._fail,
                log=self.log,
            )
        except BaseException as error:
            self._probes.close()
            writer.close()
            self._lock.release()
            raise self.failure or error from error
        self._begin(writer, libraries, roots)
        return roots

    def _begin(self, writer: Writer, libraries: Sequence[Library], roots: Sequence[Watched]) -> None:
        """Start the threads of the stages, from the last to the first."""
        importer, enricher = self._host.importer, self._host.enricher
        self._deliveries = Deliveries(self.data, writer, self.log, self._fail)
        self._has_committed = (importer.committed, enricher.committed, self._deliveries.committed)
        importer.start(self._host.intake.look_at, self._host.wake.set)  # first: it knows which files were being moved
        self._intake_thread = threading.Thread(target=self._run_intake, name="intake")
        self._intake_thread.start()
        if self._enriches:
            asking = self._host.asking
            if self._is_service:  # nobody waits for them: one scan would end before they answer
                asking.start(wiring.externals(self.settings))
            intake = self._host.intake
            enricher.start(intake.roots, intake.look_at, importer.wake, self._host.wake.set, asking.hear)
            self._host.maker.start(self._host.intake.roots)
        if self._is_service:
            self._jobs = self._engine(writer)
            self._deliveries.replace(self._plans())  # before jobs: retention keeps the log for sinks that it knows
            self._jobs.schedule(schedules(self.settings))
            self._jobs.start()
            self._host.renderer.start(self._host.intake.roots, self._host.intake.look_at, wishes_of(libraries))
            self._readers = Readers(self._host.wake.set, time.monotonic)
            self._arming = {root.id for root in roots}
            threading.Thread(target=self._arm_all, args=(roots,), name="arm", daemon=True).start()
            self._monitor = threading.Thread(target=self._watch_roots, name="monitor", daemon=True)
            self._monitor.start()

    def _register(self, writer: Writer, library: Library, beside: Iterable[Watched]) -> Watched:
        """Make a root of a library; ``beside`` are the roots that are there already."""
        row = writer.call(lambda catalogue: catalogue.register(library, None))
        had_files = row.has_files or writer.call(lambda catalogue: bool(catalogue.departed([row.id], 1)))
        check = check_root(library.path, row.identity, had_files=had_files)
        if check.online:
            identity = self._tell_apart(writer, row.id, library.path, row.identity or check.identity, beside)
            row = row._replace(identity=identity)
        elif row.identity is None and not self._is_service:
            raise self._never_seen(writer, library, row.id, check.reason)
        if check.online:
            self._refuse_unfit(writer, library)
        top = os.path.realpath(library.path)
        root = wiring.watched(library, row, check, self.settings, top, self._own(library, top))
        at_us = time.time_ns() // 1000
        if row.state is RootState.HELD and root.state is RootState.ONLINE:
            root.state, root.reason = row.state, row.reason
        state, reason = root.state, root.reason
        writer.call(lambda catalogue: catalogue.set_root(row.id, state=state, reason=reason, at_us=at_us))
        if root.state is RootState.OFFLINE:
            self.log.warning("root_offline", library=library.name, path=text(library.path), reason=root.reason)
        return root

    def _silent(self, libraries: Sequence[Library]) -> dict[bytes, str]:
        """The roots that do not answer in time, with the reason."""
        pending = []
        for library in libraries:
            probe = self._probes.begin(library.path, library.path, None, had_files=False)
            if not probe.ends_within(START_S):
                pending.append(probe)
        return {probe.path: probe.reason for probe in pending if not probe.ends_within(HANGS_S - probe.age_s)}

    def _begin_silent(self, writer: Writer, library: Library, reason: str) -> Watched:
        """Make a root that does not answer, without asking it for anything; it is made anew when it does."""
        row = writer.call(lambda catalogue: catalogue.register(library, None))
        check = RootCheck(False, reason, None)
        root = wiring.watched(library, row._replace(identity=None), check, self.settings, library.path, ())
        at_us = time.time_ns() // 1000
        writer.call(lambda catalogue: catalogue.set_root(row.id, state=RootState.OFFLINE, reason=reason, at_us=at_us))
        self.log.warning("root_offline", library=library.name, path=text(library.path), reason=reason)
        return root

    def _known(self) -> list[Watched]:
        return list(self._host.intake.roots.values())

    def _hanging(self) -> set[bytes]:
        """The roots that are not to be asked for anything."""
        offline = [root for root in self._known() if root.state is RootState.OFFLINE]
        return {root.path for root in offline if (root.reason or "").startswith(HANGS)}

    def _tell_apart(
        self, writer: Writer, root: RootId, path: bytes, identity: RootIdentity | None, beside: Iterable[Watched]
    ) -> RootIdentity | None:
        """Keep the identity of a root that is there; differs from those of other disks that are there as well."""
        if identity is None:
            return None
        others = [
            (other.identity, other.path)
            for other in beside
            if other.identity is not None and other.id != root and other.state is not RootState.OFFLINE
        ]
        identity = told_apart(identity, path, others)
        writer.call(lambda catalogue: catalogue.identify(root, identity))
        return identity

    def _refuse_overlap_with_known(self, libraries: Sequence[Library], silent: Collection[bytes]) -> None:
        """A new root inside one that the catalogue knows, or around it, would make two files of each file there."""
        if not catalogue_file(self.data).exists():
            return
        with View.open(catalogue_file(self.data)) as view:
            known = {row.path: row for row in view.roots() if row.has_files}
        for library in libraries:
            if library.path not in known:
                for row in known.values():
                    paths = {library.name: library.path, f"{row.library} (in the catalogue)": row.path}
                    refuse_overlap(paths, silent)

    def _never_seen(self, writer: Writer, library: Library, root: RootId, reason: str | None) -> RootUnusable:
        writer.call(lambda catalogue: catalogue.unregister(root))
        message = f"library {library.name}: {reason}"
        return RootUnusable(message, path=text(library.path), hint="create it or correct the path")

    def _refuse_unfit(self, writer: Writer, library: Library) -> None:
        """Import rules that cannot work are refused before anything arrives."""
        rules = library.rules.imports
        if rules is None:
            return
        name = rules.owner
        if name is not None and not writer.call(lambda catalogue: catalogue.has_account(name)):
            message = f"library {library.name}: there is no account {name!r} (import.owner)"
            raise BadSetting(message, hint=f"make it: sluice users add {name}")
        problems = fitness(rules, library.path).problems
        if problems:
            raise BadSetting(f"library {library.name}: " + "; ".join(problems), hint="see: sluice check")

    def _own(self, library: Library, top: bytes) -> tuple[bytes, ...]:
        """Our own folders below a root are never candidates: the data, and where files are set aside."""
        data = os.path.realpath(os.fsencode(self.data))
        if top == data:
            message = "the data directory cannot be a root itself"
            raise RootUnusable(message, path=text(library.path), hint="choose another one with --data DIR")
        above = top.rstrip(b"/") + b"/"
        inside = [data, *(os.path.realpath(directory) for directory in self._set_aside(library))]
        return tuple(
            library.path.rstrip(b"/") + b"/" + directory[len(above) :]
            for directory in dict.fromkeys(inside)
            if directory.startswith(above)
        )

    def _set_aside(self, library: Library) -> list[bytes]:
        """The target of a library, and the processed directories of all."""
        own = library.rules.imports
        others = [other.rules.imports for other in self.settings.libraries()]
        processed = [rules.processed for rules in (own, *others) if rules is not None]
        target = None if own is None else own.target
        return [directory for directory in (target, *processed) if directory is not None]

    def _run_intake(self) -> None:
        self._host.intake.run()
        if self._host.intake.failure is not None:
            self._fail(self._host.intake.failure)

    # -- watching ---------------------------------------------------------------------------------

    def _arm_all(self, roots: Sequence[Watched]) -> None:
        """Place all watches, then compare everything once: what moved between roots is still recognised."""
        threads = [
            (root, self._beside(root, partial(self._arm, root)))
            for root in roots
            if root.state is not RootState.OFFLINE and root.mode is not WatchMode.OFF
        ]
        for root, thread in threads:
            while thread.is_alive() and root.state is not RootState.OFFLINE and not self._stopping.is_set():
                thread.join(PROBE_S)

        def begin() -> None:
            from mediasluice.model.files import Origin  # noqa: PLC0415

            intake = self._host.intake
            scope = []
            for root in roots:
                if root.id in intake.roots and root.state is not RootState.OFFLINE and root.mode is not WatchMode.OFF:
                    root.armed = True
                    scope.append((root, b""))
            if scope:
                intake.passes.begin(scope, Origin.SCAN)
            self._arming.clear()
            self._begun = True

        self._host.intake.post(begin)

    def _beside(self, root: Watched, work: Callable[[], object]) -> threading.Thread:
        """Do what asks a root for much on a thread of its own: it may begin to hang meanwhile."""

        def run() -> None:
            try:
                work()
            except (OSError, SluiceError) as error:  # it went away again: the next round says more
                self.log.warning("root_unsteady", library=root.library, reason=str(error))
            finally:
                if self._at_work.get(root.id) is threading.current_thread():
                    del self._at_work[root.id]

        thread = threading.Thread(target=run, name=f"root-{root.library}", daemon=True)
        self._at_work[root.id] = thread
        thread.start()
        return thread

    def _arm(self, root: Watched) -> bool:
        """Make and start the source of a root; what goes wrong takes the root offline, with the reason."""
        if self._readers is None or self._stopping.is_set():
            return False
        try:
            source = wiring.source(root, self._readers, self._budget, self._host.wake.set)
            source.start()
        except (OSError, SluiceError) as error:
            reason = f"cannot be watched: {error}"
            self._host.intake.post(lambda: self._host.intake.offline(root, reason) if root.reason != reason else None)
            return False
        if self._stopping.is_set():
            source.close()
            return False
        root.source = source
        self.log.info(
            "watching", library=root.library, path=text(root.path), mode=root.mode.value, mount=root.mount.type
        )
        return True

    def _arm_anew(self, root: Watched) -> None:
        if self._arm(root):
            self._host.intake.post(partial(self._host.intake.armed, root))

    def _watch_roots(self) -> None:
        """Ask every root now and then whether it is still itself."""
        ground: dict[RootId, tuple[set[tuple[bytes, int]], set[bytes]]] = {}  # what was mounted inside each root
        probes: dict[RootId, tuple[Watched, Probe]] = {}
        for root in self._known():
            self._watch_ground(root, ground)
        while not self._stopping.wait(MONITOR_S):
            for root in self._known():
                if root.mode is WatchMode.OFF or self._stopping.is_set():
                    continue
                asked, probe = probes.get(root.id, (None, None))
                if probe is None or asked is not root:
                    had_files = root.state is RootState.OFFLINE and not root.baseline
                    probe = self._probes.begin(root.path, root.top, root.identity, had_files=had_files)
                    probes[root.id] = root, probe
                if probe.ends_within(PROBE_S):
                    del probes[root.id]
                    if probe.check is not None:
                        self._probed(root, probe.check, ground)
                    elif probe.failure is not None:
                        self.log.error("worker_bug", detail=probe.failure, next="please report this")
                elif probe.age_s > HANGS_S and (root.state is not RootState.OFFLINE or root.reason != probe.reason):
                    self._host.intake.post(partial(self._host.intake.hangs, root, probe.reason))

    def _probed(
        self, root: Watched, check: RootCheck, ground: dict[RootId, tuple[set[tuple[bytes, int]], set[bytes]]]
    ) -> None:
        if root.id in self._at_work:
            return
        if check.online != (root.state is not RootState.OFFLINE):
            self._beside(root, partial(self._root_changed, root, check))
        elif check.online:
            self._watch_ground(root, ground)

    def _watch_ground(self, root: Watched, ground: dict[RootId, tuple[set[tuple[bytes, int]], set[bytes]]]) -> None:
        """A mount makes no event: see whether something was mounted or unmounted inside a root since the last look."""
        now = {(mount.point[len(root.top) + 1 :], mount.id) for mount in mounts_below(root.top)}
        found = {point for point, _ in now} & root.lost  # mounted, and not known to be back: the numbers are used again
        before, found_before = ground.setdefault(root.id, (now, found))
        ground[root.id] = (now, found)
        shaken, root.shaken = root.shaken, set()
        for directory in sorted({point for point, _ in before ^ now} | (found - found_before) | shaken):
            self._host.intake.post(partial(self._host.intake.ground_changed, root, directory))

    def _root_changed(self, root: Watched, check: RootCheck) -> None:
        intake = self._host.intake
        if not check.online:
            intake.post(
                lambda: (
                    intake.offline(root, check.reason or "out of reach")
                    if root.state is not RootState.OFFLINE
                    else None
                )
            )
            return
        if root.identity is None or wiring.is_mounted_otherwise(
            root
        ):  # it was away when its rules were compiled, or has moved to a server
            self.ask(lambda: intake.remove(root))
            self.log.info("root_online", library=root.library, path=text(root.path))
            library = Library(root.library, root.path, root.rules, root.watch)
            self.attach(self._register(self._host.writer, library, self._known()))
        elif root.source is not None or self._arm(root):
            root.identity = self._tell_apart(self._host.writer, root.id, root.path, root.identity, self._known())
            intake.post(lambda: intake.online(root))

    # -- changes of the configuration -------------------------------------------------------------

    def replace(self, settings: Settings, libraries: Sequence[Library]) -> None:
        """Go over to another configuration: only roots whose rules differ are touched."""
        silent = self._hanging()
        refuse_overlap({library.name: library.path for library in libraries}, silent)
        self._refuse_overlap_with_known(libraries, silent)
        for new in libraries:
            if new.path not in silent and os.path.isdir(new.path):
                self._refuse_unfit(self._host.writer, new)
        intake = self._host.intake
        old, self.settings = self.settings, settings
        self._host.renderer.want(wishes_of(libraries))
        present = {root.path: root for root in intake.roots.values()}
        wanted = {library.path: library for library in libraries}
        if old.metadata != settings.metadata and self._is_service:
            self._host.asking.replace(wiring.externals(settings))
        if self._is_service:
            self._deliveries.replace(self._plans())
            if self.full is None:
                self._jobs.schedule(schedules(settings))
            else:  # who reloads must not wait for a disk: a person may want the service to end
                self.log.warning("schedules_kept", reason="the disk is full", next="save the document again later")
        rest_equal = (old.fingerprints, old.algorithms()) == (settings.fingerprints, settings.algorithms())
        for path, root in present.items():
            library = wanted.get(path)
            if library is None or library != Library(root.library, root.path, root.rules, root.watch) or not rest_equal:
                self._detach(root)
        for path, library in wanted.items():
            if path in {root.path for root in intake.roots.values()}:
                continue
            try:
                root = self._register(self._host.writer, library, self._known())
            except RootUnusable as error:
                self.log.warning("library_refused", library=library.name, path=text(path), reason=str(error))
                continue
            self.attach(root)

    def _plans(self) -> list[Plan]:
        return plans(self.settings, Needs(lambda: View.open(catalogue_file(self.data)), self._want_digest))

    def _want_digest(self, _: Fact) -> None:
        """One job makes all that are lacking, however many facts ask for it."""
        self._jobs.enqueue(Wish(DIGESTS, key="sha256", args={"algorithms": ["sha256"]}, asked_by="sink"))

    def _engine(self, writer: Writer) -> Engine:
        return engine(
            lambda: View.open(catalogue_file(self.data)),
            writer,
            self.log,
            settings=lambda: self.settings,
            roots=lambda: self._host.intake.roots,
            ways=Ways(self._scan, self._host.enricher.sweep, self._host.maker.request, self._host.renderer.sweep),
            failed=self._fail,
        )

    def _scan(self, library: str, context: Context) -> dict[str, Any]:
        """Compare a library with its disk, for a job; who goes away leaves the pass to end by itself."""
        root = next((root for root in self._known() if root.library == library), None)
        if root is None:
            message = f"there is no library {library!r}"
            raise UsageError(message, hint="libraries: " + ", ".join(root.library for root in self._known()))
        if root.state is RootState.OFFLINE:
            message = f"library {library} is offline: {root.reason}"
            raise Unavailable(message, path=text(root.path), hint="it is compared by itself when it is back")
        looked, intake = threading.Event(), self._host.intake
        scan = self.ask(
            lambda: intake.passes.begin([(root, b"")], Origin.SCAN, fast=False, finished=lambda _: looked.set())
        )
        intake.post(lambda: None)
        while not looked.wait(PASS_S):
            context.progress(scan.totals.done_files, scan.totals.files)
            if context.is_cancelled:
                return {}
        totals = scan.totals
        missing = max(0, totals.missing - totals.moved)
        counts = {"files": totals.files, "new": totals.new, "changed": totals.changed, "moved": totals.moved}
        return {**counts, "missing": missing, "errors": totals.errors}

    def _detach(self, root: Watched) -> None:
        self._host.writer.call(lambda catalogue: catalogue.watch(root.id, watched=False))
        self.ask(lambda: self._host.intake.remove(root))
        self.log.info("stopped", library=root.library, path=text(root.path))

    def attach(self, root: Watched) -> None:
        """Take a registered root into the running intake."""
        intake = self._host.intake
        with View.open(catalogue_file(self.data)) as view:
            root.baseline = _is_new(view, root)
        self.ask(lambda: intake.add(root))
        if root.mode is WatchMode.OFF:
            return
        self._host.writer.call(lambda catalogue: catalogue.watch(root.id, watched=True))
        if root.state is not RootState.OFFLINE:
            self._beside(root, partial(self._arm_anew, root)).join(ANSWER_S)

    def register(self, library: Library) -> Watched:
        """Register one more root; raises RootUnusable when it never was there."""
        silent = self._hanging()
        self._refuse_overlap_with_known([library], silent)
        paths = {root.library: root.path for root in self._known()}
        refuse_overlap({**paths, library.name: library.path}, silent)
        return self._register(self._host.writer, library, self._known())

    def accept_root(self, root: Watched) -> None:
        """A person says that what lies at the root's path now is right."""
        found = identity_of(root.path)
        root.identity = self._tell_apart(self._host.writer, root.id, root.path, found, self._known())
        at_us = time.time_ns() // 1000
        self._host.writer.call(
            lambda catalogue: catalogue.set_root(root.id, state=RootState.ONLINE, reason=None, at_us=at_us)
        )
        self.ask(lambda: self._host.intake.agree(root))
        self._host.importer.accept(root)

    def bring_online(self, root: Watched) -> None:
        """Take an accepted root back."""
        self.ask(lambda: self._host.intake.online(root))

    # -- asking -----------------------------------------------------------------------------------

    def ask(self, question: Callable[[], _T]) -> _T:
        """Run something on the intake thread and wait for its answer."""
        answered = threading.Event()
        result: list[_T] = []
        failure: list[Exception] = []

        def run() -> None:
            try:
                result.append(question())
            except Exception as error:  # noqa: BLE001 - whoever asked gets it: a question must not end the intake
                failure.append(error)
            finally:
                answered.set()

        self._host.intake.post(run)
        answered.wait(ANSWER_S)
        if failure:
            raise failure[0]
        if not result:
            message = "the service is too busy to answer"
            raise SluiceError(message, hint="try again; if it stays like this, see the log of the service")
        return result[0]

    # -- end --------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End in order: no more sightings, no more looks, commit what is known, give the lock back."""
        self._stopping.set()
        self._deliveries.halt()
        self._host.renderer.halt()  # while the others end, so does what it started
        self._probes.close()
        end_s = time.monotonic() + STOP_S
        for thread in list(self._at_work.values()):
            if thread.ident is not None:  # else it is about to be started, and ends at once
                thread.join(max(0.0, end_s - time.monotonic()))
        self._host.intake.stop()
        self._intake_thread.join()
        self._host.importer.stop()
        self._host.maker.stop()
        self._host.renderer.stop()
        self._host.enricher.stop()
        self._host.asking.stop()
        self._deliveries.stop()
        if self._is_service:
            self._jobs.close()
        for root in self._host.intake.roots.values():
            if root.source is not None:
                root.source.close()
        if self._readers is not None:
            self._readers.close()
        self._host.workers.close()
        self._host.writer.close()
        self._host.intake.view.close()
        self._lock.release()

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.ended.set()

    def _on_commit(self) -> None:
        for committed in self._has_committed:
            committed()
        with self.committed:
            self.committed.notify_all()

    def _on_disk_full(self, is_full: bool, error: DiskFull | None) -> None:  # noqa: FBT001 - a switch
        self.full = error
        if is_full:
            self.log.error("disk_full", path=str(self.data), reason=str(error), next="free some room; intake waits")
        else:
            self.log.info("disk_has_room", path=str(self.data))


def _is_new(view: View, root: Watched) -> bool:
    """Whether nothing is known of a root; what departed and is not decided yet counts as known."""
    return not view.present(root.id) and not view.departed(root.id)
