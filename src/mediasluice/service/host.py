"""Run a host: in the foreground for ``sluice run``, for one pass for ``sluice scan``.

Takes a loaded configuration and folders named on the command line; gives an exit code or a result.
Fails with: LockHeld, ConfigError, RootUnusable, ForeignDatabase, DiskFull, UsageError.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.connect import SCHEMA_VERSION, version_of
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.opening import prepare
from mediasluice.catalogue.view import View
from mediasluice.config import file as config_file
from mediasluice.config.layers import Loaded, load
from mediasluice.errors import ConfigError, UsageError
from mediasluice.model.paths import text
from mediasluice.model.roots import RootState
from mediasluice.service.answers import Answers
from mediasluice.service.control import SOCKET_NAME, Server
from mediasluice.service.importing import rules_of, run_import, wish_for
from mediasluice.service.lock import DataLock
from mediasluice.service.passing import Request, run_pass
from mediasluice.service.producing import run_making
from mediasluice.service.service import Service
from mediasluice.wiring.sinks import check as check_sinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from mediasluice.model.imports import ImportRules
    from mediasluice.model.roots import Library
    from mediasluice.pipeline.watched import Watched

GARBAGE_CHECKED = 10_000  # chosen: containers made between two looks at the youngest
TICK_S = 0.1  # chosen: how soon the main thread sees a signal's flag or the end of an idle time
RELOAD_S = 1.0  # chosen: how often the document is looked at


def serve(
    loaded: Loaded,
    data: Path,
    directories: Sequence[Path],
    *,
    until_idle_s: float | None,
    announce: Callable[[str], None],
    section: Mapping[str, Any] | None = None,
) -> int:
    """Watch until a signal, or until nothing was pending for ``until_idle_s``; gives the exit code.

    ``section``: what the command line says of the libraries of ``directories``, nested like the document.
    """
    from mediasluice.service.log import open_log  # noqa: PLC0415 - structlog is for the service alone

    section = section or {}
    loaded = _with_directories(loaded, directories, data, section)
    libraries = loaded.settings.libraries()
    if not libraries:
        message = "there is nothing to watch"
        raise UsageError(message, hint="name a folder: sluice run /some/folder")
    check_sinks(loaded.settings)
    lock = DataLock.acquire(data)
    log = open_log(
        _log_directory(loaded, data), level=loaded.settings.system.log_level, form=loaded.settings.system.log_format
    )
    service = Service(lock, loaded.settings, log, is_service=True)
    asked_to_stop = _stop_on_signals()
    _collect_seldom()
    roots = service.start(libraries)
    control = Server(data / SOCKET_NAME, Answers(service).verbs())
    try:
        control.start()
    except BaseException:
        service.stop()
        raise
    try:
        log.info("started", pid=os.getpid(), data=str(data), document=str(loaded.path) if loaded.path else None)
        for line in _banner(loaded, data, roots):
            announce(line)
        _wait(service, loaded, directories, section, asked_to_stop, until_idle_s)
    finally:
        log.info("stopping")
        control.close()
        service.stop()
        log.info("stopped", pid=os.getpid())
    if service.failure is not None:
        raise service.failure
    return 0


def scan_once(
    loaded: Loaded,
    data: Path,
    targets: Sequence[str],
    *,
    settle_timeout_s: float,
    fast: bool,
    trusts_times: bool,
    accept: bool,
    progress: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """One pass without a service: take the lock, compare, read, catalogue, and give the result object."""
    names = {library.name for library in loaded.settings.libraries()}
    known = {name: text(path) for path, name in _known_roots(data).items() if name not in names}
    targets = [known.get(target, target) for target in targets]
    for target in targets:
        if target not in names and os.sep not in target and not os.path.isdir(target):
            message = f"{target} is neither a folder nor a library"
            raise UsageError(message, hint="libraries: " + (", ".join(sorted(names)) or "none"))
    loaded = _with_directories(
        loaded, [Path(target) for target in targets if target not in names], data, {}, may_be_inside=True
    )
    libraries = loaded.settings.libraries()
    if targets:
        wanted = [_library_of(target, libraries) for target in targets]
        libraries = tuple(library for library in libraries if library in wanted)
    if not libraries:
        message = "there is nothing to scan"
        raise UsageError(message, hint="name a folder: sluice scan /some/folder")
    service = Service(DataLock.acquire(data), loaded.settings, _Warnings(), is_service=False, enriches=not fast)
    _collect_seldom()
    roots = service.start(libraries)
    try:
        request = Request(
            [_starting_point(target, roots) for target in targets] or [(root, b"") for root in roots],
            settle_timeout_s=settle_timeout_s,
            fast=fast,
            trusts_times=trusts_times,
            accept=accept,
        )
        result: dict[str, Any] = {}
        for row in run_pass(service, request):
            if "result" in row:
                result = row["result"]
            else:
                progress(row["progress"])
        return result
    finally:
        service.stop()


def import_once(
    loaded: Loaded, data: Path, paths: Sequence[str], library: str | None, *, settle_timeout_s: float
) -> Iterator[dict[str, Any]]:
    """Import by hand without a service; rows as :func:`service.importing.run_import` gives them."""
    configured = loaded.settings.libraries()
    rules = rules_of(library, configured)
    folders = [Path(path) if os.path.isdir(path) else Path(path).parent for path in paths]
    outside = [folder for folder in folders if not any(_holds(one.path, os.fsencode(folder)) for one in configured)]
    loaded = _with_directories(loaded, outside, data, {"action": "catalogue"}, may_be_inside=True)
    libraries = [
        one for one in loaded.settings.libraries() if any(_holds(one.path, os.fsencode(folder)) for folder in folders)
    ]
    service = Service(DataLock.acquire(data), loaded.settings, _Warnings(), is_service=False)
    _collect_seldom()
    roots = service.start(libraries)
    try:
        wishes = [wish_for(os.fsencode(path), roots) for path in paths]
        yield from run_import(service, wishes, rules, settle_timeout_s=settle_timeout_s)
    finally:
        service.stop()


def make_once(
    loaded: Loaded, data: Path, what: Sequence[str], progress: Callable[[str, dict[str, Any]], None]
) -> dict[str, dict[str, Any]]:
    """Have products made of what the catalogue knows, without a service; gives the result of each."""
    known = _known_roots(data)
    places = [Path(os.fsdecode(path)) for path in known]
    only_read = {"action": "catalogue", "import": {"transcode": {"enabled": False}}}  # nothing is imported
    loaded = _with_directories(loaded, places, data, only_read, may_be_inside=True)
    libraries = [library for library in loaded.settings.libraries() if library.path in known]
    if not libraries:
        return {}
    service = Service(DataLock.acquire(data), loaded.settings, _Warnings(), is_service=False)
    _collect_seldom()
    service.start(libraries)
    try:
        results: dict[str, dict[str, Any]] = {}
        for one in what:
            for row in run_making(service, one):
                if "result" in row:
                    results[one] = row["result"]
                else:
                    progress(one, row["progress"])
        return results
    finally:
        service.stop()


def _holds(root: bytes, path: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _collect_seldom() -> None:
    """Let the garbage collector look at less, and less often.

    What is imported stays, and values that pass through form no cycles; but to look through all of them stops every
    thread, for tens of milliseconds each time.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_CHECKED, 50, 100)


def _log_directory(loaded: Loaded, data: Path) -> Path:
    configured = loaded.settings.system.log_dir
    return data / "logs" if configured is None else Path(os.fsdecode(configured))


def _library_of(target: str, libraries: Sequence[Library]) -> Library:
    path = os.fsencode(os.path.abspath(target))
    for library in libraries:
        if library.name == target or path == library.path or path.startswith(library.path + b"/"):
            return library
    message = f"{target} is neither a folder nor a library"
    raise UsageError(message, hint="libraries: " + (", ".join(library.name for library in libraries) or "none"))


def _starting_point(target: str, roots: Sequence[Watched]) -> tuple[Watched, bytes]:
    path = os.fsencode(os.path.abspath(target))
    for root in roots:
        if root.library == target or path == root.path:
            return root, b""
        if path.startswith(root.path + b"/"):
            return root, path[len(root.path) + 1 :]
    message = f"{target} is not part of a library"
    raise UsageError(message)


def _with_directories(
    loaded: Loaded,
    directories: Sequence[Path],
    data: Path,
    section: Mapping[str, Any],
    *,
    may_be_inside: bool = False,
) -> Loaded:
    """Add folders that were named on the command line as libraries; known ones keep their name.

    ``section`` is laid over what is known of them, over the document too.
    """
    named: dict[str, dict[str, Any]] = {}
    taken = {library.name: library.path for library in loaded.settings.libraries()}
    known = _known_roots(data)
    for directory in directories:
        path = os.fsencode(os.path.abspath(directory))
        if own := next((name for name, other in taken.items() if path == other), None):
            if section:
                named[own] = {**named.get(own, {}), "path": text(path), **section}
            continue
        if may_be_inside and any(path.startswith(other + b"/") for other in taken.values()):
            continue
        if may_be_inside:  # a part of a root that only the catalogue knows is a part of it
            path = next((other for other in known if path.startswith(other + b"/")), path)
        name = known.get(path) or _free_name(directory, {*taken, *known.values()})
        taken[name] = path
        named[name] = {"path": text(path), "watch": True, **section}
    if not named:
        return loaded
    paths = loaded.stamp.paths
    said = loaded.overrides.get("libraries", {})
    libraries = {**said, **{name: {**said.get(name, {}), **library} for name, library in named.items()}}
    return load(paths[0] if len(paths) == 1 else None, os.environ, {**loaded.overrides, "libraries": libraries})


def _known_roots(data: Path) -> dict[bytes, str]:
    """The roots that the catalogue knows, with the names of their libraries; one of before is migrated first."""
    file = catalogue_file(data)
    if not file.exists():
        return {}
    if (version_of(file) or SCHEMA_VERSION) < SCHEMA_VERSION:  # so no service of this version has it open
        lock = DataLock.acquire(data)
        try:
            prepare(file)
        finally:
            lock.release()
    with View.open(file) as view:
        return {row.path: row.library for row in view.roots()}


def _free_name(directory: Path, taken: set[str]) -> str:
    """Name a library after its folder, in the characters that a name may have."""
    plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in directory.name)
    plain = plain.strip("-") or "root"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    return name


def _stop_on_signals() -> threading.Event:
    asked = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return asked


def _wait(
    service: Service,
    loaded: Loaded,
    directories: Sequence[Path],
    section: Mapping[str, Any],
    asked_to_stop: threading.Event,
    until_idle_s: float | None,
) -> None:
    """The main thread: signals, the document, the idle time."""
    stamp = seen = loaded.stamp
    next_reload_s = time.monotonic() + RELOAD_S
    while not asked_to_stop.wait(TICK_S) and not service.ended.is_set():
        now_s = time.monotonic()
        idle_since_s = service.idle_since_s()
        if until_idle_s is not None and idle_since_s is not None and now_s - idle_since_s >= until_idle_s:
            return
        if now_s >= next_reload_s:
            next_reload_s = now_s + RELOAD_S
            before, seen = seen, config_file.stamp(stamp.paths)
            if seen != stamp and seen == before:  # looked the same twice: an editor may save in two steps
                stamp = seen
                _reload(service, loaded, stamp, directories, section)


def _reload(
    service: Service,
    loaded: Loaded,
    stamp: config_file.Stamp,
    directories: Sequence[Path],
    section: Mapping[str, Any],
) -> None:
    """Go over to the changed document; a wrong one is reported and the last good one kept."""
    try:
        fresh = load(stamp.paths[0] if len(stamp.paths) == 1 else None, os.environ, loaded.overrides)
        fresh = _with_directories(fresh, directories, service.data, section)
        service.replace(fresh.settings, fresh.settings.libraries())
    except ConfigError as error:
        reason = str(error)
        service.log.warning("configuration_refused", reason=reason, next="the last good one stays in force")
    else:
        service.log.info("configuration_loaded", document=str(fresh.path) if fresh.path else None)


def _banner(loaded: Loaded, data: Path, roots: Sequence[Watched]) -> Iterator[str]:
    """What somebody who just started it wants to know."""
    for root in roots:
        rules = root.rules
        state = "" if root.state is RootState.ONLINE else f"  [{root.state.value}: {root.reason}]"
        how = {"events": "kernel events", "poll": "kernel events and polling", "off": "not watched"}[root.mode.value]
        yield f"Watching   {text(root.path)}  as library {root.library!r} ({how}, {root.mount.type}){state}"
        yield (
            f"           recursive: {'yes' if rules.recursive else 'no'}, debounce: {rules.debounce_s:g} s, "
            f"patterns: {', '.join(rules.include) or 'every file'}"
        )
        if rules.imports is not None:
            yield f"           imports: {_imports(rules.imports)}"
    yield f"Catalogue  {catalogue_file(data)}"
    yield f"Log        {_log_directory(loaded, data)}, level {loaded.settings.system.log_level}"
    yield f"Try next   put a file there, then: sluice --data {data} events | files | status | duplicates"


def _imports(rules: ImportRules) -> str:
    """What a library does with what it imports, in one line."""
    how = f"{rules.mode.value} to {text(rules.target)}/{rules.template}" if rules.target is not None else "in place"
    processed = "none" if rules.processed is None else text(rules.processed)
    duplicates = "processed" if rules.moves_duplicates else "report"
    return (
        f"owner: {rules.owner or 'nobody'}, state: {rules.state.value}, {how}, after: {rules.after.value}, "
        f"duplicates: {duplicates}, processed: {processed}, renditions: {rules.transcode or 'none'}"
    )


class _Warnings:
    """The logger of a one-shot command: what needs attention goes to standard error, the rest is its result."""

    def debug(self, event: str, **values: object) -> None:
        """Say nothing."""

    def info(self, event: str, **values: object) -> None:
        """Say nothing."""

    def warning(self, event: str, **values: object) -> None:
        """Print the fact."""
        import sys  # noqa: PLC0415

        line = " ".join([event, *(f"{key}={value}" for key, value in values.items())])
        sys.stderr.write(line.encode("utf-8", "backslashreplace").decode() + "\n")

    error = warning
