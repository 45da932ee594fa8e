"""What is made of contents: what lacks it, what is kept, and what the reports find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mediasluice.catalogue import products
from mediasluice.catalogue.journal import Closed, Planned
from mediasluice.catalogue.products import Lack, Likeness, Product, Search, Streams
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.files import ChangeKey, FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Mode, Scope
from tests.catalogues import add_root, digests, identified, observed, read

IMAGES = frozenset({Kind.IMAGE})
AUDIO = ("audio", "aac", b"a" * 16, 3.0)


@pytest.fixture
def view(file: Path, catalogue: Catalogue) -> Iterator[View]:
    """Reads what the catalogue fixture writes."""
    assert catalogue is not None
    with View.open(file) as view:
        yield view


def search(
    what: str = products.PREVIEW,
    *,
    version: int = 1,
    after: int = 0,
    limit: int = 100,
    among: Sequence[int] | None = None,
    kinds: frozenset[Kind] = IMAGES,
) -> Search:
    return Search(what, version, kinds, after, limit, among)


def arrive(catalogue: Catalogue, root: RootId, *names: bytes, kind: Kind = Kind.IMAGE) -> None:
    """Files whose content is their name without its directory and what follows a dot."""
    files = [identified(root, name, name.rpartition(b"/")[2].partition(b".")[0])._replace(kind=kind) for name in names]
    catalogue.record(files, 10)


def save(
    catalogue: Catalogue,
    made: Sequence[Product],
    what: str = products.PREVIEW,
    version: int = 1,
    streams: Sequence[Streams] = (),
    likenesses: Sequence[Likeness] = (),
) -> None:
    catalogue.save_products(what, version, made, streams, likenesses)


def lacks(view: View, root: RootId, **which: object) -> list[bytes]:
    """The names of the files of which something is to be made."""
    return [one.name for one in view.lacking(search(**which), [root], of_items=False)]  # type: ignore[arg-type]


def contents(view: View, root: RootId, kind: Kind = Kind.IMAGE) -> dict[bytes, int]:
    """Content of each name that lacks a product of this kind."""
    found = view.lacking(search("any", kinds=frozenset({kind})), [root], of_items=False)
    return {one.name: one.content for one in found}


def test_a_content_lacks_a_product_once_however_many_files_hold_it(
    catalogue: Catalogue, root: RootId, view: View
) -> None:
    """The first file that holds it stands for it, with all that is needed to read it."""
    arrive(catalogue, root, b"a.1", b"below/b.1", b"a.2")
    first, second = view.lacking(search(), [root], of_items=False)
    assert (first.name, second.directory, second.name) == (b"a.1", b"below", b"b.1")
    assert isinstance(first.key, ChangeKey)
    assert first == Lack(
        first.content, digests(b"a").blake3, Kind.IMAGE, None, root, b"/photos", b"", b"a.1", first.key
    )


def test_what_was_made_or_refused_lacks_nothing_until_the_next_version(
    catalogue: Catalogue, root: RootId, view: View
) -> None:
    """Each product for itself; a reason is kept."""
    arrive(catalogue, root, b"a", b"b", b"c")
    number = contents(view, root)
    save(catalogue, [Product(number[b"a"], "made", None), Product(number[b"b"], "refused", "no picture\udcff")])
    assert lacks(view, root) == [b"c"]
    assert lacks(view, root, what=products.ESSENCE) == [b"a", b"b", b"c"]
    assert lacks(view, root, version=2) == [b"a", b"b", b"c"]
    assert view.products(digests(b"a").blake3) == {"preview": ("made", None)}
    state, reason = view.products(digests(b"b").blake3)["preview"]
    assert state == "refused"
    assert (reason or "").startswith("no picture")
    assert view.products(b"unknown") == {}
    save(catalogue, [Product(number[b"b"], "made", None)], version=2)
    assert lacks(view, root, version=2) == [b"a", b"c"]


def test_only_the_kinds_roots_and_contents_that_are_asked_for(catalogue: Catalogue, root: RootId, view: View) -> None:
    """And pages go on behind the last content."""
    other = add_root(catalogue, "music", b"disk-2")
    arrive(catalogue, root, b"a", b"b", b"c")
    arrive(catalogue, root, b"film", kind=Kind.VIDEO)
    arrive(catalogue, other, b"far")
    number = contents(view, root)
    assert lacks(view, root) == [b"a", b"b", b"c"]
    assert lacks(view, root, limit=2) == [b"a", b"b"]
    assert lacks(view, root, after=number[b"b"]) == [b"c"]
    assert lacks(view, root, among=[number[b"b"], 999]) == [b"b"]
    assert lacks(view, root, among=[]) == []
    assert lacks(view, other) == [b"far"]
    assert view.count_lacking(search(), [root]) == 3
    assert view.count_lacking(search(limit=1), [root, other]) == 4
    assert view.count_lacking(search(), []) == 0


def test_what_is_not_there_lacks_nothing(catalogue: Catalogue, root: RootId, view: View) -> None:
    """A file that is being written again, or is gone, cannot be read."""
    arrive(catalogue, root, b"a", b"b")
    catalogue.observe([observed(root, b"a", FileState.UNREADABLE)], 20)
    assert lacks(view, root) == [b"b"]


def test_products_of_items_are_made_of_what_was_imported(catalogue: Catalogue, root: RootId, view: View) -> None:
    """A file that was only catalogued is passed over when items are meant; its events are, too."""
    arrive(catalogue, root, b"plain")
    [verdict] = catalogue.record([identified(root, b"wanted", b"wanted")], 20)
    catalogue.judge(root, ImportRules(), [verdict.file], 20, told=set())
    read(catalogue, {verdict.file: verdict.version})
    assert [one.name for one in view.lacking(search(), [root], of_items=True)] == [b"wanted"]
    assert lacks(view, root) == [b"plain", b"wanted"]
    head, told = view.contents_told(0, 100, of_items=False)
    assert head == view.head()
    assert len(told) == 2
    assert view.contents_told(head, 100, of_items=False) == (head, [])
    first, few = view.contents_told(0, 1, of_items=False)
    assert (len(few), first < head) == (1, True)


def test_an_item_that_no_root_holds_any_more_is_read_at_its_target(
    catalogue: Catalogue, root: RootId, view: View
) -> None:
    """Once for each content, however many items it is, and only while no root holds it."""
    number = 0
    for owner in ("ann", "bob"):
        catalogue.add_account(owner, 1)
        rules = ImportRules(target=b"/out", owner=owner, scope=Scope.OWNER)
        [verdict] = catalogue.record([identified(root, owner.encode(), b"same")], 20)
        catalogue.judge(root, rules, [verdict.file], 20, told=set())
        read(catalogue, {verdict.file: verdict.version})
        for due in view.due([root], 30, 10):
            planned = Planned(due, Mode.MOVE.value, b"/photos/" + due.name, b"/out/" + due.name)
            [step] = catalogue.open_steps([planned], 30)
            target = b"/out/" + due.name
            catalogue.close_steps(
                [Closed(due, step, "move", target, due.key, None, None, None, {"item": due.item})], 30
            )
            number += 1
    assert number == 2
    [found] = view.stored_lacking(search())
    assert (found.path, found.name, found.key, found.root) == (b"/out", b"ann", None, None)
    assert view.stored_lacking(search(after=found.content)) == []
    assert view.stored_lacking(search(among=[found.content])) == [found]
    arrive(catalogue, root, b"back")
    catalogue.record([identified(root, b"here", b"same")], 40)
    assert view.stored_lacking(search()) == []
    assert [one.name for one in view.lacking(search(), [root], of_items=True)] == [b"here"]


def test_forgotten_products_are_lacking_again(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Only those of the contents that are named, and of that product."""
    arrive(catalogue, root, b"a", b"b")
    number = contents(view, root)
    save(catalogue, [Product(one, "made", None) for one in number.values()])
    assert view.made("preview", 0, 1) == [(number[b"a"], digests(b"a").blake3)]
    assert view.made("preview", number[b"a"], 9) == [(number[b"b"], digests(b"b").blake3)]
    catalogue.forget_products("essence", [number[b"a"]])
    assert lacks(view, root) == []
    catalogue.forget_products("preview", [number[b"a"]])
    assert lacks(view, root) == [b"a"]


def test_streams_are_told_of_contents_that_share_one(catalogue: Catalogue, root: RootId, view: View) -> None:
    """All streams of these, and of no others; those of an older version are replaced."""
    arrive(catalogue, root, b"a", b"b", b"c", kind=Kind.VIDEO)
    number = contents(view, root, Kind.VIDEO)
    video, other = ("video", "h264", b"v" * 16, 3.0), ("video", "h264", b"w" * 16, None)
    streams = [
        Streams(number[b"a"], [video, AUDIO]),
        Streams(number[b"b"], [AUDIO]),
        Streams(number[b"c"], [other]),
    ]
    save(catalogue, [Product(one, "made", None) for one in number.values()], "essence", streams=streams)
    assert view.shared_streams() == [Streams(number[b"a"], [video, AUDIO]), Streams(number[b"b"], [AUDIO])]
    save(catalogue, [Product(number[b"a"], "made", None)], "essence", 2, streams=[Streams(number[b"a"], [other])])
    assert view.shared_streams() == [Streams(number[b"a"], [other]), Streams(number[b"c"], [other])]
    catalogue.observe([observed(root, b"c", FileState.UNREADABLE)], 20)
    assert view.shared_streams() == []


def test_likenesses_come_by_kind_and_duration(catalogue: Catalogue, root: RootId, view: View) -> None:
    """Nothing seen or heard is a product, and is not compared."""
    arrive(catalogue, root, b"a", b"b", b"c", kind=Kind.VIDEO)
    arrive(catalogue, root, b"picture")
    number = {**contents(view, root), **contents(view, root, Kind.VIDEO)}
    found = [
        Likeness(number[b"a"], b"12345678", None, 9.0),
        Likeness(number[b"b"], b"87654321", None, 4.0),
        Likeness(number[b"c"], None, None, 5.0),
        Likeness(number[b"picture"], b"11111111", None, None),
    ]
    save(catalogue, [Product(one, "made", None) for one in number.values()], "likeness", likenesses=found)
    assert [one.content for one in view.likenesses(Kind.VIDEO)] == [number[b"b"], number[b"a"]]
    assert list(view.likenesses(Kind.IMAGE)) == found[3:]
    assert list(view.likenesses(Kind.AUDIO)) == []
    assert lacks(view, root, what="likeness") == []
    save(catalogue, [Product(number[b"a"], "made", None)], "likeness", 2, likenesses=[found[0]._replace(duration=1.0)])
    assert [one.content for one in view.likenesses(Kind.VIDEO)] == [number[b"a"], number[b"b"]]


def test_the_holders_of_contents_are_all_files_that_have_them(catalogue: Catalogue, root: RootId, view: View) -> None:
    """By content and path, with library, size, kind and digest."""
    arrive(catalogue, root, b"a.1", b"below/a.2", b"b")
    number = contents(view, root)
    found = view.holders([number[b"a.1"]])
    assert [holder.path for holder in found] == [b"/photos/a.1", b"/photos/below/a.2"]
    assert found[0] == (number[b"a.1"], "photos", b"/photos/a.1", 1, Kind.IMAGE, digests(b"a").blake3)
