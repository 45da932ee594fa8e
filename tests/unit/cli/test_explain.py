"""What ``explain`` says of a path, case by case; each names what comes next."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mediasluice.catalogue.rows import FileLine, ItemLine, Judged, RootRow
from mediasluice.cli.explain import Known, ignored_by, judge, judgement_row
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Judgement, Scope
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


ITEM = ItemLine(4, "summer", "", "photos", "ann", "public", "image", b"/media/summer.jpg", 10, b"d" * 32, 7, 0)
DUE_US = 1_700_000_000_000_000


def judged(judgement: Judgement, reason: str | None = None, todo: str | None = None) -> Judged:
    has_item = judgement in (Judgement.IMPORTED, Judgement.DUPLICATE, Judgement.PENDING)
    path = ITEM.path if has_item and judgement is not Judgement.PENDING else None
    return Judged(judgement, reason, 4 if has_item else None, path, todo, DUE_US if todo else None)


@pytest.mark.parametrize(
    ("said", "is_running", "words", "rule", "comes"),
    [
        (
            judged(Judgement.IMPORTED),
            True,
            "imported as item 4, to /media/summer.jpg",
            "action: import",
            "becomes its next version",
        ),
        (
            judged(Judgement.IMPORTED, "Permission denied", "processed"),
            True,
            "imported as item 4, to /media/summer.jpg",
            "action: import",
            "tried again at 2023-11-14T22:13:20.000000Z; that waits because Permission denied",
        ),
        (
            judged(Judgement.DUPLICATE),
            True,
            "a duplicate of item 4 ('summer', /media/summer.jpg)",
            "duplicates.scope: library",
            "becomes its next version",
        ),
        (
            judged(Judgement.BASELINE, "it was there before its library was watched"),
            True,
            "it was there before its library was watched",
            "existing: baseline",
            "sluice import /nowhere/photos/2024/a.jpg",
        ),
        (
            judged(Judgement.PENDING, "No space left on device", "import"),
            True,
            "to be imported as item 4, waits because No space left on device",
            "action: import",
            "it is imported, tried again at 2023-11-14T22:13:20.000000Z",
        ),
        (
            judged(Judgement.PENDING, None, "import"),
            True,
            "to be imported as item 4",
            "action: import",
            "imported in a moment",
        ),
        (
            judged(Judgement.PENDING, None, "import"),
            False,
            "to be imported as item 4",
            "action: import",
            "start it: sluice run",
        ),
        (
            judged(Judgement.AGAIN),
            True,
            "the item of its content was deleted",
            None,
            "sluice scan /nowhere/photos/2024",
        ),
        (
            judged(Judgement.REFUSED, "mode: hardlink!"),
            True,
            "refused: mode: hardlink!",
            "mode: hardlink!",
            "becomes its next version",
        ),
    ],
    ids=["imported", "to be set aside", "duplicate", "baseline", "waits", "due", "no service", "again", "refused"],
)
def test_what_an_importing_library_says_of_a_file(
    said: Judged, *, is_running: bool, words: str, rule: str | None, comes: str
) -> None:
    """The judgement, the setting that decided, and what comes next, for every judgement there is."""
    importing = Library("photos", LIBRARY.path, Rules(imports=ImportRules(scope=Scope.LIBRARY)))
    item = ITEM if said.item is not None else None
    known = Known(PATH, importing, None, line(FileState.CATALOGUED), is_running=is_running, judged=said, item=item)
    verdict = judge(known)
    assert (verdict.state, verdict.reason, verdict.rule) == ("catalogued", words, rule)
    assert comes in verdict.next
    row = judgement_row(known, said)
    assert (row["judgement"], row["words"]) == (said.judgement, words)
    assert (row["next_at"] is None) == (said.todo is None)


def test_an_item_that_stays_in_place_is_told_as_such() -> None:
    """Where the bytes did not move, no path is named twice."""
    said = judged(Judgement.IMPORTED)._replace(item_path=PATH)
    known = Known(PATH, LIBRARY, None, line(FileState.CATALOGUED), judged=said, item=ITEM)
    assert judge(known).reason == "imported as item 4, and stays where it is"


def test_a_file_that_we_moved_away_is_not_called_deleted() -> None:
    """It is told where to, and as what; a file that was deleted after it came back is a deleted one."""
    there = event(EventType.FILE_MOVED)._replace(path=b"/done/imported/a.jpg", old_path=PATH)
    said = judged(Judgement.IMPORTED)
    known = Known(PATH, LIBRARY, None, line(FileState.MISSING), [there], judged=said, item=ITEM)
    verdict = judge(known)
    assert verdict.state == "moved"
    assert verdict.reason == "imported as item 4, to /media/summer.jpg; moved to /done/imported/a.jpg"
    assert "sluice items show 4" in verdict.next
    unjudged = judge(Known(PATH, LIBRARY, None, line(FileState.MISSING), [there]))
    assert "sluice explain /done/imported/a.jpg" in unjudged.next
    deleted = Known(PATH, LIBRARY, None, line(FileState.MISSING), [there, event(EventType.FILE_DELETED)])
    assert judge(deleted).state == "missing"


@pytest.mark.parametrize("library", [None, LIBRARY], ids=["outside", "inside"])
def test_the_place_of_an_item_is_explained(library: Library | None) -> None:
    """Which item it is and where it came from, whether a library is around it or not."""
    known = Known(PATH, library, item=ITEM, is_stored=True, came_from=b"/in/summer.jpg")
    verdict = judge(known)
    assert verdict.state == "item"
    assert verdict.reason == "here are the bytes of item 4 ('summer'), which came from /in/summer.jpg"


def test_what_a_library_put_away_is_explained(tmp_path: Path) -> None:
    """Its own directories are left out because they are its own, and nobody is told to change a rule."""
    rules = Rules(imports=ImportRules(processed=bytes(tmp_path / "done")))
    verdict = judge(Known(bytes(tmp_path / "done" / "imported" / "a.jpg"), Library("all", bytes(tmp_path), rules)))
    assert (verdict.state, verdict.rule) == ("ignored", "belongs to mediasluice itself")
    assert "import.processed_dir" in verdict.next


def test_a_file_that_was_not_judged_yet_says_when_it_is() -> None:
    """A library that began to import later judges by its next pass."""
    importing = Library("photos", LIBRARY.path, Rules(imports=ImportRules()))
    assert "sluice scan photos" in judge(Known(PATH, importing, line=line(FileState.CATALOGUED))).next
