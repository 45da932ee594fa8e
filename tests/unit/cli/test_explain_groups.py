"""What ``sluice explain`` says of a file that means nothing by itself."""

from __future__ import annotations

import pytest

from mediasluice.catalogue.rows import FileLine, Judged, StepLine
from mediasluice.catalogue.view import Master
from mediasluice.cli.explain import Known, judge
from mediasluice.model.files import FileState, Kind
from mediasluice.model.imports import ImportRules, Judgement
from mediasluice.model.roots import Library, Rules

LIBRARY = Library("photos", b"/in", Rules(imports=ImportRules()))
PATH = b"/in/IMG_1.HEIC.xmp"
LINE = FileLine(2, "photos", PATH, 9, 0, Kind.SIDECAR, FileState.CATALOGUED, None, b"", b"", 1, 1)
DUE_US = 1_700_000_000_000_000
WAITS = Judged(Judgement.COMPANION, None, None, None, "follow", None)
THERE = Judged(Judgement.COMPANION, None, 7, b"/out/IMG_1_2.HEIC", None, None)
MASTER = Master(b"/in/IMG_1.HEIC", "sidecar", Judgement.IMPORTED, 7, None)
STEP = StepLine(1, "follow", "copy", PATH, b"/out/IMG_1_2.HEIC.xmp", "done", None, 1, 2)


@pytest.mark.parametrize(
    ("judged", "master", "steps", "because", "comes"),
    [
        (WAITS, None, (), "which is not here yet", "by itself: sluice import /in/IMG_1.HEIC.xmp"),
        (
            WAITS._replace(due_us=DUE_US),
            None,
            (),
            "which is not here yet",
            "it is imported by itself at 2023-11-14T22:13:20.000000Z",
        ),
        (
            WAITS._replace(due_us=DUE_US),
            MASTER._replace(item=None, judgement=Judgement.PENDING),
            (),
            "sidecar of /in/IMG_1.HEIC; goes with it",
            "brought to the file that it belongs to in a moment",
        ),
        (
            WAITS,
            MASTER._replace(item=None, judgement=Judgement.REFUSED, reason="undated: skip"),
            (),
            "waits, because that is not imported: undated: skip",
            "by itself: sluice import",
        ),
        (
            WAITS,
            MASTER._replace(item=None, judgement=Judgement.AGAIN),
            (),
            "waits, because that is not imported: its item was deleted",
            "by itself: sluice import",
        ),
        (
            THERE,
            MASTER,
            (STEP,),
            "sidecar of /in/IMG_1.HEIC (item 7); went with it to /out/IMG_1_2.HEIC.xmp",
            "its next version",
        ),
        (THERE, MASTER, (), "sidecar of /in/IMG_1.HEIC (item 7); stays where it is, like that", "its next version"),
        (
            THERE._replace(item=None, reason="the file that it belongs to is a duplicate, and stays"),
            MASTER,
            (),
            "stays where it is: the file that it belongs to is a duplicate, and stays",
            "its next version",
        ),
        (THERE, None, (STEP,), "went with it to /out/IMG_1_2.HEIC.xmp", "its next version"),
    ],
)
def test_a_companion_says_whose_it_is(
    judged: Judged, master: Master | None, steps: tuple[StepLine, ...], because: str, comes: str
) -> None:
    """Whose sidecar it is, where it went or what it waits for, and how it is imported by itself."""
    known = Known(PATH, LIBRARY, None, LINE, is_running=True, judged=judged, steps=steps, master=master)
    verdict = judge(known)
    assert (verdict.state, verdict.rule) == ("catalogued", "companion")
    assert because in verdict.reason
    assert comes in verdict.next


@pytest.mark.parametrize(
    ("reason", "because"),
    [
        (None, "to be imported as item 8, beside /in/IMG_1.HEIC"),
        ("the disk is full", "item 8, beside /in/IMG_1.HEIC, which waits because the disk is full"),
    ],
)
def test_a_movie_says_what_it_waits_for(reason: str | None, because: str) -> None:
    """One that goes beside its picture waits for that, and says why that waits."""
    judged = Judged(Judgement.PENDING, None, 8, None, "import", DUE_US)
    master = MASTER._replace(role="motion", judgement=Judgement.PENDING, reason=reason)
    verdict = judge(Known(b"/in/IMG_1.MOV", LIBRARY, None, LINE, is_running=True, judged=judged, master=master))
    assert verdict.reason.endswith(because)
    assert verdict.next == "it is imported as soon as /in/IMG_1.HEIC is"


def test_what_an_import_brought_is_known() -> None:
    """The sidecar beside an item is no stranger."""
    words = "this came along with the file that it belongs to; it came from /in/IMG_1.HEIC.xmp"
    verdict = judge(Known(b"/out/IMG_1_2.HEIC.xmp", brought=words))
    assert (verdict.state, verdict.reason, verdict.next) == ("companion", words, "nothing")
