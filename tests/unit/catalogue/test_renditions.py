"""Renditions in the catalogue: which are wanted, which wait, what becomes of them, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.catalogue import renditions
from mediasluice.catalogue.journal import Closed
from mediasluice.catalogue.readings import Tie
from mediasluice.catalogue.renditions import Missing, Name, Rendition, Waiting, Wish
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Mode, Scope
from tests.catalogues import add_root, digests, identified, read

FILM = Wish("photos", "h264-aac", Kind.VIDEO, ".mp4")
SOUND = Wish("photos", "aac", Kind.VIDEO, ".m4a")
WISHES = frozenset({FILM})


@pytest.fixture
def view(file: Path, catalogue: Catalogue) -> Iterator[View]:
    """Reads what the catalogue fixture writes."""
    assert catalogue is not None
    with View.open(file) as view:
        yield view


def name(content: bytes, wish: Wish = FILM) -> Name:
    return Name(digests(content).blake3, wish.profile, wish.extension)


def item(
    catalogue: Catalogue,
    view: View,
    root: RootId,
    path: bytes,
    content: bytes | None = None,
    *,
    kind: Kind = Kind.VIDEO,
    rules: ImportRules | None = None,
    is_there: bool = True,
) -> int:
    """A file that is imported, in place; gives its id. Not ``is_there``: it is on its way."""
    file = identified(root, path, path if content is None else content)._replace(kind=kind)
    [verdict] = catalogue.record([file], 20)
    catalogue.judge(root, rules or ImportRules(), [verdict.file], 20)
    read(catalogue, {verdict.file: verdict.version})
    if is_there:
        for due in view.due([root], 30, 10):
            source = b"/photos/" + due.name
            closed = Closed(due, None, Mode.IN_PLACE.value, source, due.key, due.key, None, None, {"item": due.item})
            catalogue.close_steps([closed], 30)
    return verdict.file


def missing(view: View, wishes: frozenset[Wish] = WISHES) -> list[Name]:
    """What all items lack, looked up one item at a time."""
    found: list[Name] = []
    last = 0
    while True:
        last, page = view.ask(renditions.missing, wishes, last, 1)
        found += [one.name for one in page]
        if not last:
            return found


def want_all(catalogue: Catalogue, view: View, wishes: frozenset[Wish] = WISHES) -> None:
    _, page = view.ask(renditions.missing, wishes, 0, 100)
    catalogue.change(renditions.want, page, 100)


def waiting(view: View, wishes: frozenset[Wish] = WISHES, now_us: int = 1_000) -> Waiting:
    found = view.ask(renditions.next_waiting, wishes, now_us)
    assert found is not None
    return found


def keep(catalogue: Catalogue, one: Waiting, rendition: Rendition, program: str = "ffmpeg 1") -> bool:
    return catalogue.change(renditions.keep, Missing(one.content, one.name), rendition, program, 200)


def made(one: Waiting) -> Rendition:
    return Rendition(one.name, renditions.MADE, 77, 2.5, None)


def failed(one: Waiting, reason: str = "it is broken") -> Rendition:
    return Rendition(one.name, renditions.FAILED, None, None, reason)


def listed(view: View, content: bytes) -> list[Rendition]:
    blake3 = digests(content).blake3
    return view.ask(renditions.of_contents, [blake3, b"unknown"]).get(blake3, [])


def told(view: View) -> list[Event]:
    return [event for event in view.events() if event.type is EventType.ITEM_RENDITION]


def test_items_of_the_right_library_and_kind_lack_one(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Not those of other libraries and kinds, not what is on its way, not what was only catalogued."""
    other = add_root(catalogue, "music", b"disk-2")
    item(catalogue, view, root, b"film")
    item(catalogue, view, root, b"picture", kind=Kind.IMAGE)
    item(catalogue, view, other, b"far")
    item(catalogue, view, root, b"late", is_there=False)
    catalogue.record([identified(root, b"plain", b"plain")._replace(kind=Kind.VIDEO)], 20)
    assert missing(view) == [name(b"film")]
    assert sorted(missing(view, frozenset({FILM, SOUND}))) == sorted([name(b"film"), name(b"film", SOUND)])
    assert missing(view, frozenset({FILM._replace(library="music")})) == [name(b"far")]
    assert missing(view, frozenset()) == []
    want_all(catalogue, view)
    assert missing(view) == []


def test_the_movement_of_a_picture_lacks_none(catalogue: Catalogue, root: RootId, view: View) -> None:
    """The film of a Live Photo is no film; one that became it later is made no more."""
    picture = item(catalogue, view, root, b"picture", kind=Kind.IMAGE)
    movement = item(catalogue, view, root, b"movement")
    assert missing(view) == [name(b"movement")]
    want_all(catalogue, view)
    home = catalogue._connection.execute("SELECT dir FROM file WHERE id = ?", (movement,)).fetchone()[0]
    catalogue._connection.execute("INSERT INTO member (file, home) VALUES (?, ?)", (movement, home))
    catalogue.relate([Tie(movement, picture, "motion", picture)], (), None)
    assert view.ask(renditions.next_waiting, WISHES, 1_000) is None
    _, unwanted = view.ask(renditions.unwanted, WISHES, 0, 100)
    assert [one.name for one in unwanted] == [name(b"movement")]


def test_events_say_what_is_new_and_that_something_is_lost(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Imports name contents; a deletion says only that there was one; other events say nothing."""
    head = view.head()
    assert view.ask(renditions.told, head, 100) == (head, [], False)
    item(catalogue, view, root, b"film")
    news = view.ask(renditions.told, head, 100)
    assert (news.event, len(news.contents), news.has_losses) == (view.head(), 1, False)
    assert [one.name for one in view.ask(renditions.missing_among, WISHES, news.contents)] == [name(b"film")]
    assert view.ask(renditions.missing_among, WISHES, []) == []
    [line] = view.items()
    catalogue.delete_item(line.id, 40)
    later = view.ask(renditions.told, news.event, 100)
    assert (later.contents, later.has_losses) == ([], True)
    assert view.ask(renditions.told, head, 1).event == head + 1


def test_what_waits_longest_comes_first_and_not_before_its_time(catalogue: Catalogue, root: RootId, view: View) -> None:
    """A try is counted when it begins, with the time before which a next process leaves it alone."""
    for path in (b"a", b"b"):
        item(catalogue, view, root, path)
    want_all(catalogue, view)
    first = waiting(view)
    assert (first.name, first.kind, first.size, first.tries) == (name(b"a"), Kind.VIDEO, 1, 0)
    catalogue.change(renditions.begin, first, 5_000)
    assert waiting(view).name == name(b"b")
    catalogue.change(renditions.put_off, waiting(view), "not now \udcff", 300, counts_as_try=True)
    assert view.ask(renditions.next_waiting, WISHES, 299) is None
    assert (waiting(view).name, waiting(view).tries) == (name(b"b"), 1)
    assert waiting(view, now_us=5_000).name == name(b"b")
    assert listed(view, b"b")[0].reason == "not now \\udcff"
    catalogue.change(renditions.put_off, first, None, 0, counts_as_try=False)
    assert (waiting(view).name, waiting(view).tries) == (name(b"a"), 0)
    assert view.ask(renditions.next_waiting, frozenset(), 9_000) is None
    assert view.ask(renditions.counts) == {"waiting": 2}


def test_what_is_made_is_listed_and_told_of_each_item(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Items of equal content share it: one row, an event for each of them."""
    for owner in ("ann", "bob"):
        catalogue.add_account(owner, 1)
        rules = ImportRules(owner=owner, scope=Scope.OWNER)
        item(catalogue, view, root, owner.encode(), b"same", rules=rules)
    assert missing(view) == [name(b"same")] * 2  # of each item, by themselves
    want_all(catalogue, view)
    one = waiting(view)
    assert keep(catalogue, one, made(one))
    assert listed(view, b"same") == [made(one)]
    assert view.ask(renditions.counts) == {"made": 1}
    first, second = told(view)
    assert [first.data["item"], second.data["item"]] == [line.id for line in view.items()]
    assert [first.path, second.path] == [b"/photos/ann", b"/photos/bob"]
    digest = digests(b"same").blake3.hex()
    path = f"renditions/{digest[:2]}/{digest}.h264-aac.mp4"
    assert first.data == {
        "item": first.data["item"],
        "profile": "h264-aac",
        "state": "made",
        "path": path,
        "size": 77,
        "duration": 2.5,
    }
    assert renditions.place(one.name) == path
    assert not keep(catalogue, one, made(one)), "once"
    assert len(told(view)) == 2


def test_what_failed_waits_for_another_program(catalogue: Catalogue, root: RootId, view: View) -> None:
    """The same one does not try again; another one does, from the beginning."""
    item(catalogue, view, root, b"film")
    want_all(catalogue, view)
    one = waiting(view)
    catalogue.change(renditions.begin, one, 0)
    keep(catalogue, one, failed(one))
    assert [event.data["reason"] for event in told(view)] == ["it is broken"]
    assert view.ask(renditions.next_waiting, WISHES, 9_000) is None
    assert catalogue.change(renditions.retry_failed, "ffmpeg 1", 300) == 0
    assert catalogue.change(renditions.retry_failed, "ffmpeg 2", 300) == 1
    assert waiting(view).tries == 0
    assert missing(view) == []


def test_a_rendition_is_wanted_as_long_as_there_is_an_item(catalogue: Catalogue, root: RootId, view: View) -> None:
    """What is made outlives the wish; what waits or failed does not."""
    for path in (b"made", b"failed", b"waits"):
        item(catalogue, view, root, path)
    want_all(catalogue, view)
    by_name = {}
    while (one := view.ask(renditions.next_waiting, WISHES, 1_000)) is not None:
        by_name[one.name] = one
        catalogue.change(renditions.begin, one, 5_000)
    keep(catalogue, by_name[name(b"made")], made(by_name[name(b"made")]))
    keep(catalogue, by_name[name(b"failed")], failed(by_name[name(b"failed")]))
    assert view.ask(renditions.unwanted, WISHES, 0, 100)[1] == []
    _, unwanted = view.ask(renditions.unwanted, frozenset(), 0, 100)
    assert {one.name for one in unwanted} == {name(b"failed"), name(b"waits")}
    content = by_name[name(b"waits")].content
    assert view.ask(renditions.is_wanted, WISHES, content, "h264-aac")
    assert not view.ask(renditions.is_wanted, frozenset(), content, "h264-aac")
    for line in list(view.items()):
        catalogue.delete_item(line.id, 40)
    assert not view.ask(renditions.is_wanted, WISHES, content, "h264-aac")
    found: list[Missing] = []
    last = 0
    while True:
        last, page = view.ask(renditions.unwanted, WISHES, last, 1)
        found += page
        if not last:
            break
    assert len(found) == 3
    catalogue.change(renditions.forget, found)
    assert view.ask(renditions.counts) == {}


def test_an_item_that_is_deleted_meanwhile_keeps_nothing(catalogue: Catalogue, root: RootId, view: View) -> None:
    """What was made for it is not recorded; whoever made it removes the file."""
    item(catalogue, view, root, b"film")
    want_all(catalogue, view)
    one = waiting(view)
    catalogue.change(renditions.forget, [Missing(one.content, one.name)])
    assert not keep(catalogue, one, made(one))
    assert told(view) == []


def test_names_that_begin_with_a_byte_are_found(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Every name is among those of exactly one byte; what is lost waits again."""
    for number in range(40):
        item(catalogue, view, root, b"%d" % number)
    want_all(catalogue, view)
    one = waiting(view)
    keep(catalogue, one, made(one))
    found = {first: view.ask(renditions.beginning_with, first) for first in range(256)}
    assert sorted(key for names in found.values() for key in names) == sorted(name(b"%d" % n) for n in range(40))
    assert all(key.blake3[0] == first for first, names in found.items() for key in names)
    assert found[one.name.blake3[0]][one.name] == (one.content, "made", 77)
    catalogue.change(renditions.lose, [(one.content, one.name.profile)], 500)
    assert view.ask(renditions.counts) == {"waiting": 40}
    assert listed(view, b"0")[0].size is None


def test_a_content_is_read_where_it_was_brought_or_lies(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Files of roots that are there, by their change key; what an import brought somewhere, without one."""
    number = item(catalogue, view, root, b"film")
    content = view.ask(renditions.missing, WISHES, 0, 10)[1][0].content
    [holder] = view.ask(renditions.holders, content, [root])
    assert (holder.root, holder.path, holder.name) == (root, b"/photos", b"film")
    assert holder.key is not None
    assert view.ask(renditions.holders, content, []) == []
    catalogue._connection.execute("UPDATE item SET place = 'path', path = ? WHERE file = ?", (b"/out/film", number))
    stored, again = view.ask(renditions.holders, content, [root])
    assert (stored.root, stored.path, stored.key) == (None, b"/out/film", None)
    assert again == holder
