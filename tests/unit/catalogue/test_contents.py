"""Contents keep their ids, whether memory or the index knows them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from mediasluice.catalogue import contents
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.files import Digests
from mediasluice.model.flow import IdentifiedFile, RootId
from tests.catalogues import add_root, digests, identified

BATCHES = st.lists(
    st.tuples(st.sampled_from(["commit", "commit", "commit", "undo", "reopen"]), st.lists(st.integers(0, 60))),
    max_size=40,
)


class Undone(Exception):
    """Ends a transaction on purpose."""


def stored(catalogue: Catalogue) -> dict[bytes, int]:
    rows = catalogue._connection.execute("SELECT blake3, id FROM content").fetchall()
    found = dict(rows)
    assert len(found) == len(rows), "a content has two rows"
    return found


def undo(catalogue: Catalogue, files: list[IdentifiedFile]) -> None:
    """Record files in a transaction that fails."""
    try:
        with catalogue.transaction():
            catalogue.record(files, 10)
            raise Undone
    except Undone:
        pass


@hypothesis.given(batches=BATCHES, recent=st.integers(0, 8), steps=st.sampled_from([1, 4, 16]))
def test_each_content_has_one_row(batches: list[tuple[str, list[int]]], recent: int, steps: int) -> None:
    """Whatever is recorded, undone and opened again in between: one row for each content, and always the same id."""
    with (
        tempfile.TemporaryDirectory() as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(contents, "RECENT", recent)
        patch.setattr(contents, "STEPS", steps)
        file = Path(directory) / "catalogue.sqlite"
        catalogue = Catalogue.open(file)
        root = add_root(catalogue)
        known: dict[bytes, int] = {}
        number = 0
        for what, values in batches:
            files = []
            for value in values:
                number += 1
                files.append(identified(root, b"%d" % number, b"content %d" % value))
            if what == "undo":
                undo(catalogue, files)
            else:
                catalogue.record(files, 10)
                known = {**stored(catalogue), **known}
                assert {digests(b"content %d" % value).blake3 for value in values} <= known.keys()
            assert stored(catalogue) == known
            if what == "reopen":
                catalogue.close()
                catalogue = Catalogue.open(file)
        catalogue.close()


def test_the_index_takes_what_memory_does_not_keep(
    catalogue: Catalogue, root: RootId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After enough chunks nearly all contents are found through the index, and each by its own digest."""
    monkeypatch.setattr(contents, "RECENT", 10)
    for chunk in range(60):
        catalogue.record([identified(root, b"%d/%d" % (chunk, n), b"%d %d" % (chunk, n)) for n in range(5)], 10)
    indexed = dict(catalogue._connection.execute("SELECT blake3, content FROM digest"))
    assert len(indexed) > 150
    assert indexed.items() <= stored(catalogue).items()


def test_further_digests_reach_a_content_that_only_the_index_knows(
    catalogue: Catalogue, root: RootId, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content that was read long ago gets the digests that somebody asks for now."""
    monkeypatch.setattr(contents, "RECENT", 0)
    monkeypatch.setattr(contents, "STEPS", 1)
    one = identified(root, b"x", b"one")
    catalogue.record([one], 10)
    catalogue.record([identified(root, b"y", b"two")], 10)
    assert one.digests is not None
    more = one._replace(name=b"z", digests=Digests(*one.digests[:2], sha256=b"s" * 32))
    catalogue.record([more], 20)
    with View.open(file) as view:
        events = [event for event in view.events() if event.blake3 == one.digests.blake3]
    assert [event.data for event in events] == [{"sha256": (b"s" * 32).hex()}] * 2  # two names of one file
    assert catalogue._connection.execute("SELECT sha256 FROM content ORDER BY id").fetchall() == [(b"s" * 32,), (None,)]
