"""``sluice explain``: what happened to a path, why, by which rule, and what comes next.

Takes any path, whether a file was ever there or not. What the running service knows of it now comes first,
then the rules of its library, then the catalogue. Looks at the path itself only to say what it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.cli.events import event_row
from mediasluice.cli.inside import inside_lines, inside_row, promised
from mediasluice.cli.items import item_row, origin_of, rendition_line, rendition_row, step_line, step_row
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import hexadecimal, json_line, local_time, moment, say, shown
from mediasluice.cli.places import data_of, known_libraries, names_of, set_aside, view_of
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import FileState
from mediasluice.model.imports import Judgement
from mediasluice.model.paths import join, split, text
from mediasluice.model.roots import Library, RootState

if TYPE_CHECKING:
    from mediasluice.catalogue.integrity import Damage
    from mediasluice.catalogue.renditions import Rendition
    from mediasluice.catalogue.rows import FileLine, ItemLine, Judged, RootRow, StepLine
    from mediasluice.catalogue.view import Master, View

app = typer.Typer(add_completion=False)

FOLLOW = "follow"  # what is to be done, see `catalogue.items`: that would load half of the program

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
    "essence": "a file of its kind is gone: what it plays is compared, because it may be that one with other tags",
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
    """All that is known of a path.

    ``live``: the service's answer; ``mode``: the type of what lies there; ``judged``: what an importing library says of
    it; ``item``: what it became, or is a duplicate of, or whose bytes lie there (``is_stored``), and where those came
    from; ``master``: the file by whose name and place it goes; ``brought``: what an import put here that is no item;
    ``products``: state and reason of what was made of its content; ``renditions``: likewise;
    ``damage``: its content is not what was catalogued any more, though its size and times are.
    """

    path: bytes
    library: Library | None = None
    root: RootRow | None = None
    line: FileLine | None = None
    history: Sequence[Event] = ()
    live: dict[str, Any] | None = None
    is_running: bool = False
    mode: int | None = None
    judged: Judged | None = None
    item: ItemLine | None = None
    is_stored: bool = False
    came_from: bytes | None = None
    steps: Sequence[StepLine] = ()
    master: Master | None = None
    brought: str | None = None
    products: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    renditions: Sequence[Rendition] = ()
    damage: Damage | None = None


@app.command(cls=Command)
def explain(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Any path, also one that is gone or never was.")],
) -> None:
    """Say what happened to a path, why, by which rule, and what comes next."""
    call: Call = ctx.obj
    data = data_of(call)
    known = look_up(call, data, os.fsencode(os.path.abspath(path)))
    verdict = judge(known)
    if call.json:
        more = {
            "misnamed": promised(known.line),
            **inside_row(None if known.line is None else known.line.inside),
            "history": [event_row(event) for event in known.history],
            "judgement": known.judged and judgement_row(known, known.judged),
            "item": known.item and item_row(known.item) | {"came_from": known.came_from and text(known.came_from)},
            "steps": [step_row(step) for step in known.steps],
            "products": {what: {"state": state, "reason": why} for what, (state, why) in known.products.items()},
            "renditions": [rendition_row(one, data) for one in known.renditions],
            "damaged": known.damage and {"found": hexadecimal(known.damage.found), "at": moment(known.damage.at_us)},
        }
        json_line({"path": text(known.path), **asdict(verdict), **more})
    else:
        _tell(known, verdict, data)


def look_up(call: Call, data: Path, path: bytes) -> Known:
    """Ask the service, the document, the catalogue and the file system about a path."""
    from mediasluice.catalogue import integrity, renditions
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
        item = view.item_at(path)
        is_stored = item is not None
        judged = None if line is None else view.judged(line.id)
        master = None if line is None else view.master(line.id)
        if item is None and judged is not None and judged.item is not None:
            item = next(view.items(judged.item), None)
        is_known = item is not None or line is not None or mode is None
        brought = None if is_known else _brought(view, path)
        origin = None if item is None else origin_of(view, item)
        steps = view.steps(line.id) if line is not None else origin.steps if origin is not None else ()
        blake3 = line.blake3 if line is not None else None if item is None else item.blake3
        damage = None if line is None else view.ask(integrity.damage_of, line.id)
        products = {} if blake3 is None else view.products(blake3)
        made = [] if blake3 is None else view.ask(renditions.of_contents, [blake3]).get(blake3, [])
    source = None if origin is None else origin.source
    return Known(
        path, library, root, line, history, live, is_running, mode, judged, item, is_stored, source, steps, master,
        brought, products, made, damage,
    )  # fmt: skip


_BROUGHT = {
    FOLLOW: "this came along with the file that it belongs to",
    "give way": "this is an earlier version",
}


def _brought(view: View, path: bytes) -> str | None:
    """What an import brought to a path, in words."""
    found = view.brought(path)
    if found is None or found[1] not in _BROUGHT:
        return None
    file, purpose, source = found
    master = view.master(file)
    of = "" if master is None else f", {master.role} of {text(master.path)}"
    return f"{_BROUGHT[purpose]}{of}; it came from {text(source)}"


def judge(known: Known) -> Verdict:
    """Decide what is said of a path, in the order of the pipeline: outside, ignored, recorded."""
    folder = text(split(known.path)[0] or b"/")
    if (verdict := _imported_here(known)) is not None:
        return verdict
    if known.library is None:
        if known.line is None:
            return Verdict("outside", None, "it lies in no library", f"watch its folder: sluice run {folder}")
    elif known.live is not None:
        return _waited_for(known.path, known.live)
    elif rule := ignored_by(known.library, known.path):
        return _left_out(known.library, known.path, rule)
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


def _imported_here(known: Known) -> Verdict | None:
    """What is said of a path where an import put something."""
    if known.is_stored and known.item is not None and (known.line is None or known.line.state is FileState.MISSING):
        where = f", which came from {text(known.came_from)}" if known.came_from else ""
        reason = f"here are the bytes of item {known.item.id} ({known.item.title!r}){where}"
        if known.item.collides_with is not None:
            reason += f"; the file that they came from has the content of item {known.item.collides_with} by now"
        return Verdict("item", None, reason, f"nothing; see: sluice items show {known.item.id}")
    return None if known.brought is None else Verdict("companion", None, known.brought, "nothing")


def _left_out(library: Library, path: bytes, rule: str) -> Verdict:
    """What is said where a rule leaves a path out, or where its library puts what it is done with."""
    if any(path == own or path.startswith(own + b"/") for own in set_aside(library)):
        why = "its library puts there what it is done with, and takes nothing in from there"
        return Verdict("ignored", rule, why, "nothing; see import.target and import.processed_dir")
    return Verdict("ignored", rule, "a rule leaves it out", "nothing; to take it, change the rule")


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
        if known.judged is not None:
            reason, rule = judged_words(known, known.judged), _rule_of(known, known.judged)
            what_comes = _what_comes(known, known.judged) or what_comes
        elif known.library is not None and known.library.rules.imports is not None:
            what_comes = f"its library imports, and has not judged it yet; now: sluice scan {known.library.name}"
    elif line.state is FileState.MISSING and (there := _moved_to(known)) is not None:
        reason, what_comes = f"moved to {text(there)}", f"see: sluice explain {text(there)}"
        if known.judged is not None:
            words, rule = judged_words(known, known.judged), _rule_of(known, known.judged)
            reason = words if text(there) in words else f"{words}; {reason}"
            what_comes = what_comes if known.item is None else f"nothing; see: sluice items show {known.item.id}"
        return Verdict("moved", rule, reason, what_comes)
    elif line.state is FileState.MISSING:
        deleted = [event for event in known.history if event.type is EventType.FILE_DELETED]
        reason = f"deleted, noticed at {moment(deleted[-1].at_us)}" if deleted else "deleted"
    if not known.is_running and line.state in (FileState.SETTLING, FileState.DEPARTED, FileState.UNREADABLE):
        what_comes = "no service is running; start it: sluice run"
    return Verdict(line.state, rule, reason, what_comes)


def judgement_row(known: Known, judged: Judged) -> dict[str, Any]:
    """A judgement as JSON carries it."""
    return {
        "judgement": judged.judgement,
        "words": judged_words(known, judged),
        "reason": judged.reason,
        "item": judged.item,
        "todo": judged.todo,
        "next_at": None if judged.due_us is None else moment(judged.due_us),
    }


def judged_words(known: Known, judged: Judged) -> str:
    """What an importing library says of a file, in words."""
    number, title = judged.item, known.item.title if known.item is not None else ""
    there = "" if judged.item_path is None else text(judged.item_path)
    match judged.judgement:
        case Judgement.IMPORTED:
            stays = judged.item_path == known.path
            return f"imported as item {number}, " + ("and stays where it is" if stays else f"to {there}")
        case Judgement.PENDING:
            return f"to be imported as item {number}{_held_words(known, judged)}"
        case Judgement.DUPLICATE:
            return f"a duplicate of item {number} ({title!r}, {there or 'on its way'})"
        case Judgement.REFUSED:
            return f"refused: {judged.reason}"
        case Judgement.BASELINE:
            return judged.reason or "it was there before its library was watched"
        case Judgement.AGAIN:
            return "the item of its content was deleted"
        case Judgement.COMPANION:
            return _companion_words(known, judged)


def _is_held(known: Known, judged: Judged) -> bool:
    """Whether a file is to be imported after the one by whose place it goes."""
    is_next = judged.judgement is Judgement.PENDING and judged.reason is None
    return is_next and known.master is not None and known.master.judgement is Judgement.PENDING


def _held_words(known: Known, judged: Judged) -> str:
    """What an import waits for."""
    if not _is_held(known, judged):
        return f", waits because {judged.reason}" if judged.reason else ""
    assert known.master is not None
    because = f", which waits because {known.master.reason}" if known.master.reason else ""
    return f", beside {text(known.master.path)}{because}"


def _companion_words(known: Known, judged: Judged) -> str:
    """Where a file is that means nothing by itself, or what it waits for."""
    master = known.master
    brought = [step.target for step in known.steps if step.purpose == FOLLOW and step.state == "done"]
    if master is None:
        words = "it belongs to another file, by its name"
        return f"{words}, and went with it to {text(brought[-1])}" if brought else f"{words}, which is not here yet"
    item = "" if master.item is None else f" (item {master.item})"
    words = f"{master.role} of {text(master.path)}{item}"
    if brought:
        return f"{words}; went with it to {text(brought[-1])}"
    if judged.todo == FOLLOW and master.judgement in _NOT_IMPORTED:
        because = _DELETED if master.judgement is Judgement.AGAIN else master.reason
        return f"{words}; waits, because that is not imported: {because}"
    if judged.todo == FOLLOW:
        return f"{words}; goes with it" + (f", waits because {judged.reason}" if judged.reason else "")
    return f"{words}; stays where it is" + (f": {judged.reason}" if judged.reason else ", like that")


def _rule_of(known: Known, judged: Judged) -> str | None:
    """The setting that decided."""
    rules = known.library.rules.imports if known.library is not None else None
    match judged.judgement:
        case Judgement.IMPORTED | Judgement.PENDING:
            return "action: import"
        case Judgement.DUPLICATE:
            return None if rules is None else f"duplicates.scope: {rules.scope.value}"
        case Judgement.BASELINE:
            return "existing: baseline"
        case Judgement.REFUSED:
            return judged.reason
        case Judgement.COMPANION:
            return "companion"
        case Judgement.AGAIN:
            return None


_NOT_IMPORTED = (Judgement.REFUSED, Judgement.BASELINE, Judgement.AGAIN)
_DELETED = "its item was deleted, and the next pass judges it anew"
_WHAT = {
    "import": "imported",
    "processed": "set aside below the processed directory",
    FOLLOW: "brought to the file that it belongs to",
}


def _what_comes(known: Known, judged: Judged) -> str | None:
    """What follows from a judgement; ``None``: nothing."""
    if judged.judgement is Judgement.BASELINE:
        return f"nothing; to import it: sluice import {text(known.path)}"
    if judged.judgement is Judgement.AGAIN:
        return f"the next pass judges it anew; now: sluice scan {text(split(known.path)[0] or b'/')}"
    if judged.todo is None:
        return None
    if judged.todo == FOLLOW and (known.master is None or known.master.judgement in _NOT_IMPORTED):
        by_itself = f"by itself: sluice import {text(known.path)}"
        if known.master is None and judged.due_us is not None:
            by_itself = f"it is imported by itself at {moment(judged.due_us)}"
        return f"it goes along when that is imported; {by_itself}"
    what = _WHAT[judged.todo]
    if _is_held(known, judged) and known.master is not None and known.is_running:
        return f"it is {what} as soon as {text(known.master.path)} is"
    if not known.is_running:
        return f"it is {what} by the next service; start it: sluice run"
    if judged.reason is None or judged.due_us is None:
        return f"it is {what} in a moment"
    because = f"; that waits because {judged.reason}" if judged.judgement is not Judgement.PENDING else ""
    return f"it is {what}, tried again at {moment(judged.due_us)}{because}"


def _moved_to(known: Known) -> bytes | None:
    """Where a file that is missing here was moved to, if that is the last that happened to it."""
    leaving = {EventType.FILE_MOVED, EventType.FILE_RENAMED, EventType.FILE_DELETED}
    last = next((event for event in reversed(known.history) if event.type in leaving), None)
    return last.path if last is not None and last.old_path == known.path else None


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


def _tell(known: Known, verdict: Verdict, data: Path) -> None:
    say(shown(known.path))
    lines = {"state": verdict.state, "rule": verdict.rule, "because": verdict.reason, "next": verdict.next}
    for label, value in lines.items():
        if value:
            say(f"  {label:<8} {shown(value)}")
    if (kind := promised(known.line)) is not None:
        say(f"  {'misnamed':<8} its name says {kind}, its content does not")
    if known.line is not None and known.line.inside is not None:
        for label, words in inside_lines(known.line.inside):
            say(f"  {label:<8} {shown(words)}")
    for what, (state, reason) in known.products.items():
        if reason is not None:
            say(f"  {what:<8} {state}: {shown(reason)}")
    if known.damage is not None:
        words = "when it was read again its content differed, and its size and times did not: get it from a copy"
        say(f"  {'damaged':<8} {local_time(known.damage.at_us)}: {words}")
    for one in known.renditions:
        say(f"  {'plays as':<8} {shown(rendition_line(one, data))}")
    lines_at: list[tuple[int, str]] = [(step.ended_us or step.at_us, step_line(step)) for step in known.steps]
    for event in known.history:
        where = "" if event.path == known.path else f"  {shown(event.path)}"
        moved = "" if event.old_path is None else f"  (was {shown(event.old_path)})"
        lines_at.append((event.at_us, f"{local_time(event.at_us)}  {event.type}{where}{moved}"))
    for _, line in sorted(lines_at, key=lambda one: one[0]):
        say(f"  {line}")
