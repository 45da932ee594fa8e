"""``sluice demo``: some sixty media files arrive in a temporary folder while the real service imports them.

Takes nothing of the user: a document, a catalogue and folders of its own, all below one temporary directory that is
removed at the end, also after Ctrl-C. The service is ``sluice run``, started as anybody would start it; what became of
each file is read from its catalogue and compared with what the file was made for.
Fails with: Unavailable (the service ended or does not get ready in time).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediasluice.cli.errors import FILES_FAILED, OK
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import amount, duration, json_line, say, shown, table
from mediasluice.errors import ServiceGone, Unavailable, UsageError
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.cli.demo_media import Made

app = typer.Typer(add_completion=False)

TEMPLATE = "{taken:%Y}/{taken:%Y-%m}/{name}"
SETTLE = {"unknown": "1s", "truncated": "2s", "network": "1s"}
"""Shorter than anybody should set it: a transfer that stalls is taken for a whole file."""

BETWEEN_S = 0.02  # two files, chosen: the whole set arrives in little more than a second
BEFORE_COPIES_S = 0.5  # chosen: the originals are taken by then, so that the copies are the duplicates
LOOK_S = 0.1
QUIET_S = 1.0  # nothing was pending for so long: all is done
READY_S = 30.0  # chosen, as the next one: a busy machine is not a broken one
DONE_S = 60.0
ANSWER_S = 5.0
STOP_S = 15.0  # the service promises 10
LEFT_ALONE_S = 20  # an orphan ends by itself after so long without work
NAMED = 10  # files that are not as expected and told one by one
WIDEST = 70  # characters of a path in a table


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one demonstration."""

    top: Path

    @property
    def incoming(self) -> Path:
        """Where files arrive."""
        return self.top / "incoming"

    @property
    def photos(self) -> Path:
        """Where they are imported to."""
        return self.top / "photos"

    @property
    def data(self) -> Path:
        """Where the catalogue lies."""
        return self.top / "data"

    @property
    def document(self) -> Path:
        """The configuration; JSON is YAML."""
        return self.top / "config.yaml"

    @property
    def log(self) -> Path:
        """What the service says on its terminal."""
        return self.top / "service.log"


@dataclass(slots=True)
class Found:
    """What became of the files. Paths are relative to the folder where they arrived."""

    outcomes: dict[bytes, str] = field(default_factory=dict)
    duplicates: dict[bytes, bytes] = field(default_factory=dict)  # the file whose content it has
    reasons: dict[bytes, str] = field(default_factory=dict)


@app.command(cls=Command)
def demo(
    ctx: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the folders and the catalogue, and say where they are.")
    ] = False,
) -> int:
    """Show in a few seconds what happens to media that arrive: good, double, cut off, junk.

    Makes its own files in a temporary folder, has the service import them, and removes everything again.
    Ends with 3 when something did not become what it should.
    """
    call: Call = ctx.obj
    if call.data or call.config:
        raise UsageError("demo has a catalogue and a document of its own", hint="leave --data and --config out")
    with _temporary(keep=keep) as place:
        began_s = time.monotonic()
        made, waited = _let_arrive(place, wanted=sys.stderr.isatty() and not call.quiet)
        found = _look_up(place, made, waited)
        surprises = surprising(made, found.outcomes)
        took_s = time.monotonic() - began_s
        if call.json:
            json_line(_summary(place, made, found, surprises, took_s, keep=keep))
        elif not call.quiet:
            _tell(place, made, found, took_s, keep=keep)
        if surprises and not call.json:
            _complain(found, surprises)
    return FILES_FAILED if surprises else OK


# -- what is done -------------------------------------------------------------------------------------


@contextmanager
def _temporary(*, keep: bool) -> Iterator[Place]:
    """A folder of our own, empty but for the document; SIGTERM ends the block as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="mediasluice-demo-")))
    place = Place(top)
    try:
        place.incoming.mkdir()
        place.photos.mkdir()
        document = {"libraries": {"incoming": {"path": str(place.incoming), "settle": SETTLE}}}
        place.document.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        yield place
    finally:
        _go_through_with_it()
        if not keep:
            shutil.rmtree(top)


def _go_through_with_it() -> None:
    """From now on things are only ended and removed: who is impatient would leave half of them behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def command_of(place: Place) -> list[str]:
    """The call that somebody would type, but for the safety net of ``--until-idle``."""
    options: Mapping[str, object] = {
        "--data": place.data,
        "--config": place.document,
        "--to": place.photos,
        "--template": TEMPLATE,
        "--mode": "copy",
        "--until-idle": f"{LEFT_ALONE_S}s",
    }
    said = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "mediasluice", "run", str(place.incoming), *said, "-q"]


@contextmanager
def _service(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A running service that is ready; stopped at the end, whatever happened."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    with place.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this very program
            command_of(place),
            cwd=place.top,  # `python -m` would import what lies in the present folder
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who stop it
        )
    try:
        _wait_until_ready(place, process)
        yield process
    finally:
        _go_through_with_it()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(place: Place, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + READY_S
    while _idle_s(place, process) is None:
        if time.monotonic() > end_s:
            raise Unavailable(f"the service did not get ready within {READY_S:g} s", hint=_said(place))
        time.sleep(LOOK_S)


def _asked(place: Place, process: subprocess.Popen[bytes], verb: str) -> dict[str, Any]:
    """What the service answers; empty as long as it does not."""
    from mediasluice.service.control import ask_once

    if process.poll() is not None:
        raise Unavailable(f"the service ended with {process.returncode}", hint=_said(place))
    try:
        return ask_once(place.data, verb, timeout_s=ANSWER_S)
    except ServiceGone:
        return {}


def _idle_s(place: Place, process: subprocess.Popen[bytes]) -> float | None:
    """For how long nothing has been pending; None while something is, and before the folder is watched."""
    idle_s: float | None = _asked(place, process, "idle").get("idle_s")
    return idle_s


def _said(place: Place) -> str:
    """The end of what the service wrote on its terminal."""
    lines = place.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-5:]) or "it said nothing"


def _let_arrive(place: Place, *, wanted: bool) -> tuple[list[Made], dict[bytes, str]]:
    """Start the service, write the files, wait for the end; gives them, and what was waited for and why."""
    from mediasluice.cli.demo_media import all_media, write

    media = all_media()
    first_copy = next(one for one in media if one.of is not None)
    made: list[Made] = []
    waited: dict[bytes, str] = {}
    top = os.fsencode(place.incoming) + b"/"
    with _service(place) as process, _progress(wanted=wanted) as progress:
        for one in media:
            time.sleep(BEFORE_COPIES_S if one is first_copy else BETWEEN_S)
            if write(place.incoming, one):
                made.append(one)
            progress(f"{len(made)} files arrived")
        written_s = time.monotonic()
        while True:
            idle_s = _idle_s(place, process)
            if idle_s is not None and QUIET_S <= idle_s < time.monotonic() - written_s:
                return made, waited  # nothing is pending, and that since a moment behind the last write
            if time.monotonic() - written_s > DONE_S:
                raise Unavailable(f"the service is still busy after {DONE_S:g} s", hint=_said(place))
            settling = _asked(place, process, "status").get("settling", [])
            for one in settling:
                waited[os.fsencode(one["path"]).removeprefix(top)] = one["reason"]
            progress(f"{len(made)} files arrived, {len(settling)} are waited for")
            time.sleep(LOOK_S)


@contextmanager
def _progress(*, wanted: bool) -> Iterator[Any]:
    """One line on standard error that is drawn over and over."""

    def draw(line: str) -> None:
        if wanted:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    try:
        yield draw
    finally:
        draw("")


# -- what became of it --------------------------------------------------------------------------------


_WAITED_FOR = {"truncated": "truncated", "name": "held"}
"""Why the service waited for a file -> the word for it; the catalogue keeps nothing of a wait that is over."""


def _look_up(place: Place, made: Sequence[Made], waited: Mapping[bytes, str]) -> Found:
    """Read the catalogue: one word for each file."""
    from mediasluice.catalogue.location import catalogue_file
    from mediasluice.catalogue.view import View
    from mediasluice.model.events import EventType

    top = os.fsencode(place.incoming) + b"/"
    found = Found(dict.fromkeys((one.path for one in made), "ignored"))
    with View.open(catalogue_file(place.data)) as view:
        for line in view.files():
            path = line.path.removeprefix(top)
            found.outcomes[path] = line.state
            if line.reason:
                found.reasons[path] = line.reason
        for event in view.events():
            path = event.path.removeprefix(top)
            if event.type is EventType.ITEM_IMPORTED:
                found.outcomes[path] = "imported"
            elif event.type is EventType.ITEM_JOINED:
                found.outcomes[path] = "companion"
            elif event.type is EventType.FILE_DUPLICATE:
                found.outcomes[path] = "duplicate"
                found.duplicates[path] = os.fsencode(str(event.data.get("of_path", ""))).removeprefix(top)
            elif event.type is EventType.ITEM_REFUSED:
                found.outcomes[path], found.reasons[path] = "refused", str(event.data.get("reason", ""))
    for path, reason in waited.items():
        if reason in _WAITED_FOR and found.outcomes.get(path) in {"ignored", "catalogued", "imported"}:
            found.outcomes[path] = _WAITED_FOR[reason]
    return found


def surprising(made: Sequence[Made], outcomes: Mapping[bytes, str]) -> list[Made]:
    """The files that did not become what they should. Which of several equal ones comes first is left open."""
    groups: defaultdict[bytes, list[Made]] = defaultdict(list)
    for one in made:
        groups[one.of or one.path].append(one)
    return [
        one
        for group in groups.values()
        if sorted(outcomes[one.path] for one in group) != sorted(one.expected for one in group)
        for one in group
    ]


def _folders(place: Place) -> dict[str, int]:
    """Folder below the target -> files in it."""
    top = os.fsencode(place.photos)
    counted = {text(os.path.relpath(directory, top)): len(files) for directory, _, files in os.walk(top) if files}
    return dict(sorted(counted.items()))


def _summary(
    place: Place, made: Sequence[Made], found: Found, surprises: Sequence[Made], took_s: float, *, keep: bool
) -> dict[str, object]:
    from mediasluice.cli.demo_media import Expected

    return {
        "files": len(made),
        "outcomes": dict.fromkeys(Expected, 0) | Counter(found.outcomes.values()),
        "duplicates": [{"path": text(path), "of": text(of)} for path, of in sorted(found.duplicates.items())],
        "unexpected": [
            {"path": text(one.path), "outcome": found.outcomes[one.path], "expected": one.expected} for one in surprises
        ],
        "folders": {"incoming": str(place.incoming), "photos": str(place.photos), "data": str(place.data)},
        "imported_to": _folders(place),
        "seconds": round(took_s, 3),
        "kept": keep,
    }


_MEANS = {
    "imported": "copied to photos/, into folders by year and month",
    "companion": "copied along with the file that it belongs to, and no item of its own",
    "duplicate": "the same bytes as one that was imported",
    "truncated": "waited for: its own format says that it goes on; taken after {truncated} without a change",
    "empty": "without any bytes; a later write takes it on",
    "held": "has the name of an unfinished download; taken when it gets its final name",
    "junk": "left over from a download",
    "ignored": "what file managers keep for themselves",
    "catalogued": "known by content, and not imported",
}


_TAKEN = {"imported", "companion", "duplicate", "catalogued"}


def _tell(place: Place, made: Sequence[Made], found: Found, took_s: float, *, keep: bool) -> None:
    from mediasluice.cli.demo_media import Expected

    size = amount(sum(len(one.content) for one in made))
    say(f"{len(made)} files, {size}, arrived while `sluice run` was watching; all was done in {duration(took_s)}")
    counted = Counter(found.outcomes.values())
    order = [*(str(one) for one in Expected), *sorted(counted)]
    table(
        ("outcome", "files", "that is"),
        [
            (word, counted[word], _MEANS.get(word, "").format_map(SETTLE))
            for word in dict.fromkeys(order)
            if counted[word]
        ],
    )
    table(
        ("duplicate", "has the content of"),
        [(_short(path), _short(of)) for path, of in sorted(found.duplicates.items())],
    )
    others = [one for one in made if found.outcomes[one.path] not in _TAKEN]
    table(
        ("not imported at once", "outcome", "what it is"),
        [(_short(one.path), found.outcomes[one.path], one.shows) for one in others],
    )
    folders = _folders(place)
    if folders:
        table(("imported to", "files"), [(f"photos/{folder}", count) for folder, count in folders.items()])
    if keep:
        data = f"--data {shlex.quote(str(place.data))}"
        cut = next((one.path for one in others if found.outcomes[one.path] == "truncated"), others[0].path)
        say(f"Kept       {shown(str(place.top))}")
        say(f"Try next   sluice files {data}")
        say(f"           sluice duplicates {data}")
        say(f"           sluice events {data}")
        say(f"           sluice explain {shlex.quote(shown(os.fsencode(place.incoming) + b'/' + cut))} {data}")
        say(f"           rm -r {shlex.quote(str(place.top))}")
    else:
        say("Everything was removed again; `sluice demo --keep` leaves it to look at.")
    say(f"Your own   sluice run /your/folder --to /your/photos --template '{TEMPLATE}'")


def _complain(found: Found, surprises: Sequence[Made]) -> None:
    """Name the first files that did not become what they should."""
    table(
        ("not as expected", "is", "should be", "because"),
        [
            (_short(one.path), found.outcomes[one.path], one.expected, found.reasons.get(one.path))
            for one in surprises[:NAMED]
        ],
    )
    if len(surprises) > NAMED:
        say(f"and {len(surprises) - NAMED} more")


def _short(path: bytes) -> str:
    """A path that leaves room beside it."""
    name = text(path)
    return name if len(name) <= WIDEST else f"{name[: WIDEST // 2]}...{name[-WIDEST // 3 :]}"
