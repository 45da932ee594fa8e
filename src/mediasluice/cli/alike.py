"""The reports of ``sluice duplicates --essence`` and ``--similar``: what plays the same, what looks or sounds alike.

Without folders the products of the catalogue answer; those that are lacking are made first, by the service that runs,
else by this process, which takes the data lock for as long. With folders everything is read now and nothing is kept.
Takes folders and what is asked for; prints groups and gives an exit code. Fails with: RootUnusable, LockHeld,
ServiceGone, Unavailable, DiskFull.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.products import ESSENCE, LIKENESS
from mediasluice.cli.errors import FILES_FAILED, OK, complain
from mediasluice.cli.output import amount, json_line, note, say, shown
from mediasluice.cli.places import data_of, loaded_of, view_of
from mediasluice.cli.scan import Progress
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.view import View
    from mediasluice.cli.options import Call
    from mediasluice.model.files import Kind
    from mediasluice.pipeline.comparing import Group, Member

_SAID = {
    "streams": "the same streams",
    "samples": "the same samples",
    "picture": "look the same",
    "film": "show the same scenes",
    "sound": "sound the same",
}


def report_alike(call: Call, directories: Sequence[str], *, essence: bool, similar: bool) -> int:
    """Print the groups of what was asked for."""
    wanted = [what for what, is_wanted in ((ESSENCE, essence), (LIKENESS, similar)) if is_wanted]
    return _of_folders(call, directories, wanted) if directories else _catalogued(call, wanted)


def _of_folders(call: Call, directories: Sequence[str], wanted: Sequence[str]) -> int:
    from mediasluice.pipeline.comparing import compare
    from mediasluice.wiring.host import isolation

    settings = loaded_of(call).settings
    if LIKENESS in wanted:
        _say_what_is_deaf(call)
    groups, failed = 0, dict[bytes, str]()
    for what in wanted:
        with _progress(call) as progress:
            report = compare(
                [os.fsencode(directory) for directory in directories],
                what,
                lambda wake, deadline_s: isolation(settings, wake, is_service=False, deadline_s=deadline_s),
                lambda done, found, what=what: progress({"what": what, "done": done, "found": found}),  # type: ignore[misc]
                processes=settings.work.readers,
            )
        for group in report.groups:
            _tell(call, group)
        groups += len(report.groups)
        failed.update(report.failed)
    for path, why in failed.items():
        complain(why, path=os.fsdecode(path))
    _sum_up(call, groups)
    return FILES_FAILED if failed else OK


def _catalogued(call: Call, wanted: Sequence[str]) -> int:
    data = data_of(call)
    view = view_of(data, quiet=call.quiet)
    if view is None:
        return OK
    view.close()
    with _progress(call) as progress:
        results = _made(call, data, wanted, lambda what, state: progress({"what": what, **state}))
    if not results.get(LIKENESS, {"hears": True})["hears"]:
        _say_deaf(call)
    groups = 0
    view = view_of(data, quiet=call.quiet)
    assert view is not None
    with view:
        for what in wanted:
            for group in _groups(view, what):
                _tell(call, group)
                groups += 1
    for what, result in results.items():
        if result["left"] and not call.quiet:
            note(f"{result['left']:,} contents could not be read now", hint=f"for their {what} ask again later")
    _sum_up(call, groups)
    return OK


def _made(
    call: Call, data: Path, wanted: Sequence[str], progress: Callable[[str, dict[str, Any]], None]
) -> dict[str, dict[str, Any]]:
    """Have made what is lacking; gives what came of each."""
    from mediasluice.service.control import ask, service_pid

    if service_pid(data) is None:
        from mediasluice.service.host import make_once

        return make_once(loaded_of(call), data, wanted, progress)
    results: dict[str, dict[str, Any]] = {}
    for what in wanted:
        for row in ask(data, "make", {"what": what}):
            if "result" in row:
                results[what] = row["result"]
            else:
                progress(what, row["progress"])
    return results


def _groups(view: View, what: str) -> Iterator[Group]:
    """The groups of the catalogue, with the files that hold them now."""
    from mediasluice.identify.alike import Looks
    from mediasluice.pipeline.comparing import Group, Member, in_catalogue

    def looks(kind: Kind) -> Iterator[Looks]:
        return (Looks(*likeness) for likeness in view.likenesses(kind))

    for found in in_catalogue(what, looks, view.shared_streams() if what == ESSENCE else ()):
        files = [
            Member(holder.library, holder.path, holder.blake3, holder.kind, holder.size)
            for holder in view.holders(found.contents)
        ]
        if len({file.content for file in files}) > 1:  # one may be gone since
            yield Group(found.proof, found.certainty, files)


def _tell(call: Call, group: Group) -> None:
    if call.json:
        json_line(
            {"proof": group.proof, "certainty": group.certainty, "files": [_file_row(file) for file in group.files]}
        )
        return
    perhaps = ", perhaps" if group.certainty == "maybe" else ""
    say(f"{len(group.files)} files: {_SAID[group.proof]}{perhaps}")
    for file in group.files:
        say(f"  {amount(file.size):>9}  {shown(file.path)}")


def _file_row(file: Member) -> dict[str, object]:
    return {
        "library": file.library,
        "path": text(file.path),
        "content": file.content.hex(),
        "kind": file.kind,
        "size": file.size,
    }


def _sum_up(call: Call, groups: int) -> None:
    if not call.json and not call.quiet:
        say(f"{groups:,} groups; none of them is a reason to delete a file without looking at it")


def _say_what_is_deaf(call: Call) -> None:
    from mediasluice.pipeline.making import hears

    if not hears():
        _say_deaf(call)


def _say_deaf(call: Call) -> None:
    if not call.quiet:
        note("sounds are not compared: fpcalc is not installed", hint="it comes with Chromaprint")


def _progress(call: Call) -> Progress:
    return Progress(wanted=sys.stderr.isatty() and not call.quiet, line=_progress_line)


def _progress_line(state: dict[str, Any]) -> str:
    return f"{state['what']}: {state['done']:,} of {state['found']:,} files"
