from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.kernel import HEADER, IN_IGNORED, Instance
from mediasluice.sources.table import WatchTable


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path


def table_of(tree: Path, budget: WatchBudget) -> tuple[Instance, WatchTable]:
    instance = Instance(os.fsencode(tree))
    return instance, WatchTable(instance, budget)


def test_places_follow_renames(tree: Path) -> None:
    """A directory that gets another place takes what is below it along; adrift it has no path."""
    instance, table = table_of(tree, WatchBudget())
    above, watched = table.enter(table.root, b"a", b"a")
    assert not watched
    table.place(above, table.root, b"a")
    below, _ = table.enter(above, b"b", b"a/b")
    table.place(below, above, b"b")
    assert table.locate(below.watch) == b"a/b"
    table.detach(above)
    assert table.locate(below.watch) is None
    table.place(above, table.root, b"z")
    assert table.path_of(below) == b"z/b"
    assert table.enter(table.root, b"a", b"a") == (above, True)
    os.close(instance.descriptor)


def test_the_budget_counts_each_watch_once(tree: Path) -> None:
    """Watching the same directory again takes nothing; letting go of a tree gives all of it back."""
    budget = WatchBudget()
    instance, table = table_of(tree, budget)
    above, _ = table.enter(table.root, b"a", b"a")
    table.place(above, table.root, b"a")
    below, _ = table.enter(above, b"b", b"a/b")
    table.place(below, above, b"b")
    table.enter(table.root, b"a", b"a")
    table.enter(table.root, b"other name", b"a")
    assert budget.used == len(table) == 3
    table.drop(above)
    assert budget.used == len(table) == 1
    with pytest.raises(FileNotFoundError):
        table.enter(table.root, b"none", b"none")
    assert budget.used == 1
    table.clear()
    assert budget.used == 0
    os.close(instance.descriptor)


def test_a_watch_that_was_let_go_is_silent_until_its_last_word(tree: Path) -> None:
    """Events of a removed watch are still queued: they concern nothing, even if its number were given out again."""
    instance, table = table_of(tree, WatchBudget())
    above, _ = table.enter(table.root, b"a", b"a")
    table.place(above, table.root, b"a")
    number = above.watch
    table.drop(above)
    assert table.get(number) is None
    raw = os.read(instance.descriptor, 4096)
    assert HEADER.unpack_from(raw)[:2] == (number, IN_IGNORED)
    table._directories[number] = above  # as if the kernel had used the number again at once
    assert table.get(number) is None
    table.ended(number)
    assert table.get(number) is above
    os.close(instance.descriptor)


def test_an_occupant_is_set_adrift(tree: Path) -> None:
    """A directory that takes the place of another one does not take its watch or its children."""
    instance, table = table_of(tree, WatchBudget())
    first, _ = table.enter(table.root, b"a", b"a")
    table.place(first, table.root, b"a")
    (tree / "c").mkdir()
    second, _ = table.enter(table.root, b"c", b"c")
    assert table.place(second, table.root, b"a") == [first]
    assert table.path_of(first) is None
    assert table.root.child(b"a") is second
    os.close(instance.descriptor)
