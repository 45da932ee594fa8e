"""What external sources said: once for each content and source, in their order, and asked again when they failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.catalogue import readings
from mediasluice.catalogue.externals import Told
from mediasluice.catalogue.readings import Read
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.identify.external import merged
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from mediasluice.model.media import Reading, Tags, from_json, to_json
from tests.catalogues import identified

KINDS = frozenset({Kind.IMAGE})
FOUND = to_json(Reading("exif", tags=Tags(title="Own")))


@pytest.fixture
def view(file: Path, catalogue: Catalogue) -> Iterator[View]:
    with View.open(file) as view:
        yield view


@pytest.fixture
def contents(catalogue: Catalogue, root: RootId, view: View) -> list[int]:
    """Three pictures that were read."""
    files = [identified(root, name, name)._replace(kind=Kind.IMAGE) for name in (b"a", b"b", b"c")]
    numbers = [verdict.file for verdict in catalogue.record(files, 10)]
    found = [subject.content for subject in view.subjects(numbers, frozenset())]
    known = [content for content in found if content is not None]
    catalogue.save_readings([Read(content, 1, readings.READ, FOUND, None) for content in known], [], [], 20)
    return known


def told(content: int, source: str, found: object = None, **rest: int) -> Told:
    said = None if found is None else json.dumps(found)
    return Told(content, source, rest.get("place", 0), said, rest.get("tries", 0), rest.get("due_us"), None)


def test_who_was_asked_is_not_asked_again(catalogue: Catalogue, view: View, contents: list[int]) -> None:
    """An answer counts, also that nothing is known; each source is asked for itself."""
    catalogue.save_external(told(contents[0], "one", {"album": "X"}), 30)
    catalogue.save_external(told(contents[1], "one"), 30)
    assert view.external_lacking("one", KINDS, 0, 10) == (contents[2], [contents[2]])
    assert view.external_lacking("two", KINDS, 0, 10) == (contents[2], contents)
    assert view.external_lacking("one", frozenset({Kind.AUDIO}), 0, 10) == (contents[2], [])
    assert view.external_question(contents[0], "one") is None
    asked = view.external_question(contents[2], "one")
    assert asked is not None
    assert (asked.path.rpartition(b"/")[2], asked.kind, asked.found) == (b"c", Kind.IMAGE, FOUND)


def test_who_failed_is_asked_again(catalogue: Catalogue, view: View, contents: list[int]) -> None:
    """When its time has come, and until it answers; the tries are counted."""
    catalogue.save_external(told(contents[0], "one", tries=2, due_us=100), 30)
    assert [view.external_due("one", now_us) for now_us in (99, 100)] == [None, contents[0]]
    asked = view.external_question(contents[0], "one")
    assert asked is not None
    assert asked.tries == 2
    catalogue.save_external(told(contents[0], "one", {}), 40)
    assert view.external_due("one", 100) is None


def test_what_nobody_holds_is_asked_about_when_it_is_back(
    catalogue: Catalogue, view: View, root: RootId, contents: list[int]
) -> None:
    """A content that is gone is no question; what could not be answered of it is forgotten, an answer is not."""
    for name, content in ((b"a", contents[0]), (b"b", contents[1])):
        catalogue.save_external(told(content, "one", due_us=100 if name == b"a" else None), 30)  # type: ignore[arg-type]
        catalogue.depart(root, [(b"", name)], 40)
    assert view.external_question(contents[0], "one") is None
    for content in contents[:2]:
        catalogue.drop_external(content, "one")
    assert view.external_due("one", 100) is None
    assert view.external_lacking("one", KINDS, 0, 10)[1] == [contents[2]]
    catalogue.record([identified(root, name, name)._replace(kind=Kind.IMAGE) for name in (b"a", b"b")], 50)
    assert view.external_lacking("one", KINDS, 0, 10)[1] == [contents[0], contents[2]]


def test_sources_count_in_their_order(catalogue: Catalogue, view: View, contents: list[int]) -> None:
    """The file counts first, then the first source of the document; those that are not there any more say nothing."""
    catalogue.save_external(told(contents[0], "zebra", {"album": "Z", "title": "Z"}, place=0), 30)
    catalogue.save_external(told(contents[0], "ape", {"album": "A", "genre": "A"}, place=1), 30)

    def shown() -> Reading:
        [inside] = [line.inside for line in view.files() if line.path.endswith(b"/a")]
        assert inside is not None
        assert inside.found is not None
        return merged(from_json(inside.found), inside.told)

    assert shown().tags == Tags(title="Own", album="Z", genre="A")
    assert shown().reader == "exif+external:zebra+external:ape"
    catalogue.keep_externals(["ape", "zebra"])
    assert shown().tags == Tags(title="Own", album="A", genre="A")
    assert view.external_sources() == [("ape", 0), ("zebra", 1)]
    catalogue.keep_externals(["zebra"])
    assert shown().tags == Tags(title="Own", album="Z")
    catalogue.keep_externals([])
    assert shown() == from_json(FOUND)
