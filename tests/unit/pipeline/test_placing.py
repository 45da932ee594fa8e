"""Where files of groups and of discs go, by what the catalogue says of their relatives."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediasluice.actions.naming import Template
from mediasluice.actions.targets import Directory
from mediasluice.catalogue.journal import Beside, Due
from mediasluice.model.files import ChangeKey, FileState
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Judgement
from mediasluice.pipeline.placing import (
    LIES_ELSEWHERE,
    TOO_LONG,
    TOOK_ANOTHER,
    Importing,
    Places,
    misplaced,
    place_beside,
)

ROOT = RootId(1)


def due(path: str, *, todo: str = "import", **rest: Any) -> Due:
    """A file of which something is to be done."""
    directory, _, name = os.fsencode(path).rpartition(b"/")
    return Due(
        1, 1, todo, Judgement.PENDING, 1, "pending", None, ROOT, directory, name, ChangeKey(1, 1, 1, 1),
        FileState.CATALOGUED, b"", "other", **rest,
    )  # fmt: skip


def at(path: str, placed: str | Path) -> Beside:
    """A relative that arrived at a path below the root, and lies at a place."""
    directory, _, name = os.fsencode(path).rpartition(b"/")
    return Beside(name, os.fsencode(placed), directory)


class Desk:
    """A root that imports to ``out`` by names alone, and one batch."""

    def __init__(self, base: Path) -> None:
        self.out, self.places = base / "out", Places()
        target = os.fsencode(self.out)
        watched: Any = SimpleNamespace(path=b"/in", library="in")
        to = Directory(target, Template.parse("{name}"), self.places.names)
        rules = ImportRules(target=target, processed=os.fsencode(base / "done"))
        self.root = Importing(watched, rules, to, needs_date=False, needs_tags=False)

    def place(self, one: Due) -> str:
        """Where a file goes, below the target."""
        target = self.root.target.place(self.places.wanted(self.root, one))
        assert target is not None
        return os.path.relpath(os.fsdecode(target), self.out)

    def put(self, path: str) -> Path:
        made = self.out / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
        return made


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


IFO, VOB = "VIDEO_TS/VIDEO_TS.IFO", "VIDEO_TS/VTS_01_1.VOB"


def test_discs_of_one_batch_have_a_directory_each(desk: Desk) -> None:
    """Parts of one disc come together and those of another one of its name do not, in one batch."""
    found = [desk.place(due(f"{disc}/Film/{part}")) for part in (IFO, VOB) for disc in "ab"]
    assert found == [f"Film/{IFO}", f"Film_2/{IFO}", f"Film/{VOB}", f"Film_2/{VOB}"]


def test_a_disc_goes_where_its_parts_are(desk: Desk) -> None:
    """A later part goes to the others, whatever else has the disc's name."""
    desk.put(f"Film/{IFO}")
    part = at(f"a/Film/{IFO}", desk.put(f"Film_7/{IFO}"))
    assert desk.place(due(f"a/Film/{VOB}", parts=(part,))) == f"Film_7/{VOB}"


@pytest.mark.parametrize("held", [None, "Film_2/VIDEO_TS/.sluice-1-2.part"])
def test_a_retry_keeps_its_directory(desk: Desk, held: str | None) -> None:
    """What was tried in a directory is tried there again, as long as nothing but our own halves lies in it."""
    (desk.out / "Film").mkdir(parents=True)
    (desk.out / "Film_2" / "VIDEO_TS").mkdir(parents=True)
    if held is not None:
        desk.put(held)
    tried = at(f"a/Film/{IFO}", desk.out / "Film_2" / IFO)
    assert desk.place(due(f"a/Film/{IFO}", tried=(tried,))) == f"Film_2/{IFO}"


def test_a_retry_does_not_meet_others(desk: Desk) -> None:
    """A directory that was tried, and that holds a file or is another disc's now, is left alone."""
    tried = at(f"a/Film/{IFO}", desk.out / "Film" / IFO)
    assert desk.place(due(f"b/Film/{IFO}")) == f"Film/{IFO}"
    assert desk.place(due(f"a/Film/{IFO}", tried=(tried,))) == f"Film_2/{IFO}"
    desk.places.begin()
    desk.places.names.release(os.fsencode(desk.out / "Film_2" / IFO))
    desk.put("Film/a stranger.txt")
    assert desk.place(due(f"a/Film/{IFO}", tried=(tried,))) == f"Film_2/{IFO}"


def test_a_disc_on_its_way_keeps_its_directory(desk: Desk) -> None:
    """A directory that a step of another disc has not made yet is that one's, and its parts go there."""
    left, target = due(f"a/Film/{IFO}"), desk.out / "Film" / IFO
    desk.places.begin([(left, os.fsencode(target))])
    assert desk.place(due(f"b/Film/{IFO}")) == f"Film_2/{IFO}"
    assert desk.place(due(f"a/Film/{VOB}", parts=(at(f"a/Film/{IFO}", target),))) == f"Film/{VOB}"


def test_a_disc_is_set_aside_in_its_folders(desk: Desk, tmp_path: Path) -> None:
    """Below the processed directory a disc lies in a directory of its own; a part of a former one tells which."""
    done = os.fsencode(tmp_path / "done")
    first = desk.places.aside(desk.root, due(f"a/Film/{IFO}", todo="processed"))
    assert first == done + b"/imported/Film/" + IFO.encode()
    part = at(f"b/Film/{IFO}", tmp_path / "done" / "imported" / "Film_3" / IFO)
    second = desk.places.aside(desk.root, due(f"b/Film/{VOB}", todo="processed", parts=(part,)))
    assert second == done + b"/imported/Film_3/" + VOB.encode()


def test_the_cover_of_a_disc_lies_where_it_lay(desk: Desk) -> None:
    """What belongs to a disc is not put among its parts."""
    part = at(f"a/Film/{IFO}", desk.out / "Film_2" / IFO)
    cover = due("a/Film/cover.jpg", todo="follow", role="cover", beside=part)
    assert place_beside(cover) == os.fsencode(desk.out / "Film_2" / "cover.jpg")


def test_who_is_not_beside_its_group_says_why() -> None:
    """The name was taken, the group lies elsewhere, or the name that it should have is too long."""
    still = Beside(b"1.heic", b"/out/1_2.heic")
    movie = due("1.mov", role="motion", beside=still)
    assert misplaced(movie, b"/out/1_2.mov") is None
    assert misplaced(movie, b"/out/1_2_2.mov") == TOOK_ANOTHER
    assert misplaced(movie, b"/elsewhere/1_2.mov") == LIES_ELSEWHERE
    assert misplaced(movie._replace(beside=None), b"/elsewhere/1.mov") is None
    long = Beside(b"1.heic", b"/out/" + b"x" * 250 + b".heic")
    edited = due("1-edited.jpeg", role="edited", beside=long)
    assert misplaced(edited, b"/out/1-edited.jpeg") == TOO_LONG
