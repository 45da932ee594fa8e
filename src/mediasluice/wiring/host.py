"""Build a running host from settings: constructors only, no behaviour.

Takes settings, libraries and a data directory whose lock the caller holds. Gives the parts of the
pipeline, connected and not started.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from xxhash import xxh3_128_digest

from mediasluice.actions.copying import Owner
from mediasluice.actions.transfer import Transfer
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.products import ESSENCE
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import BadSetting
from mediasluice.identify.external import Program
from mediasluice.identify.junk import JunkRules
from mediasluice.model.files import Kind
from mediasluice.model.roots import RootState, WatchMode
from mediasluice.pipeline.asking import Asking, External
from mediasluice.pipeline.enriching import Enricher
from mediasluice.pipeline.importing import Importer
from mediasluice.pipeline.intake import Intake, Options
from mediasluice.pipeline.isolation import Isolation
from mediasluice.pipeline.making import KINDS, Maker
from mediasluice.pipeline.making import Options as Standing
from mediasluice.pipeline.outcomes import Spec
from mediasluice.pipeline.relating import Relater
from mediasluice.pipeline.rendering import Renderer
from mediasluice.pipeline.watched import Watched
from mediasluice.pipeline.workers import Workers
from mediasluice.pipeline.writer import Writer
from mediasluice.settle.decide import Options as SettleOptions
from mediasluice.settle.tracker import Tracker
from mediasluice.sources.mounts import mount_of
from mediasluice.sources.names import NameRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mediasluice.catalogue.rows import RootRow
    from mediasluice.config.document import Settings
    from mediasluice.errors import DiskFull
    from mediasluice.model.roots import Library
    from mediasluice.pipeline.log import Log
    from mediasluice.sources.budget import WatchBudget
    from mediasluice.sources.inotify import Readers
    from mediasluice.sources.roots import RootCheck
    from mediasluice.sources.source import Source

READING_NICENESS = 5  # chosen: imports wait for what is read, so it may not starve beside other work
ESSENCES = {"audio": frozenset({Kind.AUDIO}), "all": KINDS[ESSENCE], "none": frozenset[Kind]()}
SERVICE_SLICE_S = 0.03  # chosen: an arrival does not wait for it; fewer commits
SERVICE_PORTION, SCAN_PORTION = 64, 2048  # files; one to two milliseconds, so that an arrival passes between two
SCAN_SLICE_S = 0.25  # design: the upper bound for bulk when nobody else waits


@dataclass(frozen=True, slots=True)
class Host:
    """The parts of a running host."""

    data: Path
    wake: threading.Event
    writer: Writer
    workers: Workers
    intake: Intake
    tracker: Tracker
    importer: Importer
    enricher: Enricher
    maker: Maker
    renderer: Renderer
    asking: Asking


def writer(
    data: Path,
    *,
    is_service: bool,
    committed: Callable[[], None],
    failed: Callable[[BaseException], None],
    disk_full: Callable[[bool, DiskFull | None], None],
) -> Writer:
    """Make the writer of a data directory; it opens the catalogue when it is started."""
    return Writer(
        lambda: Catalogue.open(catalogue_file(data)),
        slice_s=SERVICE_SLICE_S if is_service else SCAN_SLICE_S,
        portion=SERVICE_PORTION if is_service else SCAN_PORTION,
        is_alone=not is_service,
        committed=committed,
        failed=failed,
        disk_full=disk_full,
    )


def host(  # noqa: PLR0913 - it joins the parts
    data: Path,
    roots: list[Watched],
    settings: Settings,
    writer: Writer,
    *,
    is_service: bool,
    knows_files: bool,
    in_window: Callable[[], bool],
    failed: Callable[[BaseException], None],
    log: Log,
) -> Host:
    """Connect the stages."""
    wake = threading.Event()
    tracker = Tracker(lambda root: intake.roots[root].options)
    workers = Workers(
        bulk=settings.work.readers,
        express=1 if is_service else 0,
        wake=wake.set,
    )
    importer = Importer(
        lambda: View.open(catalogue_file(data)),
        writer,
        lambda stopped: transfer(data, stopped, log),
        log,
        failed=failed,
    )
    enricher = Enricher(
        lambda: View.open(catalogue_file(data)),
        writer,
        lambda wake: isolation(settings, wake, is_service=is_service),
        Relater(zone(settings)).relate,
        log,
        sweeps=is_service,
        failed=failed,
    )
    maker = Maker(
        os.fsencode(data),
        lambda: View.open(catalogue_file(data)),
        writer,
        lambda wake, deadline_s: isolation(settings, wake, is_service=is_service, deadline_s=deadline_s),
        log,
        options=Standing(settings.previews.of, ESSENCES[settings.essences.of]) if is_service else Standing(),
        is_free=lambda: not enricher.is_busy,
        failed=failed,
    )
    renderer = Renderer(
        os.fsencode(data),
        lambda: View.open(catalogue_file(data)),
        writer,
        log,
        owner=owner_from(os.environ),
        failed=failed,
    )
    intake = Intake(
        roots,
        Options(
            audit_s=settings.schedules.audit if is_service else None,
            missing_s=settings.retention.missing,
            in_window=in_window,
            knows_files=knows_files,
        ),
        tracker=tracker,
        workers=workers,
        writer=writer,
        view=View.open(catalogue_file(data)),
        importer=importer,
        enricher=enricher,
        isolation=lambda wake: isolation(settings, wake, is_service=is_service),
        log=log,
        wake=wake,
    )
    asking = Asking(lambda: View.open(catalogue_file(data)), writer, log, failed)
    return Host(data, wake, writer, workers, intake, tracker, importer, enricher, maker, renderer, asking)


def externals(settings: Settings) -> list[External]:
    """Make the sources outside of the files, in the order in which their answers count."""
    return [
        External(
            Program(one.name, one.command, time.monotonic, timeout_s=one.timeout),
            frozenset(Kind(kind) for kind in one.kinds),
        )
        for one in settings.metadata.sources
    ]


def isolation(
    settings: Settings, wake: Callable[[], None], *, is_service: bool, deadline_s: float | None = None
) -> Isolation:
    """Make the processes that read what stands inside files."""
    return Isolation(
        processes=settings.work.readers,
        deadline_s=settings.work.reader_deadline if deadline_s is None else deadline_s,
        memory=settings.work.reader_memory,
        niceness=READING_NICENESS if is_service else 0,
        wake=wake,
    )


def zone(settings: Settings) -> tzinfo | None:
    """The time zone of cameras that do not say theirs; ``None``: that of this system."""
    name = settings.system.timezone
    return None if name is None else ZoneInfo(name)


def transfer(data: Path, stopped: Callable[[], bool], log: Log) -> Transfer:
    """Make the transfers of a catalogue; their temporary names carry its name."""

    def before(stage: str) -> None:
        log.debug("about_to", what=stage)

    with View.open(catalogue_file(data)) as view:
        journal = view.epoch()[:8]
    return Transfer(journal, owner_from(os.environ), before, stopped)


def owner_from(environ: Mapping[str, str]) -> Owner:
    """Whom new files belong to: PUID, PGID and UMASK, as containers have them."""
    values: dict[str, int | None] = {}
    for name, base in (("PUID", 10), ("PGID", 10), ("UMASK", 8)):
        said = environ.get(name, "").strip()
        try:
            values[name] = int(said, base) if said else None
        except ValueError:
            message = f"{name}={said!r} is not a number"
            raise BadSetting(message, hint="write it like PUID=1000 PGID=1000 UMASK=022") from None
    return Owner(values["PUID"], values["PGID"], values["UMASK"])


def may_read_in_full(settings: Settings) -> bool:
    """Whether full digests that are owed may be computed now."""
    hours = settings.fingerprints.offpeak
    return settings.fingerprints.full == "auto" or hours.contain(datetime.now().time())  # noqa: DTZ005 - in local time


def watched(
    library: Library, row: RootRow, check: RootCheck, settings: Settings, top: bytes, own: tuple[bytes, ...]
) -> Watched:
    """Compile the rules of a library and find out how its root, which is at ``top`` in truth, can be watched."""
    rules = library.rules
    mount = mount_of(library.path if check.identity is not None else b"/")
    polled = rules.poll == "always" or (rules.poll == "auto" and not mount.events_complete)
    spec = Spec(
        root=library.path,
        lease_proves_free=mount.lease_proves_free,
        lease_proves_busy=mount.lease_proves_busy,
        stable_inodes=mount.stable_inodes,
        local=mount.events_complete,
        follow_files=rules.follow_symlinks == "files",
        durations_s=(rules.debounce_s, rules.complete_s, rules.unknown_s, rules.truncated_s, rules.network_s),
        recursive=rules.recursive,
        include=rules.include,
        exclude=rules.exclude,
        own=own,
        kinds=rules.kinds,
        junk=rules.junk,
        junk_exclude_extensions=rules.junk_exclude_extensions,
        stale_after_s=rules.stale_after_s,
        max_size=rules.max_size,
        algorithms=tuple(sorted(settings.algorithms())),
        rules_digest=xxh3_128_digest(
            repr((rules.kinds, rules.max_size, rules.junk, rules.junk_exclude_extensions)).encode("utf-8", "replace")
        ),
        full=settings.fingerprints.full == "auto",
    )
    return Watched(
        id=row.id,
        library=library.name,
        path=library.path,
        top=top.rstrip(b"/"),
        rules=rules,
        names=NameRules(library.path, include=rules.include, exclude=rules.exclude, recursive=rules.recursive, own=own),
        junk=JunkRules(rules.junk, rules.junk_exclude_extensions),
        mount=mount,
        spec=spec,
        options=SettleOptions(
            complete_s=rules.complete_s,
            unknown_s=rules.unknown_s,
            truncated_s=rules.truncated_s,
            network_s=rules.network_s,
            debounce_s=rules.debounce_s,
            stale_after_s=rules.stale_after_s,
            local=mount.events_complete,
        ),
        identity=row.identity or check.identity,
        watch=library.watch,
        mode=WatchMode.OFF if not library.watch else WatchMode.POLL if polled else WatchMode.EVENTS,
        state=RootState.ONLINE if check.online else RootState.OFFLINE,
        reason=check.reason,
        is_traced=settings.system.log_level == "debug",
        has_baseline=row.has_baseline,
    )


def is_mounted_otherwise(root: Watched) -> bool:
    """Whether the mount under a root is of another sort than the one that its rules were compiled for."""
    now = mount_of(root.path)
    return (now.type, now.kind, now.exported) != (root.mount.type, root.mount.kind, root.mount.exported)


def source(root: Watched, readers: Readers, budget: WatchBudget, wake: Callable[[], None]) -> Source:
    """Make the source of a root for this operating system."""
    if sys.platform == "linux":
        from mediasluice.sources.inotify import InotifySource  # noqa: PLC0415 - only where it exists

        return InotifySource(
            root.id, root.path, root.names, readers, budget, time.monotonic, attributes=root.rules.attributes
        )
    from mediasluice.sources.desktop import WatchdogSource  # noqa: PLC0415 - needs an extra

    return WatchdogSource(root.id, root.path, root.names, wake, time.monotonic)
