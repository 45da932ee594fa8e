"""``sluice explain``: what happened to a path, why, by which rule, and what comes next.

Takes any path, whether a file was ever there or not. What the running service knows of it now comes first,
then the rules of its library, then the catalogue. Looks at the path itself only to say what it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.cli.events import event_row
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import json_line, local_time, moment, say, shown
from mediasluice.cli.places import data_of, known_libraries, names_of, view_of
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import FileState
from mediasluice.model.paths import join, split, text
from mediasluice.model.roots import Library, RootState

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import FileLine, RootRow

app = typer.Typer(add_completion=False)

_WHAT_COMES = {
    FileState.SETTLING: "it is looked at again by itself, and taken when it is complete",
    FileState.HELD: "it is taken when it gets its final name",
    FileState.EMPTY: "it is taken when somebody writes to it",
    FileState.CATALOGUED: "nothing; a change of the file becomes its next version",
    FileState.JUNK: "nothing; it is taken after a rename to a name that no junk pattern fits",
    FileState.SKIPPED: "nothing; it is looked at again when the file or the rules of its library change",
    FileState.UNREADABLE: "it is tried again by itself; let the user of the service read it",
    FileState.DEPARTED: "it becomes a move when it turns up elsewhere, else a deletion",
    FileState.MISSING: "it is the same file again when its content comes back while it is remembered",
}
_WHY_IT_WAITS = {
    "name": "its name says that it is not finished",
    "empty": "it has no bytes yet",
    "writer": "a program has it open for writing",
    "holes": "parts of it are not written yet",
    "truncated": "by its own format it is longer",
    "quiet": "it changed a moment ago",
    "network": "it changed a moment ago, and who writes cannot be seen on this mount",
    "debounce": "its library waits after every change",
    "companion": "a file beside it says that it is not finished",
    "follows": "the file that had this name before is recorded under its new name first",
    "vanished": "it was renamed and is not there; if it was renamed again, its next name is about to be told",
}
"""Words for ``settle.decide.WaitReason``."""

_WHAT_IT_IS = {
    stat.S_IFDIR: "a folder has no state of its own",
    stat.S_IFLNK: "a symbolic link; only the files of a library are taken, see follow_symlinks",
    stat.S_IFIFO: "a FIFO is never opened",
    stat.S_IFSOCK: "a socket is never opened",
    stat.S_IFCHR: "a device is never opened",
    stat.S_IFBLK: "a device is never opened",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``state`` in one word, ``rule`` that decided, ``reason`` in words, ``next`` what comes or is to do."""

    state: str
    rule: str | None
    reason: str
    next: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a path. ``live``: the service's answer; ``mode``: the type of what lies there."""

    path: bytes
    library: Library | None = None
    root: RootRow | None = None
    line: FileLine | None = None
    history: Sequence[Event] = ()
    live: dict[str, Any] | None = None
    is_running: bool = False
    mode: int | None = None


@app.command(cls=Command)
def explain(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Any path, also one that is gone or never was.")],
) -> None:
    """Say what happened to a path, why, by which rule, and what comes next."""
    call: Call = ctx.obj
    known = look_up(call, data_of(call), os.fsencode(os.path.abspath(path)))
    verdict = judge(known)
    if call.json:
        history = [event_row(event) for event in known.history]
        json_line({"path": text(known.path), **asdict(verdict), "history": history})
    else:
        _tell(known, verdict)


def look_up(call: Call, data: Path, path: bytes) -> Known:
    """Ask the service, the document, the catalogue and the file system about a path."""
    from mediasluice.service.control import ask_once, service_pid

    is_running = service_pid(data) is not None
    live = ask_once(data, "explain", {"path": text(path)}) if is_running else None
    if live is not None and live["state"] is None:
        live = None
    try:
        mode: int | None = stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        mode = None  # not there, or not to be reached: the catalogue has the say
    view = view_of(data, quiet=True)
    if view is None:
        library = _covering(path, known_libraries(call, ()))
        return Known(path, library, live=live, is_running=is_running, mode=mode)
    with view:
        roots = view.roots()
        library = _covering(path, known_libraries(call, roots))
        root = next((root for root in roots if library is not None and root.path == library.path), None)
        line, history = view.history(path)
    return Known(path, library, root, line, history, live, is_running, mode)


def judge(known: Known) -> Verdict:
    """Decide what is said of a path, in the order of the pipeline: outside, ignored, recorded."""
    folder = text(split(known.path)[0] or b"/")
    if known.library is None:
        if known.line is None:
            return Verdict("outside", None, "it lies in no library", f"watch its folder: sluice run {folder}")
    elif known.live is not None:
        return _waited_for(known.path, known.live)
    elif rule := ignored_by(known.library, known.path):
        return Verdict("ignored", rule, "a rule leaves it out", "nothing; to take it, change the rule")
    if known.root is not None and known.root.state is RootState.OFFLINE:
        state = known.line.state if known.line else "unknown"
        why = f"its root is offline: {known.root.reason or 'out of reach'}"
        return Verdict(state, None, why, "nothing is deleted; it goes on when the root is back")
    if known.line is not None:
        return _recorded(known, known.line)
    if known.mode is None:
        if known.history and known.history[-1].old_path == known.path:
            there = text(known.history[-1].path)
            return Verdict("moved", None, f"moved to {there}", f"see: sluice explain {there}")
        if known.history:
            return Verdict("gone", None, "it was here once and is not remembered any more", "nothing")
        return Verdict("unknown", None, "no file is here and none was ever seen", "a file that arrives here is taken")
    if known.mode != stat.S_IFREG:
        return Verdict("ignored", "only files are taken", _WHAT_IT_IS.get(known.mode, "no file"), "nothing")
    return Verdict("unseen", None, "it is there and was not noticed yet", f"look at it now: sluice scan {folder}")


def _waited_for(path: bytes, live: dict[str, Any]) -> Verdict:
    """What the service says of a file that it waits for."""
    reason = live.get("reason") or ""
    rule = live.get("rule") or _temporary(path)
    words = _WHY_IT_WAITS.get(reason)
    return Verdict(live["state"], rule, f"{reason}: {words}" if words else reason, live.get("next") or "")


def _temporary(path: bytes) -> str | None:
    """The pattern that holds a name back."""
    from mediasluice.settle.names import held_by

    directory, name = split(path)
    pattern = held_by(name, directory)
    return pattern and f"temporary name: {pattern}"


def _recorded(known: Known, line: FileLine) -> Verdict:
    """What the catalogue says of a path that it knows."""
    what_comes, rule, reason = _WHAT_COMES[line.state], None, line.reason or ""
    if line.state is FileState.HELD:
        rule = _temporary(known.path) or line.reason
    elif line.state in (FileState.JUNK, FileState.SKIPPED):
        rule = line.reason
    elif line.state is FileState.CATALOGUED:
        reason = "complete, read and remembered"
        if (of := _duplicate_of(known)) is not None:
            reason = f"a duplicate of {of}"
    elif line.state is FileState.MISSING:
        deleted = [event for event in known.history if event.type is EventType.FILE_DELETED]
        reason = f"deleted, noticed at {moment(deleted[-1].at_us)}" if deleted else "deleted"
    if not known.is_running and line.state in (FileState.SETTLING, FileState.DEPARTED, FileState.UNREADABLE):
        what_comes = "no service is running; start it: sluice run"
    return Verdict(line.state, rule, reason, what_comes)


def ignored_by(library: Library, path: bytes) -> str | None:
    """The rule that leaves a path of a library out: one for the file itself or for a folder above it."""
    rules = names_of(library)
    directory, name = split(path[len(library.path.rstrip(b"/")) + 1 :])
    if not name:
        return None
    above = b""
    for part in directory.split(b"/") if directory else ():
        above = join(above, part)
        if (rule := rules.directory(above)) is not None:
            return rule
    return None if os.path.isdir(path) else rules.file(directory, name)


def _duplicate_of(known: Known) -> str | None:
    """The other place of its content, as long as no later version replaced that content."""
    for event in reversed(known.history):
        other = event.data.get("of_path")
        if event.type is EventType.FILE_DUPLICATE and other != text(known.path):  # else it is the other one's
            return str(other)
        if event.type in (EventType.FILE_MODIFIED, EventType.FILE_CREATED):
            return None
    return None


def _covering(path: bytes, libraries: Sequence[Library]) -> Library | None:
    """The library whose root holds a path; roots never lie inside one another."""
    for library in libraries:
        root = library.path.rstrip(b"/")
        if path == library.path or path.startswith(root + b"/"):
            return library
    return None


def _tell(known: Known, verdict: Verdict) -> None:

    say(shown(known.path))
    lines = {"state": verdict.state, "rule": verdict.rule, "because": verdict.reason, "next": verdict.next}
    for label, value in lines.items():
        if value:
            say(f"  {label:<8} {shown(value)}")
    for event in known.history:
        where = "" if event.path == known.path else f"  {shown(event.path)}"
        moved = "" if event.old_path is None else f"  (was {shown(event.old_path)})"
        say(f"  {local_time(event.at_us)}  {event.type}{where}{moved}")
