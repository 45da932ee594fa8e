"""What ``explain`` says of a path, case by case; each names what comes next."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mediasluice.catalogue.rows import FileLine, RootRow
from mediasluice.cli.explain import Known, ignored_by, judge
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.roots import Library, RootState, Rules, WatchMode
from mediasluice.settle.decide import WaitReason

LIBRARY = Library("photos", b"/nowhere/photos", Rules(exclude=("*.log",), include=("*.jpg", "*.log")))
PATH = b"/nowhere/photos/2024/a.jpg"


def line(state: FileState, reason: str | None = None, path: bytes = PATH) -> FileLine:
    return FileLine(7, "photos", path, 10, 0, Kind.IMAGE, state, reason, None, None, 1, 1)


def event(kind: EventType, **data: object) -> Event:
    return Event(1, "id", kind, 1_700_000_000_000_000, "photos", PATH, None, 10, None, None, "event", data)


MOVED = event(EventType.FILE_MOVED)._replace(path=b"/c.jpg", old_path=PATH)


def root(state: RootState, reason: str | None) -> RootRow:
    return RootRow(RootId(1), "photos", LIBRARY.path, None, state, reason, 0, WatchMode.EVENTS, has_files=True)


@pytest.mark.parametrize(
    ("known", "state", "said"),
    [
        (Known(b"/elsewhere/a.jpg"), "outside", "sluice run /elsewhere"),
        (Known(LIBRARY.path + b"/x.log", LIBRARY), "ignored", "exclude: *.log"),
        (Known(LIBRARY.path + b"/x.png", LIBRARY), "ignored", "not in include"),
        (Known(LIBRARY.path + b"/@eaDir/x.jpg", LIBRARY), "ignored", "built-in: @eaDir"),
        (
            Known(PATH, LIBRARY, live={"state": "settling", "reason": "writer", "next": "in 2 s"}),
            "settling",
            "in 2 s",
        ),
        (
            Known(PATH, LIBRARY, root(RootState.OFFLINE, "missing"), line(FileState.CATALOGUED)),
            "catalogued",
            "offline: missing",
        ),
        (Known(PATH, LIBRARY, root(RootState.OFFLINE, "missing")), "unknown", "nothing is deleted"),
        (Known(PATH, LIBRARY, line=line(FileState.CATALOGUED)), "catalogued", "next version"),
        (
            Known(
                PATH,
                LIBRARY,
                None,
                line(FileState.CATALOGUED),
                [event(EventType.FILE_DUPLICATE, of=3, of_path="/b.jpg")],
            ),
            "catalogued",
            "a duplicate of /b.jpg",
        ),
        (Known(PATH, LIBRARY, line=line(FileState.SETTLING, "writer")), "settling", "no service is running"),
        (
            Known(PATH, LIBRARY, line=line(FileState.SETTLING, "writer"), is_running=True),
            "settling",
            "by itself",
        ),
        (Known(PATH + b".part", None, line=line(FileState.HELD, path=PATH + b".part")), "held", "*.part"),
        (Known(PATH, LIBRARY, line=line(FileState.JUNK, "pattern: *.jpg")), "junk", "pattern: *.jpg"),
        (Known(PATH, LIBRARY, line=line(FileState.EMPTY)), "empty", "writes to it"),
        (Known(PATH, LIBRARY, line=line(FileState.SKIPPED, "too_large")), "skipped", "too_large"),
        (
            Known(PATH, LIBRARY, line=line(FileState.UNREADABLE, "Permission denied")),
            "unreadable",
            "Permission denied",
        ),
        (Known(PATH, LIBRARY, line=line(FileState.DEPARTED), is_running=True), "departed", "becomes a move"),
        (
            Known(PATH, LIBRARY, None, line(FileState.MISSING), [event(EventType.FILE_DELETED)]),
            "missing",
            "2023-11-14T22:13:20.000000Z",
        ),
        (
            Known(PATH, LIBRARY, history=[event(EventType.FILE_CREATED), MOVED]),
            "moved",
            "sluice explain /c.jpg",
        ),
        (Known(PATH, LIBRARY, mode=stat.S_IFREG), "unseen", "sluice scan /nowhere/photos/2024"),
        (Known(PATH, LIBRARY, mode=stat.S_IFIFO), "ignored", "never opened"),
        (Known(PATH, LIBRARY, mode=stat.S_IFLNK), "ignored", "follow_symlinks"),
        (Known(LIBRARY.path, LIBRARY, mode=stat.S_IFDIR), "ignored", "a folder"),
        (Known(PATH, LIBRARY), "unknown", "arrives here is taken"),
        (Known(PATH, LIBRARY, history=[event(EventType.FILE_DELETED)]), "gone", "not remembered"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_case_names_its_state_its_reason_and_what_comes_next(known: Known, state: str, said: str) -> None:
    """A colleague's "why is my file not there?" is answered in one look."""
    verdict = judge(known)
    assert verdict.state == state
    assert verdict.next
    assert said in f"{verdict.rule} {verdict.reason} {verdict.next}"


def test_the_original_is_not_called_a_duplicate() -> None:
    """An event that names this path as the other one is the other one's story."""
    other = event(EventType.FILE_DUPLICATE, of=7, of_path=PATH.decode())._replace(path=b"/copy.jpg")
    known = Known(PATH, LIBRARY, None, line(FileState.CATALOGUED), [event(EventType.FILE_CREATED), other])
    assert judge(known).reason == "complete, read and remembered"


def test_every_reason_to_wait_has_words() -> None:
    """What the service waits for is said in words, for each reason there is."""
    for reason in WaitReason:
        live = {"state": "settling", "reason": reason.value, "next": "soon"}
        assert judge(Known(PATH, LIBRARY, live=live)).reason.startswith(f"{reason.value}: ")


def test_a_rule_of_a_folder_above_is_found(tmp_path: Path) -> None:
    """The rule that leaves out a folder is named for everything below it, from a .sluiceignore too."""
    (tmp_path / "a" / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "a" / ".sluiceignore").write_text("cache/\n")
    library = Library("all", bytes(tmp_path), Rules())
    assert ignored_by(library, bytes(tmp_path / "a" / "cache" / "deep" / "x.jpg")) == "a/.sluiceignore: cache/"
    assert ignored_by(library, bytes(tmp_path / "a" / "x.jpg")) is None
