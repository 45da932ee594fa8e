"""Judgements, claims and the journal: what was decided stays true whatever happens between two transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.journal import Closed, Due, Planned, Postponed
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import UsageError
from mediasluice.model.events import Event
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Judgement, Mode, Scope
from tests.catalogues import add_root, identified, observed, read


class Desk:
    """A catalogue with one importing root, and what a test does with it."""

    def __init__(self, file: Path, catalogue: Catalogue, rules: ImportRules) -> None:
        self.catalogue = catalogue
        self.rules = rules
        self.root = add_root(catalogue)
        self.view = View.open(file)
        self.now_us = 10

    def arrive(self, name: bytes, content: bytes, **rest: Any) -> int:
        """Record and judge a file; gives its id."""
        self.now_us += 1
        [verdict] = self.catalogue.record([identified(self.root, name, content, **rest)], self.now_us)
        told = {verdict.file} if verdict.duplicate_of else set()
        self.catalogue.judge(self.root, self.rules, [verdict.file], self.now_us, told=told)
        read(self.catalogue, {verdict.file: verdict.version})
        return verdict.file

    def due(self) -> list[Due]:
        return self.view.due([self.root], self.now_us, 100)

    def plan(self, due: Due) -> int | None:
        """Open a step for what is due."""
        planned = Planned(due, Mode.MOVE.value, b"/photos/" + due.name, b"/out/" + due.name)
        return self.catalogue.open_steps([planned], self.now_us)[0]

    def done(self, due: Due, step: int | None, *, is_gone: bool = True) -> None:
        """Close a step as done."""
        source = None if is_gone else due.key
        closed = Closed(due, step, "move", b"/out/" + due.name, due.key, source, None, None, {"item": due.item})
        self.catalogue.close_steps([closed], self.now_us)

    def judged(self, file: int) -> Judgement | None:
        found = self.view.judged(file)
        return found and found.judgement

    def told(self, *types: str) -> list[Event]:
        return [event for event in self.view.events() if event.type.value in types]


@pytest.fixture
def desk(file: Path) -> Iterator[Desk]:
    with Catalogue.open(file) as catalogue:
        made = Desk(file, catalogue, ImportRules(target=b"/out", processed=b"/away", moves_duplicates=True))
        yield made
        made.view.close()


def test_one_item_for_a_content(desk: Desk) -> None:
    """Who comes second is a duplicate, also while the first has no bytes yet, and is not set aside before it has."""
    first, second = desk.arrive(b"a", b"one"), desk.arrive(b"b", b"one")
    assert (desk.judged(first), desk.judged(second)) == (Judgement.PENDING, Judgement.DUPLICATE)
    [due] = desk.due()
    assert due.file == first
    desk.done(due, desk.plan(due))
    [then] = desk.due()
    assert (then.file, then.todo) == (second, "processed")
    assert [event.data["item"] for event in desk.told("item.imported", "file.duplicate")] == [1, 1]


def test_a_claim_that_comes_to_nothing(desk: Desk) -> None:
    """When the first file is gone before it was imported, the second one takes its place."""
    desk.arrive(b"a", b"one")
    second = desk.arrive(b"b", b"one")
    desk.catalogue.depart(desk.root, [(b"", b"a")], 50)
    desk.catalogue.delete([row.file for row in desk.catalogue.departed([desk.root], 10)], 60)
    desk.catalogue.close_steps([Postponed(due, None, "it is gone", None) for due in desk.due()], 70)
    assert list(desk.view.items()) == []
    assert desk.view.judged_again(desk.root, 0, 10, at_once=True) == [second]
    desk.catalogue.judge(desk.root, desk.rules, [second], 80)
    assert desk.judged(second) is Judgement.PENDING


def test_an_item_that_is_deleted_while_its_file_is_planned(desk: Desk) -> None:
    """Nothing is begun for an item that is gone; the file waits for the next pass."""
    file = desk.arrive(b"a", b"one")
    [due] = desk.due()
    desk.catalogue.delete_item(1, 50)
    assert desk.plan(due) is None
    assert desk.judged(file) is Judgement.AGAIN
    assert desk.view.judged_again(desk.root, 0, 10, at_once=False) == [file]
    assert desk.view.judged_again(desk.root, 0, 10, at_once=True) == []


def test_an_item_that_is_gone_when_its_step_ends(desk: Desk) -> None:
    """A step of an item that is gone is closed; the file that left is told as moved, the item as nothing."""
    desk.arrive(b"a", b"one")
    [due] = desk.due()
    step = desk.plan(due)
    desk.catalogue._connection.execute("DELETE FROM judgement")
    desk.catalogue._connection.execute("DELETE FROM item")
    desk.done(due, step)
    assert desk.view.unfinished() == []
    assert desk.told("item.imported") == []
    [moved] = desk.told("file.moved")
    assert (moved.path, moved.old_path) == (b"/out/a", b"/photos/a")


def test_an_item_is_not_deleted_amid_its_step(desk: Desk) -> None:
    """While the bytes of an item are on their way it cannot be deleted."""
    desk.arrive(b"a", b"one")
    [due] = desk.due()
    desk.plan(due)
    with pytest.raises(UsageError, match="being imported"):
        desk.catalogue.delete_item(1, 50)


def test_an_open_step_is_not_planned_again(desk: Desk) -> None:
    """What is under way is not due a second time."""
    desk.arrive(b"a", b"one")
    [due] = desk.due()
    assert desk.plan(due) is not None
    assert desk.due() == []


def test_a_step_speaks_for_its_version_only(desk: Desk) -> None:
    """A file that changed while its copy was made stays where it is and is still to be imported."""
    file = desk.arrive(b"a", b"one", ino=5)
    [due] = desk.due()
    step = desk.plan(due)
    assert desk.arrive(b"a", b"two", ino=5) == file
    desk.done(due, step)
    assert desk.told("file.moved") == []
    [still] = desk.due()
    assert (still.file, still.version) == (file, 2)


def test_a_directory_leaves_while_its_file_is_moved(desk: Desk) -> None:
    """A directory that is removed right after its files were moved out of it deletes none of them."""
    desk.arrive(b"d/a", b"one")
    [due] = desk.due()
    step = desk.plan(due)
    desk.catalogue.depart_tree(desk.root, b"d", 50)
    desk.catalogue.move_tree(desk.root, b"d", b"e", 60)
    assert desk.catalogue.departed([desk.root], 10) == []
    desk.done(due, step)
    assert len(desk.told("file.moved")) == 1
    assert desk.told("file.deleted") == []


def test_claims_of_a_library_that_does_not_import_any_more(desk: Desk) -> None:
    """They are given back, but for what is under way; when the library is back its files are judged again."""
    waiting = desk.arrive(b"a", b"one")
    moving = desk.arrive(b"b", b"two")
    desk.plan(next(due for due in desk.due() if due.file == moving))
    desk.catalogue.give_back_claims([desk.root])
    assert len(list(desk.view.items())) == 2
    desk.catalogue.give_back_claims([RootId(99)])
    assert [item.file for item in desk.view.items()] == [moving]
    assert desk.view.judged_again(desk.root, 0, 10, at_once=False) == [waiting]


def test_refused_files_are_told_once(desk: Desk) -> None:
    """A file that the rules do not want is told with the reason, once for each reason."""
    for reason in ("too large", "too large", "not wanted"):
        row = observed(desk.root, b"a", FileState.SKIPPED, reason=reason, ino=5)
        desk.catalogue.observe([row], 50)
        desk.catalogue.refuse([row], 50)
    assert [event.data["reason"] for event in desk.told("item.refused")] == ["too large", "not wanted"]


def test_a_scope_follows_the_owner(file: Path) -> None:
    """An item that is given to somebody counts among theirs; an account's number is never used again."""
    with Catalogue.open(file) as catalogue:
        for name in ("anna", "ben"):
            catalogue.add_account(name, 1)
        desk = Desk(file, catalogue, ImportRules(target=b"/out", scope=Scope.OWNER, owner="anna"))
        desk.arrive(b"a", b"one")
        catalogue.change_item(1, {"owner": "ben"}, 50)
        catalogue.remove_account("anna")
        catalogue.add_account("carl", 60)
        desk.rules = ImportRules(target=b"/out", scope=Scope.OWNER, owner="carl")
        assert desk.judged(desk.arrive(b"b", b"one")) is Judgement.PENDING
        desk.rules = ImportRules(target=b"/out", scope=Scope.OWNER, owner="ben")
        assert desk.judged(desk.arrive(b"c", b"one")) is Judgement.DUPLICATE
        with pytest.raises(UsageError, match="has this content already"):
            catalogue.change_item(2, {"owner": "ben"}, 70)
        desk.view.close()


def test_nothing_is_judged_for_an_owner_that_is_gone(desk: Desk) -> None:
    """Without its account a library judges nothing, and says so."""
    desk.rules = ImportRules(target=b"/out", owner="nobody")
    [verdict] = desk.catalogue.record([identified(desk.root, b"a", b"one")], 10)
    assert desk.catalogue.judge(desk.root, desk.rules, [verdict.file], 10) is None
    assert desk.judged(verdict.file) is None


def test_files_that_we_moved_are_not_missing(desk: Desk) -> None:
    """A file that left by our own move is no missing file, and an equal one that arrives later is another one."""
    first = desk.arrive(b"a", b"one")
    [due] = desk.due()
    desk.done(due, desk.plan(due))
    assert list(desk.view.files(missing=True)) == []
    assert FileState.MISSING not in desk.view.counts()
    again = desk.arrive(b"a", b"one")
    assert again != first
    assert desk.judged(again) is Judgement.DUPLICATE
    assert json.loads(json.dumps(desk.told("file.duplicate")[0].data))["item"] == 1


def test_nothing_is_imported_before_it_was_read(desk: Desk) -> None:
    """A picture is due once its capture time is known, and again after each new version; other files are at once."""
    [verdict] = desk.catalogue.record([identified(desk.root, b"a", b"one")], 11)
    desk.catalogue.judge(desk.root, desk.rules, [verdict.file], 11)
    desk.now_us = 20
    assert desk.due() == []
    read(desk.catalogue, {verdict.file: verdict.version}, "2019-01-02T03:04:05")
    [due] = desk.due()
    assert due.capture is not None
    assert due.capture.local == "2019-01-02T03:04:05"
    [verdict] = desk.catalogue.record([identified(desk.root, b"a", b"two")], 21)
    desk.catalogue.judge(desk.root, desk.rules, [verdict.file], 21)
    desk.now_us = 30
    assert desk.due() == []
    [other] = desk.catalogue.record([identified(desk.root, b"b", b"three")._replace(kind=Kind.OTHER)], 31)
    desk.catalogue.judge(desk.root, desk.rules, [other.file], 31)
    desk.now_us = 40
    assert [due.name for due in desk.due()] == [b"b"]
