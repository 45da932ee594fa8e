"""``sluice check``: whether the configuration is valid, and this machine fit for it.

Takes the document, and folders named on the command line; looks at each root, at the limits of the kernel and
at the data directory; for a library that imports also at its owner, its target and its processed directory. Writes
nothing, takes no lock, starts no watcher. Every problem names what has to be changed. Ends with 0, or with 78 when
something would keep the service from working.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.actions.fitness import fitness
from mediasluice.cli.errors import BAD_CONFIG, OK
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import json_line, say, shown, table
from mediasluice.cli.places import data_of, loaded_of, names_of, view_of
from mediasluice.config.values import duration_text
from mediasluice.errors import ConfigError, RootOverlap
from mediasluice.model.imports import After, Existing, ImportRules, Mode
from mediasluice.model.paths import text
from mediasluice.model.roots import Library, Rules

if TYPE_CHECKING:
    from mediasluice.config.document import Source
    from mediasluice.sources.mounts import Mount

app = typer.Typer(add_completion=False)

CAP_LEASE = 28
"""Bit of ``CapEff`` in /proc/self/status; capability.h of Linux."""

SAMPLE = 100
"""Files of a root whose owners are compared with this process, chosen."""


@dataclass(slots=True)
class Finding:
    """What was found out about one root, the watch limits or the data directory."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RootFinding(Finding):
    """One root. ``settle`` is the proof that no writer is left: ``lease`` or ``quiet period``.

    ``passed``: what is right with its imports; ``account``: the id of the account that they belong to.
    """

    library: str = ""
    path: str = ""
    mount: str | None = None
    mode: str | None = None
    settle: str | None = None
    directories: int = 0
    account: int | None = None
    passed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class WatchFinding(Finding):
    """Directories to be watched, and how many watches the kernel allows; ``None`` where it does not say."""

    directories: int = 0
    limit: int | None = None


@dataclass(slots=True)
class DataFinding(Finding):
    """The data directory."""

    path: str = ""
    mount: str | None = None


@app.command(cls=Command)
def check(
    ctx: typer.Context,
    directories: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="Folders to check beside the configured libraries."),
    ] = None,
) -> int:
    """Check the configuration and whether this machine is fit for it; 0 or 78."""
    call: Call = ctx.obj
    data = data_of(call)
    loaded = loaded_of(call, {f"folder {n}": os.fsencode(path) for n, path in enumerate(directories or (), 1)})
    libraries = loaded.settings.libraries()
    roots = [look_at_root(library) for library in libraries]
    for library, root in zip(libraries, roots, strict=True):
        look_at_imports(library, data, root)
    overlap = Finding(problems=list(_overlaps(libraries)))
    watches = look_at_watches(sum(root.directories for root in roots if root.mode == "events"))
    place = look_at_data(data, libraries)
    sources = Finding(warnings=list(_missing_commands(loaded.settings.metadata.sources)))
    findings: list[Finding] = [*roots, overlap, watches, place, sources]
    if not libraries:
        overlap.problems.append("no folder to watch: name one, or put libraries into the document")
    is_fit = not any(finding.problems for finding in findings)
    if call.json:
        problems = [problem for finding in findings for problem in finding.problems]
        warnings = [warning for finding in findings for warning in finding.warnings]
        json_line(
            {
                "ok": is_fit,
                "document": loaded.path and str(loaded.path),
                "roots": [asdict(root) | _settings(library) for root, library in zip(roots, libraries, strict=True)],
                "watches": asdict(watches),
                "data": asdict(place),
                "problems": problems,
                "warnings": warnings,
            }
        )
    else:
        _tell(libraries, roots, findings, is_fit=is_fit, quiet=call.quiet)
    return OK if is_fit else BAD_CONFIG


def look_at_root(library: Library) -> RootFinding:
    """Whether a root is there, can be read, is safe, and how its files will be noticed and waited for."""
    from mediasluice.sources.mounts import mount_of

    found = RootFinding(library=library.name, path=text(library.path))
    try:
        status = os.stat(library.path)
    except FileNotFoundError:
        found.problems.append(f"{found.path}: there is no such directory")
        return found
    except OSError as error:
        found.problems.append(f"{found.path}: {error.strerror}")
        return found
    if not stat.S_ISDIR(status.st_mode):
        found.problems.append(f"{found.path}: is not a directory")
        return found
    if not os.access(library.path, os.R_OK | os.X_OK):
        found.problems.append(f"{found.path}: this user (uid {_uid()}) may not read it")
        return found
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        found.warnings.append(f"{found.path}: every user of this machine may write here; better: chmod o-w")
    mount = mount_of(library.path)
    found.mount = f"{mount.type} at {text(mount.point)}"
    found.mode = _mode(library, mount)
    found.settle, why = _settle_proof(library.path, mount)
    if why:
        found.warnings.append(f"{found.path}: {why}")
    found.directories = sum(1 for _ in _directories(library))
    return found


def look_at_imports(library: Library, data: Path, found: RootFinding) -> None:
    """Whether the account of an importing library is there, and what is to be written can be written."""
    rules = library.rules.imports
    if rules is None:
        return
    if rules.owner is not None:
        try:
            found.account = _account(data, rules.owner)
        except ConfigError as error:
            found.problems.append(str(error).replace("\n  ", "; "))
        else:
            if found.account is None:
                found.problems.append(
                    f'User "{rules.owner}" does not exist (libraries.{library.name}.import.owner); make it: '
                    f"sluice users add {shlex.quote(rules.owner)}"
                )
            else:
                found.passed.append(f'User "{rules.owner}" exists (ID: {found.account})')
    if found.mount is None:  # the root cannot be used, and that is told already
        return
    look_at_renditions(rules, found)
    fit = fitness(rules, library.path)
    found.problems += fit.problems
    found.warnings += fit.remarks
    is_used = rules.after is After.MOVE or rules.moves_duplicates
    for what, directory in (("Target", rules.target), ("Processed", rules.processed if is_used else None)):
        if directory is not None and not any(
            line.startswith(f"{text(directory)}: ") for line in (*fit.problems, *fit.remarks)
        ):
            found.passed.append(f"{what} directory is writable: {text(directory)}")


def look_at_renditions(rules: ImportRules, found: RootFinding) -> None:
    """Whether there is an ffmpeg that can make what a library wants; imports never wait for it."""
    from mediasluice.actions.transcoding import PROFILES, available, lacks, maps_high_range

    if rules.transcode is None:
        return
    profile, program = PROFILES[rules.transcode.value], available()
    if program is None:
        found.warnings.append(
            f"import.transcode: ffmpeg is not installed, so renditions ({profile.name}) wait; install it: "
            "apt install ffmpeg"
        )
        return
    if lacking := lacks(program, profile):
        found.warnings.append(
            f"import.transcode: {program.path} lacks {', '.join(lacking)}, so renditions ({profile.name}) wait; "
            "install an ffmpeg that was built with it, or choose another profile"
        )
        return
    number = program.version.removeprefix("ffmpeg version ").partition(" ")[0]
    found.passed.append(f"Renditions ({profile.name}): ffmpeg {number}")
    if profile.longer and not maps_high_range(program):
        found.warnings.append(
            f"import.transcode: {program.path} lacks the filters zscale and tonemap, so films of high dynamic range "
            "come out pale; install an ffmpeg that was built with libzimg"
        )


def _account(data: Path, name: str) -> int | None:
    """The id of an account; ``None`` if there is none, or no catalogue yet."""
    view = view_of(data, quiet=True)
    if view is None:
        return None
    with view:
        return view.account(name)


def look_at_watches(directories: int) -> WatchFinding:
    """Whether the kernel lets this user watch so many directories."""
    found = WatchFinding(directories=directories)
    if sys.platform != "linux" or not directories:
        return found
    from mediasluice.sources.budget import WatchBudget

    budget = WatchBudget()
    found.limit = _number_in("/proc/sys/fs/inotify/max_user_watches")
    refused = sum(not budget.take() for _ in range(directories))
    if refused:
        found.warnings.append(
            f"{refused:,} of {directories:,} directories would be polled instead of watched: the kernel "
            f"allows {found.limit or 0:,}, a fifth is left to other programs. Raise it: {budget.advice()}"
        )
    return found


def look_at_data(data: Path, libraries: Sequence[Library]) -> DataFinding:
    """Whether the catalogue can live there: writable, on a local disk, better outside every root."""
    from mediasluice.sources.mounts import MountKind, mount_of

    found = DataFinding(path=str(data))
    nearest = data
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        found.problems.append(f"{nearest}: is not a directory, so the data directory cannot be made")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        found.problems.append(f"{nearest}: this user (uid {_uid()}) may not write here; choose another: --data DIR")
    mount = mount_of(os.fsencode(nearest))
    found.mount = f"{mount.type} at {text(mount.point)}"
    if mount.kind is MountKind.NETWORK and sys.platform == "linux":
        found.problems.append(
            f"{data}: lies on a network mount ({mount.type}), where a database loses its locks; "
            "choose another: --data DIR"
        )
    inside = os.path.realpath(os.fsencode(data))
    for library in libraries:
        if _is_below(inside, os.path.realpath(library.path)):
            found.warnings.append(f"{data}: lies inside the root {text(library.path)}, which leaves it out")
    return found


def _overlaps(libraries: Sequence[Library]) -> Iterator[str]:
    from mediasluice.sources.roots import refuse_overlap

    try:
        refuse_overlap({library.name: library.path for library in libraries})
    except RootOverlap as error:
        yield str(error).replace("\n  ", "; ")


def _missing_commands(sources: Sequence[Source]) -> Iterator[str]:
    """External sources that cannot be asked; files are catalogued without them."""
    for source in sources:
        if shutil.which(source.command[0]) is None:
            yield (
                f"metadata.sources: {source.name}: there is no command {source.command[0]!r} that may be run;"
                " nothing is asked of it"
            )


def _mode(library: Library, mount: Mount) -> str:
    if not library.watch:
        return "off"
    if library.rules.poll == "always" or (library.rules.poll == "auto" and not mount.events_complete):
        return "poll"
    return "events"


def _settle_proof(path: bytes, mount: Mount) -> tuple[str, str | None]:
    """Which proof that no writer is left is active here, and why it is not the better one."""
    if sys.platform != "linux":
        return "quiet period", None
    if not mount.lease_proves_free:
        return "quiet period", None
    if _has_lease_capability():
        return "lease", None
    foreign = _foreign_files(path)
    if not foreign:
        return "lease", None
    why = (
        f"{foreign} of its files belong to other users, and without the capability LEASE the kernel does not "
        "tell who writes them: they wait for the quiet period. Give it: cap_add: [LEASE] (compose), "
        "AmbientCapabilities=CAP_LEASE (systemd)"
    )
    return "quiet period", why


def _has_lease_capability() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> CAP_LEASE & 1)
    return False


def _foreign_files(path: bytes) -> int:
    """How many of the first files in a root belong to somebody else."""
    uid, seen, foreign = _uid(), 0, 0
    with os.scandir(path) as entries:
        for entry in entries:
            if seen == SAMPLE:
                break
            if entry.is_file(follow_symlinks=False):
                seen += 1
                foreign += entry.stat(follow_symlinks=False).st_uid != uid
    return foreign


def _directories(library: Library) -> Iterator[bytes]:
    """The directories that would be watched, the root included."""
    rules = names_of(library)
    start = len(library.path.rstrip(b"/")) + 1
    for path, below, _ in os.walk(library.path):
        directory = path[start:]
        yield directory
        below[:] = [name for name in below if rules.directory(directory + b"/" + name if directory else name) is None]


def _number_in(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None  # closed to us, as in some containers


def _is_below(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _uid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _settings(library: Library) -> dict[str, Any]:
    """What the banner of a start says of a library."""
    rules = library.rules
    imports = rules.imports
    return {
        "watch": library.watch,
        "kinds": list(rules.kinds),
        "imports": None if imports is None else _import_settings(imports),
        "recursive": rules.recursive,
        "include": list(rules.include),
        "exclude": list(rules.exclude),
        "debounce_s": rules.debounce_s,
    }


def _import_settings(rules: ImportRules) -> dict[str, Any]:
    return {
        "owner": rules.owner,
        "state": rules.state,
        "target": None if rules.target is None else text(rules.target),
        "template": rules.template,
        "mode": rules.mode,
        "after": rules.after,
        "processed_dir": None if rules.processed is None else text(rules.processed),
        "existing": rules.existing,
        "scope": rules.scope,
        "duplicates": "processed" if rules.moves_duplicates else "report",
        "transcode": rules.transcode,
    }


def _tell(
    libraries: Sequence[Library],
    roots: Sequence[RootFinding],
    findings: Sequence[Finding],
    *,
    is_fit: bool,
    quiet: bool,
) -> None:

    if not quiet:
        say(f"Found {len(roots)} configured {'directory' if len(roots) == 1 else 'directories'}:")
        for root in roots:
            if root.mount is not None:
                say(f"  ✓ {shown(root.path)}")
        columns = ("library", "path", "mount", "mode", "settle proof", "directories")
        table(columns, [(r.library, r.path, r.mount, r.mode, r.settle, r.directories) for r in roots])
        for line in dict.fromkeys(line for root in roots for line in root.passed):
            say(f"  ✓ {shown(line)}")
        for heading, told in (("Warnings", "warnings"), ("Errors", "problems")):
            lines = dict.fromkeys(line for finding in findings for line in getattr(finding, told))
            if lines:
                say(f"{heading}:")
                for line in lines:
                    say(f"  {'!' if told == 'warnings' else '✗'} {shown(line)}")
    else:
        for finding in findings:
            for line in finding.problems:
                say(shown(line))
    if quiet:
        return
    say("The configuration is valid." if is_fit else "The configuration cannot be used as it is.")
    say("Configuration:")
    for line in configuration(libraries):
        say(f"  {shown(line)}")


def configuration(libraries: Sequence[Library]) -> Iterator[str]:
    """The settings that matter for each library, as the start of the service shows them."""
    yield f"Monitored directories: {len(libraries)}"
    for number, library in enumerate(libraries, 1):
        rules = library.rules
        yield f"  {number}. {text(library.path)} ({library.name})"
        imports = rules.imports
        if imports is not None:
            yield f"     User: {imports.owner or 'nobody'}"
        yield f"     Debounce delay: {duration_text(rules.debounce_s)}"
        yield f"     Recursive monitoring: {'yes' if rules.recursive else 'no'}"
        if imports is not None:
            yield f"     Default state: {imports.state.value}"
        yield f"     {_wanted(rules)}"
        yield f"     Ignored: {', '.join(rules.exclude) or 'the built-in list'}"
        if imports is not None:
            yield from (f"     {line}" for line in _import_configuration(imports))


def _wanted(rules: Rules) -> str:
    """Which files of a library are taken."""
    if rules.kinds:
        return f"File extensions: All media types ({', '.join(rules.kinds)}, judged by content)"
    extensions = all(re.fullmatch(r"\*\.\w+", pattern) for pattern in rules.include)
    what = "File extensions" if rules.include and extensions else "File patterns"
    return f"{what}: {', '.join(rules.include) or 'all files'}"


def _import_configuration(rules: ImportRules) -> Iterator[str]:
    moves = rules.after is After.MOVE
    yield f"Move after import: {'Yes' if moves else 'No'}"
    if rules.processed is not None:
        yield f"Processed directory: {text(rules.processed)}"
    if rules.target is None or rules.mode is Mode.IN_PLACE:
        yield "Import: in place"
    else:
        yield f"Import: {rules.mode.value} to {text(rules.target)} as {rules.template}"
    yield f"Duplicates: {'moved to the processed directory' if rules.moves_duplicates else 'reported, left in place'}"
    if rules.transcode is not None:
        yield f"Renditions: {rules.transcode.value}"
    yield f"Existing files: {'imported' if rules.existing is Existing.IMPORT else 'catalogued, imported only by hand'}"
